/* deliver.c - the pump: when to send, and the accounting around one message in flight. What goes
 * into the message is batch.c's matter.
 *
 * DESIGN A message is sent only where the socket has room for it, and what has no room stays in the
 * channel, under its bounds and its policy. The core would take it, but a write that it cannot
 * finish makes it poll from a second thread for as long as that lasts, and both threads then hand
 * every connection's work to one another: one consumer that does not read would make all the others
 * dearer. Nobody tells when there is room again, so the pump looks by itself, soon at first and
 * then ever more seldom. */
#include "server/wire/sender.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/totals.h"
#include "server/wire/batch.h"

/* Losses, states and positions in one message at most; the rest comes with the next. */
#define MAX_NOTES 1000

/* A channel that was closed may tell its last losses if the write in flight lands within this
 * time. */
#define LAST_WRITE_NS NS_PER_S

/* How often a connection without room is looked at: after an eighth of the time that it had none,
 * within these bounds. */
#define MIN_RECHECK_NS NS_PER_MS
#define MAX_RECHECK_NS (100 * NS_PER_MS)

struct sender {
    struct call *call;
    struct wire_thread *thread;
    struct sender_settings settings;
    const struct sender_port *port;
    void *ctx;
    /* Any thread. */
    _Atomic bool posted; /* `wake` is on its way: it may neither be posted again nor freed */
    struct task wake;
    /* Wire thread only. */
    bool woken; /* since the last look */
    struct chan *chan;
    struct chan_batch batch;
    struct buf notes; /* blocks for the next message */
    struct post_poll_hook ready;
    struct wire_timer timer;
    int64_t waiting_since_ns; /* INT64_MAX: nothing is known to wait */
    int64_t sent_at_ns;
    /* the connection has no room, and its peer took nothing since; INT64_MAX: it has */
    int64_t clogged_since_ns;
    /* bytes of the connection, when it was last asked: not taken by its peer; that it takes */
    size_t unread, writable;
    uint64_t sent_unasked;  /* bytes that it was given since */
    int64_t closed_at_ns;   /* when the channel was found closed; INT64_MAX: not yet */
    int64_t reported_at_ns; /* the last Progress */
    bool in_flight, moved, stopped, ended, freed;
    struct totals taken;  /* since the beginning */
    struct totals credit; /* how much may be, since the beginning */
    bool credits_events, credits_bytes;
};

static void write_lost(void *ctx, const struct lost_note *note)
{
    lost_write(ctx, note);
}

static void write_state(void *ctx, const struct feed_change *change)
{
    status_write(ctx, change->source, change->state, change->code, change->message);
}

/* Everything that goes in front of the runs. Returns false when more was left out. */
static bool gather_notes(struct sender *sender, int64_t now_ns, bool heartbeat)
{
    struct buf *notes = &sender->notes;
    uint32_t lost = chan_losses(sender->chan, MAX_NOTES, write_lost, notes);

    sender->moved = sender->moved || lost > 0 || sender->batch.count > 0;
    if (heartbeat || (sender->moved && now_ns - sender->reported_at_ns >= sender->settings.progress_ns)) {
        sender->port->progress(sender->ctx, sender->chan, notes);
        sender->reported_at_ns = now_ns;
        sender->moved = false;
    }
    /* After the positions: a closed feed is gone once its last state is told. */
    uint32_t states =
        chan_states(sender->chan, MAX_NOTES, sender->settings.states ? write_state : NULL, notes);
    return lost < MAX_NOTES && states < MAX_NOTES;
}

static uint64_t left_of(uint64_t max, uint64_t taken)
{
    return max > taken ? max - taken : 0;
}

/* How many events the batch may take: the least of what a batch holds, what the credit allows and
 * what is left of the limit. */
static uint32_t may_take(const struct sender *sender)
{
    uint64_t max = sender->settings.batch_events;

    if (sender->settings.limit_events > 0)
        max = MIN_OF(max, left_of(sender->settings.limit_events, sender->taken.events));
    if (sender->credits_events)
        max = MIN_OF(max, left_of(sender->credit.events, sender->taken.events));
    if (sender->credits_bytes &&
        left_of(sender->credit.bytes, sender->taken.bytes) < chan_next_bytes(sender->chan))
        max = 0;
    return (uint32_t)max;
}

