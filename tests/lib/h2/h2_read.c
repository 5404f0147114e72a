/* h2_read.c - reads what the peer sends, frame by frame. */
#include "lib/h2/h2_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The input of every connection: first what was kept of the last frame, then what is read. */
static uint8_t input[HEAD_BYTES + MAX_CONTROL + H2_INPUT_BYTES];

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return ntohl(value);
}

static void stream_ended(struct h2 *h2, struct stream *stream)
{
    struct h2_end end = stream->end;
    uint32_t number = stream->number;

    stream->number = 0;
    h2->port.ended(h2->port.ctx, number, &end);
}

bool h2_lose(struct h2 *h2)
{
    h2->lost = true;
    for (int i = 0; i < MAX_H2_STREAMS; i++) {
        if (h2->streams[i].number) {
            h2->streams[i].end.status = -1;
            stream_ended(h2, &h2->streams[i]);
        }
    }
    return false;
}

/* What a header block says that is of interest here. */
struct noted {
    struct h2_end *end;
    char path[MAX_PATH];
};

static void note_header(struct noted *noted, const nghttp2_nv *header)
{
    struct h2_end *end = noted->end;

    if (header->namelen == 5 && !memcmp(header->name, ":path", 5))
        snprintf(noted->path, sizeof(noted->path), "%.*s", (int)header->valuelen, (char *)header->value);
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

/* Reads a header block. Every block must pass through the inflater, even for an unknown stream: the
 * inflater's table belongs to the connection. */
static bool header_block(struct h2 *h2, const struct frame *frame, struct noted *noted)
{
    const uint8_t *at = frame->data, *end = frame->data + frame->size;

    if (!(frame->flags & FLAG_END_HEADERS) || frame->flags & (FLAG_PADDED | FLAG_PRIORITY))
        return false; /* gRPC libraries send neither */
    for (;;) {
        nghttp2_nv header;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(h2->inflater, &header, &flags, at, (size_t)(end - at), 1);
        if (used < 0)
            return false;
        at += used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            note_header(noted, &header);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(h2->inflater);
    return true;
}

/* Server: the first headers of a stream open it. The client's end of it is no end of the call. */
static bool open_stream(struct h2 *h2, const struct frame *frame, const char *path)
{
    if (!(frame->stream & 1) || frame->stream < h2->next_stream)
        return false;
    h2->next_stream = frame->stream + 2;
    if (h2_stream_add(h2, frame->stream))
        h2->port.opened(h2->port.ctx, frame->stream, path);
    else
        h2_reset_with(h2, frame->stream, ERROR_REFUSED_STREAM);
    return true;
}

static bool headers(struct h2 *h2, const struct frame *frame, struct stream *stream)
{
    struct h2_end unset;
    struct noted noted = {.end = stream ? &stream->end : &unset};

    if (!header_block(h2, frame, &noted))
        return false;
    if (h2->server)
        return stream || open_stream(h2, frame, noted.path);
    if (stream && frame->flags & FLAG_END_STREAM)
        stream_ended(h2, stream);
    return true;
}

static void settings(struct h2 *h2, const struct frame *frame)
{
    for (uint32_t at = 0; at + 6 <= frame->size; at += 6) {
        unsigned which = (unsigned)frame->data[at] << 8 | frame->data[at + 1];
        uint32_t value = load32(frame->data + at + 2);
        if (which == SETTING_MAX_FRAME_SIZE)
            h2->frame_size = value;
        if (which != SETTING_INITIAL_WINDOW_SIZE)
            continue;
        for (int i = 0; i < MAX_H2_STREAMS; i++)
            h2->streams[i].send_window += (int64_t)value - h2->first_send_window;
        h2->first_send_window = value;
    }
    h2_frame_begin(h2, FRAME_SETTINGS, FLAG_ACK, 0, 0);
}

/* Handles a piece of a DATA frame. Received bytes are returned to the windows by the quarter
 * window, not by the frame. */
static void data(struct h2 *h2, struct stream *stream, const uint8_t *at, uint32_t size)
{
    h2->unreturned += size;
    if (h2->unreturned >= H2_WINDOW_BYTES / 4) {
        h2_window_update(h2, 0, h2->unreturned);
        h2->unreturned = 0;
    }
    if (!stream)
        return;
    stream->unreturned += size;
    if (stream->unreturned >= H2_WINDOW_BYTES / 4) {
        h2_window_update(h2, stream->number, stream->unreturned);
        stream->unreturned = 0;
    }
    if (size)
        h2->port.data(h2->port.ctx, stream->number, (struct bytes){at, size});
}

/* Handles what is there of the DATA frame that has begun. Returns how many bytes. */
static size_t continue_data(struct h2 *h2, const uint8_t *at, size_t size)
{
    uint32_t piece = (uint32_t)MIN_OF(size, (size_t)h2->data.size);

    h2->data.size -= piece;
    data(h2, h2_stream_find(h2, h2->data.stream), at, piece);
    if (!h2->data.size) {
        struct stream *stream = h2_stream_find(h2, h2->data.stream);
        if (stream && !h2->server && h2->data.flags & FLAG_END_STREAM)
            stream_ended(h2, stream);
        h2->in_data = false;
    }
    return piece;
}

/* Handles a whole frame other than DATA. False: it is malformed. */
static bool dispatch(struct h2 *h2, const struct frame *frame)
{
    struct stream *stream = h2_stream_find(h2, frame->stream);

    switch (frame->kind) {
    case FRAME_HEADERS:
        return headers(h2, frame, stream);
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
            memcpy(h2_frame_begin(h2, FRAME_PING, FLAG_ACK, 0, 8), frame->data, 8);
        return true;
    case FRAME_WINDOW_UPDATE:
        if (frame->size != 4)
            return false;
        if (stream)
            stream->send_window += load32(frame->data);
        else if (!frame->stream)
            h2->send_window += load32(frame->data);
        return true;
    case FRAME_CONTINUATION:
        return false;
    default: /* GOAWAY ends no call by itself; unknown frames are ignored */
        return true;
    }
}

/* Handles the frames that are whole, and the beginning of a DATA frame. Returns how many bytes;
 * SIZE_MAX: a frame is malformed. */
static size_t take_frames(struct h2 *h2, const uint8_t *at, size_t size)
{
    size_t taken = 0;

    if (h2->server && !h2->prefaced) {
        if (memcmp(at, h2_preface, MIN_OF(size, (size_t)PREFACE_BYTES)) != 0)
            return SIZE_MAX;
        if (size < PREFACE_BYTES)
            return 0;
        h2->prefaced = true;
        taken = PREFACE_BYTES;
    }
    for (;;) {
        const uint8_t *head = at + taken;
        size_t left = size - taken;
        if (h2->in_data) {
            if (!left && h2->data.size)
                return taken;
            taken += continue_data(h2, head, left);
            continue;
        }
        if (left < HEAD_BYTES)
            return taken;
        struct frame frame = {.size = load32(head) >> 8,
                              .kind = head[3],
                              .flags = head[4],
                              .stream = load32(head + 5) & 0x7fffffff};
        frame.data = head + HEAD_BYTES;
        bool is_data = frame.kind == FRAME_DATA;
        if (frame.size > (is_data ? (uint32_t)H2_FRAME_BYTES : (uint32_t)MAX_CONTROL) ||
            (is_data && frame.flags & FLAG_PADDED))
            return SIZE_MAX;
        if (!is_data && left < HEAD_BYTES + frame.size)
            return taken;
        taken += HEAD_BYTES;
        h2->in_data = is_data;
        if (is_data)
            h2->data = frame;
        else if (dispatch(h2, &frame))
            taken += frame.size;
        else
            return SIZE_MAX;
    }
}

/* Keeps the beginning of a frame for the next read. */
static bool keep(struct h2 *h2, const uint8_t *at, size_t size)
{
    if (size && !h2->kept)
        h2->kept = malloc(HEAD_BYTES + MAX_CONTROL);
    if (size && !h2->kept)
        return false;
    if (size)
        memcpy(h2->kept, at, size);
    h2->kept_size = size;
    return true;
}

bool h2_read(struct h2 *h2)
{
    if (h2->lost)
        return false;
    ssize_t got = recv(h2->fd, input + h2->kept_size, H2_INPUT_BYTES, 0);
    h2->more = got == H2_INPUT_BYTES;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return h2_lose(h2);
    if (h2->kept_size)
        memcpy(input, h2->kept, h2->kept_size);
    size_t size = h2->kept_size + (size_t)got;
    size_t taken = take_frames(h2, input, size);
    if (taken == SIZE_MAX || !keep(h2, input + taken, size - taken))
        return h2_lose(h2);
    return true;
}

bool h2_more(const struct h2 *h2)
{
    return h2->more && !h2->lost;
}
