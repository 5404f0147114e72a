/* pump_rig.c - see pump_rig.h. */
#include "pump_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "lib/events.h"
#include "tributary/v1/event.pb-c.h"

#define PATH "/test.Pump/Run"

/* The rig of this process: methods are a table that outlives the house. */
static struct rig *rig_here;

static void rang(void *ctx)
{
    struct sender *sender = atomic_load(&((struct rig *)ctx)->sender);

    if (sender)
        sender_wake(sender);
}

static void progress(void *ctx, struct chan *chan, struct buf *block)
{
    OWNED(buf_fini) struct buf body = {0};
    struct chan_stats stats;

    chan_stats(chan, &stats);
    field_varint(&body, 3, stats.delivered.events);
    field_bytes_always(block, 4, (struct bytes){body.data, body.size});
    ((struct rig *)ctx)->progress++;
}

static bool ended(void *ctx, enum chan_state how)
{
    struct rig *rig = ctx;
    struct fault fault = {0};

    rig->ended++;
    rig->how = how;
    if (rig->undecided)
        return false;
    if (how == CHAN_BROKEN)
        fault_set(&fault, FAULT_TOO_SLOW, "", "");
    call_finish(rig->call, &fault);
    return true;
}

static const struct sender_port port = {.progress = progress, .ended = ended};

static void opened(struct call *call, void *ctx)
{
    struct rig *rig = rig_here;
    OWNED(buf_fini) struct buf started = {0};
    struct sender *sender = sender_new(call, &rig->settings, &port, rig);

    (void)ctx;
    CHECK(sender);
    rig->call = call;
    sender_begin(sender, rig->chan);
    field_bytes_always(&started, 6, (struct bytes){(const uint8_t *)"\x0a\x02id", 4});
    sender_block(sender, &started);
    atomic_store(&rig->sender, sender);
}

static void sent(struct call *call, bool ok)
{
    (void)call;
    sender_sent(rig_here->sender, ok);
}

static void lost(struct call *call)
{
    (void)call;
    if (rig_here->sender)
        sender_stop(rig_here->sender);
    rig_here->lost++;
}

static void closed(struct call *call, bool ok)
{
    (void)call;
    (void)ok;
    sender_free(atomic_exchange(&rig_here->sender, NULL));
    rig_here->closed++;
}

static const struct call_port call_port = {.opened = opened, .sent = sent, .lost = lost, .closed = closed};
static const struct method methods[] = {{PATH, &call_port, NULL}};

void rig_open(struct rig *rig, const struct chan_limits *limits, uint32_t feeds)
{
    static const struct chan_limits roomy = {
        .max_events = 1000000, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_NEWEST};
    const struct chan_callbacks watch = {.readable = rang, .ctx = rig};

    *rig = (struct rig){.settings = {.write_timeout_ns = 3600 * NS_PER_S,
                                     .progress_ns = 3600 * NS_PER_S,
                                     .batch_events = 100000,
                                     .batch_bytes = 1u << 30}};
    rig_here = rig;
    house_open(&rig->house, methods, ARRAY_LEN(methods));
    rig->chan = chan_new(limits ? limits : &roomy, &watch);
    cr_assert(rig->chan && feeds <= RIG_FEEDS);
    for (uint32_t i = 0; i < feeds; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        rig->sources[i] = source_named(name, i + 1);
        rig->feeds[i] = feed_open(rig->chan, rig->sources[i], 3, NULL);
        rig->next[i] = 1;
    }
}

void rig_subscribe(struct rig *rig)
{
    client_open(&rig->client, &rig->house, PATH);
    house_until(&rig->house, rig->sender || rig->closed);
}

void rig_close(struct rig *rig)
{
    client_close(&rig->client);
    rig_over(rig);
    for (uint32_t i = 0; i < RIG_FEEDS; i++) {
        if (rig->feeds[i])
            feed_close(rig->chan, rig->feeds[i], 0, 0, NULL);
        source_release(rig->sources[i]);
    }
    chan_release(rig->chan);
    house_close(&rig->house);
}

static uint8_t data_byte(uint64_t sequence, size_t at)
{
    return (uint8_t)(sequence * 31 + at);
}

struct chunk *rig_chunk(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size)
{
    OWNED(buf_fini) struct buf message = {0};
    struct framing_limits limits = framing_defaults;
    struct framing_scan scan = {0};
    struct fault fault;
    struct chunk *chunk;
    uint8_t *data = malloc(size + 1);

    limits.batch_bytes = limits.event_bytes = UINT32_MAX;
    for (uint64_t i = 0; i < events; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%llu", (unsigned long long)(rig->next[feed] + i));
        for (size_t at = 0; at < size; at++)
            data[at] = data_byte(rig->next[feed] + i, at);
        put_event(&message,
                  &(struct event_view){
                      .topic = text_of(rig->sources[feed]->name), .key = text_of(key), .data = {data, size}},
                  NULL, 0);
    }
    cr_assert_eq(framing_scan(&scan, (struct bytes){message.data, message.size}, &limits, &fault),
                 FAULT_NONE);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    framing_fini(&scan);
    free(data);
    chunk->source = source_retain(rig->sources[feed]);
    chunk->first_sequence = rig->next[feed];
    chunk->observed_wall_ns = (int64_t)feed + 1000;
    chunk->observed_mono_ns = clock_mono_ns();
    rig->next[feed] += events;
    return chunk;
}

enum err rig_put(struct rig *rig, uint32_t feed, uint32_t events, uint32_t size)
{
    OWNED(chunk_release) struct chunk *chunk = rig_chunk(rig, feed, events, size);

