/* sender.c - decides when to send, and accounts for the message in flight. batch.c writes the runs
 * of the message.
 *
 * DESIGN. The sender sends a message only if the socket can take it. What the socket cannot take
 * stays in the channel, under the channel's bounds and policy. The core would accept the message,
 * but while it cannot finish a write it polls from a second thread. Both threads then hand the work
 * of every connection to each other, so that one consumer that does not read makes all the others
 * more expensive. Nothing reports that the socket can take bytes again, so the sender polls it:
 * soon at first, then more and more rarely. */
#include "server/wire/sender.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "event/encode.h"
#include "flow/chan_report.h"
#include "flow/feed_catch.h"
#include "server/wire/batch.h"
#include "server/wire/sender_internal.h"

/* The most Lost notes, CaughtUp and FellBehind together, and ProducerStatus notes, in one message;
 * the rest comes with the next message. */
#define MAX_NOTES 1000

static void write_lost(void *ctx, const struct lost_note *note)
{
    lost_write(ctx, note);
}

static void write_catch(void *ctx, const struct catch_note *note)
{
    catch_write(ctx, note->source, note->sequence, note->caught_up);
}

static void write_state(void *ctx, const struct feed_change *change)
{
    status_write(ctx, change->source, change->state, change->code, change->message);
}

/* The message that is being gathered is the last one: nothing can come after it. */
static bool is_last(const struct sender *sender, enum chan_state state, bool more)
{
    if (sender->finished)
        return false;
    if (credit_limit_reached(&sender->credit))
        return true;
    return !more && (state == CHAN_CLOSED || state == CHAN_DRAINING) && chan_next_bytes(sender->chan) == 0;
}

/* Collects the notes of the next message. `more` events could be dequeued right away. False: some
 * notes did not fit and are left for the next message. */
static bool gather_notes(struct sender *sender, enum chan_state state, int64_t now_ns, bool heartbeat,
                         bool more)
{
    struct buf *notes = &sender->notes;
    uint32_t lost = chan_losses(sender->chan, MAX_NOTES, write_lost, notes);
    uint32_t catches = chan_catches(sender->chan, MAX_NOTES, write_catch, notes);
    bool last = is_last(sender, state, more || lost == MAX_NOTES || catches >= MAX_NOTES);

    sender->moved = sender->moved || lost > 0 || sender->batch.count > 0;
    if (heartbeat || last || sender->mark ||
        (sender->moved && now_ns - sender->reported_at_ns >= sender->settings.progress_ns)) {
        sender->finished = sender->finished || last;
        sender->port->progress(sender->ctx, sender->chan, last, notes);
        sender->reported_at_ns = now_ns;
        sender->moved = false;
        sender->mark = false;
    }
    if (sender->closing)
        sender->port->closing(sender->ctx, notes);
    sender->closing = false;
    /* States come after the positions: a closed feed is freed once its last state is reported. */
    uint32_t states =
        chan_states(sender->chan, MAX_NOTES, sender->settings.states ? write_state : NULL, notes);
    sender->moved = sender->moved || states > 0;
    return lost < MAX_NOTES && catches < MAX_NOTES && states < MAX_NOTES;
}

/* How many events may be dequeued now: a batch, within the credit and the limit. */
static uint32_t max_dequeue(const struct sender *sender)
{
    return (uint32_t)MIN_OF(sender->settings.batch_events, credit_events(&sender->credit, sender->chan));
}

/* Events of a channel that sorts become due one by one, and go in messages: one for each linger. */
#define MAX_SORTED_LINGER_NS NS_PER_MS

/* When a channel that sorts lets events go. INT64_MAX: it does not sort, or nothing is held. */
static int64_t sorted_due_at(const struct sender *sender)
{
    const int64_t linger_ns = MIN_OF(sender->settings.linger_ns, MAX_SORTED_LINGER_NS);
    const int64_t due_ns = sender->settings.sorts ? chan_due_at(sender->chan) : INT64_MAX;

    if (due_ns == INT64_MAX || sender->more_due || chan_state(sender->chan) != CHAN_OPEN)
        return due_ns;
    return MAX_OF(due_ns, sender->events_at_ns + linger_ns);
}

