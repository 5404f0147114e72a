/* upstream_call.c - the call of an upstream, on its thread. See upstream.h.
 *
 * DESIGN. The loop and others only set flags, and post one task that reads them. What the call
 * does it reports in two tasks of its own, each posted once. So neither thread waits for the other,
 * and the call holds one reference for each task that is under way.
 *
 * The call counts as accepted when its first message has left, or one has come: then it is
 * connected, the upstream's settings have come, and it has a stream. Many servers send no headers
 * before their first message, so these prove nothing. A call is read only where what was read
 * before is in the hub, and where it is not paused. */
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "grpc/slices.h"
#include "hub/session.h"
#include "loop/loop.h"
#include "server/dial/cascade.h"
#include "server/dial/dial_words.h"
#include "server/dial/upstream_guard.h"
#include "server/dial/upstream_inflate.h"
#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_offer.h"
#include "server/dial/upstream_refuse.h"
#include "server/dial/upstream_served.h"

/* Messages of one upstream that are read in a row, and how long it waits then at most. */
#define MAX_IN_ROW 16u
#define MAX_READ_WAIT_NS (20 * NS_PER_MS)

static struct upstream *upstream_of(struct client_call *call)
{
    return container_of(call, struct upstream, call);
}

/* ---- the end ---- */

/* Loop. */
static void on_ended(struct task *task)
{
    struct upstream *upstream = container_of(task, struct upstream, ended_task);

    upstream_cost_give_back(upstream->plan->costs, &upstream->cost);
    upstream->port->ended(upstream->ctx, upstream, &upstream->end);
    upstream_release(upstream);
}

/* The last act on the wire thread. */
static void finish(struct upstream *upstream)
{
    cq_unhold(cq_of(upstream));
    loop_post(upstream->plan->loop, &upstream->ended_task);
}

/* The call is over. What it has sent before waits as long as the channels let it that block it.
 * Where the call was cancelled, it falls to their fallback. */
static void finish_offers(struct upstream *upstream)
{
    upstream_offer_waiting(upstream);
    if (!upstream->offering)
        finish(upstream);
    else if (has_flag(upstream, FLAG_CANCEL))
        session_give_up(upstream->session, upstream->activation, &upstream->waiter);
}

static void set_end(struct upstream *upstream, uint32_t code, struct bytes message)
{
    upstream->end.code = code > CODE_UNAUTHENTICATED ? CODE_UNKNOWN : code;
    upstream->end.was_accepted = upstream->accepted;
    upstream->end.wall_ns = clock_wall_ns();
    peer_words_copy(upstream->end.message, message);
}

static struct bytes words_of(const struct upstream *upstream, const struct client_call_end *end,
                             uint32_t *code, char words[DIAL_WORDS_CAPACITY])
{
    const struct connection *connection = upstream->connection;
    const struct bytes text = slice_bytes(&end->message);

    if (end->code == GRPC_STATUS_UNAVAILABLE &&
        upstream_guard_has_ended(connection->guard, connection->accepted_calls > 0, code, words))
        return text_bytes(words);
    if (upstream->accepted || end->code != GRPC_STATUS_UNAVAILABLE)
        return text;
    return dial_words(text, upstream->plan->connections->tls, words);
}

static void ended(struct client_call *call, const struct client_call_end *end)
{
    struct upstream *upstream = upstream_of(call);
    uint32_t code = (uint32_t)end->code;
    char words[DIAL_WORDS_CAPACITY];

    cq_timer_stop(cq_of(upstream), &upstream->timer);
    list_remove(&upstream->read_hook.link);
    list_remove(&upstream->offer_hook.link);
    const struct bytes text = words_of(upstream, end, &code, words);
    /* The upstream may have ended the call before we did. */
    if (upstream->refused && code != (uint32_t)upstream_refusal_code(upstream->refused))
        set_end(upstream, upstream_refusal_code(upstream->refused),
                text_bytes(fault_text(upstream->refused)));
    else
        set_end(upstream, code, text);
    list_remove(&upstream->in_connection.link);
    connection_leave(upstream->connection, upstream->accepted,
                     !upstream->accepted || end->code == GRPC_STATUS_UNAVAILABLE);
    upstream->over = true;
    if (is_served(upstream) && !upstream_served_ended(upstream, end))
        return;
    if (upstream->offering && upstream->cascade)
        cascade_hurry(upstream->cascade);
    else
        finish_offers(upstream);
}

/* ---- what is sent ---- */

/* Loop. */
static void on_accepted(struct task *task)
{
    struct upstream *upstream = container_of(task, struct upstream, accepted_task);

    upstream->port->accepted(upstream->ctx, upstream);
    upstream_release(upstream);
}

