/* wait.c - see wait.h. */
#include "h2socket/wait.h"

#include <limits.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "h2socket/libc_calls.h"

static struct {
    _Atomic int epoll;      /* the core's set; -1: not known */
    _Atomic int polling;    /* threads in epoll_wait() of it */
    _Atomic size_t waiting; /* sockets in the queue */
    _Atomic uint64_t polls;
    _Atomic int64_t slept_ns; /* in all polls */
    _Atomic int64_t turn_cost;

    pthread_mutex_t lock;
    struct heap queue; /* by the time from which a socket may be released */
    size_t sockets;    /* of the table: the queue has room for so many */
    int wake;          /* eventfd; -1: not made yet */
} waits = {.epoll = -1, .turn_cost = MAX_ROUND_COST, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1};

static _Thread_local uint64_t latest_poll;

uint64_t wait_poll(void)
{
    return latest_poll;
}

int64_t wait_slept_ns(void)
{
    return atomic_load_explicit(&waits.slept_ns, memory_order_relaxed);
}

enum err wait_join(struct h2socket *socket)
{
    pthread_mutex_lock(&waits.lock);
    enum err err = heap_reserve(&waits.queue, waits.sockets + 1);
    if (!err)
        waits.sockets++;
    pthread_mutex_unlock(&waits.lock);
    atomic_store_explicit(&socket->turn, TURN_RELEASED, memory_order_relaxed);
    return err;
}

int64_t wait_turn_cost(void)
{
    return atomic_load_explicit(&waits.turn_cost, memory_order_relaxed);
}

void wait_begin(struct h2socket *socket, int64_t delay_ns)
{
    pthread_mutex_lock(&waits.lock);
    bool is_watched = socket->is_watched;
    if (is_watched) {
        atomic_store_explicit(&socket->turn, TURN_WAITS, memory_order_relaxed);
        if (!heap_holds(&socket->place))
            atomic_fetch_add(&waits.waiting, 1);
        CHECK(heap_set(&waits.queue, &socket->place, clock_from_now_ns(delay_ns)) == ERR_OK);
    } else {
        atomic_store_explicit(&socket->turn, TURN_RELEASED, memory_order_relaxed);
    }
    pthread_mutex_unlock(&waits.lock);
    /* The poller counts itself in `polling` before it looks at `waiting`; we do it the other way
     * round. So one of us sees the other. */
    if (is_watched && atomic_load(&waits.polling) > 0)
        (void)eventfd_write(waits.wake, 1);
}