/* Dequeues a batch. True: more could be dequeued right away. */
static bool dequeue(struct sender *sender, int64_t now_ns)
{
    uint32_t max = max_dequeue(sender);
    uint64_t max_bytes = sender->settings.batch_bytes;

    if (max == 0) {
        chan_rearm(sender->chan);
        if (sender->no_credit_since_ns == INT64_MAX)
            sender->no_credit_since_ns = now_ns;
        return false;
    }
    sender->no_credit_since_ns = INT64_MAX;
    if (sender->settings.sorts && sorted_due_at(sender) > now_ns) {
        chan_rearm(sender->chan);
        return false;
    }
    max_bytes = MIN_OF(max_bytes, credit_bytes(&sender->credit));
    max_bytes = MIN_OF(max_bytes, MAX_OF(sender->socket.writable, 1u));
    bool more = chan_dequeue(sender->chan, &sender->batch, max, max_bytes, now_ns);
    sender->more_due = more;
    sender->credit.used.events += sender->batch.events;
    sender->credit.used.bytes += sender->batch.bytes;
    return more && max_dequeue(sender) > 0;
}

/* Heartbeats of longer intervals are due at multiples of this, so many go in one turn of the
 * thread: most of what a single one costs is the turn. A few of them delay nobody. */
#define HEARTBEAT_GRID_NS (16 * NS_PER_MS)
#define MAX_EXACT_HEARTBEAT_NS NS_PER_S

/* When the next heartbeat is due, unless a message goes before. Never later than the interval says.
 * INT64_MAX: there are none. */
static int64_t heartbeat_due_at(const struct sender *sender)
{
    const int64_t interval_ns = sender->settings.heartbeat_ns;
    const int64_t due_ns = sender->sent_at_ns + interval_ns;

    if (interval_ns == 0)
        return INT64_MAX;
    return interval_ns <= MAX_EXACT_HEARTBEAT_NS ? due_ns : due_ns - due_ns % HEARTBEAT_GRID_NS;
}

/* Sends a message with everything that may be sent. False: there was nothing to send. */
static bool send_message(struct sender *sender, enum chan_state state, int64_t now_ns)
{
    bool heartbeat = now_ns >= heartbeat_due_at(sender);
    uint32_t mark = chan_marked(sender->chan);

    if (mark > 0) {
        sender->port->marked(sender->ctx, mark, &sender->notes);
        sender->mark = true;
    }
    bool more = dequeue(sender, now_ns);
    more = !gather_notes(sender, state, now_ns, heartbeat, more) || more;
    sender->waiting_since_ns = more ? now_ns : INT64_MAX;
    if (sender->batch.count == 0 && sender->notes.size == 0 && !heartbeat)
        return false;
    event_rate_add(&sender->rate, sender->batch.events, sender->settings.linger_ns, now_ns);
    sender->socket.sent += sender->notes.size + sender->batch.bytes;
    if (!batch_send(sender->call, &sender->notes, &sender->batch)) {
        struct fault fault;
        chan_lost(sender->chan, &sender->batch, LOSS_CONSUMER_GONE);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_abort(sender->call, &fault);
        sender_stop(sender); /* lost() follows; until then a timer would be due all the time */
        return true;
    }
    count_add(COUNT_MESSAGES_OUT, 1);
    sender->in_flight = true;
    sender->sent_at_ns = now_ns;
    if (sender->batch.count > 0)
        sender->events_at_ns = now_ns;
    return true;
}

/* Since when the peer has not read what is written or waits to be written; INT64_MAX: it reads. */
static int64_t not_reading_since(const struct sender *sender)
{
    return sender->in_flight ? sender->sent_at_ns : sender->socket.unwritable_since_ns;
}

static bool not_reading_for(const struct sender *sender, int64_t ns, int64_t now_ns)
{
    int64_t since_ns = not_reading_since(sender);

    return since_ns != INT64_MAX && now_ns - since_ns >= ns;
}

