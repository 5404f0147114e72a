/* test_attacks.c - messages that are made to hurt a decoder. None costs more memory than eight
 * times its size. Each is refused for the right reason, or decodes safely behind the server. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "event/varint.h"
#include "lib/events.h"
#include "tributary/v1/publisher.pb-c.h"

#define MIB (1u << 20)

static const struct attack {
    const char *what;
    void (*build)(struct buf *message, const struct attack *attack);
    const char *bytes; /* repeated `times` times */
    size_t size;
    size_t times;
    enum fault_reason reason;
} attacks[];

/* The message is the repeated piece. */
static void repeat(struct buf *message, const struct attack *attack)
{
    for (size_t i = 0; i < attack->times; i++)
        buf_bytes(message, attack->bytes, attack->size);
}

/* The same, with a field between two events. */
static void repeat_with_gap(struct buf *message, const struct attack *attack)
{
    repeat(message, attack);
    put_field(message, 2, text_of("gap"));
    buf_bytes(message, attack->bytes, attack->size);
}

/* The repeated piece is the body of one event. */
static void inside(struct buf *message, const struct attack *attack)
{
    struct buf body = {0};

    repeat(&body, attack);
    put_field(message, 1, (struct bytes){body.data, body.size});
    buf_fini(&body);
}

/* Messages within messages, each in a field with the tag attack->bytes[0]. Written from the
 * innermost on, since each length includes what is inside. */
static void nest(struct buf *message, const struct attack *attack)
{
    uint8_t *all = malloc(MIB);
    size_t start = MIB;

    cr_assert_not_null(all);
    for (size_t depth = 0; depth < attack->times; depth++) {
        uint8_t length[MAX_VARINT_BYTES];
        size_t size = varint_write(length, MIB - start);
        start -= size;
        memcpy(all + start, length, size);
        all[--start] = (uint8_t)attack->bytes[0];
    }
    put_field(message, 1, (struct bytes){all + start, MIB - start});
    free(all);
}