/* Under the lock. Makes this set the core's. False, with errno: it cannot be. */
static bool use_set(int epoll)
{
    /* Edge-triggered: each write is heard once, and nobody needs to read it. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &waits};

    if (atomic_load_explicit(&waits.epoll, memory_order_relaxed) == epoll)
        return true;
    if (waits.wake < 0)
        waits.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waits.wake < 0 || libc_epoll_ctl(epoll, EPOLL_CTL_ADD, waits.wake, &event) != 0)
        return false;
    atomic_store_explicit(&waits.epoll, epoll, memory_order_relaxed);
    return true;
}

/* Under the lock. */
static void leave_queue(struct h2socket *socket)
{
    if (!heap_holds(&socket->place))
        return;
    atomic_fetch_sub(&waits.waiting, 1);
    heap_remove(&waits.queue, &socket->place);
}

/* Under the lock: a thread that reads the socket at once, and lets it wait, finds it watched. */
static int control(struct h2socket *socket, int epoll, int op, struct epoll_event *event)
{
    bool is_cores = op == EPOLL_CTL_ADD && (event->events & EPOLLET);

    if (is_cores && !use_set(epoll))
        return -1;
    int result = libc_epoll_ctl(epoll, op, socket->fd, event);
    if (result != 0)
        return result;
    if (is_cores) {
        socket->is_watched = true;
        socket->event = (struct epoll_event){.events = EPOLLIN, .data = event->data};
    } else if (op == EPOLL_CTL_DEL && epoll == atomic_load_explicit(&waits.epoll, memory_order_relaxed)) {
        leave_queue(socket);
        socket->is_watched = false;
        atomic_store_explicit(&socket->turn, TURN_RELEASED, memory_order_relaxed);
    }
    return 0;
}

int wait_watch(struct h2socket *socket, int epoll, int op, struct epoll_event *event)
{
    pthread_mutex_lock(&waits.lock);
    int result = control(socket, epoll, op, event);
    pthread_mutex_unlock(&waits.lock);
    return result;
}

bool wait_is_watched(struct h2socket *socket)
{
    pthread_mutex_lock(&waits.lock);
    bool is_watched = socket->is_watched;
    pthread_mutex_unlock(&waits.lock);
    return is_watched;
}

void wait_forget(struct h2socket *socket)
{
    pthread_mutex_lock(&waits.lock);
    if (socket->is_watched)
        (void)libc_epoll_ctl(atomic_load_explicit(&waits.epoll, memory_order_relaxed), EPOLL_CTL_DEL,
                             socket->fd, NULL);
    socket->is_watched = false;
    pthread_mutex_unlock(&waits.lock);
}

void wait_leave(struct h2socket *socket)
{
    pthread_mutex_lock(&waits.lock);
    leave_queue(socket);
    waits.sockets--;
    pthread_mutex_unlock(&waits.lock);
}

void wait_closing(int fd)
{
    int expected = fd;

    if (fd >= 0)
        atomic_compare_exchange_strong(&waits.epoll, &expected, -1);
}

/* How long the poll may take, in milliseconds, rounded up. */
static int shortened_ms(int timeout_ms)
{
    int64_t left_ms = INT_MAX;

    pthread_mutex_lock(&waits.lock);
    const struct heap_node *first = heap_first(&waits.queue);
    if (first)
        left_ms = (first->key - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
    pthread_mutex_unlock(&waits.lock);
    if (!first || (timeout_ms >= 0 && timeout_ms <= left_ms))
        return timeout_ms;
    return (int)MIN_OF(MAX_OF(left_ms, 0), INT_MAX);
}

/* Takes out the events of our eventfd. Returns how many events are left. */
static int without_wakes(struct epoll_event *events, int count)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != &waits)
            events[left++] = events[i];
    }
    return left;
}

/* Adds an event for each socket whose turn has come. Returns how many. */
static int release(struct epoll_event *events, int max)
{
    const struct heap_node *first;
    int64_t now_ns = clock_mono_ns();
    int count = 0;

    pthread_mutex_lock(&waits.lock);
    while (count < max && (first = heap_first(&waits.queue)) && first->key <= now_ns) {
        struct h2socket *socket = container_of(first, struct h2socket, place);

        leave_queue(socket);
        atomic_store_explicit(&socket->turn, TURN_RELEASED, memory_order_relaxed);
        events[count++] = socket->event;
    }
    pthread_mutex_unlock(&waits.lock);
    return count;
}

/* As epoll_wait(). Notes how long the thread slept. */
static int poll_for(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int64_t began_ns = timeout_ms != 0 ? clock_mono_ns() : 0;
    int count = libc_epoll_wait(epoll, events, max, timeout_ms);

    if (timeout_ms != 0)
        atomic_fetch_add_explicit(&waits.slept_ns, clock_mono_ns() - began_ns, memory_order_relaxed);
    return count;
}

int wait_epoll(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int kept = MIN_OF(MAX_H2SOCKET_RELEASES, max / 2); /* for those that wait, however many are ready */
    int count;

    if (epoll != atomic_load_explicit(&waits.epoll, memory_order_relaxed))
        return libc_epoll_wait(epoll, events, max, timeout_ms);
    atomic_fetch_add(&waits.polling, 1);
    if (atomic_load(&waits.waiting) > 0)
        timeout_ms = shortened_ms(timeout_ms);
    count = poll_for(epoll, events, max - kept, timeout_ms);
    atomic_fetch_sub(&waits.polling, 1);
    latest_poll = atomic_fetch_add_explicit(&waits.polls, 1, memory_order_relaxed) + 1;
    if (count < 0)
        return count;
    count = without_wakes(events, count);
    if (atomic_load(&waits.waiting) > 0)
        count += release(events + count, MIN_OF(MAX_H2SOCKET_RELEASES, max - count));
    atomic_store_explicit(&waits.turn_cost, MAX_ROUND_COST / MAX_OF(count, 1), memory_order_relaxed);
    return count;
}
