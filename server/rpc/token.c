/* token.c - tokens that clients keep and give back: where a stream stood, and where a page ended.
 *
 * Both end with a checksum under a fixed key, which finds damaged and mixed-up tokens. It is no
 * protection against forgery, and none is needed: a forged token can only name positions, and its
 * owner may name any position anyway. One server reads the tokens of another, and sees whose they
 * are: of a source that another's token does not name nothing is known.
 *
 *   resume token   'R' version=2 left_out:8 server:8 position... checksum:8
 *                  'R' version=1 left_out:8 position... checksum:8      read only: another server's
 *   position       name_size:varint name epoch:8 sequence:varint
 *   page token     base64url of: 'P' list name checksum:8
 *
 * Numbers are little-endian. */
#include "server/rpc/token.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/map.h"
#include "event/chunk.h"
#include "event/text.h"
#include "event/varint.h"
#include "route/resume_point.h"

#define HEAD_BYTES 18u
#define HEAD_BYTES_1 10u /* of version 1 */
#define CHECKSUM_BYTES 8u
#define MIN_POSITION_BYTES (1u + 1u + 8u + 1u)
#define MAX_NAME_BYTES 256u
#define MAX_PAGE_SIZE 1000u
#define DEFAULT_PAGE_SIZE 100u

static void number_write(uint8_t *data, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        data[i] = (uint8_t)(number >> (8 * i));
}

static void number_put(struct buf *buf, uint64_t number)
{
    uint8_t *data = buf_extend(buf, 8);

    if (data)
        number_write(data, number);
}

static uint64_t number_read(const uint8_t *data)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < 8; i++)
        number |= (uint64_t)data[i] << (8 * i);
    return number;
}

static uint64_t checksum(const uint8_t *data, size_t size)
{
    static const uint64_t key[2] = {UINT64_C(0x7472696275746172), UINT64_C(0x792e746f6b656e31)};

    return siphash13(key, (struct bytes){data, size});
}

static void varint_put(struct buf *buf, uint64_t value)
{
    uint8_t bytes[10];

    buf_bytes(buf, bytes, varint_write(bytes, value));
}

/* A random number, the same for the life of the process. */
static uint64_t this_server(void)
{
    static _Atomic uint64_t id;
    uint64_t known = atomic_load(&id), made = 0;

    if (known != 0)
        return known;
    if (getrandom(&made, sizeof(made), 0) != (ssize_t)sizeof(made) || made == 0)
        made = clock_epoch_ns();
    return atomic_compare_exchange_strong(&id, &known, made) ? made : known;
}

void token_begin(struct token_writer *writer, struct buf *token, size_t max)
{
    *writer = (struct token_writer){.token = token, .begin = token->size, .max = max};
    buf_bytes(token, "R\2", 2);
    number_put(token, 0);
    number_put(token, this_server());
}

/* Called under the channel's lock, so it only writes. */
bool token_position(void *ctx, const struct source *source, uint64_t sequence)
{
    struct token_writer *writer = ctx;
    struct bytes name = source_name(source);
    size_t size = varint_size(name.size) + name.size + 8 + varint_size(sequence);

    if (writer->token->size - writer->begin + size + CHECKSUM_BYTES > writer->max) {
        writer->left_out++;
        return true;
    }
    varint_put(writer->token, name.size);
    buf_bytes(writer->token, name.data, name.size);
    number_put(writer->token, source->epoch);
    varint_put(writer->token, sequence);
    return true;
}

bool token_position_whole(void *ctx, const struct source *source, uint64_t sequence)
{
    struct token_writer *writer = ctx;

    return token_position(ctx, source, sequence) && writer->left_out == 0;
}

void token_end(struct token_writer *writer, uint64_t left_out)
{
    struct buf *token = writer->token;

    if (token->broken)
        return;
    number_write(token->data + writer->begin + 2, writer->left_out + left_out);
    number_put(token, checksum(token->data + writer->begin, token->size - writer->begin));
}

/* Reads one position and advances *at. False: it is not whole, or has a bad name. */
static bool position_get(const uint8_t **at, const uint8_t *end, struct resume_point *point)
{
    struct fault unused;
    uint64_t size;
    size_t read = varint_read(*at, end, &size);

    if (read == 0 || size > MAX_NAME_BYTES || (size_t)(end - *at) - read < size + 8)
        return false;
    *at += read;
    point->source = (struct bytes){*at, (size_t)size};
    *at += size;
    point->epoch = number_read(*at);
    *at += 8;
    read = varint_read(*at, end, &point->sequence);
    *at += read;
    return read > 0 && !name_check(point->source, "", MAX_NAME_BYTES, &unused);
}

/* 0: it is no resume token. */
static size_t head_bytes(struct bytes token)
{
    size_t head = token.size > 1 && token.data[1] == 1 ? HEAD_BYTES_1 : HEAD_BYTES;

    if (token.size < head + CHECKSUM_BYTES || token.data[0] != 'R' || token.data[1] > 2)
        return 0;
    return token.data[1] == 0 ? 0 : head;
}

