/* h2.c - HTTP/2 framing for one client connection (RFC 9113), as much of it as gRPC needs. */
#include "lib/h2/h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum frame_kind {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS,
    FRAME_PING = 6,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION
};
enum frame_flag { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8, FLAG_PRIORITY = 32 };
enum setting { SETTING_INITIAL_WINDOW_SIZE = 4, SETTING_MAX_FRAME_SIZE = 5 };
enum { HEAD_BYTES = 9, ERROR_CANCEL = 8, FIRST_WINDOW = 65535, FIRST_FRAME_SIZE = 16384, CONTROL_RESERVE = 1024 };

struct stream {
    uint32_t number; /* 0: free */
    int64_t send_window;
    uint32_t unreturned; /* received bytes not yet given back to the peer's window */
    struct h2_end end;
};

struct frame {
    uint8_t kind, flags;
    uint32_t stream;
    const uint8_t *at;
    uint32_t size;
};

struct h2 {
    int fd;
    struct h2_port port;
    bool lost;
    uint32_t next_stream;
    int64_t send_window, first_send_window;
    uint32_t frame_size;
    uint32_t unreturned;
    struct stream streams[H2_STREAMS_MOST];
    nghttp2_hd_inflater *inflater;
    size_t out_first, out_size;
    size_t in_size;
    uint8_t out[H2_OUTPUT_BYTES];
    uint8_t in[H2_INPUT_BYTES + (1 << 15)];
};

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return ntohl(value);
}

static void store32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof(value));
}

static struct stream *stream_find(struct h2 *h2, uint32_t number)
{
    for (int i = 0; number && i < H2_STREAMS_MOST; i++)
        if (h2->streams[i].number == number)
            return &h2->streams[i];
    return NULL;
}

/* ---- output ---- */

static size_t out_room(const struct h2 *h2)
{
    return H2_OUTPUT_BYTES - h2->out_first - h2->out_size;
}

/* One frame's head; returns where its payload goes. Control frames may use the reserve that h2_room() leaves. */
static uint8_t *frame_begin(struct h2 *h2, enum frame_kind kind, unsigned flags, uint32_t stream, size_t size)
{
    if (out_room(h2) < HEAD_BYTES + size) {
        memmove(h2->out, h2->out + h2->out_first, h2->out_size);
        h2->out_first = 0;
        CHECK(out_room(h2) >= HEAD_BYTES + size);
    }
    uint8_t *at = h2->out + h2->out_first + h2->out_size;
    at[0] = (uint8_t)(size >> 16), at[1] = (uint8_t)(size >> 8), at[2] = (uint8_t)size;
    at[3] = (uint8_t)kind;
    at[4] = (uint8_t)flags;
    store32(at + 5, stream);
    h2->out_size += HEAD_BYTES + size;
    return at + HEAD_BYTES;
}

static void window_update(struct h2 *h2, uint32_t stream, uint32_t size)
{
    store32(frame_begin(h2, FRAME_WINDOW_UPDATE, 0, stream, 4), size);
}

static void setting(uint8_t *at, enum setting which, uint32_t value)
{
    at[0] = 0;
    at[1] = (uint8_t)which;
    store32(at + 2, value);
}

static void greet(struct h2 *h2)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    memcpy(h2->out, preface, sizeof(preface) - 1);
    h2->out_size = sizeof(preface) - 1;
    uint8_t *settings = frame_begin(h2, FRAME_SETTINGS, 0, 0, 12);
    setting(settings, SETTING_INITIAL_WINDOW_SIZE, H2_WINDOW_BYTES);
    setting(settings + 6, SETTING_MAX_FRAME_SIZE, H2_INPUT_BYTES);
    window_update(h2, 0, H2_WINDOW_BYTES - FIRST_WINDOW);
}