static void accept(struct upstream *upstream)
{
    if (upstream->accepted)
        return;
    upstream->accepted = true;
    connection_accepted(upstream->connection, &upstream->in_connection);
    if (is_served(upstream))
        served_link_accepted(&upstream->served);
    upstream->waits_since_ns = clock_mono_ns();
    upstream_set_timer(upstream);
    upstream_retain(upstream);
    loop_post(upstream->plan->loop, &upstream->accepted_task);
}

static void sent(struct client_call *call, bool ok)
{
    struct upstream *upstream = upstream_of(call);

    if (!ok)
        return; /* the status follows */
    accept(upstream);
    if (is_served(upstream))
        served_link_sent(&upstream->served);
    upstream_send_next(upstream);
}

/* ---- what is received ---- */

/* The core hands out messages that it has before it attends to sockets. An upstream has up to a
 * window of them: many upstreams together would keep everybody else waiting for a second. So each
 * of them waits after some messages until no more has completed, but not for long: others may flood
 * too. */
static bool is_next(struct upstream *upstream)
{
    if (!list_empty(&upstream->read_hook.link))
        return false;
    if (++upstream->in_row <= MAX_IN_ROW)
        return true;
    upstream->in_row_ns = cq_now_ns(cq_of(upstream));
    cq_add_post_poll_hook(cq_of(upstream), &upstream->read_hook);
    return false;
}

static void read_next(struct upstream *upstream)
{
    if (upstream->offering || upstream->over || upstream->deflated || upstream_served_waits(upstream) ||
        has_flag(upstream, FLAG_PAUSE) || upstream->call.base.reading)
        return;
    if (!is_next(upstream))
        return;
    client_call_read(&upstream->call);
    if (upstream->plan->idle_timeout_ns > 0) {
        upstream->waits_since_ns = clock_mono_ns();
        upstream_set_timer(upstream);
    }
}

static void on_read_hook(struct post_poll_hook *hook, int64_t now_ns)
{
    struct upstream *upstream = container_of(hook, struct upstream, read_hook);

    if (cq_is_behind(cq_of(upstream)) && now_ns - upstream->in_row_ns < MAX_READ_WAIT_NS) {
        cq_add_post_poll_hook(cq_of(upstream), hook);
        return;
    }
    upstream->in_row = 0;
    read_next(upstream);
}

static void on_unblocked(struct task *task)
{
    struct upstream *upstream = container_of(task, struct upstream, unblocked_task);

    upstream->offering = false;
    session_unblocked(upstream->session, upstream->activation);
    if (upstream->over) {
        finish_offers(upstream);
        return;
    }
    upstream_offer_waiting(upstream);
    read_next(upstream);
}

static void on_put_done(struct put_waiter *waiter)
{
    struct upstream *upstream = container_of(waiter, struct upstream, waiter);

    cq_post(cq_of(upstream), &upstream->unblocked_task);
}

/* What a cascade has done with a message, or with a part of it. */
static void on_step(struct upstream *upstream, enum cascade_step step, const struct fault *fault)
{
    upstream->offering = step == CASCADE_WAITS;
    if (upstream->offering)
        return;
    if (upstream->over)
        finish(upstream);
    else if (step == CASCADE_REFUSED)
        upstream_refuse(upstream, fault);
    else
        read_next(upstream);
}

static void on_cascade_ready(void *ctx)
{
    struct upstream *upstream = ctx;
    struct fault fault;

    if (has_flag(upstream, FLAG_CANCEL) || upstream->stopping)
        cascade_drop(upstream->cascade);
    on_step(upstream, cascade_go_on(upstream->cascade, &fault), &fault);
}

void upstream_handle(struct upstream *upstream, grpc_byte_buffer **message)
{
    struct fault fault;

    if (is_served(upstream)) {
        upstream_served_message(upstream, *message);
        read_next(upstream);
        return;
    }
    if (upstream->cascade) {
        count_add(COUNT_MESSAGES_IN, 1);
        on_step(upstream, cascade_begin(upstream->cascade, message, &fault), &fault);
        return;
    }
    if (upstream_hand_over(upstream, *message, &fault))
        upstream_refuse(upstream, &fault);
    else
        read_next(upstream);
}

/* What comes behind a cancel of ours is dropped: nobody wants it any more. */
static void received(struct client_call *call, grpc_byte_buffer **message)
{
    struct upstream *upstream = upstream_of(call);
    struct fault fault;

    upstream->got_message = true;
    accept(upstream); /* also where it does not read what is sent to it */
    if (has_flag(upstream, FLAG_CANCEL))
        return;
    if ((*message)->data.raw.compression != GRPC_COMPRESS_NONE) {
        upstream_inflate(upstream, message);
    } else if (upstream_is_flagged(upstream)) {
        fault_set(&fault, FAULT_UNKNOWN_ENCODING, "message", "gzip, deflate, or none");
        upstream_refuse(upstream, &fault);
    } else {
        upstream_handle(upstream, message);
    }
}

/* ---- flags ---- */

