/* producers.c - the process that publishes: the connections of all producers on one epoll,
 * edge-triggered.
 *
 * DESIGN. Closed loop: each producer in turn writes up to PLAN_ROUND_EVENTS while the bound on
 * events in flight allows it. When the bound is reached, the process sleeps. The consumers wake it
 * when an eighth of the bound is free again.
 *
 * Open loop: message j is due at j times the interval, from producer j modulo their number. The
 * process sleeps until then and never spins; it writes at once what is due. A message that the
 * connection does not take waits, and so do the messages behind it. Their time stays the one at
 * which they were due.
 *
 * The flooder publishes beside the open loop. No bound on events in flight holds it back, but only
 * its connection. Its rounds are short, so what is due goes out in time between them. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/fields.h"
#include "bench/protocol.h"

enum { MAX_EVENTS = 64, TURN_MS = 100, ARRIVED_STEPS = 8, EVENT_TIME_TAG = TAG_FIXED64(7) };

struct publishing {
    struct load *load;
    const struct protocol *protocol;
    int epoll;
    struct producer **producers;
    uint32_t connected, ready;
    uint32_t next_producer; /* the producer that publishes next */
    uint64_t published;
    bool finishing, reported;
    /* Open loop. */
    int64_t origin_ns; /* when message 0 was due */
    double interval_ns;
    uint64_t due; /* the next message */
};

/* Writes the time field of an event: when it is written, which may be later than it was due. */
static void put_time(uint8_t *at)
{
    const uint64_t little = htole64((uint64_t)clock_wall_ns());

    at[0] = EVENT_TIME_TAG;
    memcpy(at + 1, &little, sizeof(little));
}

/* Writes one message: the template, with its marks and the labels that a filter compares. */
static void stamp(struct producer *producer, uint8_t *at, int64_t time_ns)
{
    const struct layout *layout = &producer->layout;
    const struct plan *plan = &producer->load->plan;
    struct mark mark = {.time_ns = (uint64_t)time_ns};

    memcpy(at, layout->bytes, layout->size);
    at += layout->first_mark;
    for (uint32_t i = plan_message_events(plan, producer->number); i > 0; i--, at += layout->mark_step) {
        uint64_t label = layout->label_digits ? producer->next % plan->consumers : 0;
        mark.id = mark_id(producer->number, producer->next++);
        memcpy(at, &mark, sizeof(mark));
        if (layout->time_at > 0)
            put_time(at + layout->time_at);
        for (size_t digit = layout->label_digits; digit-- > 0; label /= 10)
            at[(ptrdiff_t)digit - (ptrdiff_t)layout->label_before] = (uint8_t)('0' + label % 10);
    }
}

/* Writes one message if the connection takes it. */
static bool put(struct publishing *publishing, struct producer *producer, int64_t time_ns)
{
    uint8_t *at = publishing->protocol->producer_reserve(producer);

    if (!at)
        return false;
    stamp(producer, at, time_ns);
    publishing->published += plan_message_events(&publishing->load->plan, producer->number);
    return true;
}

static void report_published(struct publishing *publishing)
{
    atomic_store_explicit(&publishing->load->published, publishing->published, memory_order_relaxed);
}

/* ---- closed loop ---- */

static bool may_publish(const struct publishing *publishing)
{
    const struct plan *plan = &publishing->load->plan;
    uint64_t arrived = atomic_load_explicit(&publishing->load->arrived, memory_order_relaxed);

    return publishing->published + plan->per_message <= arrived + plan->in_flight;
}

/* Requests a wakeup for when a step of the bound is free. True: it is free by now, so no wakeup
 * will come. */
static bool request_wakeup(struct publishing *publishing)
{
    struct load *load = publishing->load;
    uint64_t step = MAX_OF(load->plan.in_flight / ARRIVED_STEPS, load->plan.per_message);
    /* Above 0, since one more message would exceed the bound. */
    uint64_t wanted = publishing->published + step - load->plan.in_flight;

    atomic_store(&load->wanted, wanted);
    if (atomic_load(&load->arrived) < wanted)
        return false;
    atomic_store(&load->wanted, 0);
    return true;
}

