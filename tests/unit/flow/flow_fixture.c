/* flow_fixture.c - see flow_fixture.h. */
#include "flow_fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "flow/put_waiter.h"
#include "flow/totals.h"
#include "keyed.h"
#include "lib/chunks.h"

static const char *const reasons[LOSS_COUNT] = {"?",       "OLDEST", "NEWEST", "COALESCED", "EXPIRED",
                                                "TIMEOUT", "CUT",    "BUDGET", "GAP",       "GONE"};

PRINTF_LIKE(2, 3) static void append_text(struct flow_fixture *fixture, const char *format, ...)
{
    size_t used = strlen(fixture->text);
    va_list args;

    va_start(args, format);
    if (used > 0)
        used += (size_t)snprintf(fixture->text + used, sizeof(fixture->text) - used, " ");
    vsnprintf(fixture->text + used, sizeof(fixture->text) - used, format, args);
    va_end(args);
}

static void count_readable(void *ctx)
{
    struct flow_fixture *fixture = ctx;

    fixture->readable_calls++;
}

static void set_paused(void *ctx, bool pause)
{
    struct fake_producer *producer = ctx;
    size_t used = strlen(producer->fixture->pauses);

    cr_assert(producer->paused != pause && !producer->silenced,
              "%s: calls alternate, and none comes after the end", producer->name);
    producer->paused = pause;
    snprintf(producer->fixture->pauses + used, sizeof(producer->fixture->pauses) - used, "%s%s %s",
             used > 0 ? " " : "", producer->name, pause ? "stops" : "goes");
}

const char *flow_fixture_pauses(struct flow_fixture *fixture)
{
    strcpy(fixture->text, fixture->pauses);
    fixture->pauses[0] = '\0';
    return fixture->text;
}

void flow_fixture_open(struct flow_fixture *fixture, const struct chan_limits *limits, uint32_t feeds)
{
    flow_fixture_open_pausable(fixture, limits, feeds, 0);
}

void flow_fixture_open_pausable(struct flow_fixture *fixture, const struct chan_limits *limits,
                                uint32_t shared, uint32_t pausable)
{
    uint32_t feeds = shared + pausable;
    struct chan_callbacks callbacks = {.readable = count_readable, .ctx = fixture};

    *fixture = (struct flow_fixture){.count = feeds, .observed_ns = clock_mono_ns()};
    fixture->chan = chan_new(limits, &callbacks);
    cr_assert(fixture->chan && feeds <= FIXTURE_FEEDS);
    for (uint32_t i = 0; i < feeds; i++) {
        char name[2] = {(char)('a' + i), '\0'};

        fixture->sources[i] = source_named(name, i + 1);
        fixture->producers[i] = (struct fake_producer){.fixture = fixture, .name = fixture->sources[i]->name};
        fixture->feeds[i] = feed_open(
            fixture->chan, fixture->sources[i], 1,
            i < shared ? NULL
                       : &(struct pause_port){.set_paused = set_paused, .ctx = &fixture->producers[i]});
        cr_assert(fixture->feeds[i]);
        feed_follow(fixture->feeds[i], &fixture->routed[i]);
        fixture->next[i] = 1;
    }
    cr_assert_eq(chan_states(fixture->chan, UINT32_MAX, NULL, NULL), feeds,
                 "a feed's first state is a change");
    cr_assert_not(chan_dequeue(fixture->chan, &fixture->batch, 1, 1, 0), "nothing waits in a new channel");
    fixture->readable_calls = 0;
}

void flow_fixture_close(struct flow_fixture *fixture)
{
    chan_lost(fixture->chan, &fixture->batch, LOSS_CONSUMER_GONE);
    chan_batch_fini(&fixture->batch);
    for (uint32_t i = 0; i < fixture->count; i++) {
        if (fixture->feeds[i])
            feed_close(fixture->chan, fixture->feeds[i], 0, 0, NULL);
        source_release(fixture->sources[i]);
    }
    chan_release(fixture->chan);
    if (count_get(COUNT_LIVE_CHANNELS) == 0)
        cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0, "the last channel gave back every chunk");
}