/* A call that was not opened has ended. */
static void end_unopened(struct upstream *upstream, uint32_t code, const char *message)
{
    set_end(upstream, code, text_bytes(message));
    upstream->over = true;
    if (is_served(upstream))
        (void)upstream_served_ended(upstream, NULL);
    finish(upstream);
}

/* The time to connect begins here. */
static void open_call(struct connection_call *call)
{
    struct upstream *upstream = container_of(call, struct upstream, in_connection);
    static const struct client_call_port port = {.sent = sent, .received = received, .ended = ended};
    const struct upstream_plan *plan = upstream->plan;
    struct client_call_opening opening = {.method = plan->method,
                                          .metadata = plan->metadata,
                                          .metadata_count = plan->metadata_count,
                                          .deadline_ns = INT64_MAX};

    opening.channel = upstream->connection->channel;
    if (upstream->metadata) {
        opening.metadata = upstream->metadata;
        opening.metadata_count = upstream->metadata_count;
    }
    if (is_served(upstream))
        upstream_served_open(upstream, &opening);
    else if (upstream->cascade)
        cascade_open(upstream->cascade, on_cascade_ready, upstream);
    upstream->waits_since_ns = clock_mono_ns();
    client_call_init(&upstream->call, cq_of(upstream), &port);
    client_call_open(&upstream->call, &opening);
    upstream_metadata_fini(upstream);
    upstream_set_timer(upstream);
    upstream_send_next(upstream);
}

static void begin(struct upstream *upstream)
{
    struct fault fault;
    char text[PEER_WORDS_BYTES];

    upstream->begun = true;
    cq_hold(cq_of(upstream));
    if (has_flag(upstream, FLAG_STOP) || has_flag(upstream, FLAG_CANCEL)) {
        end_unopened(upstream, CODE_CANCELLED, "no more is wanted");
        return;
    }
    upstream->connection = connection_enter(upstream->plan->connections, upstream->payer, &fault);
    if (upstream->connection) {
        connection_add(upstream->connection, &upstream->in_connection);
    } else {
        (void)fault_message(&fault, text, sizeof(text));
        end_unopened(upstream, (uint32_t)fault_code(fault.reason), text);
    }
}

/* Nobody wants a call any more that waits for its turn. */
static void give_turn_up(struct upstream *upstream)
{
    list_remove(&upstream->in_connection.link);
    upstream->in_connection.is_waiting = false;
    connection_leave(upstream->connection, false, false);
    end_unopened(upstream, CODE_CANCELLED, "no more is wanted");
}

/* A method that is not ours knows no stop: what has come is delivered, and the call is
 * cancelled. */
static void stop(struct upstream *upstream)
{
    if (upstream->stopping)
        return;
    upstream->stopping = true;
    if (!upstream->plan->is_native || is_served(upstream)) {
        client_call_cancel(&upstream->call, GRPC_STATUS_CANCELLED, "no more is wanted");
        return;
    }
    upstream_set_timer(upstream);
    upstream_send_next(upstream);
}

/* A pause is over, or the client has sent something. */
static void go_on_served(struct upstream *upstream)
{
    const bool was_waiting = upstream->over && upstream->held;

    upstream_served_resume(upstream);
    if (was_waiting && !upstream->held)
        finish(upstream);
    else if (!upstream->over)
        upstream_send_next(upstream);
}

static void on_flags(struct task *task)
{
    struct upstream *upstream = container_of(task, struct upstream, flags_task);

    atomic_store(&upstream->posted, false);
    if (!upstream->begun && has_flag(upstream, FLAG_BEGIN))
        begin(upstream);
    if (upstream->in_connection.is_waiting) {
        if (has_flag(upstream, FLAG_CANCEL) || has_flag(upstream, FLAG_STOP))
            give_turn_up(upstream);
    } else if (upstream->begun && !upstream->over) {
        if (has_flag(upstream, FLAG_CANCEL))
            client_call_cancel(&upstream->call, GRPC_STATUS_CANCELLED, "no more is wanted");
        else if (has_flag(upstream, FLAG_STOP))
            stop(upstream);
        if (is_served(upstream))
            go_on_served(upstream);
        if (!upstream->over)
            read_next(upstream);
    } else if (upstream->over && upstream->held) {
        go_on_served(upstream);
    } else if (upstream->over && upstream->offering && !upstream->cascade) {
        finish_offers(upstream);
    }
    upstream_release(upstream);
}

void upstream_call_init(struct upstream *upstream)
{
    upstream_timer_init(upstream);
    upstream_inflate_init(upstream);
    upstream->flags_task.run = on_flags;
    upstream->unblocked_task.run = on_unblocked;
    upstream->accepted_task.run = on_accepted;
    upstream->ended_task.run = on_ended;
    upstream->waiter.over = on_put_done;
    upstream->read_hook.post_poll = on_read_hook;
    upstream->in_connection.begun = open_call;
    list_init(&upstream->in_connection.link);
    list_init(&upstream->read_hook.link);
    upstream_offer_init(upstream);
}