/* Publishes a round of one producer. */
static bool publish_some(struct publishing *publishing, struct producer *producer)
{
    const struct plan *plan = &publishing->load->plan;
    uint32_t events = 0;

    while (events + plan->per_message <= PLAN_ROUND_EVENTS && may_publish(publishing) &&
           put(publishing, producer, clock_mono_ns()))
        events += plan->per_message;
    if (events) {
        report_published(publishing);
        publishing->protocol->producer_flush(producer);
    }
    return events > 0;
}

/* Publishes a round of all producers. Returns how long the next wait may be. */
static int64_t publish_closed(struct publishing *publishing)
{
    uint32_t producers = publishing->load->plan.producers;
    bool moved = false;

    for (uint32_t i = 0; i < producers && !load_failed(publishing->load); i++) {
        if (!may_publish(publishing))
            return request_wakeup(publishing) ? 0 : TURN_MS * NS_PER_MS;
        struct producer *producer = publishing->producers[publishing->next_producer];
        publishing->next_producer = (publishing->next_producer + 1) % producers;
        if (!producer->pending)
            moved |= publish_some(publishing, producer);
    }
    return moved ? 0 : TURN_MS * NS_PER_MS;
}

/* ---- open loop ---- */

static int64_t due_ns(const struct publishing *publishing)
{
    return publishing->origin_ns + (int64_t)((double)publishing->due * publishing->interval_ns);
}

static void note_late(struct load *load, int64_t due, int64_t now_ns)
{
    int64_t begin_ns = atomic_load_explicit(&load->begin_ns, memory_order_relaxed);

    if (begin_ns && due >= begin_ns)
        histogram_add(&load->late, (uint64_t)MAX_OF(now_ns - due, INT64_C(0)), 1);
}

/* Publishes everything that is due; each producer writes at most one message before its connection
 * is flushed. Returns how long the next wait may be. */
static int64_t publish_open(struct publishing *publishing)
{
    const struct plan *plan = &publishing->load->plan;
    uint32_t producers = plan->producers - (plan->flood ? 1 : 0),
             first = (uint32_t)(publishing->due % producers), count = 0;
    int64_t now_ns = clock_mono_ns();
    bool refused = false;

    while (count < producers && due_ns(publishing) <= now_ns) {
        struct producer *producer = publishing->producers[publishing->due % producers];
        refused = !put(publishing, producer, due_ns(publishing));
        if (refused)
            break;
        note_late(publishing->load, due_ns(publishing), now_ns);
        publishing->due++;
        count++;
    }
    if (count)
        report_published(publishing);
    for (uint32_t i = 0; i < count; i++)
        publishing->protocol->producer_flush(publishing->producers[(first + i) % producers]);
    if (refused && !count)
        return NS_PER_MS; /* the connection takes nothing now: epoll reports when it does */
    return MAX_OF(due_ns(publishing) - clock_mono_ns(), 0);
}

static void begin_open(struct publishing *publishing)
{
    const struct plan *plan = &publishing->load->plan;

    publishing->interval_ns = 1e9 * plan->per_message / plan->rate;
    publishing->origin_ns = clock_mono_ns();
}

/* Publishes a round of the flooder. Its events carry no time, so their latency is not counted.
 * Returns how long the next wait may be. */
static int64_t publish_flood(struct publishing *publishing)
{
    const struct plan *plan = &publishing->load->plan;
    struct producer *flooder = publishing->producers[plan->producers - 1];
    uint32_t events = 0;

    if (flooder->pending)
        return TURN_MS * NS_PER_MS;
    while (events + plan->flood <= PLAN_ROUND_EVENTS && put(publishing, flooder, 0))
        events += plan->flood;
    if (!events)
        return TURN_MS * NS_PER_MS;
    report_published(publishing);
    publishing->protocol->producer_flush(flooder);
    return flooder->pending ? TURN_MS * NS_PER_MS : 0;
}

/* ---- the loop ---- */

static void await(struct publishing *publishing, struct producer *producer)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET, .data.ptr = producer};

    if (epoll_ctl(publishing->epoll, EPOLL_CTL_ADD, producer->fd, &event) != 0)
        load_fail(publishing->load, "epoll_ctl: %s", strerror(errno));
}