static int64_t credit_due(const struct sender *sender)
{
    return credit_due_at(&sender->credit, sender->chan, sender->settings.write_timeout_ns);
}

/* Gives up what waits for credit in vain. */
static void check_credit(const struct sender *sender, int64_t now_ns)
{
    if (now_ns >= credit_due(sender))
        chan_disconnect(sender->chan);
    if (!sender->in_flight && credit_is_over(&sender->credit, sender->chan))
        chan_close(sender->chan, LOSS_DRAIN_CUT);
}

/* A busy thread that keeps up with few events need not gather: what came during a turn is one
 * message anyway. If the thread is behind, the next turn brings more events at once. If the rate is
 * high, the messages that are saved cost more than all else. */
static bool lingers(const struct sender *sender, int64_t now_ns)
{
    if (!wire_busy(sender->thread) || sender->notes.size > 0 || sender->closing || sender->settings.sorts)
        return false;
    if (!cq_is_behind(sender->cq) && !sender->rate.is_high)
        return false;
    if (sender->waiting_since_ns == INT64_MAX ||
        now_ns - sender->waiting_since_ns >= sender->settings.linger_ns)
        return false;
    return !chan_batch_ready(sender->chan, sender->settings.batch_events, sender->settings.batch_bytes);
}

static void end(struct sender *sender, enum chan_state how)
{
    cq_timer_stop(sender->cq, &sender->timer);
    sender->ended = sender->port->ended(sender->ctx, how);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sets the timer for the next decision. While the sender lingers, only the end of the linger
 * counts: a heartbeat or Progress that is due meanwhile goes with the events that linger. A timer
 * for it would be in the past and fire without end. */
static void set_timer(struct sender *sender, bool lingering, int64_t now_ns)
{
    int64_t at_ns = earlier(chan_blocked_until(sender->chan), credit_due(sender));

    if (not_reading_since(sender) != INT64_MAX) {
        at_ns = earlier(at_ns, not_reading_since(sender) + sender->settings.write_timeout_ns);
        if (!sender->in_flight)
            at_ns = earlier(at_ns, socket_poll_due_at(&sender->socket, now_ns));
    } else if (lingering) {
        at_ns = earlier(at_ns, sender->waiting_since_ns + sender->settings.linger_ns);
    } else {
        if (sender->waiting_since_ns != INT64_MAX)
            at_ns = earlier(at_ns, sender->waiting_since_ns + sender->settings.linger_ns);
        at_ns = earlier(at_ns, heartbeat_due_at(sender));
        if (sender->moved)
            at_ns = earlier(at_ns, sender->reported_at_ns + sender->settings.progress_ns);
        if (sender->no_credit_since_ns == INT64_MAX)
            at_ns = earlier(at_ns, sorted_due_at(sender));
    }
    cq_timer_set(sender->cq, &sender->timer, MAX_OF(at_ns, now_ns + 1)); /* never twice in one turn */
}

/* The write timeout of a consumer has passed. That of a session is in server/rpc/commands.c. A
 * status would wait behind the message in flight, so that one is given up. */
static void give_up(struct sender *sender)
{
    struct fault fault;

    fault_not_reading(&fault, "write", sender->settings.write_timeout_ns);
    if (sender->in_flight) {
        call_abort(sender->call, &fault);
        sender_stop(sender);
    } else {
        sender_end(sender);
        sender->port->not_reading(sender->ctx, &fault);
    }
}

/* The one place that decides: send, wait, or end. */
static void decide(struct sender *sender, int64_t now_ns)
{
    if (sender->stopped || sender->ended)
        return;
    chan_tick(sender->chan, now_ns);
    check_credit(sender, now_ns);
    enum chan_state state = chan_state(sender->chan);
    if (not_reading_for(sender, sender->settings.write_timeout_ns, now_ns)) {
        give_up(sender);
        return;
    }
    if (state == CHAN_BROKEN) {
        end(sender, state);
        return;
    }
    bool lingering = false;
    if (!sender->in_flight) {
        if (credit_limit_reached(&sender->credit)) {
            sender_end(sender);
            sender->port->limit(sender->ctx);
            return;
        }
        lingering = state == CHAN_OPEN && lingers(sender, now_ns);
        if (!lingering)
            socket_poll(&sender->socket, sender->call, now_ns);
        if (!lingering && !socket_is_unwritable(&sender->socket) && !send_message(sender, state, now_ns) &&
            (state == CHAN_CLOSED || (state == CHAN_DRAINING && chan_idle(sender->chan)))) {
            end(sender, state);
            return;
        }
    }
    if (!sender->stopped)
        set_timer(sender, lingering, now_ns);
}

static void on_post_poll(struct post_poll_hook *hook, int64_t now_ns)
{
    struct sender *sender = container_of(hook, struct sender, decide_hook);

    if (sender->woken && sender->waiting_since_ns == INT64_MAX)
        sender->waiting_since_ns = now_ns;
    sender->woken = false;
    decide(sender, now_ns);
}

static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    decide(container_of(timer, struct sender, timer), now_ns);
}

