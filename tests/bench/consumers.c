/* consumers.c - the process that receives: the connections of all consumers on one epoll. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/protocol.h"

enum { MAX_EVENTS = 64, TURN_MS = 100 };

struct receiving {
    struct load *load;
    const struct protocol *protocol;
    int epoll;
    struct consumer **consumers;
    uint32_t connected, started, reading; /* how many; `reading` does not count those that stopped reading */
    uint64_t arrived;
    bool stalled;
};

static void poll_consumer(struct receiving *receiving, struct consumer *consumer, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (consumer->pending ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = consumer};

    if (epoll_ctl(receiving->epoll, operation, consumer->fd, &event) != 0)
        load_fail(receiving->load, "epoll_ctl: %s", strerror(errno));
}

/* Publishes how much has arrived, and wakes the producers if they wait for that much. */
static void report_arrived(struct receiving *receiving)
{
    struct load *load = receiving->load;

    atomic_store(&load->arrived, receiving->arrived);
    uint64_t wanted = atomic_load(&load->wanted);
    if (wanted && receiving->arrived >= wanted && atomic_compare_exchange_strong(&load->wanted, &wanted, 0))
        load_wake(load->wakeup_producers);
}

static uint64_t min_received(const struct receiving *receiving)
{
    uint64_t min = UINT64_MAX;

    for (uint32_t i = 0; i < receiving->reading; i++)
        min = MIN_OF(min, receiving->consumers[i]->checker.events);
    return min;
}

/* After a read of one consumer. Without a filter, an event has arrived when the slowest consumer
 * has it, so only the slowest consumer can change that. With a filter, each event is for one
 * consumer. */
static void count_arrived(struct receiving *receiving, const struct consumer *consumer, uint64_t before)
{
    uint64_t received = consumer->checker.events - before;

    if (!received)
        return;
    if (receiving->load->plan.filter != FILTER_NONE)
        receiving->arrived += received;
    else if (before == receiving->arrived)
        receiving->arrived = min_received(receiving);
    else
        return;
    report_arrived(receiving);
}

static void on_consumer(struct receiving *receiving, struct consumer *consumer, uint32_t events)
{
    uint64_t before = consumer->checker.events;
    bool pending = consumer->pending, started = consumer->started;

    if (events & ~(uint32_t)EPOLLOUT) {
        checker_begin(&consumer->checker);
        receiving->protocol->consumer_read(consumer);
        checker_end(&consumer->checker);
        count_arrived(receiving, consumer, before);
    }
    if (events & EPOLLOUT)
        receiving->protocol->consumer_flush(consumer);
    if (pending != consumer->pending)
        poll_consumer(receiving, consumer, EPOLL_CTL_MOD);
    if (started == consumer->started)
        return;
    if (++receiving->started == receiving->load->plan.consumers)
        load_notify(receiving->load, &receiving->load->ready, SIDE_CONSUMERS);
}

/* The last consumers are read no more, and no longer count for what has arrived. */
static void stop_reading(struct receiving *receiving)
{
    const struct plan *plan = &receiving->load->plan;

    receiving->stalled = true;
    receiving->reading = plan->consumers - plan->stalled;
    for (uint32_t i = receiving->reading; i < plan->consumers; i++)
        (void)epoll_ctl(receiving->epoll, EPOLL_CTL_DEL, receiving->consumers[i]->fd, NULL);
    receiving->arrived = min_received(receiving);
    report_arrived(receiving);
}

static void turn(struct receiving *receiving, int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    struct load *load = receiving->load;
    int count = epoll_wait(receiving->epoll, events, MAX_EVENTS, timeout_ms);

    for (int i = 0; i < count && !load_failed(load); i++) {
        uint64_t wakeups;
        if (events[i].data.ptr)
            on_consumer(receiving, events[i].data.ptr, events[i].events);
        else if (read(load->wakeup_consumers, &wakeups, sizeof(wakeups)) < 0 && errno != EAGAIN)
            load_fail(load, "eventfd: %s", strerror(errno));
    }
    if (load->plan.stalled && !receiving->stalled && atomic_load(&load->phase) >= PHASE_MEASURE)
        stop_reading(receiving);
}

/* Connects one consumer after the other, and serves those that are connected meanwhile. */
static void connect_all(struct receiving *receiving)
{
    struct load *load = receiving->load;

    for (; receiving->connected < load->plan.consumers && !load_failed(load); receiving->connected++) {
        struct consumer *consumer = receiving->protocol->consumer_new(load, receiving->connected);
        if (!consumer)
            return;
        receiving->consumers[receiving->connected] = consumer;
        receiving->protocol->consumer_flush(consumer);
        poll_consumer(receiving, consumer, EPOLL_CTL_ADD);
        turn(receiving, 0);
    }
}

static bool open_epoll(struct receiving *receiving)
{
    struct epoll_event wakeup = {.events = EPOLLIN};

    receiving->epoll = epoll_create1(EPOLL_CLOEXEC);
    receiving->consumers = calloc(receiving->load->plan.consumers, sizeof(struct consumer *));
    return receiving->consumers && receiving->epoll >= 0 &&
           epoll_ctl(receiving->epoll, EPOLL_CTL_ADD, receiving->load->wakeup_consumers, &wakeup) == 0;
}

int consumers_run(struct load *load)
{
    struct receiving receiving = {
        .load = load, .protocol = load->plan.protocol, .reading = load->plan.consumers};

    if (open_epoll(&receiving))
        connect_all(&receiving);
    else
        load_fail(load, "consumers: %s", strerror(errno));
    while (!load_failed(load) && atomic_load(&load->phase) != PHASE_END)
        turn(&receiving, TURN_MS);
    for (uint32_t i = 0; i < receiving.connected; i++)
        receiving.protocol->consumer_free(receiving.consumers[i]);
    free(receiving.consumers);
    close(receiving.epoll);
    return load_failed(load) ? 1 : 0;
}
