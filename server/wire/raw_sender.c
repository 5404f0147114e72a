/* raw_sender.c - see raw_sender.h.
 *
 * A batch in flight counts as delivered when its last message was written. One that breaks off
 * counts as lost as a whole: its consumer is gone. */
#include "server/wire/raw_sender.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"
#include "flow/chan_batch.h"
#include "grpc/cq_wake.h"
#include "grpc/slice_memory.h"
#include "grpc/slices.h"
#include "server/wire/call.h"
#include "server/wire/socket_poll.h"

/* A batch: so many messages and bytes are accounted for at once. */
#define BATCH_EVENTS 64u
#define BATCH_BYTES (256u * 1024u)
#define MAX_REPORTS 256u

struct raw_sender {
    struct call *call;
    struct cq_thread *cq;
    const struct raw_sender_port *port;
    void *ctx;
    int64_t write_timeout_ns;
    struct cq_wake wake; /* any thread */
    /* Wire thread only. */
    struct chan *chan;
    struct chan_batch batch;
    uint32_t entry, event; /* of the batch: the next message */
    struct post_poll_hook decide_hook;
    struct cq_timer timer;
    int64_t sent_at_ns;
    struct socket_poll socket;
    uint64_t messages;
    bool in_flight, stopped, sorts;
};

/* ---- what is in flight ---- */

/* The message that was chosen, without its bytes. */
static grpc_slice slice_of(const struct chan_batch_entry *entry, uint32_t event)
{
    const struct bytes bytes = chunk_range(entry->chunk, event, event + 1);
    grpc_slice memory;

    if (!slice_memory_slice(entry->chunk->memory, &memory))
        return slice_copy_of(bytes);
    const size_t begin = (size_t)(bytes.data - GRPC_SLICE_START_PTR(memory));
    return grpc_slice_sub(memory, begin, begin + bytes.size);
}

static bool is_complete(const struct raw_sender *sender)
{
    return sender->entry == sender->batch.count;
}

static bool is_last_of_batch(const struct raw_sender *sender)
{
    return sender->entry + 1 == sender->batch.count &&
           sender->event + 1 == sender->batch.entries[sender->entry].last;
}

/* All but the last message of a batch may wait in the core for the next one: so they leave
 * together. */
static void send_next(struct raw_sender *sender)
{
    const struct chan_batch_entry *entry = &sender->batch.entries[sender->entry];
    grpc_slice slice = slice_of(entry, sender->event);

    sender->socket.sent += GRPC_SLICE_LENGTH(slice);
    sender->sent_at_ns = cq_now_ns(sender->cq);
    sender->in_flight = is_last_of_batch(sender) ? call_send_slices(sender->call, &slice, 1)
                                                 : call_send_before_more(sender->call, slice);
    grpc_slice_unref(slice);
    if (!sender->in_flight)
        sender->stopped = true; /* lost() follows */
}

static void complete(struct raw_sender *sender)
{
    count_add(COUNT_EVENTS_OUT, sender->batch.events);
    count_add(COUNT_BYTES_OUT, (int64_t)sender->batch.bytes);
    chan_delivered(sender->chan, &sender->batch);
}

/* The rest of the batch is not sent. */
static void break_off(struct raw_sender *sender)
{
    chan_lost(sender->chan, &sender->batch, LOSS_CONSUMER_GONE);
}

void raw_sender_sent(struct raw_sender *sender, bool ok)
{
    const struct chan_batch_entry *entry;

    if (!sender->in_flight)
        return;
    sender->in_flight = false;
    if (ok) {
        sender->messages++;
        count_add(COUNT_MESSAGES_OUT, 1);
        entry = &sender->batch.entries[sender->entry];
        if (++sender->event == entry->last && ++sender->entry < sender->batch.count)
            sender->event = sender->batch.entries[sender->entry].first;
    }
    if (ok && is_complete(sender))
        complete(sender);
    else if (!ok || sender->stopped)
        break_off(sender);
    else
        send_next(sender);
    if (!sender->in_flight)
        raw_sender_decide(sender);
}

/* ---- decisions ---- */

static void write_lost(void *ctx, const struct lost_note *note)
{
    const struct raw_sender *sender = ctx;

    sender->port->lost(sender->ctx, note);
}

static void write_state(void *ctx, const struct feed_change *change)
{
    const struct raw_sender *sender = ctx;

    sender->port->state(sender->ctx, change);
}

static void report(struct raw_sender *sender)
{
    while (chan_losses(sender->chan, MAX_REPORTS, write_lost, sender) == MAX_REPORTS)
        ;
    while (chan_states(sender->chan, MAX_REPORTS, write_state, sender) == MAX_REPORTS)
        ;
}

void raw_sender_report(struct raw_sender *sender)
{
    if (sender->chan)
        report(sender);
}

/* Dequeues a batch and begins to send it. False: nothing is in flight. */
static bool send_batch(struct raw_sender *sender, int64_t now_ns)
{
    const uint64_t max_bytes = MIN_OF((uint64_t)BATCH_BYTES, MAX_OF(sender->socket.writable, (size_t)1));

    (void)chan_dequeue(sender->chan, &sender->batch, BATCH_EVENTS, max_bytes, now_ns);
    report(sender);
    if (sender->batch.count == 0)
        return false;
    sender->entry = 0;
    sender->event = sender->batch.entries[0].first;
    send_next(sender);
    if (!sender->in_flight)
        break_off(sender);
    return true;
}

