/* gather.c - what both sides of the generator need to read: messages out of pieces, fields out of messages. */
#include "bench/load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/framing.h"

enum { PREFIX_BYTES = 5 };

void load_fail(struct load *load, const char *text, ...)
{
    va_list arguments;

    if (load->failure[0])
        return;
    va_start(arguments, text);
    vsnprintf(load->failure, sizeof(load->failure), text, arguments);
    va_end(arguments);
}

void gather_fini(struct gather *gather)
{
    free(gather->bytes);
    *gather = (struct gather){0};
}

/* The size of the message that begins at `at`, its prefix included; 0: not known yet. */
static size_t message_size(const uint8_t *at, size_t size)
{
    if (size < PREFIX_BYTES)
        return 0;
    return PREFIX_BYTES + ((size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4]);
}

static bool keep(struct gather *gather, const uint8_t *at, size_t size)
{
    if (gather->size + size > gather->room) {
        size_t room = 2 * (gather->size + size);
        uint8_t *bytes = realloc(gather->bytes, room);
        if (!bytes)
            return false;
        gather->bytes = bytes;
        gather->room = room;
    }
    if (size)
        memcpy(gather->bytes + gather->size, at, size);
    gather->size += size;
    return true;
}

/* Takes from the piece what the message that was begun still lacks. */
static bool complete(struct gather *gather, struct bytes *piece, void (*each)(void *ctx, struct bytes message), void *ctx)
{
    while (gather->size && piece->size) {
        size_t whole = message_size(gather->bytes, gather->size);
        size_t wanted = (whole ? whole : PREFIX_BYTES) - gather->size;
        size_t taken = MIN_OF(wanted, piece->size);
        if (!keep(gather, piece->at, taken))
            return false;
        piece->at += taken;
        piece->size -= taken;
        whole = message_size(gather->bytes, gather->size);
        if (whole == gather->size) {
            if (gather->bytes[0])
                return false;
            each(ctx, (struct bytes){gather->bytes + PREFIX_BYTES, whole - PREFIX_BYTES});
            gather->size = 0;
        }
    }
    return true;
}

bool gather_add(struct gather *gather, struct bytes piece, void (*each)(void *ctx, struct bytes message), void *ctx)
{
    if (!complete(gather, &piece, each, ctx))
        return false;
    for (;;) { /* whole messages are read where they lie */
        size_t whole = message_size(piece.at, piece.size);
        if (!whole || whole > piece.size)
            break;
        if (piece.at[0])
            return false;
        each(ctx, (struct bytes){piece.at + PREFIX_BYTES, whole - PREFIX_BYTES});
        piece.at += whole;
        piece.size -= whole;
    }
    return keep(gather, piece.at, piece.size);
}

bool walk_next(struct walk *walk, uint64_t *tag_out, uint64_t *number_out, struct bytes *value_out)
{
    size_t used;

    if (walk->at >= walk->end)
        return false;
    used = varint_read(walk->at, walk->end, tag_out);
    walk->at += used;
    size_t left = (size_t)(walk->end - walk->at);
    size_t value = 0;
    switch (used ? (enum wire_type)(*tag_out & 7) : (enum wire_type)7) {
    case WIRE_VARINT:
        value = varint_read(walk->at, walk->end, number_out);
        break;
    case WIRE_FIXED64:
        value = left >= 8 ? 8 : 0;
        if (value)
            memcpy(number_out, walk->at, 8);
        break;
    case WIRE_FIXED32:
        value = left >= 4 ? 4 : 0;
        break;
    case WIRE_LEN:
        used = varint_read(walk->at, walk->end, number_out);
        if (used && *number_out <= left - used) {
            *value_out = (struct bytes){walk->at + used, *number_out};
            value = used + *number_out;
        }
        break;
    }
    walk->at = value ? walk->at + value : NULL;
    return value > 0;
}
