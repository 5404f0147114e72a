/* hub_fixture.c - see hub_fixture.h. */
#include "seam/hub_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "event/encode.h"
#include "flow/chan_report.h"
#include "hub/positions.h"
#include "flow/chan_stats.h"
#include "seam/transcript.h"
#include "seam/transcript_reads.h"

#define WAIT_NS (5 * NS_PER_S)

struct settings hub_fixture_settings;

/* Before main(): a test changes them before it opens its fixture. */
__attribute__((constructor)) static void set_defaults(void)
{
    hub_fixture_settings = settings_defaults;
    hub_fixture_settings.max_producers = 16;
    hub_fixture_settings.max_subscriptions = 8;
}

void hub_fixture_open(struct hub_fixture *fixture)
{
    *fixture = (struct hub_fixture){.log = memfd_create("log", MFD_CLOEXEC)};
    CHECK(fixture->log >= 0);
    transcript_case_begin();
    transcript("open");
    log_setup(LOG_INFO, LOG_AS_TEXT, fixture->log);
    CHECK(loop_new(&fixture->loop).code == ERR_OK);
    CHECK(loop_publish_settings(fixture->loop, &hub_fixture_settings) == ERR_OK);
    CHECK(hub_new(fixture->loop, &fixture->hub).code == ERR_OK);
}

void hub_fixture_close(struct hub_fixture *fixture)
{
    static const enum counter live[] = {
        COUNT_LIVE_CHUNKS,      COUNT_LIVE_CHUNK_BYTES,   COUNT_LIVE_POSITION_BYTES, COUNT_LIVE_CONTEXTS,
        COUNT_LIVE_PRODUCERS,   COUNT_LIVE_SUBSCRIPTIONS, COUNT_LIVE_ROUTES,         COUNT_LIVE_SESSIONS,
        COUNT_LIVE_ACTIVATIONS, COUNT_LIVE_CHANNELS};

    transcript("close");
    hub_free(fixture->hub);
    loop_free(fixture->loop);
    transcript_case_write();
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        if (count_get(live[i]) != 0) {
            fprintf(stderr, "left over: %s = %lld\n", counter_name(live[i]), (long long)count_get(live[i]));
            abort();
        }
    log_setup(LOG_INFO, LOG_AS_TEXT, STDERR_FILENO);
    close(fixture->log);
}

bool hub_fixture_until(struct hub_fixture *fixture, bool (*done)(void *ctx), void *ctx)
{
    int64_t until_ns = clock_mono_ns() + WAIT_NS;

    do {
        loop_turn(fixture->loop);
        if (done(ctx))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 200 * 1000}, NULL);
    } while (clock_mono_ns() < until_ns);
    return false;
}

