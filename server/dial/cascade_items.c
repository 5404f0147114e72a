/* cascade_items.c - takes the parts of an EventBatch: losses, runs, states, positions. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "event/chunk_origin.h"
#include "flow/chan_limits.h"
#include "flow/producer_state.h"
#include "hub/session.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "route/offer.h"
#include "server/dial/cascade_internal.h"

/* After a source was refused for want of space, others are not asked for so long. */
#define REFUSED_NS NS_PER_S

/* A line about events without a source comes at most so often. */
#define LOG_EVERY_NS (10 * NS_PER_S)

/* ---- sources ---- */

static bool is_of_one_name(enum fault_reason reason)
{
    return reason == FAULT_NAME_TAKEN || reason == FAULT_DRAINING || reason == FAULT_DIALS_ITSELF;
}

/* Finds the source of the item at hand, which the loop makes where there is none: WAITS. It is
 * ACTIVE, where nothing was heard of it in this call. With DONE *relayed is a reference, or NULL
 * where it has no place. */
static enum cascade_step find(struct cascade *cascade, const struct inner_name *source,
                              struct relayed **relayed)
{
    static const struct inner_state active = {.state = PRODUCER_ACTIVE};
    const bool was_refused = cascade->order.kind == ORDER_OPEN && cascade->order.reason != FAULT_NONE;
    const int64_t now_ns = clock_mono_ns();

    *relayed = relays_find(cascade->relays, source->name, source->epoch);
    if (*relayed && relayed_mark(*relayed)->call == cascade->call)
        return CASCADE_DONE;
    if (*relayed) {
        struct relayed *found = *relayed;

        *relayed = NULL;
        return cascade_order_report(cascade, found, &active);
    }
    if (was_refused && !is_of_one_name(cascade->order.reason))
        cascade->refused_until_ns = now_ns + REFUSED_NS;
    if (was_refused || relays_are_full(cascade->relays) || now_ns < cascade->refused_until_ns)
        return CASCADE_DONE;
    return cascade_order_open(cascade, source);
}

/* After find() without a source: it is one of this server, whose consumers have it already. */
static bool is_own(const struct cascade *cascade)
{
    return cascade->order.kind == ORDER_OPEN && cascade->order.reason == FAULT_DIALS_ITSELF;
}

static void log_without_source(struct cascade *cascade, struct bytes source, uint64_t events)
{
    const int64_t now_ns = clock_mono_ns();

    cascade->unlogged += events;
    if (cascade->logged_ns > 0 && now_ns - cascade->logged_ns < LOG_EVERY_NS)
        return;
    log_write(LOG_WARN, "relayed.refused", LOG_BYTES("source", source),
              LOG_TEXT("method", cascade->plan->method), LOG_NUMBER("events", cascade->unlogged),
              LOG_NUMBER("sources", relays_count(cascade->relays)));
    cascade->logged_ns = now_ns;
    cascade->unlogged = 0;
}

/* Events of a source that has no place here are lost of the endpoint. */
static void lose_without_source(struct cascade *cascade, struct bytes source, const struct source_loss *loss)
{
    const struct source_loss of_none = {.count = loss->count,
                                        .bytes = loss->bytes,
                                        .reason = loss->reason,
                                        .count_unknown = loss->count_unknown};

    session_lose(cascade->session, 0, &of_none);
    if (source.size > 0)
        log_without_source(cascade, source, loss->count);
}

static void has_moved(struct cascade *cascade, struct relayed *relayed)
{
    relayed_mark(relayed)->token = cascade->token_number;
}

/* ---- losses ---- */

static enum cascade_step on_loss(struct cascade *cascade, struct fault *fault)
{
    OWNED(relayed_release) struct relayed *relayed = NULL;
    struct inner_loss loss;

    if (cascade_read_loss(cascade->item, &loss, fault))
        return CASCADE_REFUSED;
    if (loss.source.name.size > 0 && find(cascade, &loss.source, &relayed) == CASCADE_WAITS)
        return CASCADE_WAITS;
    if (relayed) {
        (void)inlet_lose(relayed_inlet(relayed), &relayed_mark(relayed)->place, &loss.loss, loss.moves);
        has_moved(cascade, relayed);
    } else if (!is_own(cascade)) {
        lose_without_source(cascade, loss.source.name, &loss.loss);
    }
    return CASCADE_DONE;
}