static int64_t not_reading_since(const struct raw_sender *sender)
{
    return sender->in_flight ? sender->sent_at_ns : sender->socket.unwritable_since_ns;
}

static void give_up(struct raw_sender *sender)
{
    struct fault fault;

    fault_not_reading(&fault, "write", sender->write_timeout_ns);
    sender->stopped = true;
    if (sender->in_flight)
        call_abort(sender->call, &fault);
    else
        sender->port->not_reading(sender->ctx, &fault);
}

static void set_timer(struct raw_sender *sender, int64_t now_ns)
{
    const int64_t since_ns = not_reading_since(sender);
    int64_t at_ns = chan_blocked_until(sender->chan);

    if (sender->sorts && !sender->in_flight && !socket_is_unwritable(&sender->socket))
        at_ns = MIN_OF(at_ns, chan_due_at(sender->chan));

    if (since_ns != INT64_MAX) {
        at_ns = MIN_OF(at_ns, clock_add_ns(since_ns, sender->write_timeout_ns));
        if (!sender->in_flight)
            at_ns = MIN_OF(at_ns, socket_poll_due_at(&sender->socket, now_ns));
    }
    cq_timer_set(sender->cq, &sender->timer, MAX_OF(at_ns, now_ns + 1));
}

/* Nothing is in flight. */
static void go_on(struct raw_sender *sender, int64_t now_ns)
{
    socket_poll(&sender->socket, sender->call, now_ns);
    if (sender->port->is_over(sender->ctx)) {
        sender->stopped = true;
        return;
    }
    if (socket_is_unwritable(&sender->socket))
        return;
    const enum chan_state state = chan_state(sender->chan);
    if (send_batch(sender, now_ns) || sender->stopped)
        return;
    if (sender->port->is_over(sender->ctx))
        sender->stopped = true;
    else if (state == CHAN_CLOSED || (state == CHAN_DRAINING && chan_idle(sender->chan)))
        sender->stopped = sender->port->ended(sender->ctx, state);
}

/* The one place that decides: send, wait, or end. */
static void decide(struct raw_sender *sender, int64_t now_ns)
{
    if (sender->stopped || !sender->chan)
        return;
    chan_tick(sender->chan, now_ns);
    const int64_t since_ns = not_reading_since(sender);
    if (since_ns != INT64_MAX && now_ns - since_ns >= sender->write_timeout_ns) {
        give_up(sender);
        return;
    }
    if (!sender->in_flight && chan_state(sender->chan) == CHAN_BROKEN)
        sender->stopped = sender->port->ended(sender->ctx, CHAN_BROKEN);
    else if (!sender->in_flight)
        go_on(sender, now_ns);
    if (!sender->stopped)
        set_timer(sender, now_ns);
}

static void on_post_poll(struct post_poll_hook *hook, int64_t now_ns)
{
    decide(container_of(hook, struct raw_sender, decide_hook), now_ns);
}

static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    decide(container_of(timer, struct raw_sender, timer), now_ns);
}

void raw_sender_decide(struct raw_sender *sender)
{
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

/* ---- life ---- */

static void on_freed(struct cq_wake *wake)
{
    struct raw_sender *sender = container_of(wake, struct raw_sender, wake);

    cq_timer_stop(sender->cq, &sender->timer);
    list_remove(&sender->decide_hook.link);
    chan_release(sender->chan);
    chan_batch_fini(&sender->batch);
    free(sender);
}

static void on_woken(struct cq_wake *wake)
{
    raw_sender_decide(container_of(wake, struct raw_sender, wake));
}

struct raw_sender *raw_sender_new(struct call *call, int64_t write_timeout_ns,
                                  const struct raw_sender_port *port, void *ctx)
{
    struct raw_sender *sender = calloc(1, sizeof(*sender));

    if (!sender)
        return NULL;
    sender->call = call;
    sender->cq = call_cq(call);
    sender->port = port;
    sender->ctx = ctx;
    sender->write_timeout_ns = write_timeout_ns;
    cq_wake_init(&sender->wake, sender->cq, on_woken, on_freed);
    list_init(&sender->decide_hook.link);
    sender->decide_hook.post_poll = on_post_poll;
    sender->timer.fired = on_timer;
    sender->socket.unwritable_since_ns = INT64_MAX;
    return sender;
}

void raw_sender_wake(void *ctx)
{
    cq_wake_up(&((struct raw_sender *)ctx)->wake);
}

void raw_sender_begin(struct raw_sender *sender, struct chan *chan, bool sorts)
{
    sender->chan = chan_retain(chan);
    sender->sorts = sorts;
    raw_sender_decide(sender);
}

void raw_sender_stop(struct raw_sender *sender)
{
    sender->stopped = true;
    cq_timer_stop(sender->cq, &sender->timer);
}

bool raw_sender_in_flight(const struct raw_sender *sender)
{
    return sender->in_flight;
}

uint64_t raw_sender_messages(const struct raw_sender *sender)
{
    return sender->messages;
}

void raw_sender_free(struct raw_sender *sender)
{
    if (!sender)
        return;
    CHECK(!sender->in_flight);
    sender->stopped = true;
    cq_wake_free(&sender->wake);
}