static void many_headers(struct buf *message, const struct attack *attack)
{
    struct pair *headers = calloc(attack->times, sizeof(*headers));

    cr_assert_not_null(headers);
    for (size_t i = 0; i < attack->times; i++)
        headers[i] = (struct pair){{(const uint8_t *)attack->bytes, attack->size}, text_of("v")};
    put_event(message, &(struct event_view){.data = {NULL, 0}}, headers, attack->times);
    free(headers);
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct attack attacks[] = {
    {"as many empty events as there may be", repeat, BYTES("\x0a\x00"), 65536, FAULT_NONE},
    {"the same with a gap", repeat_with_gap, BYTES("\x0a\x00"), 65535, FAULT_NONE},
    {"a mebibyte of empty events", repeat, BYTES("\x0a\x00"), MIB / 2, FAULT_TOO_MANY_EVENTS},
    {"33 000 of them with a gap, just beyond a doubling", repeat_with_gap, BYTES("\x0a\x00"), 32768,
     FAULT_NONE},
    {"one byte over the mebibyte", repeat, BYTES("\x7a"), MIB + 1, FAULT_BATCH_TOO_LARGE},
    {"the same of empty events", repeat, BYTES("\x0a\x00"), MIB / 2 + 1, FAULT_BATCH_TOO_LARGE},
    {"nesting in an unknown field, 200 000 deep", nest, BYTES("\x5a"), 200000, FAULT_NONE},
    {"nesting in data, 200 000 deep", nest, BYTES("\x42"), 200000, FAULT_NONE},
    {"nesting in a header, two deep", nest, BYTES("\x32"), 2, FAULT_EMPTY},
    {"33 groups", repeat, BYTES("\x5b"), 33, FAULT_GROUP},
    {"a mebibyte of groups", repeat, BYTES("\x5b"), MIB, FAULT_GROUP},
    {"a mebibyte of groups in an event", inside, BYTES("\x5b"), MIB - 8, FAULT_GROUP},
    {"groups that are closed, one by one", inside, BYTES("\x5b\x5c"), 1000, FAULT_GROUP},
    {"an end without a group", inside, BYTES("\x5c"), 1, FAULT_GROUP},
    {"a length of 2 GiB - 1", repeat, BYTES("\x0a\xff\xff\xff\xff\x07"), 1, FAULT_BAD_LENGTH},
    {"a length of 2 GiB", repeat, BYTES("\x0a\x80\x80\x80\x80\x08"), 1, FAULT_BAD_LENGTH},
    {"a length of -1", repeat, BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, FAULT_BAD_LENGTH},
    {"data of 2 GiB - 1 in an event of six bytes", inside, BYTES("\x42\xff\xff\xff\xff\x07"), 1,
     FAULT_BAD_LENGTH},
    {"a mebibyte of unfinished tag", repeat, BYTES("\xff"), MIB, FAULT_BAD_TAG},
    {"a varint without end", inside, BYTES("\x58\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), 1,
     FAULT_BAD_VARINT},
    {"the same field 349 000 times", inside, BYTES("\x0a\x01i"), 349000, FAULT_NONE},
    {"unknown varints, 524 000 of them", inside, BYTES("\x58\x01"), 524000, FAULT_NONE},
    {"unknown empty fields, 524 000 of them", inside, BYTES("\x5a\x00"), 524000, FAULT_NONE},
    {"a mebibyte of empty headers", inside, BYTES("\x32\x00"), 524000, FAULT_EMPTY},
    {"one header too many", many_headers, BYTES("k"), 65, FAULT_TOO_MANY_HEADERS},
    {"the same header 64 times", many_headers, BYTES("k"), 64, FAULT_NONE},
    {"NUL in a header's key", many_headers, BYTES("k\0x"), 1, FAULT_BAD_UTF8},
    {"NUL in a topic", inside,
     BYTES("\x12\x03"
           "a\0b"),
     1, FAULT_BAD_UTF8},
    {"an overlong slash in a topic", inside, BYTES("\x12\x02\xc0\xaf"), 1, FAULT_BAD_UTF8},
    {"half a surrogate pair in an id", inside, BYTES("\x0a\x03\xed\xa0\xbd"), 1, FAULT_BAD_UTF8},
    {"field number 0", inside, BYTES("\x02\x00"), 1, FAULT_BAD_TAG},
    {"field number 2^29", inside, BYTES("\x82\x80\x80\x80\x10\x00"), 1, FAULT_BAD_TAG},
    {"time in a packed form", inside,
     BYTES("\x3a\x08"
           "12345678"),
     1, FAULT_WRONG_WIRE_TYPE},
};

static void decodes(const struct buf *message)
{
    Tributary__V1__PublishRequest *request =
        tributary__v1__publish_request__unpack(NULL, message->size, message->data);

    cr_assert_not_null(request);
    tributary__v1__publish_request__free_unpacked(request, NULL);
}

Test(attack, costs_at_most_eight_times_its_size_and_harms_no_decoder, .timeout = 60)
{
    cr_assert_geq(ARRAY_LEN(attacks), 25);
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        const struct attack *attack = &attacks[i];
        struct framing_scan scan = {0};
        struct fault fault;
        struct buf message = {0};
        struct chunk *chunk = NULL;

        attack->build(&message, attack);
        struct bytes bytes = {message.data, message.size};
        uint64_t max = 8 * (uint64_t)message.size + 65536;
        enum fault_reason reason = framing_scan(&scan, bytes, &settings_defaults.framing, &fault);
        cr_assert_eq(reason, attack->reason, "%s: %s", attack->what, fault_reason_name(reason));
        cr_assert_leq(scan.capacity * sizeof(uint32_t) * (scan.ends ? 2 : 1), max, "%s", attack->what);
        if (reason == FAULT_NONE) {
            cr_assert_eq(chunk_of(bytes, &scan, &chunk), ERR_OK);
            cr_assert_leq(chunk->pinned, max, "%s", attack->what);
            decodes(&message);
        }
        chunk_release(chunk);
        framing_fini(&scan);
        buf_fini(&message);
    }
}
