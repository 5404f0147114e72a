/* rig.c - see rig.h. */
#include "rig.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "keyed.h"
#include "lib/chunks.h"

static const char *const reasons[LOSS_COUNT] = {"?",       "OLDEST", "NEWEST", "COALESCED", "EXPIRED",
                                                "TIMEOUT", "CUT",    "BUDGET", "GAP",       "GONE"};

PRINTF_LIKE(2, 3) static void say(struct rig *rig, const char *format, ...)
{
    size_t used = strlen(rig->text);
    va_list args;

    va_start(args, format);
    if (used > 0)
        used += (size_t)snprintf(rig->text + used, sizeof(rig->text) - used, " ");
    vsnprintf(rig->text + used, sizeof(rig->text) - used, format, args);
    va_end(args);
}

static void rang(void *ctx)
{
    struct rig *rig = ctx;

    rig->rings++;
}

static void set_paused(void *ctx, bool pause)
{
    struct rig_pacer *pacer = ctx;
    size_t used = strlen(pacer->rig->paces);

    cr_assert(pacer->paused != pause && !pacer->silenced,
              "%s: nobody says the same twice, or anything after the end", pacer->name);
    pacer->paused = pause;
    snprintf(pacer->rig->paces + used, sizeof(pacer->rig->paces) - used, "%s%s %s", used > 0 ? " " : "",
             pacer->name, pause ? "stops" : "goes");
}

const char *rig_paces(struct rig *rig)
{
    strcpy(rig->text, rig->paces);
    rig->paces[0] = '\0';
    return rig->text;
}

void rig_open(struct rig *rig, const struct chan_limits *limits, uint32_t feeds)
{
    rig_open_paced(rig, limits, feeds, 0);
}

void rig_open_paced(struct rig *rig, const struct chan_limits *limits, uint32_t shared, uint32_t pausable)
{
    uint32_t feeds = shared + pausable;
    struct chan_callbacks callbacks = {.readable = rang, .ctx = rig};

    *rig = (struct rig){.count = feeds, .observed_ns = clock_mono_ns()};
    rig->chan = chan_new(limits, &callbacks);
    cr_assert(rig->chan && feeds <= RIG_FEEDS);
    for (uint32_t i = 0; i < feeds; i++) {
        char name[2] = {(char)('a' + i), '\0'};

        rig->sources[i] = source_named(name, i + 1);
        rig->pacers[i] = (struct rig_pacer){.rig = rig, .name = rig->sources[i]->name};
        rig->feeds[i] = feed_open(rig->chan, rig->sources[i], 1,
                                  i < shared ? NULL : &(struct pause_port){set_paused, &rig->pacers[i]});
        cr_assert(rig->feeds[i]);
        feed_follow(rig->feeds[i], &rig->routed[i]);
        rig->next[i] = 1;
    }
    cr_assert_eq(chan_states(rig->chan, UINT32_MAX, NULL, NULL), feeds, "a feed's first state is a change");
    cr_assert_not(chan_dequeue(rig->chan, &rig->batch, 1, 1, 0), "nothing waits in a new channel");
    rig->rings = 0;
}

void rig_close(struct rig *rig)
{
    chan_lost(rig->chan, &rig->batch, LOSS_CONSUMER_GONE);
    chan_batch_fini(&rig->batch);
    for (uint32_t i = 0; i < rig->count; i++) {
        if (rig->feeds[i])
            feed_close(rig->chan, rig->feeds[i], 0, 0, NULL);
        source_release(rig->sources[i]);
    }
    chan_release(rig->chan);
    if (count_get(COUNT_LIVE_CHANNELS) == 0)
        cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0, "the last channel gave back every chunk");
}

static enum err put(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size, struct put_waiter *waiter)
{
    struct chunk *chunk = chunk_even(rig->sources[feed], rig->next[feed], rig->observed_ns, events, size);
    enum err err = chan_put(rig->chan, rig->feeds[feed], chunk, 0, events, waiter);

    chunk_release(chunk);
    rig->next[feed] += events;
    return err;
}

enum err rig_put(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size)
{
    return put(rig, feed, events, size, NULL);
}

enum err rig_put_keys(struct rig *rig, uint32_t feed, const char *keys)
{
    struct keyed_event events[64];
    struct chunk *chunk;
    char text[512], *rest = text;
    uint32_t count = 0;
    enum err err;