/* Takes a batch. Returns true when more could be taken right away. */
static bool batch(struct sender *sender, int64_t now_ns)
{
    uint32_t max = may_take(sender);
    uint64_t max_bytes = sender->settings.batch_bytes;

    if (max == 0) {
        chan_rearm(sender->chan);
        return false;
    }
    if (sender->credits_bytes)
        max_bytes = MIN_OF(max_bytes, MAX_OF(left_of(sender->credit.bytes, sender->taken.bytes), 1u));
    max_bytes = MIN_OF(max_bytes, MAX_OF(sender->writable, 1u));
    bool more = chan_dequeue(sender->chan, &sender->batch, max, max_bytes, now_ns);
    sender->taken.events += sender->batch.events;
    sender->taken.bytes += sender->batch.bytes;
    return more && may_take(sender) > 0;
}

/* Lays out and sends what there is. Returns false when there was nothing to send. */
static bool send(struct sender *sender, int64_t now_ns)
{
    bool heartbeat =
        sender->settings.heartbeat_ns > 0 && now_ns - sender->sent_at_ns >= sender->settings.heartbeat_ns;
    uint32_t mark = chan_marked(sender->chan);

    if (mark > 0)
        sender->port->marked(sender->ctx, mark, &sender->notes);
    bool more = batch(sender, now_ns);
    more = !gather_notes(sender, now_ns, heartbeat) || more;
    sender->waiting_since_ns = more ? now_ns : INT64_MAX;
    if (sender->batch.count == 0 && sender->notes.size == 0 && !heartbeat)
        return false;
    sender->sent_unasked += sender->notes.size + sender->batch.bytes;
    bool sent = batch_send(sender->call, &sender->notes, &sender->batch);
    if (!sent) {
        struct fault fault;
        chan_lost(sender->chan, &sender->batch, LOSS_CONSUMER_GONE);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_abort(sender->call, &fault);
        sender_stop(sender); /* lost() follows; until then a timer would lie in the past */
        return true;
    }
    count_add(COUNT_MESSAGES_OUT, 1);
    sender->in_flight = true;
    sender->sent_at_ns = now_ns;
    return true;
}

static bool is_clogged(const struct sender *sender)
{
    return sender->clogged_since_ns != INT64_MAX;
}

/* Looks whether something can be sent. What was sent since the last time must have been little
 * beside the room there was. */
static void poll_socket(struct sender *sender, int64_t now_ns)
{
    size_t unread = 0;

    if (sender->sent_unasked < sender->writable / 8)
        return;
    sender->sent_unasked = 0;
    sender->writable = call_writable(sender->call, &unread);
    if (sender->writable > 0)
        sender->clogged_since_ns = INT64_MAX;
    else if (!is_clogged(sender) || unread < sender->unread)
        sender->clogged_since_ns = now_ns;
    sender->unread = unread;
}

/* The peer does not take what is written, or to be written, since then; INT64_MAX: it does. */
static int64_t stuck_since(const struct sender *sender)
{
    return sender->in_flight ? sender->sent_at_ns : sender->clogged_since_ns;
}

static bool stuck_for(const struct sender *sender, int64_t ns, int64_t now_ns)
{
    int64_t since_ns = stuck_since(sender);

    return since_ns != INT64_MAX && now_ns - since_ns >= ns;
}

static int64_t recheck_at(const struct sender *sender, int64_t now_ns)
{
    int64_t pause_ns = MAX_OF((now_ns - sender->clogged_since_ns) / 8, MIN_RECHECK_NS);

    return now_ns + MIN_OF(pause_ns, MAX_RECHECK_NS);
}

static bool holds_for_linger(const struct sender *sender, int64_t now_ns)
{
    if (!wire_busy(sender->thread) || sender->notes.size > 0)
        return false;
    if (sender->waiting_since_ns == INT64_MAX ||
        now_ns - sender->waiting_since_ns >= sender->settings.linger_ns)
        return false;
    return !chan_batch_ready(sender->chan, sender->settings.batch_events, sender->settings.batch_bytes);
}