/* ---- runs ---- */

static enum fault_reason scan_run(const struct cascade *cascade, struct fault *fault)
{
    return framing_scan(&cascade->plan->thread->scan, cascade->item,
                        &loop_settings(cascade->plan->loop)->framing, fault);
}

/* What a run would lose. */
static struct source_loss loss_of(const struct framing_scan *scan)
{
    return (struct source_loss){.count = scan->count, .bytes = scan->events_bytes, .reason = LOSS_BUDGET};
}

/* The item is done with; the message waits until no channel blocks the source. */
static enum cascade_step wait_for_channels(struct cascade *cascade, struct relayed **relayed)
{
    cascade->blocked = *relayed;
    *relayed = NULL;
    cascade->item_number = 0;
    if (cascade->hurries)
        inlet_give_up(relayed_inlet(cascade->blocked), &cascade->waiter);
    return CASCADE_WAITS;
}

static enum cascade_step relay(struct cascade *cascade, struct relayed **relayed, struct chunk *chunk)
{
    struct relay_place *place = &relayed_mark(*relayed)->place;
    struct inlet *inlet = relayed_inlet(*relayed);
    const struct source_loss loss = {.count = chunk->count,
                                     .bytes = chunk_bytes(chunk, 0, chunk->count),
                                     .first_sequence = chunk_sequence(chunk, 0),
                                     .last_sequence = chunk_sequence(chunk, chunk->count - 1),
                                     .reason = LOSS_BUDGET};

    has_moved(cascade, *relayed);
    switch (inlet_relay(inlet, place, chunk, &cascade->waiter)) {
    case ERR_AGAIN:
        return wait_for_channels(cascade, relayed);
    case ERR_NO_MEMORY:
        (void)inlet_lose(inlet, place, &loss, true);
        break;
    case ERR_CLOSED:
    case ERR_NOT_FOUND: /* it has ended a moment ago */
        count_add(COUNT_EVENTS_UNWANTED, chunk->count);
        break;
    default:
        break;
    }
    return CASCADE_DONE;
}

/* A run without its sequences: they are not told where there is no memory for its events. */
static enum cascade_step lose_run(struct cascade *cascade, struct relayed *relayed)
{
    const struct source_loss loss = loss_of(&cascade->plan->thread->scan);

    (void)inlet_lose(relayed_inlet(relayed), &relayed_mark(relayed)->place, &loss, false);
    return CASCADE_DONE;
}

/* The origin of this name. It is the latest run's, where it has the same. NULL: out of memory. */
static struct source *origin_of(struct cascade *cascade, struct bytes inner)
{
    struct buf *latest = &cascade->origin_inner;

    if (cascade->origin && bytes_same((struct bytes){latest->data, latest->size}, inner))
        return cascade->origin;
    source_release(cascade->origin);
    cascade->origin = relays_origin(cascade->relays, inner);
    buf_clear(latest);
    buf_bytes(latest, inner.data, inner.size);
    if (latest->broken) {
        source_release(cascade->origin);
        cascade->origin = NULL;
        buf_fini(latest);
    }
    return cascade->origin;
}

/* The run's events. FAULT_MEMORY_BUDGET: there is no memory for them. */
static enum fault_reason read_run(struct cascade *cascade, struct chunk **chunk, struct fault *fault)
{
    const struct framing_scan *scan = &cascade->plan->thread->scan;
    struct source *origin = NULL;
    struct bytes inner;
    enum fault_reason reason = cascade_read_origin(scan, &inner, fault);

    if (!reason && inner.size > 0 && !(origin = origin_of(cascade, inner)))
        reason = fault_set(fault, FAULT_MEMORY_BUDGET, "message", NULL);
    if (!reason)
        reason = cascade_read_events(cascade->item, scan, chunk, fault);
    if (!reason && origin && !chunk_set_origin(*chunk, origin))
        reason = fault_set(fault, FAULT_MEMORY_BUDGET, "message", NULL);
    return reason;
}

static enum cascade_step on_run(struct cascade *cascade, struct fault *fault)
{
    const struct framing_scan *scan = &cascade->plan->thread->scan;
    OWNED(relayed_release) struct relayed *relayed = NULL;
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct inner_name source;