unsigned hub_fixture_logged(struct hub_fixture *fixture, const char *event)
{
    off_t size = lseek(fixture->log, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    char word[64];
    unsigned count = 0;

    CHECK(text && pread(fixture->log, text, (size_t)size, 0) == size);
    snprintf(word, sizeof(word), " %s ", event);
    for (char *at = text; (at = strstr(at, word)); at++)
        count++;
    free(text);
    return count;
}

bool hub_fixture_log_has(struct hub_fixture *fixture, const char *event, const char *word)
{
    off_t size = lseek(fixture->log, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    char *rest = text, *line;
    bool found = false;

    CHECK(text && pread(fixture->log, text, (size_t)size, 0) == size);
    while (!found && (line = strsep(&rest, "\n")))
        found = strstr(line, event) && strstr(line, word);
    free(text);
    return found;
}

void hub_fixture_copy_view(void *ctx, const struct producer_view *view)
{
    *(struct producer_view *)ctx = *view;
}

void hub_fixture_emptied(void *ctx)
{
    transcript("  emptied");
    ((struct hub_fixture *)ctx)->emptied++;
}

void hub_fixture_offered(enum err err, const struct offer *offer)
{
    if (err == ERR_OK || err == ERR_AGAIN)
        transcript("  %s e%u %llu-%llu matched %u", err_name(err), transcript_epoch(offer->epoch),
                   (unsigned long long)offer->first_sequence, (unsigned long long)offer->last_sequence,
                   offer->matched);
    else
        transcript("  %s", err_name(err));
}

/* ---- producers ---- */

static void putter_over(struct put_waiter *waiter)
{
    struct putter *putter = container_of(waiter, struct putter, waiter);

    transcript("  putter %u is unblocked", putter->number);
    inlet_unblocked(putter->inlet);
    putter->over++;
}

void putter_open(struct putter *putter, struct hub_fixture *fixture, const char *name)
{
    struct fault fault;

    *putter = (struct putter){.waiter = {.over = putter_over}};
    if (transcript_on)
        putter->number = ++fixture->putters;
    transcript("putter %u opens %s", putter->number, name);
    putter->inlet = hub_inlet_find(fixture->hub, text_of(name), "producer:1");
    if (!putter->inlet)
        CHECK(hub_inlet_open(fixture->hub, text_of(name), "producer:1", NO_PEER, &putter->inlet, &fault) ==
              FAULT_NONE);
}

enum err putter_put(struct putter *putter, struct chunk *chunk)
{
    OWNED(chunk_release) struct chunk *owned = chunk;
    enum err err;

    transcript("putter %u offers %u", putter->number, chunk->count);
    err = inlet_offer(putter->inlet, owned, &putter->waiter, &putter->offer);
    hub_fixture_offered(err, &putter->offer);
    return err;
}

void putter_leave(struct putter *putter)
{
    transcript("putter %u leaves", putter->number);
    inlet_leave(putter->inlet);
    putter->inlet = NULL;
}

struct offer publish(struct hub_fixture *fixture, const char *name, uint32_t count, const char *topic)
{
    struct putter putter;

    putter_open(&putter, fixture, name);
    CHECK(putter_put(&putter, sample_chunk(count, topic, 16)) == ERR_OK);
    putter_leave(&putter);
    return putter.offer;
}

struct chunk *chunk_of_letters(const char *topics, size_t data_size)
{
    struct buf message = {0};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct fault fault;
    uint8_t *data = calloc(1, data_size + 1);

    CHECK(data);
    for (size_t i = 0; topics[i]; i++)
        put_event(&message,
                  &(struct event_view){.topic = {(const uint8_t *)&topics[i], 1}, .data = {data, data_size}},
                  NULL, 0);
    CHECK(framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing,
                       &fault) == FAULT_NONE);
    CHECK(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk) == ERR_OK);
    framing_fini(&scan);
    buf_fini(&message);
    free(data);
    return chunk;
}

/* ---- consumers ---- */

static void readable(void *ctx)
{
    struct consumer *consumer = ctx;

    transcript("  consumer %u readable", consumer->number);
    consumer->readable_calls++;
}

static void port_closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct consumer *consumer = ctx;

    transcript("  consumer %u closing %d %s", consumer->number, (int)reason,
               transcript_deadline(deadline_ns));
    consumer->closings++;
    consumer->closing = reason;
    consumer->deadline_ns = deadline_ns;
    if (consumer->leaves)
        consumer_leave(consumer);
}

static void port_abort(void *ctx, const struct fault *fault)
{
    struct consumer *consumer = ctx;

    transcript("  consumer %u abort %s", consumer->number, transcript_fault(fault));
    consumer->aborts++;
    consumer->fault = *fault;
    if (consumer->leaves)
        consumer_leave(consumer);
}

static void port_bound(void *ctx, uint32_t producers_matched)
{
    struct consumer *consumer = ctx;

    consumer->result.producers_matched = producers_matched;
    consumer->bound = true;
}

static void port_selected(void *ctx, enum fault_reason reason)
{
    struct consumer *consumer = ctx;

    consumer->selected++;
    consumer->selected_for = reason;
}

static const struct subscription_port port = {.closing = port_closing, .abort_call = port_abort};
static const struct subscription_port patient_port = {
    .bound = port_bound, .selected = port_selected, .closing = port_closing, .abort_call = port_abort};

struct filter *filter_of(const char *producer, const char *topic, const char *exclude_topic)
{
    struct selector selector = {.producer = text_of(producer), .topic = text_of(topic ? topic : "")};
    struct selector exclude = {.topic = text_of(exclude_topic ? exclude_topic : "")};
    struct filter *filter = NULL;
    struct fault fault;

    CHECK(filter_new(&selector, 1, &exclude, exclude_topic ? 1 : 0, &filter, &fault) == FAULT_NONE);
    return filter;
}

struct subscription_params subscription_params_of(const char *topic)
{
    return (struct subscription_params){
        .filter = filter_of("*", topic, NULL),
        .limits = {.max_events = 1024,
                   .max_bytes = 4u << 20,
                   .overflow = OVERFLOW_DROP_OLDEST,
                   .fallback = OVERFLOW_DROP_OLDEST},
        .name = text_of("a consumer"),
        .peer = "consumer:1",
    };
}

