/* sender_fixture.c - see sender_fixture.h. */
#include "sender_fixture.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/field_write.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "lib/events.h"
#include "tributary/v1/event.pb-c.h"

#define PATH "/test.Sender/Run"

/* The only fixture of this process: the table of methods is static, so the method finds its fixture
 * here. */
static struct sender_fixture *current_fixture;

static void on_readable(void *ctx)
{
    struct sender *sender = atomic_load(&((struct sender_fixture *)ctx)->sender);

    if (sender)
        sender_wake(sender);
}

static void progress(void *ctx, struct chan *chan, bool last, struct buf *note)
{
    struct sender_fixture *fixture = ctx;
    OWNED(buf_fini) struct buf body = {0};
    struct chan_stats stats;

    fixture->last_progress += last;
    if (last && !fixture->wants_last)
        return;
    chan_stats(chan, &stats);
    field_varint(&body, 3, stats.delivered.events);
    field_bytes_always(note, 4, (struct bytes){body.data, body.size});
    fixture->progress++;
}

/* Its deadline says how many events have left the channel. */
static void closing(void *ctx, struct buf *note)
{
    struct sender_fixture *fixture = ctx;
    OWNED(buf_fini) struct buf body = {0};
    struct chan_condition now;

    chan_condition(fixture->chan, &now);
    field_fixed64(&body, 2, now.stats.delivered.events + now.in_flight.events);
    field_bytes_always(note, 5, (struct bytes){body.data, body.size});
}

static bool ended(void *ctx, enum chan_state how)
{
    struct sender_fixture *fixture = ctx;
    struct fault fault = {0};

    fixture->ended++;
    fixture->how = how;
    if (fixture->undecided)
        return false;
    if (how == CHAN_BROKEN)
        fault_set(&fault, FAULT_TOO_SLOW, "", "");
    call_finish(fixture->call, &fault);
    return true;
}

static void limit(void *ctx)
{
    struct sender_fixture *fixture = ctx;
    const struct fault none = {0};

    fixture->ended++;
    call_finish(fixture->call, &none);
}

static void not_reading(void *ctx, const struct fault *fault)
{
    struct sender_fixture *fixture = ctx;

    fixture->not_reading++;
    call_finish(fixture->call, fault);
}

static const struct sender_port port = {
    .progress = progress, .closing = closing, .not_reading = not_reading, .limit = limit, .ended = ended};

static void opened(struct call *call, void *ctx)
{
    struct sender_fixture *fixture = current_fixture;
    OWNED(buf_fini) struct buf started = {0};
    struct sender *sender = sender_new(call, &fixture->settings, &port, fixture);

    (void)ctx;
    CHECK(sender);
    fixture->call = call;
    sender_begin(sender, fixture->chan);
    field_bytes_always(&started, 6, (struct bytes){(const uint8_t *)"\x0a\x02id", 4});
    sender_add_note(sender, &started);
    atomic_store(&fixture->sender, sender);
}

static void sent(struct call *call, bool ok)
{
    (void)call;
    sender_sent(current_fixture->sender, ok);
}

static void lost(struct call *call)
{
    (void)call;
    if (current_fixture->sender)
        sender_stop(current_fixture->sender);
    current_fixture->lost++;
}

static void closed(struct call *call, bool ok)
{
    (void)call;
    (void)ok;
    sender_free(atomic_exchange(&current_fixture->sender, NULL));
    current_fixture->closed++;
}

static const struct call_port call_port = {.opened = opened, .sent = sent, .lost = lost, .closed = closed};
static const struct method methods[] = {{PATH, &call_port, NULL}};

void sender_fixture_open(struct sender_fixture *fixture, const struct chan_limits *limits, uint32_t feeds)
{
    static const struct chan_limits ample = {
        .max_events = 1000000, .max_bytes = 1u << 30, .overflow = OVERFLOW_DROP_NEWEST};
    const struct chan_callbacks callbacks = {.readable = on_readable, .ctx = fixture};

    *fixture = (struct sender_fixture){.settings = {.write_timeout_ns = 3600 * NS_PER_S,
                                                    .progress_ns = 3600 * NS_PER_S,
                                                    .batch_events = 100000,
                                                    .batch_bytes = 1u << 30}};
    current_fixture = fixture;
    wire_fixture_open(&fixture->wire, methods, ARRAY_LEN(methods));
    fixture->chan = chan_new(limits ? limits : &ample, &callbacks);
    cr_assert(fixture->chan && feeds <= MAX_FEEDS);
    for (uint32_t i = 0; i < feeds; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        fixture->sources[i] = source_named(name, i + 1);
        fixture->feeds[i] = feed_open(fixture->chan, fixture->sources[i], 3, NULL);
        fixture->next[i] = 1;
    }
}

