/* row.c - the rows of a log. */
#include "topic/row.h"

#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>

#include "event/varint.h"

/* The versions. */
#define MAY_EXPIRE 1u
#define NEVER_EXPIRES 2u
#define EVENT_TAG WIRE_TAG(1, WIRE_LEN)

uint64_t topic_row_hash(uint64_t topic, const struct topic_row *row)
{
    const uint64_t numbers[] = {htole64(topic), htole64(row->first_seq), htole64(row->count),
                                htole64((uint64_t)row->appended_ns), htole64(row->before_bytes)};

    return XXH3_64bits_withSeed(row->data.data, row->data.size, XXH3_64bits(numbers, sizeof(numbers)));
}

/* ---- writing ---- */

void row_builder_fini(struct row_builder *builder)
{
    free(builder->runs);
    free(builder->pieces);
    *builder = (struct row_builder){.runs = NULL};
}

void row_builder_clear(struct row_builder *builder)
{
    builder->run_count = builder->piece_count = builder->events = 0;
    builder->events_bytes = builder->header_bytes = 0;
    builder->expires = false;
}

static bool continues_run(const struct row_builder *builder, const struct topic_run *piece)
{
    return builder->run_count > 0 && bytes_same(builder->runs[builder->run_count - 1].origin, piece->origin);
}

/* The header bytes of a run, where its numbers are as large as they may be. */
static size_t run_header_bytes(const struct topic_run *piece)
{
    return varint_size(piece->origin.size) + piece->origin.size + 2 * varint_size(UINT32_MAX);
}

bool row_builder_fits(const struct row_builder *builder, const struct topic_run *piece)
{
    const size_t header = continues_run(builder, piece) ? 0 : run_header_bytes(piece);

    return builder->piece_count == 0 || 1 + varint_size(UINT32_MAX) + builder->header_bytes + header +
                                                builder->events_bytes + piece->events.size <=
                                            TOPIC_ROW_BYTES;
}

static bool grow(void **array, uint32_t count, uint32_t *capacity, size_t element)
{
    if (count < *capacity)
        return true;
    const uint32_t more = *capacity > 0 ? *capacity * 2 : 64;
    void *grown = realloc(*array, more * element);
    if (!grown)
        return false;
    *array = grown;
    *capacity = more;
    return true;
}

bool row_builder_add(struct row_builder *builder, const struct topic_run *piece)
{
    void *runs = builder->runs, *pieces = builder->pieces;
    const bool has_runs = grow(&runs, builder->run_count, &builder->run_capacity, sizeof(*builder->runs));
    const bool has_pieces =
        grow(&pieces, builder->piece_count, &builder->piece_capacity, sizeof(*builder->pieces));

    builder->runs = runs;
    builder->pieces = pieces;
    if (!has_runs || !has_pieces)
        return false;
    if (continues_run(builder, piece)) {
        struct topic_run *run = &builder->runs[builder->run_count - 1];

        run->count += piece->count;
        run->events.size += piece->events.size;
    } else {
        builder->runs[builder->run_count++] = *piece;
        builder->header_bytes += run_header_bytes(piece);
    }
    builder->pieces[builder->piece_count++] = piece->events;
    builder->events += piece->count;
    builder->events_bytes += piece->events.size;
    builder->expires |= piece->expires;
    return true;
}

bool row_builder_encode(const struct row_builder *builder, struct buf *data)
{
    const size_t bound = 1 + varint_size(builder->run_count) + builder->header_bytes + builder->events_bytes;
    uint8_t *next = buf_extend(data, bound);

    if (!next)
        return false;
    *next++ = builder->expires ? MAY_EXPIRE : NEVER_EXPIRES;
    next += varint_write(next, builder->run_count);
    for (uint32_t i = 0; i < builder->run_count; i++) {
        const struct topic_run *run = &builder->runs[i];

        next += varint_write(next, run->origin.size);
        if (run->origin.size > 0)
            memcpy(next, run->origin.data, run->origin.size);
        next += run->origin.size;
        next += varint_write(next, run->count);
        next += varint_write(next, run->events.size);
    }
    for (uint32_t i = 0; i < builder->piece_count; i++) {
        memcpy(next, builder->pieces[i].data, builder->pieces[i].size);
        next += builder->pieces[i].size;
    }
    data->size = (size_t)(next - data->data);
    return true;
}

/* ---- reading ---- */

static bool read_number(const uint8_t **next, const uint8_t *end, uint64_t *number_out)
{
    const size_t size = varint_read(*next, end, number_out);

    *next += size;
    return size > 0;
}

/* One entry of the header. run->events has no address yet. */
static bool read_run(const uint8_t **next, const uint8_t *end, struct topic_run *run)
{
    uint64_t size, count, bytes;

    if (!read_number(next, end, &size) || size > MAX_ORIGIN_BYTES || size > (size_t)(end - *next))
        return false;
    run->origin = (struct bytes){*next, size};
    *next += size;
    if (!read_number(next, end, &count) || count == 0 || count > UINT32_MAX ||
        !read_number(next, end, &bytes) || bytes > (uint64_t)INT64_MAX / 2)
        return false;
    run->count = (uint32_t)count;
    run->events = (struct bytes){NULL, bytes};
    return true;
}

bool row_walk_begin(struct row_walk *walk, const struct topic_row *row)
{
    const uint8_t *next = row->data.data, *end = next + row->data.size;
    uint64_t runs, events = 0, bytes = 0;
    struct topic_run run;

    if (row->data.size < 2)
        return false;
    const uint8_t version = *next++;
    if ((version != MAY_EXPIRE && version != NEVER_EXPIRES) || !read_number(&next, end, &runs) || runs == 0)
        return false;
    *walk = (struct row_walk){.header = next, .runs = runs, .expires = version == MAY_EXPIRE};
    for (uint64_t i = 0; i < runs; i++) {
        if (!read_run(&next, end, &run) || run.events.size > row->data.size)
            return false;
        events += run.count;
        bytes += run.events.size;
        if (bytes > row->data.size || events > row->count)
            return false;
    }
    walk->header_end = walk->events = next;
    walk->events_end = end;
    return events == row->count && bytes == (size_t)(end - next);
}

bool row_walk_next(struct row_walk *walk, struct topic_run *run)
{
    if (walk->runs == 0 || !read_run(&walk->header, walk->header_end, run))
        return false;
    walk->runs--;
    run->expires = walk->expires;
    run->events.data = walk->events;
    walk->events += run->events.size;
    return true;
}

bool events_skip(struct bytes *events, uint32_t count)
{
    const uint8_t *next = events->data, *end = next + events->size;

    for (; count > 0; count--) {
        uint64_t size;

        if (next == end || *next++ != EVENT_TAG || !read_number(&next, end, &size) ||
            size > (size_t)(end - next))
            return false;
        next += size;
    }
    *events = (struct bytes){next, (size_t)(end - next)};
    return true;
}