static enum err put(struct flow_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size,
                    struct put_waiter *waiter)
{
    struct chunk *chunk =
        chunk_even(fixture->sources[feed], fixture->next[feed], fixture->observed_ns, events, size);
    enum err err = chan_put(fixture->chan, fixture->feeds[feed], chunk, 0, events, waiter);

    chunk_release(chunk);
    fixture->next[feed] += events;
    return err;
}

enum err flow_fixture_put(struct flow_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size)
{
    return put(fixture, feed, events, size, NULL);
}

enum err flow_fixture_put_keys(struct flow_fixture *fixture, uint32_t feed, const char *keys)
{
    struct keyed_event events[64];
    struct chunk *chunk;
    char text[512], *rest = text;
    uint32_t count = 0;
    enum err err;

    snprintf(text, sizeof(text), "%s", keys);
    for (char *key; (key = strsep(&rest, " "));)
        events[count++] = (struct keyed_event){.topic = "t", .key = strcmp(key, "-") == 0 ? NULL : key};
    chunk = chunk_keyed(fixture->sources[feed], fixture->next[feed], fixture->observed_ns, count, events);
    err = chan_put(fixture->chan, fixture->feeds[feed], chunk, 0, count, NULL);
    chunk_release(chunk);
    fixture->next[feed] += count;
    return err;
}

static void over(struct put_waiter *waiter)
{
    container_of(waiter, struct waiter, waiter)->over++;
}

enum err flow_fixture_put_waiting(struct flow_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size,
                                  struct waiter *waiter)
{
    enum err put_err, err;

    waiter->over = 0;
    waiter->waiter.over = over;
    put_waiter_begin(&waiter->waiter);
    put_err = put(fixture, feed, events, size, &waiter->waiter);
    err = put_waiter_end(&waiter->waiter);
    cr_assert_eq(err, put_err == ERR_AGAIN ? ERR_AGAIN : ERR_OK);
    cr_assert_eq(waiter->over, 0, "only this thread could have admitted it");
    return put_err;
}

const char *flow_fixture_in_flight(struct flow_fixture *fixture)
{
    uint64_t bytes = 0;
    uint32_t events = 0;

    fixture->text[0] = '\0';
    for (uint32_t i = 0; i < fixture->batch.count; i++) {
        const struct chan_batch_entry *entry = &fixture->batch.entries[i];
        uint64_t base = entry->chunk->first_sequence;

        if (entry->last - entry->first == 1)
            append_text(fixture, "%s%llu", entry->chunk->source->name,
                        (unsigned long long)(base + entry->first));
        else
            append_text(fixture, "%s%llu-%llu", entry->chunk->source->name,
                        (unsigned long long)(base + entry->first),
                        (unsigned long long)(base + entry->last - 1));
        events += entry->last - entry->first;
        bytes += chunk_bytes(entry->chunk, entry->first, entry->last);
    }
    cr_assert_eq(events, fixture->batch.events);
    cr_assert_eq(bytes, fixture->batch.bytes);
    return fixture->text;
}

const char *flow_fixture_dequeue(struct flow_fixture *fixture, uint32_t max_events)
{
    (void)chan_dequeue(fixture->chan, &fixture->batch, max_events, UINT64_MAX, clock_mono_ns());
    return flow_fixture_in_flight(fixture);
}

const char *flow_fixture_deliver(struct flow_fixture *fixture, uint32_t max_events)
{
    flow_fixture_dequeue(fixture, max_events);
    chan_delivered(fixture->chan, &fixture->batch);
    return fixture->text;
}

static void append_loss(void *ctx, const struct lost_note *note)
{
    append_text(ctx, "%s:%s %llu-%llu x%llu%s", note->source ? note->source->name : "", reasons[note->reason],
                (unsigned long long)note->first_sequence, (unsigned long long)note->last_sequence,
                (unsigned long long)note->count, note->count_unknown ? "+" : "");
}