/* A header that is never indexed, without Huffman; both texts are under 127 bytes. */
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
    static const char *const fields[][2] = {
        {":method", "POST"}, {":scheme", "http"}, {":authority", "h2"}, {"te", "trailers"}, {"content-type", "application/grpc"}};
    uint8_t block[512];
    size_t size = 0;
    struct stream *stream = NULL;

    for (int i = 0; i < H2_STREAMS_MOST && !stream; i++)
        if (!h2->streams[i].number)
            stream = &h2->streams[i];
    if (!stream || h2->lost)
        return 0;
    *stream = (struct stream){.number = h2->next_stream, .send_window = h2->first_send_window, .end.status = -1};
    h2->next_stream += 2;
    size += literal(block, ":path", path);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        size += literal(block + size, fields[i][0], fields[i][1]);
    memcpy(frame_begin(h2, FRAME_HEADERS, FLAG_END_HEADERS, stream->number, size), block, size);
    return stream->number;
}

size_t h2_room(const struct h2 *h2, uint32_t number)
{
    const struct stream *stream = stream_find((struct h2 *)(uintptr_t)h2, number);
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
    struct stream *stream = stream_find(h2, number);

    CHECK(stream && size <= h2_room(h2, number));
    stream->send_window -= (int64_t)size;
    h2->send_window -= (int64_t)size;
    return frame_begin(h2, FRAME_DATA, end ? FLAG_END_STREAM : 0, number, size);
}

void h2_reset(struct h2 *h2, uint32_t number)
{
    struct stream *stream = stream_find(h2, number);

    if (!stream)
        return;
    store32(frame_begin(h2, FRAME_RST_STREAM, 0, number, 4), ERROR_CANCEL);
    stream->number = 0;
}

/* ---- input ---- */

static void stream_ended(struct h2 *h2, struct stream *stream)
{
    struct h2_end end = stream->end;
    uint32_t number = stream->number;

    stream->number = 0;
    h2->port.ended(h2->port.ctx, number, &end);
}

static bool lose(struct h2 *h2)
{
    h2->lost = true;
    for (int i = 0; i < H2_STREAMS_MOST; i++) {
        if (h2->streams[i].number) {
            h2->streams[i].end.status = -1;
            stream_ended(h2, &h2->streams[i]);
        }
    }
    return false;
}

static void note_header(struct h2_end *end, const nghttp2_nv *header)
{
    if (header->namelen == 11 && !memcmp(header->name, "grpc-status", 11)) {
        char text[8] = {0};
        memcpy(text, header->value, MIN_OF(header->valuelen, sizeof(text) - 1));
        end->status = atoi(text);
    }
    if (header->namelen == 12 && !memcmp(header->name, "grpc-message", 12)) {
        size_t size = MIN_OF(header->valuelen, sizeof(end->message) - 1);
        memcpy(end->message, header->value, size);
        end->message[size] = 0;
    }
}