enum fault_reason token_read(struct bytes token, const char *field, size_t spare,
                             struct token_points *points_out, struct fault *fault)
{
    struct resume_point *points;
    const uint8_t *at, *end;
    size_t count = 0, head = head_bytes(token);

    if (token.size > MAX_TOKEN_BYTES)
        return fault_bytes(fault, FAULT_BAD_TOKEN, field, token, "at most 65536 bytes");
    if (head == 0)
        return fault_bytes(fault, FAULT_BAD_TOKEN, field, token,
                           "a resume token of Started, Progress or Closing");
    end = token.data + token.size - CHECKSUM_BYTES;
    if (number_read(end) != checksum(token.data, token.size - CHECKSUM_BYTES))
        return fault_bytes(fault, FAULT_BAD_TOKEN, field, token, "the checksum must match");
    /* One more than the token can hold: without positions the result must not be NULL. */
    points = calloc((token.size - head - CHECKSUM_BYTES) / MIN_POSITION_BYTES + 1 + spare, sizeof(*points));
    if (!points)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    for (at = token.data + head; at < end; count++) {
        if (!position_get(&at, end, &points[count])) {
            free(points);
            return fault_bytes(fault, FAULT_BAD_TOKEN, field, token, "positions must be whole");
        }
    }
    *points_out = (struct token_points){.list = points,
                                        .count = count,
                                        .left_out = number_read(token.data + 2),
                                        .of_another_server = head == HEAD_BYTES_1 ||
                                                             number_read(token.data + 10) != this_server()};
    return FAULT_NONE;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Appends base64url without padding (RFC 4648, section 5). */
static void base64_put(struct buf *buf, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t count = MIN_OF(size - i, 3u);
        uint32_t group = (uint32_t)data[i] << 16;

        if (count > 1)
            group |= (uint32_t)data[i + 1] << 8;
        if (count > 2)
            group |= data[i + 2];
        for (unsigned j = 0; j <= count; j++)
            buf_byte(buf, (uint8_t)digits[group >> (18 - 6 * j) & 63]);
    }
}

/* Reads base64url without padding. False: it is none, or does not fit. Unused bits must be 0, so
 * each content has exactly one text. */
static bool base64_get(const char *text, uint8_t *data, size_t capacity, size_t *size_out)
{
    uint32_t group = 0;
    unsigned bits = 0;
    size_t size = 0;

    for (; *text; text++) {
        const char *digit = strchr(digits, *text);

        if (!digit)
            return false;
        group = (group << 6 | (uint32_t)(digit - digits)) & 0xFFFF;
        bits += 6;
        if (bits < 8)
            continue;
        if (size == capacity)
            return false;
        bits -= 8;
        data[size++] = (uint8_t)(group >> bits);
    }
    *size_out = size;
    return bits < 6 && (group & (BIT(bits) - 1)) == 0;
}

enum fault_reason page_size_read(uint32_t page_size, uint32_t *size_out, struct fault *fault)
{
    if (page_size > MAX_PAGE_SIZE)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "page_size", page_size, "at most 1000");
    *size_out = page_size > 0 ? page_size : DEFAULT_PAGE_SIZE;
    return FAULT_NONE;
}

void page_write(enum page_list list, struct bytes name, struct buf *token)
{
    struct buf plain = {0};

    buf_byte(&plain, 'P');
    buf_byte(&plain, (uint8_t)list);
    buf_bytes(&plain, name.data, name.size);
    if (!plain.broken)
        number_put(&plain, checksum(plain.data, plain.size));
    if (plain.broken)
        token->broken = true;
    else
        base64_put(token, plain.data, plain.size);
    buf_fini(&plain);
}

enum fault_reason page_read(enum page_list list, const char *token, uint8_t *name, size_t *size_out,
                            struct fault *fault)
{
    uint8_t plain[2 + MAX_PAGE_NAME_BYTES + CHECKSUM_BYTES];
    size_t size;

    if (!token[0]) {
        *size_out = 0;
        return FAULT_NONE;
    }
    if (!base64_get(token, plain, sizeof(plain), &size) || size <= 2 + CHECKSUM_BYTES || plain[0] != 'P' ||
        plain[1] != (uint8_t)list ||
        number_read(plain + size - CHECKSUM_BYTES) != checksum(plain, size - CHECKSUM_BYTES))
        return fault_bytes(fault, FAULT_BAD_TOKEN, "page_token",
                           (struct bytes){(const uint8_t *)token, strlen(token)},
                           "the next_page_token of an earlier answer of this list");
    *size_out = size - 2 - CHECKSUM_BYTES;
    memcpy(name, plain + 2, *size_out);
    return FAULT_NONE;
}