    if (scan_run(cascade, fault) || cascade_read_source(scan, &source, fault))
        return CASCADE_REFUSED;
    if (scan->count == 0)
        return CASCADE_DONE;
    if (find(cascade, &source, &relayed) == CASCADE_WAITS)
        return CASCADE_WAITS;
    if (!relayed) {
        const struct source_loss loss = loss_of(scan);

        if (is_own(cascade))
            count_add(COUNT_EVENTS_OWN, scan->count);
        else
            lose_without_source(cascade, source.name, &loss);
        return CASCADE_DONE;
    }
    const enum fault_reason reason = read_run(cascade, &chunk, fault);
    if (reason == FAULT_MEMORY_BUDGET)
        return lose_run(cascade, relayed);
    return reason ? CASCADE_REFUSED : relay(cascade, &relayed, chunk);
}

/* ---- states ---- */

static bool is_end(uint32_t state)
{
    return state == PRODUCER_ENDED || state == PRODUCER_REMOVED;
}

/* RESYNC has no source: what has ended meanwhile is forgotten when it is silent for long. */
static enum cascade_step on_state(struct cascade *cascade, struct fault *fault)
{
    OWNED(relayed_release) struct relayed *relayed = NULL;
    struct inner_state state;

    if (cascade->order.kind == ORDER_REPORT)
        return CASCADE_DONE; /* the loop has reported it */
    if (cascade_read_state(cascade->item, &state, fault))
        return CASCADE_REFUSED;
    if (state.source.name.size == 0 || state.state < PRODUCER_IDLE || state.state > PRODUCER_REMOVED)
        return CASCADE_DONE;
    relayed = relays_find(cascade->relays, state.source.name, state.source.epoch);
    if (!relayed && !is_end(state.state) && find(cascade, &state.source, &relayed) == CASCADE_WAITS)
        return CASCADE_WAITS;
    if (!relayed)
        return CASCADE_DONE;
    struct relayed *reported = relayed;
    relayed = NULL;
    return cascade_order_report(cascade, reported, &state);
}

/* ---- progress ---- */

static enum fault_reason on_position(struct cascade *cascade, struct bytes from, struct fault *fault)
{
    OWNED(relayed_release) struct relayed *relayed = NULL;
    struct inner_position position;

    if (cascade_read_position(from, &position, fault))
        return fault->reason;
    relayed = relays_find(cascade->relays, position.source.name, position.source.epoch);
    if (relayed) {
        inlet_place(relayed_inlet(relayed), &relayed_mark(relayed)->place, position.sequence);
        has_moved(cascade, relayed);
    }
    return FAULT_NONE;
}

/* The token comes last: it covers the positions. */
static enum cascade_step on_progress(struct cascade *cascade, struct fault *fault)
{
    struct field_reader reader = field_reader_of(cascade->item);
    struct bytes token = {NULL, 0};

    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field)) {
            fault_set(fault, FAULT_MALFORMED, "message.progress", "");
            return CASCADE_REFUSED;
        }
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == PB_PROGRESS_RESUME_TOKEN)
            token = field.bytes;
        if (field.number == PB_PROGRESS_POSITIONS && on_position(cascade, field.bytes, fault))
            return CASCADE_REFUSED;
    }
    cascade_set_token(cascade, token);
    return CASCADE_DONE;
}

static enum cascade_step on_closing(struct cascade *cascade, struct fault *fault)
{
    struct bytes token;

    if (!cascade_read_field(cascade->item, PB_CLOSING_RESUME_TOKEN, &token)) {
        fault_set(fault, FAULT_MALFORMED, "message.closing", "");
        return CASCADE_REFUSED;
    }
    cascade_set_token(cascade, token);
    return CASCADE_DONE;
}

enum cascade_step cascade_item(struct cascade *cascade, struct fault *fault)
{
    switch (cascade->item_number) {
    case PB_EVENT_BATCH_LOST:
        return on_loss(cascade, fault);
    case PB_EVENT_BATCH_RUNS:
        return on_run(cascade, fault);
    case PB_EVENT_BATCH_PRODUCERS:
        return on_state(cascade, fault);
    case PB_EVENT_BATCH_PROGRESS:
        return on_progress(cascade, fault);
    default:
        return on_closing(cascade, fault);
    }
}