    snprintf(text, sizeof(text), "%s", keys);
    for (char *key; (key = strsep(&rest, " "));)
        events[count++] = (struct keyed_event){.topic = "t", .key = strcmp(key, "-") == 0 ? NULL : key};
    chunk = chunk_keyed(rig->sources[feed], rig->next[feed], rig->observed_ns, count, events);
    err = chan_put(rig->chan, rig->feeds[feed], chunk, 0, count, NULL);
    chunk_release(chunk);
    rig->next[feed] += count;
    return err;
}

static void over(struct put_waiter *waiter)
{
    container_of(waiter, struct waiter, waiter)->over++;
}

enum err rig_put_waiting(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size,
                         struct waiter *waiter)
{
    enum err put_err, err;

    waiter->over = 0;
    waiter->waiter.over = over;
    put_waiter_begin(&waiter->waiter);
    put_err = put(rig, feed, events, size, &waiter->waiter);
    err = put_waiter_end(&waiter->waiter);
    cr_assert_eq(err, put_err == ERR_AGAIN ? ERR_AGAIN : ERR_OK);
    cr_assert_eq(waiter->over, 0, "nobody but this thread could have let it in");
    return put_err;
}

const char *rig_taken(struct rig *rig)
{
    uint64_t bytes = 0;
    uint32_t events = 0;

    rig->text[0] = '\0';
    for (uint32_t i = 0; i < rig->batch.count; i++) {
        const struct chan_batch_entry *entry = &rig->batch.entries[i];
        uint64_t base = entry->chunk->first_sequence;

        if (entry->last - entry->first == 1)
            say(rig, "%s%llu", entry->chunk->source->name, (unsigned long long)(base + entry->first));
        else
            say(rig, "%s%llu-%llu", entry->chunk->source->name, (unsigned long long)(base + entry->first),
                (unsigned long long)(base + entry->last - 1));
        events += entry->last - entry->first;
        bytes += chunk_bytes(entry->chunk, entry->first, entry->last);
    }
    cr_assert_eq(events, rig->batch.events);
    cr_assert_eq(bytes, rig->batch.bytes);
    return rig->text;
}

const char *rig_take(struct rig *rig, uint32_t max_events)
{
    (void)chan_dequeue(rig->chan, &rig->batch, max_events, UINT64_MAX, clock_mono_ns());
    return rig_taken(rig);
}

const char *rig_deliver(struct rig *rig, uint32_t max_events)
{
    rig_take(rig, max_events);
    chan_delivered(rig->chan, &rig->batch);
    return rig->text;
}

static void say_loss(void *ctx, const struct lost_note *note)
{
    say(ctx, "%s:%s %llu-%llu x%llu%s", note->source->name, reasons[note->reason],
        (unsigned long long)note->first_sequence, (unsigned long long)note->last_sequence,
        (unsigned long long)note->count, note->count_unknown ? "+" : "");
}

const char *rig_losses(struct rig *rig, uint32_t max)
{
    rig->text[0] = '\0';
    (void)chan_losses(rig->chan, max, say_loss, rig);
    return rig->text;
}

static void say_position(void *ctx, const struct source *source, uint64_t sequence)
{
    say(ctx, "%s=%llu", source->name, (unsigned long long)sequence);
}

const char *rig_positions(struct rig *rig, bool all, uint32_t max)
{
    rig->text[0] = '\0';
    (void)chan_positions(rig->chan, all, max, say_position, rig);
    return rig->text;
}

static void say_state(void *ctx, const struct feed_change *change)
{
    if (change->code > 0)
        say(ctx, "%s is %u for %u: %s", change->source->name, change->state, change->code, change->message);
    else
        say(ctx, "%s is %u", change->source->name, change->state);
}

const char *rig_states(struct rig *rig, uint32_t max)
{
    rig->text[0] = '\0';
    (void)chan_states(rig->chan, max, say_state, rig);
    return rig->text;
}

void rig_feed_close(struct rig *rig, uint32_t feed, uint32_t state)
{
    feed_close(rig->chan, rig->feeds[feed], state, 0, NULL);
    rig->pacers[feed].silenced = true;
    rig->feeds[feed] = NULL;
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

struct chan_stats rig_balance(struct rig *rig)
{
    struct feed_stats feeds = {0};
    struct chan_stats stats;
    struct totals out;

    chan_stats(rig->chan, &stats);
    chan_feeds(rig->chan, UINT32_MAX, add_feed, &feeds);
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