static enum fault_reason subscribe(struct consumer *consumer, struct hub_fixture *fixture,
                                   struct subscription_params params, const struct subscription_port *by)
{
    enum fault_reason reason;

    *consumer = (struct consumer){.fixture = fixture};
    if (transcript_on)
        consumer->number = ++fixture->consumers;
    transcript("consumer %u subscribes %s", consumer->number, transcript_deadline(params.deadline_ns));
    params.callbacks = (struct chan_callbacks){readable, consumer};
    params.port = by;
    params.ctx = consumer;
    reason =
        hub_subscribe(fixture->hub, &params, &consumer->subscription, &consumer->result, &consumer->fault);
    if (reason != FAULT_NONE)
        transcript("  %s", transcript_fault(&consumer->fault));
    else
        transcript("  s%u matched %u", transcript_subscription(consumer->result.id),
                   consumer->result.producers_matched);
    if (reason == FAULT_NONE)
        consumer->chan = consumer->result.chan;
    else
        filter_free(params.filter);
    return reason;
}

enum fault_reason consumer_try(struct consumer *consumer, struct hub_fixture *fixture,
                               struct subscription_params params)
{
    return subscribe(consumer, fixture, params, &port);
}

enum fault_reason consumer_begin(struct consumer *consumer, struct hub_fixture *fixture,
                                 struct subscription_params params)
{
    return subscribe(consumer, fixture, params, &patient_port);
}

void consumer_join(struct consumer *consumer, struct hub_fixture *fixture, struct subscription_params params)
{
    CHECK(consumer_try(consumer, fixture, params) == FAULT_NONE);
}

uint32_t consumer_select(struct consumer *consumer, const char *producer, const char *topic)
{
    struct filter *filter = filter_of(producer, topic, NULL);
    struct fault fault;
    uint32_t revision = hub_select(consumer->subscription, filter, &fault);

    if (revision == 0)
        filter_free(filter);
    return revision;
}

#define POSITIONS_CAPACITY 200u

static void add_position(void *ctx, const struct source *source, uint64_t sequence)
{
    char *text = ctx;
    size_t used = strlen(text);

    snprintf(text + used, POSITIONS_CAPACITY - used, "%s%s=%llu", used > 0 ? " " : "", source->name,
             (unsigned long long)sequence);
}

static bool add_and_go_on(void *ctx, const struct source *source, uint64_t sequence)
{
    add_position(ctx, source, sequence);
    return true;
}

const char *consumer_positions(const struct consumer *consumer)
{
    static char text[POSITIONS_CAPACITY];

    text[0] = '\0';
    CHECK(hub_positions(consumer->subscription, add_and_go_on, text) == 0);
    return text;
}

const char *consumer_filtered_positions(const struct consumer *consumer, uint32_t max)
{
    static char text[POSITIONS_CAPACITY];

    text[0] = '\0';
    hub_filtered_positions(consumer->subscription, max, add_position, text);
    return text;
}

static void comma(struct buf *buf)
{
    if (buf->size > 0)
        buf_text(buf, ", ");
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    static const char *const names[LOSS_COUNT] = {
        [LOSS_OVERFLOW_OLDEST] = "OLDEST", [LOSS_OVERFLOW_NEWEST] = "NEWEST",
        [LOSS_EXPIRED] = "EXPIRED",        [LOSS_BLOCK_TIMEOUT] = "BLOCK_TIMEOUT",
        [LOSS_DRAIN_CUT] = "DRAIN_CUT",    [LOSS_RESUME_GAP] = "RESUME_GAP",
        [LOSS_TRIMMED] = "TRIMMED",
    };
    struct consumer *consumer = ctx;
    struct buf *buf = &consumer->losses;

    transcript_loss(consumer->number, note);
    comma(buf);
    buf_format(buf, "lost %s ", note->source->name);
    if (note->count_unknown)
        buf_text(buf, "?");
    else
        buf_format(buf, "%llu", (unsigned long long)note->count);
    buf_format(buf, " %llu-%llu %s", (unsigned long long)note->first_sequence,
               (unsigned long long)note->last_sequence, names[note->reason]);
    consumer->epoch = note->source->epoch;
}