const char *flow_fixture_losses(struct flow_fixture *fixture, uint32_t max)
{
    fixture->text[0] = '\0';
    (void)chan_losses(fixture->chan, max, append_loss, fixture);
    return fixture->text;
}

static void append_position(void *ctx, const struct source *source, uint64_t sequence)
{
    append_text(ctx, "%s=%llu", source->name, (unsigned long long)sequence);
}

const char *flow_fixture_positions(struct flow_fixture *fixture, uint32_t max)
{
    fixture->text[0] = '\0';
    (void)chan_positions(fixture->chan, max, append_position, fixture);
    return fixture->text;
}

static bool append_one_of_all(void *ctx, const struct source *source, uint64_t sequence)
{
    struct flow_fixture *fixture = ctx;

    append_position(ctx, source, sequence);
    return --fixture->wanted_positions > 0;
}

const char *flow_fixture_all_positions(struct flow_fixture *fixture, uint32_t wanted)
{
    fixture->text[0] = '\0';
    fixture->wanted_positions = wanted;
    chan_all_positions(fixture->chan, NULL, append_one_of_all, fixture);
    return fixture->text;
}

static void append_state(void *ctx, const struct feed_change *change)
{
    if (!change->source)
        append_text(ctx, "RESYNC");
    else if (change->code > 0)
        append_text(ctx, "%s is %u for %u: %s", change->source->name, change->state, change->code,
                    change->message);
    else
        append_text(ctx, "%s is %u", change->source->name, change->state);
}

const char *flow_fixture_states(struct flow_fixture *fixture, uint32_t max)
{
    fixture->text[0] = '\0';
    (void)chan_states(fixture->chan, max, append_state, fixture);
    return fixture->text;
}

void flow_fixture_feed_close(struct flow_fixture *fixture, uint32_t feed, uint32_t state)
{
    feed_close(fixture->chan, fixture->feeds[feed], state, 0, NULL);
    fixture->producers[feed].silenced = true;
    fixture->feeds[feed] = NULL;
}

static void add(struct totals *to, struct totals from)
{
    to->events += from.events;
    to->bytes += from.bytes;
}

static void add_feed(void *ctx, const struct feed_stats *stats)
{
    struct feed_stats *all = ctx;

    cr_assert_eq(stats->accepted.events,
                 stats->delivered.events + stats->dropped.events + stats->queued.events);
    cr_assert_eq(stats->accepted.bytes, stats->delivered.bytes + stats->dropped.bytes + stats->queued.bytes);
    add(&all->accepted, stats->accepted);
    add(&all->delivered, stats->delivered);
    add(&all->dropped, stats->dropped);
    add(&all->queued, stats->queued);
}

static void same(struct totals a, struct totals b)
{
    cr_assert_eq(a.events, b.events);
    cr_assert_eq(a.bytes, b.bytes);
}

struct chan_stats flow_fixture_balance(struct flow_fixture *fixture)
{
    struct feed_stats feeds = {0};
    struct feed_stats others;
    struct chan_stats stats;
    struct totals out;

    chan_feeds(fixture->chan, UINT32_MAX, add_feed, &feeds, &stats, &others);
    add(&feeds.accepted, others.accepted);
    add(&feeds.delivered, others.delivered);
    add(&feeds.dropped, others.dropped);
    add(&feeds.queued, others.queued);
    out = chan_dropped(&stats);
    same(feeds.dropped, out);
    add(&out, stats.delivered);
    add(&out, stats.queued);
    same(stats.accepted, out);
    same(feeds.accepted, stats.accepted);
    same(feeds.delivered, stats.delivered);
    same(feeds.queued, stats.queued);
    return stats;
}

static void count_feed(void *ctx, const struct feed_stats *stats)
{
    cr_expect_not_null(stats->source);
    (*(uint32_t *)ctx)++;
}

uint32_t flow_fixture_feeds(struct flow_fixture *fixture)
{
    struct feed_stats others;
    struct chan_stats stats;
    uint32_t count = 0;

    chan_feeds(fixture->chan, UINT32_MAX, count_feed, &count, &stats, &others);
    flow_fixture_balance(fixture);
    return count;
}