/* Every header block must pass the inflater, whoever it is for: its table is the connection's. */
static bool header_block(struct h2 *h2, const struct frame *frame, struct stream *stream)
{
    struct h2_end nobody;
    const uint8_t *at = frame->at, *end = frame->at + frame->size;

    if (!(frame->flags & FLAG_END_HEADERS) || frame->flags & (FLAG_PADDED | FLAG_PRIORITY))
        return false; /* gRPC servers send neither; a generator need not know them */
    for (;;) {
        nghttp2_nv header;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(h2->inflater, &header, &flags, at, (size_t)(end - at), 1);
        if (used < 0)
            return false;
        at += used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            note_header(stream ? &stream->end : &nobody, &header);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(h2->inflater);
    return true;
}

static void settings(struct h2 *h2, const struct frame *frame)
{
    for (uint32_t at = 0; at + 6 <= frame->size; at += 6) {
        uint32_t value = load32(frame->at + at + 2);
        if (frame->at[at + 1] == SETTING_MAX_FRAME_SIZE)
            h2->frame_size = value;
        if (frame->at[at + 1] != SETTING_INITIAL_WINDOW_SIZE)
            continue;
        for (int i = 0; i < H2_STREAMS_MOST; i++)
            h2->streams[i].send_window += (int64_t)value - h2->first_send_window;
        h2->first_send_window = value;
    }
    frame_begin(h2, FRAME_SETTINGS, FLAG_ACK, 0, 0);
}

/* Received bytes go back to the windows by the quarter window, not by the frame. */
static void data(struct h2 *h2, const struct frame *frame, struct stream *stream)
{
    h2->unreturned += frame->size;
    if (h2->unreturned >= H2_WINDOW_BYTES / 4) {
        window_update(h2, 0, h2->unreturned);
        h2->unreturned = 0;
    }
    if (!stream)
        return;
    stream->unreturned += frame->size;
    if (stream->unreturned >= H2_WINDOW_BYTES / 4) {
        window_update(h2, stream->number, stream->unreturned);
        stream->unreturned = 0;
    }
    if (frame->size)
        h2->port.data(h2->port.ctx, stream->number, (struct bytes){frame->at, frame->size});
}

static bool dispatch(struct h2 *h2, const struct frame *frame)
{
    struct stream *stream = stream_find(h2, frame->stream);

    switch (frame->kind) {
    case FRAME_DATA:
        if (frame->flags & FLAG_PADDED)
            return false;
        data(h2, frame, stream);
        break;
    case FRAME_HEADERS:
        if (!header_block(h2, frame, stream))
            return false;
        break;
    case FRAME_RST_STREAM:
        if (stream)
            stream_ended(h2, stream);
        return true;
    case FRAME_SETTINGS:
        if (!(frame->flags & FLAG_ACK))
            settings(h2, frame);
        return true;
    case FRAME_PING:
        if (!(frame->flags & FLAG_ACK) && frame->size == 8)
            memcpy(frame_begin(h2, FRAME_PING, FLAG_ACK, 0, 8), frame->at, 8);
        return true;
    case FRAME_WINDOW_UPDATE:
        if (stream)
            stream->send_window += load32(frame->at);
        else if (!frame->stream)
            h2->send_window += load32(frame->at);
        return true;
    case FRAME_CONTINUATION:
        return false;
    default: /* GOAWAY ends no call by itself; what is unknown is to be ignored */
        return true;
    }
    if (stream && stream->number == frame->stream && frame->flags & FLAG_END_STREAM)
        stream_ended(h2, stream);
    return true;
}

bool h2_read(struct h2 *h2)
{
    if (h2->lost)
        return false;
    ssize_t got = recv(h2->fd, h2->in + h2->in_size, sizeof(h2->in) - h2->in_size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return lose(h2);
    h2->in_size += (size_t)got;

    size_t at = 0;
    while (h2->in_size - at >= HEAD_BYTES) {
        const uint8_t *head = h2->in + at;
        struct frame frame = {.size = load32(head) >> 8, .kind = head[3], .flags = head[4], .stream = load32(head + 5) & 0x7fffffff};
        if (frame.size > H2_INPUT_BYTES)
            return lose(h2);
        if (h2->in_size - at < HEAD_BYTES + frame.size)
            break;
        frame.at = head + HEAD_BYTES;
        if (!dispatch(h2, &frame))
            return lose(h2);
        at += HEAD_BYTES + frame.size;
    }
    h2->in_size -= at;
    if (at)
        memmove(h2->in, h2->in + at, h2->in_size);
    return true;
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
            return lose(h2);
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

struct h2 *h2_connect(const char *address, const struct h2_port *port)
{
    struct h2 *h2 = calloc(1, sizeof(*h2));

    if (!h2)
        return NULL;
    h2->port = *port;
    h2->next_stream = 1;
    h2->send_window = h2->first_send_window = FIRST_WINDOW;
    h2->frame_size = FIRST_FRAME_SIZE;
    h2->fd = h2_dial(address);
    if (h2->fd < 0 || nghttp2_hd_inflate_new(&h2->inflater) != 0) {
        int sys = errno;
        h2_free(h2);
        errno = sys;
        return NULL;
    }
    greet(h2);
    return h2;
}

void h2_free(struct h2 *h2)
{
    if (!h2)
        return;
    if (h2->inflater)
        nghttp2_hd_inflate_del(h2->inflater);
    if (h2->fd >= 0)
        close(h2->fd);
    free(h2);
}

int h2_fd(const struct h2 *h2)
{
    return h2->fd;
}