void sender_fixture_subscribe(struct sender_fixture *fixture)
{
    client_open(&fixture->client, &fixture->wire, PATH);
    wire_fixture_until(&fixture->wire, fixture->sender || fixture->closed);
}

void sender_fixture_close(struct sender_fixture *fixture)
{
    client_close(&fixture->client);
    sender_fixture_wait_closed(fixture);
    for (uint32_t i = 0; i < MAX_FEEDS; i++) {
        if (fixture->feeds[i])
            feed_close(fixture->chan, fixture->feeds[i], 0, 0, NULL);
        source_release(fixture->sources[i]);
    }
    chan_release(fixture->chan);
    wire_fixture_close(&fixture->wire);
}

static uint8_t data_byte(uint64_t sequence, size_t at)
{
    return (uint8_t)(sequence * 31 + at);
}

struct chunk *sender_fixture_chunk(struct sender_fixture *fixture, uint32_t feed, uint32_t events,
                                   uint32_t size)
{
    OWNED(buf_fini) struct buf message = {0};
    struct framing_limits limits = settings_defaults.framing;
    struct framing_scan scan = {0};
    struct fault fault;
    struct chunk *chunk;
    uint8_t *data = malloc(size + 1);

    limits.max_batch_bytes = limits.max_event_bytes = UINT32_MAX;
    for (uint64_t i = 0; i < events; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%" PRIu64, fixture->next[feed] + i);
        for (size_t at = 0; at < size; at++)
            data[at] = data_byte(fixture->next[feed] + i, at);
        put_event(&message,
                  &(struct event_view){.topic = text_of(fixture->sources[feed]->name),
                                       .key = text_of(key),
                                       .data = {data, size}},
                  NULL, 0);
    }
    cr_assert_eq(framing_scan(&scan, (struct bytes){message.data, message.size}, &limits, &fault),
                 FAULT_NONE);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    framing_fini(&scan);
    free(data);
    chunk->source = source_retain(fixture->sources[feed]);
    chunk->first_sequence = fixture->next[feed];
    chunk->observed_wall_ns = (int64_t)feed + 1000;
    chunk->observed_mono_ns = clock_mono_ns();
    fixture->next[feed] += events;
    return chunk;
}

enum err sender_fixture_put(struct sender_fixture *fixture, uint32_t feed, uint32_t events, uint32_t size)
{
    OWNED(chunk_release) struct chunk *chunk = sender_fixture_chunk(fixture, feed, events, size);

    return chan_put(fixture->chan, fixture->feeds[feed], chunk, 0, events, NULL);
}

void sender_fixture_skip(struct sender_fixture *fixture, uint32_t feed, uint32_t events)
{
    fixture->next[feed] += events;
}

static void act_read_in_flight(void *ctx)
{
    struct sender *sender = current_fixture->sender;

    *(bool *)ctx = sender && sender_in_flight(sender);
}

bool sender_fixture_in_flight(struct sender_fixture *fixture)
{
    bool in_flight = false;

    wire_fixture_run(&fixture->wire, act_read_in_flight, &in_flight);
    return in_flight;
}

void sender_fixture_wait_sent(struct sender_fixture *fixture)
{
    for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; sender_fixture_in_flight(fixture);)
        cr_assert_lt(clock_mono_ns(), limit_ns);
}

void sender_fixture_fill_window(struct sender_fixture *fixture)
{
    struct chan_stats stats;
    int64_t limit_ns = clock_mono_ns() + DEADLINE_NS;

    cr_assert_eq(sender_fixture_put(fixture, 0, 1, FILLER_BYTES), ERR_OK);
    do {
        cr_assert_lt(clock_mono_ns(), limit_ns);
        wire_fixture_turn(&fixture->wire);
        chan_stats(fixture->chan, &stats);
    } while (stats.queued.events != 1 ||
             stats.accepted.events != stats.delivered.events + chan_dropped(&stats).events + 1 ||
             !sender_fixture_in_flight(fixture));
}

