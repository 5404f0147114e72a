/* deliver.c - the pump: when to send, and the accounting around one message in flight. What goes into the message is batch.c's matter.
 *
 * DESIGN
 * A message is sent only where the socket has room for it, and what has no room stays in the channel, under its bounds and its policy. The
 * core would take it, but a write that it cannot finish makes it poll from a second thread for as long as that lasts, and both threads then
 * hand every connection's work to one another: one consumer that does not read would make all the others dearer. Nobody tells when there is
 * room again, so the pump looks by itself, soon at first and then ever more seldom. */
#include "server/wire/deliver.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "server/wire/batch.h"

/* Losses, states and positions in one message at most; the rest comes with the next. */
#define NOTES_MOST 1000

/* A channel that was closed may tell its last losses if the write in flight lands within this time. */
#define LAST_WRITE_NS NS_PER_S

/* How often a connection without room is looked at: after an eighth of the time that it had none, within these bounds. */
#define LOOK_AGAIN_LEAST_NS NS_PER_MS
#define LOOK_AGAIN_MOST_NS (100 * NS_PER_MS)

struct deliver {
    struct call *call;
    struct wire_thread *thread;
    struct deliver_settings settings;
    const struct deliver_port *port;
    void *ctx;
    /* Any thread. */
    _Atomic bool posted; /* `wake` is on its way: it may neither be posted again nor freed */
    struct task wake;
    /* Wire thread only. */
    bool woken; /* since the last look */
    struct chan *chan;
    struct take take;
    struct buf notes; /* blocks for the next message */
    struct wire_ready ready;
    struct wire_timer timer;
    int64_t waiting_since_ns; /* INT64_MAX: nothing is known to wait */
    int64_t sent_at_ns;
    int64_t clogged_since_ns; /* the connection has no room, and its peer took nothing since; INT64_MAX: it has */
    size_t unread, room;      /* bytes of the connection, when it was last asked: not taken by its peer; that it takes */
    uint64_t sent_unasked;    /* bytes that it was given since */
    int64_t closed_at_ns;     /* when the channel was found closed; INT64_MAX: not yet */
    int64_t told_at_ns;       /* the last Progress */
    bool in_flight, moved, stopped, ended, freed;
    struct tally taken;  /* since the beginning */
    struct tally credit; /* how much may be, since the beginning */
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
static bool gather_notes(struct deliver *deliver, int64_t now_ns, bool heartbeat)
{
    struct buf *notes = &deliver->notes;
    uint32_t lost = chan_losses(deliver->chan, NOTES_MOST, write_lost, notes);

    deliver->moved = deliver->moved || lost > 0 || deliver->take.count > 0;
    if (heartbeat || (deliver->moved && now_ns - deliver->told_at_ns >= deliver->settings.progress_ns)) {
        deliver->port->progress(deliver->ctx, deliver->chan, notes);
        deliver->told_at_ns = now_ns;
        deliver->moved = false;
    }
    /* After the positions: a closed feed is gone once its last state is told. */
    uint32_t states = chan_states(deliver->chan, NOTES_MOST, deliver->settings.states ? write_state : NULL, notes);
    return lost < NOTES_MOST && states < NOTES_MOST;
}

static uint64_t left_of(uint64_t most, uint64_t taken)
{
    return most > taken ? most - taken : 0;
}

/* How many events the batch may take: the least of what a batch holds, what the credit allows and what is left of the limit. */
static uint32_t may_take(const struct deliver *deliver)
{
    uint64_t most = deliver->settings.batch_events;

    if (deliver->settings.limit_events > 0)
        most = MIN_OF(most, left_of(deliver->settings.limit_events, deliver->taken.events));
    if (deliver->credits_events)
        most = MIN_OF(most, left_of(deliver->credit.events, deliver->taken.events));
    if (deliver->credits_bytes && left_of(deliver->credit.bytes, deliver->taken.bytes) < chan_next_bytes(deliver->chan))
        most = 0;
    return (uint32_t)most;
}

/* Takes a batch. Returns true when more could be taken right away. */
static bool take(struct deliver *deliver, int64_t now_ns)
{
    uint32_t most = may_take(deliver);
    uint64_t most_bytes = deliver->settings.batch_bytes;

    if (most == 0) {
        chan_pass(deliver->chan);
        return false;
    }
    if (deliver->credits_bytes)
        most_bytes = MIN_OF(most_bytes, MAX_OF(left_of(deliver->credit.bytes, deliver->taken.bytes), 1u));
    most_bytes = MIN_OF(most_bytes, MAX_OF(deliver->room, 1u));
    bool more = chan_take(deliver->chan, &deliver->take, most, most_bytes, now_ns);
    deliver->taken.events += deliver->take.events;
    deliver->taken.bytes += deliver->take.bytes;
    return more && may_take(deliver) > 0;
}

/* Lays out and sends what there is. Returns false when there was nothing to send. */
static bool send(struct deliver *deliver, int64_t now_ns)
{
    bool heartbeat = deliver->settings.heartbeat_ns > 0 && now_ns - deliver->sent_at_ns >= deliver->settings.heartbeat_ns;
    uint32_t mark = chan_marked(deliver->chan);

    if (mark > 0)
        deliver->port->marked(deliver->ctx, mark, &deliver->notes);
    bool more = take(deliver, now_ns);
    more = !gather_notes(deliver, now_ns, heartbeat) || more;
    deliver->waiting_since_ns = more ? now_ns : INT64_MAX;
    if (deliver->take.count == 0 && deliver->notes.size == 0 && !heartbeat)
        return false;
    deliver->sent_unasked += deliver->notes.size + deliver->take.bytes;
    bool sent = batch_send(deliver->call, &deliver->notes, &deliver->take);
    if (!sent) {
        struct fault fault;
        chan_lost(deliver->chan, &deliver->take, LOSS_CONSUMER_GONE);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_cut(deliver->call, &fault);
        deliver_stop(deliver); /* lost() follows; until then a timer would lie in the past */
        return true;
    }
    count_add(COUNT_MESSAGES_OUT, 1);
    deliver->in_flight = true;
    deliver->sent_at_ns = now_ns;
    return true;
}

static bool is_clogged(const struct deliver *deliver)
{
    return deliver->clogged_since_ns != INT64_MAX;
}

/* Looks whether something can be sent. What was sent since the last time must have been little beside the room there was. */
static void look_for_room(struct deliver *deliver, int64_t now_ns)
{
    size_t unread = 0;

    if (deliver->sent_unasked < deliver->room / 8)
        return;
    deliver->sent_unasked = 0;
    deliver->room = call_room(deliver->call, &unread);
    if (deliver->room > 0)
        deliver->clogged_since_ns = INT64_MAX;
    else if (!is_clogged(deliver) || unread < deliver->unread)
        deliver->clogged_since_ns = now_ns;
    deliver->unread = unread;
}

/* The peer does not take what is written, or to be written, since then; INT64_MAX: it does. */
static int64_t stuck_since(const struct deliver *deliver)
{
    return deliver->in_flight ? deliver->sent_at_ns : deliver->clogged_since_ns;
}

static bool stuck_for(const struct deliver *deliver, int64_t ns, int64_t now_ns)
{
    int64_t since_ns = stuck_since(deliver);

    return since_ns != INT64_MAX && now_ns - since_ns >= ns;
}

static int64_t look_again_at(const struct deliver *deliver, int64_t now_ns)
{
    int64_t pause_ns = MAX_OF((now_ns - deliver->clogged_since_ns) / 8, LOOK_AGAIN_LEAST_NS);

    return now_ns + MIN_OF(pause_ns, LOOK_AGAIN_MOST_NS);
}

static bool holds_for_linger(const struct deliver *deliver, int64_t now_ns)
{
    if (!wire_busy(deliver->thread) || deliver->notes.size > 0)
        return false;
    if (deliver->waiting_since_ns == INT64_MAX || now_ns - deliver->waiting_since_ns >= deliver->settings.linger_ns)
        return false;
    return !chan_presses(deliver->chan, deliver->settings.batch_events, deliver->settings.batch_bytes);
}

static void end(struct deliver *deliver, enum chan_state how)
{
    wire_timer_set(deliver->thread, &deliver->timer, INT64_MAX);
    deliver->ended = deliver->port->ended(deliver->ctx, how);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* While it holds for linger, only that counts: a heartbeat or Progress that is due meanwhile goes with what is held. A timer for it would
 * lie in the past, and fire without end. */
static void arm(struct deliver *deliver, bool holds, int64_t now_ns)
{
    int64_t at_ns = chan_stall_until(deliver->chan);

    if (stuck_since(deliver) != INT64_MAX) {
        at_ns = earlier(at_ns, stuck_since(deliver) + deliver->settings.write_ns);
        if (deliver->closed_at_ns != INT64_MAX)
            at_ns = earlier(at_ns, deliver->closed_at_ns + LAST_WRITE_NS);
        if (!deliver->in_flight)
            at_ns = earlier(at_ns, look_again_at(deliver, now_ns));
    } else if (holds) {
        at_ns = earlier(at_ns, deliver->waiting_since_ns + deliver->settings.linger_ns);
    } else {
        if (deliver->waiting_since_ns != INT64_MAX)
            at_ns = earlier(at_ns, deliver->waiting_since_ns + deliver->settings.linger_ns);
        if (deliver->settings.heartbeat_ns > 0)
            at_ns = earlier(at_ns, deliver->sent_at_ns + deliver->settings.heartbeat_ns);
        if (deliver->moved)
            at_ns = earlier(at_ns, deliver->told_at_ns + deliver->settings.progress_ns);
    }
    wire_timer_set(deliver->thread, &deliver->timer, MAX_OF(at_ns, now_ns + 1)); /* never twice in one turn */
}

/* The one place that decides: send, wait, or end. */
static void look(struct deliver *deliver, int64_t now_ns)
{
    if (deliver->stopped || deliver->ended)
        return;
    enum chan_state state = chan_state(deliver->chan);
    chan_tick(deliver->chan, now_ns);
    if (stuck_for(deliver, deliver->settings.write_ns, now_ns)) {
        struct fault fault;
        fault_number(&fault, FAULT_NOT_READING, "write", (uint64_t)(deliver->settings.write_ns / NS_PER_MS), "ms without progress");
        call_cut(deliver->call, &fault);
        deliver_stop(deliver);
        return;
    }
    if (state == CHAN_CLOSED && deliver->closed_at_ns == INT64_MAX)
        deliver->closed_at_ns = now_ns;
    if (state == CHAN_BROKEN ||
        (stuck_since(deliver) != INT64_MAX && deliver->closed_at_ns != INT64_MAX && now_ns - deliver->closed_at_ns >= LAST_WRITE_NS)) {
        end(deliver, state);
        return;
    }
    bool holds = false;
    if (!deliver->in_flight) {
        if (deliver->settings.limit_events > 0 && deliver->taken.events >= deliver->settings.limit_events) {
            deliver->ended = true;
            wire_timer_set(deliver->thread, &deliver->timer, INT64_MAX);
            deliver->port->limit(deliver->ctx);
            return;
        }
        holds = state == CHAN_OPEN && holds_for_linger(deliver, now_ns);
        if (!holds)
            look_for_room(deliver, now_ns);
        if (!holds && !is_clogged(deliver) && !send(deliver, now_ns) &&
            (state == CHAN_CLOSED || (state == CHAN_DRAINING && chan_idle(deliver->chan)))) {
            end(deliver, state);
            return;
        }
    }
    if (!deliver->stopped)
        arm(deliver, holds, now_ns);
}

static void on_tick_end(struct wire_ready *ready, int64_t now_ns)
{
    struct deliver *deliver = container_of(ready, struct deliver, ready);

    if (deliver->woken && deliver->waiting_since_ns == INT64_MAX)
        deliver->waiting_since_ns = now_ns;
    deliver->woken = false;
    look(deliver, now_ns);
}

static void on_timer(struct wire_timer *timer, int64_t now_ns)
{
    look(container_of(timer, struct deliver, timer), now_ns);
}

static void dispose(struct deliver *deliver)
{
    wire_timer_set(deliver->thread, &deliver->timer, INT64_MAX);
    list_remove(&deliver->ready.link);
    chan_release(deliver->chan);
    take_fini(&deliver->take);
    buf_fini(&deliver->notes);
    free(deliver);
}

static void on_wake(struct task *task)
{
    struct deliver *deliver = container_of(task, struct deliver, wake);

    if (deliver->freed) {
        dispose(deliver);
        return;
    }
    atomic_store(&deliver->posted, false);
    deliver->woken = true;
    wire_at_tick_end(deliver->thread, &deliver->ready);
}

struct deliver *deliver_new(struct call *call, const struct deliver_settings *settings, const struct deliver_port *port, void *ctx)
{
    struct deliver *deliver = calloc(1, sizeof(*deliver));

    if (!deliver)
        return NULL;
    deliver->call = call;
    deliver->thread = call_thread(call);
    deliver->settings = *settings;
    deliver->port = port;
    deliver->ctx = ctx;
    deliver->wake.run = on_wake;
    list_init(&deliver->ready.link);
    deliver->ready.tick_ended = on_tick_end;
    deliver->timer.fired = on_timer;
    deliver->waiting_since_ns = INT64_MAX;
    deliver->clogged_since_ns = INT64_MAX;
    deliver->closed_at_ns = INT64_MAX;
    deliver->stopped = true;
    return deliver;
}

/* On the pump's own thread the look waits for the end of the tick; from another thread it is posted. */
void deliver_wake(void *ctx)
{
    struct deliver *deliver = ctx;

    if (wire_is_mine(deliver->thread)) {
        deliver->woken = true;
        wire_at_tick_end(deliver->thread, &deliver->ready);
    } else if (!atomic_exchange(&deliver->posted, true)) {
        wire_post(deliver->thread, &deliver->wake);
    }
}

void deliver_credit(struct deliver *deliver, uint64_t events, uint64_t bytes)
{
    deliver->credits_events = deliver->credits_events || events > 0 || bytes == 0;
    deliver->credits_bytes = deliver->credits_bytes || bytes > 0;
    deliver->credit.events += MIN_OF(events, UINT64_MAX - deliver->credit.events);
    deliver->credit.bytes += MIN_OF(bytes, UINT64_MAX - deliver->credit.bytes);
    wire_at_tick_end(deliver->thread, &deliver->ready);
}

void deliver_begin(struct deliver *deliver, struct chan *chan)
{
    deliver->chan = chan_retain(chan);
    deliver->stopped = false;
    deliver->sent_at_ns = clock_mono_ns();
    deliver->told_at_ns = deliver->sent_at_ns;
    wire_at_tick_end(deliver->thread, &deliver->ready);
}

void deliver_block(struct deliver *deliver, struct buf *block)
{
    buf_bytes(&deliver->notes, block->at, block->size);
    wire_at_tick_end(deliver->thread, &deliver->ready);
}

size_t deliver_backlog(const struct deliver *deliver)
{
    return deliver->notes.size;
}

void deliver_sent(struct deliver *deliver, bool ok)
{
    if (!deliver->in_flight)
        return;
    deliver->in_flight = false;
    if (ok && !deliver->stopped) {
        count_add(COUNT_EVENTS_OUT, deliver->take.events);
        count_add(COUNT_BYTES_OUT, (int64_t)deliver->take.bytes);
        chan_delivered(deliver->chan, &deliver->take);
    } else {
        chan_lost(deliver->chan, &deliver->take, LOSS_CONSUMER_GONE);
    }
    wire_at_tick_end(deliver->thread, &deliver->ready);
}

void deliver_stop(struct deliver *deliver)
{
    deliver->stopped = true;
    wire_timer_set(deliver->thread, &deliver->timer, INT64_MAX);
}

bool deliver_in_flight(const struct deliver *deliver)
{
    return deliver->in_flight;
}

/* A wake that was posted is still on its way: then its task disposes. The channel's putters must be gone. */
void deliver_free(struct deliver *deliver)
{
    if (!deliver)
        return;
    CHECK(!deliver->in_flight);
    deliver->stopped = true;
    deliver->freed = true;
    if (!atomic_exchange(&deliver->posted, true))
        dispose(deliver);
}