    return chan_put(rig->chan, rig->feeds[feed], chunk, 0, events, NULL);
}

void rig_skip(struct rig *rig, uint32_t feed, uint32_t events)
{
    rig->next[feed] += events;
}

static void act_ask_flight(void *ctx)
{
    struct sender *sender = rig_here->sender;

    *(bool *)ctx = sender && sender_in_flight(sender);
}

bool rig_in_flight(struct rig *rig)
{
    bool flies = false;

    house_run(&rig->house, act_ask_flight, &flies);
    return flies;
}

void rig_landed(struct rig *rig)
{
    for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; rig_in_flight(rig);)
        cr_assert_lt(clock_mono_ns(), limit_ns);
}

void rig_stuff(struct rig *rig)
{
    struct chan_stats stats;
    int64_t limit_ns = clock_mono_ns() + DEADLINE_NS;

    cr_assert_eq(rig_put(rig, 0, 1, STUFFING), ERR_OK);
    do {
        cr_assert_lt(clock_mono_ns(), limit_ns);
        house_turn(&rig->house);
        chan_stats(rig->chan, &stats);
    } while (stats.queued.events != 1 ||
             stats.accepted.events != stats.delivered.events + chan_dropped(&stats).events + 1 ||
             !rig_in_flight(rig));
}

PRINTF_LIKE(2, 3) static void say(struct rig *rig, const char *format, ...)
{
    size_t used = strlen(rig->text);
    va_list args;

    if (used > 0)
        used += (size_t)snprintf(rig->text + used, sizeof(rig->text) - used, "; ");
    cr_assert_lt(used, sizeof(rig->text));
    va_start(args, format);
    vsnprintf(rig->text + used, sizeof(rig->text) - used, format, args);
    va_end(args);
}

static void check_event(const Tributary__V1__Run *run, const Tributary__V1__Event *event, uint64_t sequence)
{
    char key[24];

    snprintf(key, sizeof(key), "%llu", (unsigned long long)sequence);
    cr_assert_str_eq(event->key, key);
    cr_assert_str_eq(event->topic, run->source);
    for (size_t at = 0; at < event->data.len; at++)
        if (event->data.data[at] != data_byte(sequence, at))
            cr_assert_fail("%s%s: byte %zu of the data is wrong", run->source, key, at);
}

static void read_run(struct rig *rig, const Tributary__V1__Run *run)
{
    uint64_t last = run->first_sequence + run->n_events - 1;

    cr_assert_gt(run->n_events, 0);
    cr_assert_eq(run->epoch, (uint64_t)(run->source[0] - 'a' + 1));
    cr_assert_eq(run->observed_time_unix_nano, (uint64_t)(run->source[0] - 'a' + 1000));
    cr_assert_eq(run->attempt, 0);
    cr_assert_eq(run->n_sequences, 0);
    for (size_t i = 0; i < run->n_events; i++)
        check_event(run, run->events[i], run->first_sequence + i);
    if (run->n_events == 1)
        say(rig, "%s%llu", run->source, (unsigned long long)last);
    else
        say(rig, "%s%llu-%llu", run->source, (unsigned long long)run->first_sequence,
            (unsigned long long)last);
    rig->events += (uint32_t)run->n_events;
}

const char *rig_read(struct rig *rig)
{
    static const char *const reasons[] = {"?",       "OLDEST", "NEWEST", "COALESCED", "EXPIRED",
                                          "TIMEOUT", "CUT",    "BUDGET", "GAP",       "GONE"};
    OWNED(buf_fini) struct buf bytes = {0};

    rig->text[0] = '\0';
    rig->events = 0;
    if (!client_read(&rig->client, &bytes))
        return NULL;
    rig->bytes = bytes.size;
    Tributary__V1__EventBatch *batch = tributary__v1__event_batch__unpack(NULL, bytes.size, bytes.data);
    cr_assert(batch, "what the pump sends can be decoded");
    if (batch->started)
        say(rig, "started");
    for (size_t i = 0; i < batch->n_lost; i++)
        say(rig, "lost %s %llu-%llu %s", batch->lost[i]->source,
            (unsigned long long)batch->lost[i]->first_sequence,
            (unsigned long long)batch->lost[i]->last_sequence, reasons[batch->lost[i]->reason]);
    for (size_t i = 0; i < batch->n_runs; i++)
        read_run(rig, batch->runs[i]);
    for (size_t i = 0; i < batch->n_producers; i++)
        say(rig, "%s is %d", batch->producers[i]->source, (int)batch->producers[i]->state);
    if (batch->progress)
        say(rig, "progress %llu", (unsigned long long)batch->progress->delivered);
    if (batch->closing)
        say(rig, "closing");
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    return rig->text;
}

void rig_read_events(struct rig *rig, uint64_t events)
{
    for (uint64_t read = 0; read < events; read += rig->events)
        cr_assert(rig_read(rig), "the stream ended after %llu events", (unsigned long long)read);
}

struct chan_stats rig_over(struct rig *rig)
{
    struct chan_stats stats;

    house_until(&rig->house, rig->closed);
    chan_stats(rig->chan, &stats);
    cr_assert_eq(stats.accepted.events,
                 stats.delivered.events + chan_dropped(&stats).events + stats.queued.events);
    cr_assert_eq(stats.accepted.bytes,
                 stats.delivered.bytes + chan_dropped(&stats).bytes + stats.queued.bytes);
    return stats;
}