static const char *state_name(uint32_t state)
{
    switch (state) {
    case PRODUCER_CONNECTING:
        return "CONNECTING";
    case PRODUCER_UNAVAILABLE:
        return "UNAVAILABLE";
    case PRODUCER_ENDED:
        return "ENDED";
    case PRODUCER_REMOVED:
        return "REMOVED";
    default:
        return "ACTIVE";
    }
}

static void on_state(void *ctx, const struct feed_change *change)
{
    struct consumer *consumer = ctx;

    transcript_state(change);
    comma(&consumer->states);
    if (!change->source) {
        buf_text(&consumer->states, "RESYNC");
        return;
    }
    buf_format(&consumer->states, "%s is %s", change->source->name, state_name(change->state));
    if (change->code != 0)
        buf_format(&consumer->states, " with %s: %s", fault_code_name((enum fault_code)change->code),
                   change->message);
    consumer->epoch = change->source->epoch;
}

/* Events that follow each other are one run, whether they came in one entry or in several. */
static void on_entry(struct consumer *consumer, const struct chan_batch_entry *entry)
{
    const struct chunk *chunk = entry->chunk;

    for (uint32_t first = entry->first, last; first < entry->last; first = last) {
        last = first + 1;
        while (last < entry->last && chunk_sequence(chunk, last) == chunk_sequence(chunk, last - 1) + 1)
            last++;
        comma(&consumer->runs);
        buf_format(&consumer->runs, "%s %llu-%llu", chunk->source->name,
                   (unsigned long long)chunk_sequence(chunk, first),
                   (unsigned long long)chunk_sequence(chunk, last - 1));
    }
    consumer->epoch = chunk->source->epoch;
}

static void line_end(struct consumer *consumer)
{
    struct buf *parts[] = {&consumer->losses, &consumer->runs, &consumer->states};
    size_t line = consumer->transcript.size;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i]->size > 0 && consumer->transcript.size > line)
            buf_text(&consumer->transcript, ", ");
        if (parts[i]->size > 0)
            buf_bytes(&consumer->transcript, parts[i]->data, parts[i]->size);
        buf_clear(parts[i]);
    }
    if (consumer->transcript.size > line)
        buf_text(&consumer->transcript, "\n");
}

const char *consumer_read(struct consumer *consumer)
{
    bool more = true;

    transcript("consumer %u reads", consumer->number);
    buf_clear(&consumer->transcript);
    while (more) {
        uint32_t mark = chan_marked(consumer->chan);

        if (mark > 0)
            transcript("  consumer %u reads mark %u", consumer->number, mark);
        if (mark > 0)
            buf_format(&consumer->transcript, "mark %u\n", mark);
        more = chan_dequeue(consumer->chan, &consumer->batch, 4096, 256 << 10, clock_mono_ns());
        transcript_batch(consumer->number, &consumer->batch);
        for (uint32_t i = 0; i < consumer->batch.count; i++)
            on_entry(consumer, &consumer->batch.entries[i]);
        chan_losses(consumer->chan, 100, on_loss, consumer);
        chan_states(consumer->chan, 100, on_state, consumer);
        transcript_states(consumer->number);
        line_end(consumer);
        chan_delivered(consumer->chan, &consumer->batch);
    }
    buf_byte(&consumer->transcript, 0);
    CHECK(!consumer->transcript.broken);
    return (const char *)consumer->transcript.data;
}

void check_totals(struct chan *chan)
{
    struct chan_stats stats;
    struct totals dropped;

    chan_stats(chan, &stats);
    dropped = chan_dropped(&stats);
    CHECK(stats.accepted.events == stats.delivered.events + dropped.events + stats.queued.events);
    CHECK(stats.accepted.bytes == stats.delivered.bytes + dropped.bytes + stats.queued.bytes);
}

void consumer_leave(struct consumer *consumer)
{
    if (!consumer->subscription)
        return;
    transcript("consumer %u unsubscribes", consumer->number);
    hub_unsubscribe(consumer->subscription, consumer->aborts > 0 ? consumer->fault.reason : FAULT_NONE);
    consumer->subscription = NULL;
    check_totals(consumer->chan);
    chan_release(consumer->chan);
    consumer->chan = NULL;
    chan_batch_fini(&consumer->batch);
    buf_fini(&consumer->losses);
    buf_fini(&consumer->runs);
    buf_fini(&consumer->states);
    buf_fini(&consumer->transcript);
}