static void on_producer(struct publishing *publishing, struct producer *producer, uint32_t events)
{
    bool ready = producer->ready;
    int fd = producer->fd;

    if (events & ~(uint32_t)EPOLLOUT)
        publishing->protocol->producer_read(producer);
    if (producer->fd != fd)
        await(publishing, producer);
    publishing->protocol->producer_flush(producer);
    publishing->ready += !ready && producer->ready;
}

static void turn(struct publishing *publishing, int64_t wait_ns)
{
    struct epoll_event events[MAX_EVENTS];
    struct load *load = publishing->load;
    struct timespec wait = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
    int count = epoll_pwait2(publishing->epoll, events, MAX_EVENTS, &wait, NULL);

    for (int i = 0; i < count && !load_failed(load); i++) {
        uint64_t wakeups;
        if (events[i].data.ptr)
            on_producer(publishing, events[i].data.ptr, events[i].events);
        else if (read(load->wakeup_producers, &wakeups, sizeof(wakeups)) < 0 && errno != EAGAIN)
            load_fail(load, "eventfd: %s", strerror(errno));
    }
}

static void connect_all(struct publishing *publishing)
{
    struct load *load = publishing->load;

    for (; publishing->connected < load->plan.producers && !load_failed(load); publishing->connected++) {
        struct producer *producer = publishing->protocol->producer_new(load, publishing->connected);
        if (!producer)
            return;
        publishing->producers[publishing->connected] = producer;
        publishing->ready += producer->ready;
        await(publishing, producer);
        publishing->protocol->producer_flush(producer);
        turn(publishing, 0);
    }
}

/* Each producer finishes, once; then this waits for all of them. */
static void finish(struct publishing *publishing)
{
    struct load *load = publishing->load;
    uint32_t done = 0;

    for (uint32_t i = 0; i < load->plan.producers; i++) {
        struct producer *producer = publishing->producers[i];
        load->published_by[i] = producer->next;
        if (!publishing->finishing)
            publishing->protocol->producer_finish(producer);
        done += producer->done;
    }
    publishing->finishing = true;
    if (done == load->plan.producers && !publishing->reported) {
        publishing->reported = true;
        load_notify(load, &load->finished, SIDE_PRODUCERS);
    }
}

static void work(struct publishing *publishing)
{
    struct load *load = publishing->load;
    bool reported = false;

    for (int phase; !load_failed(load) && (phase = atomic_load(&load->phase)) != PHASE_END;) {
        int64_t wait_ns = TURN_MS * NS_PER_MS;
        if (!reported && publishing->ready == load->plan.producers)
            reported = true, load_notify(load, &load->ready, SIDE_PRODUCERS);
        if (phase == PHASE_STOP)
            finish(publishing);
        else if (phase != PHASE_CONNECT && load->plan.rate > 0 && !publishing->origin_ns)
            begin_open(publishing);
        if (phase == PHASE_WARM_UP || phase == PHASE_MEASURE)
            wait_ns = load->plan.rate > 0 ? publish_open(publishing) : publish_closed(publishing);
        if (load->plan.flood && (phase == PHASE_WARM_UP || phase == PHASE_MEASURE))
            wait_ns = MIN_OF(wait_ns, publish_flood(publishing));
        turn(publishing, wait_ns);
    }
}

int producers_run(struct load *load)
{
    struct publishing publishing = {.load = load, .protocol = load->plan.protocol};
    struct epoll_event wakeup = {.events = EPOLLIN};

    prctl(PR_SET_TIMERSLACK, 1UL); /* a message that is due must not wait for other timers */
    publishing.epoll = epoll_create1(EPOLL_CLOEXEC);
    publishing.producers = calloc(load->plan.producers, sizeof(struct producer *));
    if (publishing.producers && publishing.epoll >= 0 &&
        epoll_ctl(publishing.epoll, EPOLL_CTL_ADD, load->wakeup_producers, &wakeup) == 0)
        connect_all(&publishing);
    else
        load_fail(load, "producers: %s", strerror(errno));
    work(&publishing);
    for (uint32_t i = 0; i < publishing.connected; i++)
        publishing.protocol->producer_free(publishing.producers[i]);
    free(publishing.producers);
    close(publishing.epoll);
    return load_failed(load) ? 1 : 0;
}
