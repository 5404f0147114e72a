/* h2.c - writes HTTP/2 frames for one connection (RFC 9113), as far as gRPC needs them. */
#include "lib/h2/h2_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char h2_preface[PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void store32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof(value));
}

struct stream *h2_stream_find(struct h2 *h2, uint32_t number)
{
    for (int i = 0; number && i < MAX_H2_STREAMS; i++)
        if (h2->streams[i].number == number)
            return &h2->streams[i];
    return NULL;
}

struct stream *h2_stream_add(struct h2 *h2, uint32_t number)
{
    for (int i = 0; i < MAX_H2_STREAMS; i++) {
        if (!h2->streams[i].number) {
            h2->streams[i] =
                (struct stream){.number = number, .send_window = h2->first_send_window, .end.status = -1};
            return &h2->streams[i];
        }
    }
    return NULL;
}

/* ---- output ---- */

/* Reserves `size` more bytes of output and returns where they go. */
static uint8_t *out_add(struct h2 *h2, size_t size)
{
    size_t wanted = h2->out_size + size;

    if (h2->out_first + wanted > h2->out_capacity) {
        size_t capacity = MAX_OF(h2->out_capacity, (size_t)FIRST_OUTPUT);
        while (capacity < wanted)
            capacity *= 2;
        if (capacity > h2->out_capacity)
            h2->out = realloc(h2->out, capacity);
        CHECK(h2->out && wanted <= H2_OUTPUT_BYTES);
        memmove(h2->out, h2->out + h2->out_first, h2->out_size);
        h2->out_first = 0;
        h2->out_capacity = capacity;
    }
    h2->out_size = wanted;
    return h2->out + h2->out_first + wanted - size;
}

/* Writes the head of one frame and returns where its payload goes. Control frames may use the
 * reserve that h2_writable() leaves. */
uint8_t *h2_frame_begin(struct h2 *h2, enum frame_kind kind, unsigned flags, uint32_t stream, size_t size)
{
    uint8_t *at = out_add(h2, HEAD_BYTES + size);
    at[0] = (uint8_t)(size >> 16), at[1] = (uint8_t)(size >> 8), at[2] = (uint8_t)size;
    at[3] = (uint8_t)kind;
    at[4] = (uint8_t)flags;
    store32(at + 5, stream);
    return at + HEAD_BYTES;
}

void h2_window_update(struct h2 *h2, uint32_t stream, uint32_t size)
{
    store32(h2_frame_begin(h2, FRAME_WINDOW_UPDATE, 0, stream, 4), size);
}

static void setting(uint8_t *at, enum setting which, uint32_t value)
{
    at[0] = 0;
    at[1] = (uint8_t)which;
    store32(at + 2, value);
}

static void send_preface(struct h2 *h2)
{
    if (!h2->server)
        memcpy(out_add(h2, PREFACE_BYTES), h2_preface, PREFACE_BYTES);
    uint8_t *settings = h2_frame_begin(h2, FRAME_SETTINGS, 0, 0, h2->server ? 18 : 12);
    setting(settings, SETTING_INITIAL_WINDOW_SIZE, H2_WINDOW_BYTES);
    setting(settings + 6, SETTING_MAX_FRAME_SIZE, H2_FRAME_BYTES);
    if (h2->server)
        setting(settings + 12, SETTING_MAX_STREAMS, MAX_H2_STREAMS);
    h2_window_update(h2, 0, H2_WINDOW_BYTES - FIRST_WINDOW);
}

/* Writes a header that is never indexed, without Huffman coding. Both texts are under 127 bytes. */
static size_t literal(uint8_t *at, const char *name, const char *value)
{
    size_t name_size = strlen(name), value_size = strlen(value);

    CHECK(name_size < 127 && value_size < 127);
    *at++ = 0x10;
    *at++ = (uint8_t)name_size;
    memcpy(at, name, name_size);
    at += name_size;
    *at++ = (uint8_t)value_size;
    memcpy(at, value, value_size);
    return 3 + name_size + value_size;
}

uint32_t h2_open(struct h2 *h2, const char *path)
{
    static const char *const fields[][2] = {{":method", "POST"},
                                            {":scheme", "http"},
                                            {":authority", "h2"},
                                            {"te", "trailers"},
                                            {"content-type", "application/grpc"}};
    uint8_t block[512];
    size_t size = 0;
    struct stream *stream = h2->lost ? NULL : h2_stream_add(h2, h2->next_stream);

    if (!stream)
        return 0;
    h2->next_stream += 2;
    size += literal(block, ":path", path);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        size += literal(block + size, fields[i][0], fields[i][1]);
    memcpy(h2_frame_begin(h2, FRAME_HEADERS, FLAG_END_HEADERS, stream->number, size), block, size);
    return stream->number;
}

