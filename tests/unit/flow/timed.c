/* timed.c - see timed.h. */
#include "timed.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/framing.h"
#include "lib/events.h"

#define MAX_TIMES 64

static const struct framing_limits limits = {
    .max_event_bytes = 1 << 20, .max_batch_bytes = 16 << 20, .max_batch_events = 8192, .max_name_bytes = 256};

static uint64_t wall_of(int64_t time_ms)
{
    if (time_ms == NO_TIME)
        return 0;
    return time_ms == INT64_MAX ? UINT64_MAX : (uint64_t)(TIMED_WALL_NS + time_ms * MS);
}

static struct chunk *chunk_from(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, struct buf *buf,
                                uint32_t count)
{
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct fault fault;

    CHECK(framing_scan(&scan, (struct bytes){buf->data, buf->size}, &limits, &fault) == FAULT_NONE &&
          scan.count == count);
    CHECK(chunk_of((struct bytes){buf->data, buf->size}, &scan, &chunk) == ERR_OK);
    chunk->source = source_retain(fixture->sources[feed]);
    chunk->first_sequence = fixture->next[feed];
    chunk->observed_mono_ns = fixture->observed_ns + at_ms * MS;
    chunk->observed_wall_ns = TIMED_WALL_NS + at_ms * MS;
    fixture->next[feed] += count;
    framing_fini(&scan);
    buf_fini(buf);
    return chunk;
}

struct chunk *chunk_timed(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, uint32_t count,
                          const int64_t *times_ms, uint32_t data)
{
    static const uint8_t filling[4096];
    struct buf buf = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct event_view view = {.time_unix_nano = wall_of(times_ms[i]), .data = {filling, data}};

        put_event(&buf, &view, NULL, 0);
    }
    return chunk_from(fixture, feed, at_ms, &buf, count);
}

static enum err put(struct flow_fixture *fixture, uint32_t feed, struct chunk *chunk)
{
    const uint32_t count = chunk->count;
    enum err err = chan_put(fixture->chan, fixture->feeds[feed], chunk, 0, count, NULL);

    atomic_store(&fixture->routed[feed], fixture->next[feed] - 1);
    chunk_release(chunk);
    return err;
}

static int64_t read_time(const char *word)
{
    if (strcmp(word, "-") == 0)
        return NO_TIME;
    return strcmp(word, "inf") == 0 ? INT64_MAX : strtoll(word, NULL, 10);
}

enum err timed_put_keys(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, const char *times)
{
    struct buf buf = {0};
    char text[512], *rest = text;
    uint32_t count = 0;

    snprintf(text, sizeof(text), "%s", times);
    for (char *word; (word = strsep(&rest, " ")); count++) {
        const char *key = strchr(word, ':');
        struct event_view view = {.time_unix_nano = wall_of(read_time(word))};

        if (key)
            view.key = text_of(key + 1);
        put_event(&buf, &view, NULL, 0);
    }
    return put(fixture, feed, chunk_from(fixture, feed, at_ms, &buf, count));
}

enum err timed_put(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, const char *times)
{
    return timed_put_keys(fixture, feed, at_ms, times);
}

enum err timed_put_many(struct flow_fixture *fixture, uint32_t feed, int64_t at_ms, uint32_t count,
                        int64_t time_ms, uint32_t data)
{
    int64_t *times = calloc(count, sizeof(*times));
    struct chunk *chunk;

    cr_assert(times);
    for (uint32_t i = 0; i < count; i++)
        times[i] = time_ms;
    chunk = chunk_timed(fixture, feed, at_ms, count, times, data);
    free(times);
    return put(fixture, feed, chunk);
}

const char *timed_deliver(struct flow_fixture *fixture, int64_t at_ms)
{
    (void)chan_dequeue(fixture->chan, &fixture->batch, UINT32_MAX, UINT64_MAX,
                       fixture->observed_ns + at_ms * MS);
    flow_fixture_in_flight(fixture);
    chan_delivered(fixture->chan, &fixture->batch);
    return fixture->text;
}

int64_t timed_due_ms(struct flow_fixture *fixture)
{
    const int64_t due_ns = chan_due_at(fixture->chan);

    if (due_ns == 0 || due_ns == INT64_MAX)
        return due_ns == 0 ? -1 : due_ns;
    return (due_ns - fixture->observed_ns) / MS;
}