PRINTF_LIKE(2, 3) static void add_text(struct sender_fixture *fixture, const char *format, ...)
{
    size_t used = strlen(fixture->text);
    va_list args;

    if (used > 0)
        used += (size_t)snprintf(fixture->text + used, sizeof(fixture->text) - used, "; ");
    cr_assert_lt(used, sizeof(fixture->text));
    va_start(args, format);
    vsnprintf(fixture->text + used, sizeof(fixture->text) - used, format, args);
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

static void read_run(struct sender_fixture *fixture, const Tributary__V1__Run *run)
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
        add_text(fixture, "%s%llu", run->source, (unsigned long long)last);
    else
        add_text(fixture, "%s%llu-%llu", run->source, (unsigned long long)run->first_sequence,
                 (unsigned long long)last);
    fixture->events += (uint32_t)run->n_events;
}

const char *sender_fixture_read(struct sender_fixture *fixture)
{
    static const char *const reasons[] = {"?",       "OLDEST", "NEWEST", "COALESCED", "EXPIRED",
                                          "TIMEOUT", "CUT",    "BUDGET", "GAP",       "GONE"};
    OWNED(buf_fini) struct buf bytes = {0};

    fixture->text[0] = '\0';
    fixture->events = 0;
    if (!client_read(&fixture->client, &bytes))
        return NULL;
    fixture->bytes = bytes.size;
    Tributary__V1__EventBatch *batch = tributary__v1__event_batch__unpack(NULL, bytes.size, bytes.data);
    cr_assert(batch, "the message can be decoded");
    if (batch->started)
        add_text(fixture, "started");
    for (size_t i = 0; i < batch->n_fell_behind; i++)
        add_text(fixture, "%s fell %llu", batch->fell_behind[i]->source,
                 (unsigned long long)batch->fell_behind[i]->sequence);
    for (size_t i = 0; i < batch->n_lost; i++)
        add_text(fixture, "lost %s %llu-%llu %s", batch->lost[i]->source,
                 (unsigned long long)batch->lost[i]->first_sequence,
                 (unsigned long long)batch->lost[i]->last_sequence, reasons[batch->lost[i]->reason]);
    for (size_t i = 0; i < batch->n_runs; i++)
        read_run(fixture, batch->runs[i]);
    for (size_t i = 0; i < batch->n_caught_up; i++)
        add_text(fixture, "%s has %llu", batch->caught_up[i]->source,
                 (unsigned long long)batch->caught_up[i]->sequence);
    for (size_t i = 0; i < batch->n_producers; i++)
        add_text(fixture, "%s is %d", batch->producers[i]->source, (int)batch->producers[i]->state);
    if (batch->progress)
        add_text(fixture, "progress %llu", (unsigned long long)batch->progress->delivered);
    if (batch->closing && batch->closing->deadline_unix_nano > 0)
        add_text(fixture, "closing %llu", (unsigned long long)batch->closing->deadline_unix_nano);
    else if (batch->closing)
        add_text(fixture, "closing");
    tributary__v1__event_batch__free_unpacked(batch, NULL);
    return fixture->text;
}

void sender_fixture_read_events(struct sender_fixture *fixture, uint64_t events)
{
    for (uint64_t read = 0; read < events; read += fixture->events)
        cr_assert(sender_fixture_read(fixture), "the stream ended after %llu events",
                  (unsigned long long)read);
}

struct chan_stats sender_fixture_wait_closed(struct sender_fixture *fixture)
{
    struct chan_stats stats;

    wire_fixture_until(&fixture->wire, fixture->closed);
    chan_stats(fixture->chan, &stats);
    cr_assert_eq(stats.accepted.events,
                 stats.delivered.events + chan_dropped(&stats).events + stats.queued.events);
    cr_assert_eq(stats.accepted.bytes,
                 stats.delivered.bytes + chan_dropped(&stats).bytes + stats.queued.bytes);
    return stats;
}
