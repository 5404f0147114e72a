/* keyed.c - see keyed.h. */
#include "keyed.h"

#include "event/framing.h"
#include "lib/events.h"

static const struct framing_limits limits = {
    .max_event_bytes = 1 << 20, .max_batch_bytes = 16 << 20, .max_batch_events = 4096, .max_name_bytes = 256};

static struct bytes text_or_none(const char *text)
{
    return text ? text_of(text) : (struct bytes){0};
}

static const uint8_t filling[1 << 20];

/* A length field grows with the length, so some sizes need a type of a byte or two beside the
 * data. */
static void put_sized(struct buf *buf, const struct keyed_event *event)
{
    struct event_view view = {.topic = text_or_none(event->topic), .key = text_or_none(event->key)};
    size_t before = buf->size, data = 0;

    put_event(buf, &view, NULL, 0);
    for (int tries = 0; event->size > 0 && buf->size - before != event->size; tries++) {
        CHECK(tries < 16);
        data += event->size - (buf->size - before); /* unsigned: it may shrink */
        view.type = (struct bytes){(const uint8_t *)"type", (size_t)tries / 4};
        view.data = (struct bytes){filling, data};
        CHECK(data > 0 && data < sizeof(filling));
        buf->size = before;
        put_event(buf, &view, NULL, 0);
    }
}

struct chunk *chunk_keyed(struct source *source, uint64_t first_sequence, int64_t observed_mono_ns,
                          uint32_t count, const struct keyed_event *events)
{
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct buf buf = {0};
    struct fault fault;

    for (uint32_t i = 0; i < count; i++)
        put_sized(&buf, &events[i]);
    CHECK(framing_scan(&scan, (struct bytes){buf.data, buf.size}, &limits, &fault) == FAULT_NONE &&
          scan.count == count);
    CHECK(chunk_of((struct bytes){buf.data, buf.size}, &scan, &chunk) == ERR_OK);
    chunk->source = source_retain(source);
    chunk->first_sequence = first_sequence;
    chunk->observed_mono_ns = observed_mono_ns;
    framing_fini(&scan);
    buf_fini(&buf);
    return chunk;
}