void h2_answer(struct h2 *h2, uint32_t number)
{
    uint8_t block[64];
    size_t size = literal(block, ":status", "200");

    size += literal(block + size, "content-type", "application/grpc");
    memcpy(h2_frame_begin(h2, FRAME_HEADERS, FLAG_END_HEADERS, number, size), block, size);
}

void h2_finish(struct h2 *h2, uint32_t number, int status)
{
    struct stream *stream = h2_stream_find(h2, number);
    uint8_t block[64];
    char text[16];

    if (!stream)
        return;
    snprintf(text, sizeof(text), "%d", status);
    size_t size = literal(block, "grpc-status", text);
    memcpy(h2_frame_begin(h2, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, number, size), block, size);
    stream->number = 0;
}

size_t h2_writable(const struct h2 *h2, uint32_t number)
{
    const struct stream *stream = h2_stream_find((struct h2 *)(uintptr_t)h2, number);
    size_t free_bytes = H2_OUTPUT_BYTES - h2->out_size;

    if (!stream || h2->lost || free_bytes <= CONTROL_RESERVE + HEAD_BYTES)
        return 0;
    int64_t window = MIN_OF(h2->send_window, stream->send_window);
    window = MIN_OF(window, (int64_t)h2->frame_size);
    window = MIN_OF(window, (int64_t)(free_bytes - CONTROL_RESERVE - HEAD_BYTES));
    return window > 0 ? (size_t)window : 0;
}

uint8_t *h2_data(struct h2 *h2, uint32_t number, size_t size, bool end)
{
    struct stream *stream = h2_stream_find(h2, number);

    CHECK(stream && size <= h2_writable(h2, number));
    stream->send_window -= (int64_t)size;
    h2->send_window -= (int64_t)size;
    return h2_frame_begin(h2, FRAME_DATA, end ? FLAG_END_STREAM : 0, number, size);
}

void h2_reset_with(struct h2 *h2, uint32_t number, uint32_t error)
{
    store32(h2_frame_begin(h2, FRAME_RST_STREAM, 0, number, 4), error);
}

void h2_reset(struct h2 *h2, uint32_t number)
{
    struct stream *stream = h2_stream_find(h2, number);

    if (!stream)
        return;
    h2_reset_with(h2, number, ERROR_CANCEL);
    stream->number = 0;
}

bool h2_flush(struct h2 *h2)
{
    while (h2->out_size && !h2->lost) {
        ssize_t sent = send(h2->fd, h2->out + h2->out_first, h2->out_size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return true;
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return h2_lose(h2);
        h2->out_first += (size_t)sent;
        h2->out_size -= (size_t)sent;
    }
    if (!h2->out_size)
        h2->out_first = 0;
    return !h2->lost;
}

bool h2_pending(const struct h2 *h2)
{
    return h2->out_size > 0 && !h2->lost;
}

/* ---- the connection ---- */

/* NULL: no memory; the socket stays the caller's. */
static struct h2 *h2_new(int fd, const struct h2_port *port, bool server)
{
    struct h2 *h2 = calloc(1, sizeof(*h2));

    if (!h2 || nghttp2_hd_inflate_new(&h2->inflater) != 0) {
        free(h2);
        errno = ENOMEM;
        return NULL;
    }
    h2->fd = fd;
    h2->port = *port;
    h2->server = server;
    h2->next_stream = 1;
    h2->send_window = h2->first_send_window = FIRST_WINDOW;
    h2->frame_size = FIRST_FRAME_SIZE;
    send_preface(h2);
    return h2;
}

struct h2 *h2_connect(const char *address, const struct h2_port *port)
{
    int fd = h2_dial(address);
    struct h2 *h2 = fd >= 0 ? h2_new(fd, port, false) : NULL;

    if (fd >= 0 && !h2) {
        close(fd);
        errno = ENOMEM;
    }
    return h2;
}

struct h2 *h2_serve(int fd, const struct h2_port *port)
{
    return h2_new(fd, port, true);
}

void h2_free(struct h2 *h2)
{
    if (!h2)
        return;
    nghttp2_hd_inflate_del(h2->inflater);
    close(h2->fd);
    free(h2->out);
    free(h2->kept);
    free(h2);
}

int h2_fd(const struct h2 *h2)
{
    return h2->fd;
}