static void end(struct sender *sender, enum chan_state how)
{
    wire_timer_set(sender->thread, &sender->timer, INT64_MAX);
    sender->ended = sender->port->ended(sender->ctx, how);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* While it holds for linger, only that counts: a heartbeat or Progress that is due meanwhile goes
 * with what is held. A timer for it would lie in the past, and fire without end. */
static void arm(struct sender *sender, bool holds, int64_t now_ns)
{
    int64_t at_ns = chan_blocked_until(sender->chan);

    if (stuck_since(sender) != INT64_MAX) {
        at_ns = earlier(at_ns, stuck_since(sender) + sender->settings.write_timeout_ns);
        if (sender->closed_at_ns != INT64_MAX)
            at_ns = earlier(at_ns, sender->closed_at_ns + LAST_WRITE_NS);
        if (!sender->in_flight)
            at_ns = earlier(at_ns, recheck_at(sender, now_ns));
    } else if (holds) {
        at_ns = earlier(at_ns, sender->waiting_since_ns + sender->settings.linger_ns);
    } else {
        if (sender->waiting_since_ns != INT64_MAX)
            at_ns = earlier(at_ns, sender->waiting_since_ns + sender->settings.linger_ns);
        if (sender->settings.heartbeat_ns > 0)
            at_ns = earlier(at_ns, sender->sent_at_ns + sender->settings.heartbeat_ns);
        if (sender->moved)
            at_ns = earlier(at_ns, sender->reported_at_ns + sender->settings.progress_ns);
    }
    wire_timer_set(sender->thread, &sender->timer, MAX_OF(at_ns, now_ns + 1)); /* never twice in one turn */
}

/* The one place that decides: send, wait, or end. */
static void decide(struct sender *sender, int64_t now_ns)
{
    if (sender->stopped || sender->ended)
        return;
    enum chan_state state = chan_state(sender->chan);
    chan_tick(sender->chan, now_ns);
    if (stuck_for(sender, sender->settings.write_timeout_ns, now_ns)) {
        struct fault fault;
        fault_number(&fault, FAULT_NOT_READING, "write",
                     (uint64_t)(sender->settings.write_timeout_ns / NS_PER_MS), "ms without progress");
        call_abort(sender->call, &fault);
        sender_stop(sender);
        return;
    }
    if (state == CHAN_CLOSED && sender->closed_at_ns == INT64_MAX)
        sender->closed_at_ns = now_ns;
    if (state == CHAN_BROKEN || (stuck_since(sender) != INT64_MAX && sender->closed_at_ns != INT64_MAX &&
                                 now_ns - sender->closed_at_ns >= LAST_WRITE_NS)) {
        end(sender, state);
        return;
    }
    bool holds = false;
    if (!sender->in_flight) {
        if (sender->settings.limit_events > 0 && sender->taken.events >= sender->settings.limit_events) {
            sender->ended = true;
            wire_timer_set(sender->thread, &sender->timer, INT64_MAX);
            sender->port->limit(sender->ctx);
            return;
        }
        holds = state == CHAN_OPEN && holds_for_linger(sender, now_ns);
        if (!holds)
            poll_socket(sender, now_ns);
        if (!holds && !is_clogged(sender) && !send(sender, now_ns) &&
            (state == CHAN_CLOSED || (state == CHAN_DRAINING && chan_idle(sender->chan)))) {
            end(sender, state);
            return;
        }
    }
    if (!sender->stopped)
        arm(sender, holds, now_ns);
}

static void on_tick_end(struct post_poll_hook *ready, int64_t now_ns)
{
    struct sender *sender = container_of(ready, struct sender, ready);

    if (sender->woken && sender->waiting_since_ns == INT64_MAX)
        sender->waiting_since_ns = now_ns;
    sender->woken = false;
    decide(sender, now_ns);
}

static void on_timer(struct wire_timer *timer, int64_t now_ns)
{
    decide(container_of(timer, struct sender, timer), now_ns);
}

static void dispose(struct sender *sender)
{
    wire_timer_set(sender->thread, &sender->timer, INT64_MAX);
    list_remove(&sender->ready.link);
    chan_release(sender->chan);
    chan_batch_fini(&sender->batch);
    buf_fini(&sender->notes);
    free(sender);
}

static void on_wake(struct task *task)
{
    struct sender *sender = container_of(task, struct sender, wake);

    if (sender->freed) {
        dispose(sender);
        return;
    }
    atomic_store(&sender->posted, false);
    sender->woken = true;
    wire_post_poll(sender->thread, &sender->ready);
}

struct sender *sender_new(struct call *call, const struct sender_settings *settings,
                          const struct sender_port *port, void *ctx)
{
    struct sender *sender = calloc(1, sizeof(*sender));

    if (!sender)
        return NULL;
    sender->call = call;
    sender->thread = call_thread(call);
    sender->settings = *settings;
    sender->port = port;
    sender->ctx = ctx;
    sender->wake.run = on_wake;
    list_init(&sender->ready.link);
    sender->ready.post_poll = on_tick_end;
    sender->timer.fired = on_timer;
    sender->waiting_since_ns = INT64_MAX;
    sender->clogged_since_ns = INT64_MAX;
    sender->closed_at_ns = INT64_MAX;
    sender->stopped = true;
    return sender;
}

/* On the pump's own thread the look waits for the end of the tick; from another thread it is
 * posted. */
void sender_wake(void *ctx)
{
    struct sender *sender = ctx;

    if (wire_is_mine(sender->thread)) {
        sender->woken = true;
        wire_post_poll(sender->thread, &sender->ready);
    } else if (!atomic_exchange(&sender->posted, true)) {
        wire_post(sender->thread, &sender->wake);
    }
}

void sender_credit(struct sender *sender, uint64_t events, uint64_t bytes)
{
    sender->credits_events = sender->credits_events || events > 0 || bytes == 0;
    sender->credits_bytes = sender->credits_bytes || bytes > 0;
    sender->credit.events += MIN_OF(events, UINT64_MAX - sender->credit.events);
    sender->credit.bytes += MIN_OF(bytes, UINT64_MAX - sender->credit.bytes);
    wire_post_poll(sender->thread, &sender->ready);
}

void sender_begin(struct sender *sender, struct chan *chan)
{
    sender->chan = chan_retain(chan);
    sender->stopped = false;
    sender->sent_at_ns = clock_mono_ns();
    sender->reported_at_ns = sender->sent_at_ns;
    wire_post_poll(sender->thread, &sender->ready);
}

void sender_block(struct sender *sender, struct buf *block)
{
    buf_bytes(&sender->notes, block->data, block->size);
    wire_post_poll(sender->thread, &sender->ready);
}

size_t sender_backlog(const struct sender *sender)
{
    return sender->notes.size;
}

void sender_sent(struct sender *sender, bool ok)
{
    if (!sender->in_flight)
        return;
    sender->in_flight = false;
    if (ok && !sender->stopped) {
        count_add(COUNT_EVENTS_OUT, sender->batch.events);
        count_add(COUNT_BYTES_OUT, (int64_t)sender->batch.bytes);
        chan_delivered(sender->chan, &sender->batch);
    } else {
        chan_lost(sender->chan, &sender->batch, LOSS_CONSUMER_GONE);
    }
    wire_post_poll(sender->thread, &sender->ready);
}

void sender_stop(struct sender *sender)
{
    sender->stopped = true;
    wire_timer_set(sender->thread, &sender->timer, INT64_MAX);
}

bool sender_in_flight(const struct sender *sender)
{
    return sender->in_flight;
}

/* A wake that was posted is still on its way: then its task disposes. The channel's putters must be
 * gone. */
void sender_free(struct sender *sender)
{
    if (!sender)
        return;
    CHECK(!sender->in_flight);
    sender->stopped = true;
    sender->freed = true;
    if (!atomic_exchange(&sender->posted, true))
        dispose(sender);
}