static void on_freed(struct cq_wake *wake)
{
    struct sender *sender = container_of(wake, struct sender, wake);

    cq_timer_stop(sender->cq, &sender->timer);
    list_remove(&sender->decide_hook.link);
    chan_release(sender->chan);
    chan_batch_fini(&sender->batch);
    buf_fini(&sender->notes);
    free(sender);
}

/* The decision waits for the end of the turn. */
static void on_woken(struct cq_wake *wake)
{
    struct sender *sender = container_of(wake, struct sender, wake);

    sender->woken = true;
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

struct sender *sender_new(struct call *call, const struct sender_settings *settings,
                          const struct sender_port *port, void *ctx)
{
    struct sender *sender = calloc(1, sizeof(*sender));

    if (!sender)
        return NULL;
    sender->call = call;
    sender->thread = call_thread(call);
    sender->cq = call_cq(call);
    sender->settings = *settings;
    sender->credit.limit_events = settings->limit_events;
    sender->port = port;
    sender->ctx = ctx;
    cq_wake_init(&sender->wake, sender->cq, on_woken, on_freed);
    list_init(&sender->decide_hook.link);
    sender->decide_hook.post_poll = on_post_poll;
    sender->timer.fired = on_timer;
    sender->waiting_since_ns = INT64_MAX;
    sender->socket.unwritable_since_ns = INT64_MAX;
    sender->no_credit_since_ns = INT64_MAX;
    sender->stopped = true;
    return sender;
}

void sender_wake(void *ctx)
{
    cq_wake_up(&((struct sender *)ctx)->wake);
}

void sender_credit(struct sender *sender, uint64_t events, uint64_t bytes)
{
    credit_grant(&sender->credit, events, bytes);
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

void sender_end_credit(struct sender *sender)
{
    sender->credit.final = true;
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

void sender_begin(struct sender *sender, struct chan *chan)
{
    sender->chan = chan_retain(chan);
    sender->stopped = false;
    sender->sent_at_ns = clock_mono_ns();
    sender->reported_at_ns = sender->sent_at_ns;
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

void sender_add_note(struct sender *sender, struct buf *note)
{
    buf_bytes(&sender->notes, note->data, note->size);
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

void sender_add_closing(struct sender *sender)
{
    sender->closing = true;
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
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
    cq_add_post_poll_hook(sender->cq, &sender->decide_hook);
}

void sender_end(struct sender *sender)
{
    sender->ended = true;
    cq_timer_stop(sender->cq, &sender->timer);
}

void sender_stop(struct sender *sender)
{
    sender->stopped = true;
    cq_timer_stop(sender->cq, &sender->timer);
}

bool sender_in_flight(const struct sender *sender)
{
    return sender->in_flight;
}

void sender_free(struct sender *sender)
{
    if (!sender)
        return;
    CHECK(!sender->in_flight);
    sender->stopped = true;
    cq_wake_free(&sender->wake);
}
