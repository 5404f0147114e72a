/* wait.c - see wait.h. */
#include "h2socket/wait.h"

#include <limits.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "h2socket/libc_calls.h"

static struct {
    _Atomic int epoll;       /* the core's set; -1: not known */
    _Atomic bool is_polling; /* a thread is in epoll_wait() of it */
    _Atomic size_t waiting;  /* sockets in the queue */
    _Atomic uint64_t polls;
    _Atomic int64_t polled_ns;
    _Atomic int64_t turn_cost;

    pthread_mutex_t lock;
    struct heap queue; /* by the time from which a socket may be released */
    size_t sockets;    /* that are watched: the queue has room for so many */
    int wake;          /* eventfd; -1: not made yet */
} waits = {.epoll = -1, .turn_cost = MAX_ROUND_COST, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1};

static _Thread_local uint64_t latest_poll;

uint64_t wait_poll(void)
{
    return latest_poll;
}

int64_t wait_now_ns(void)
{
    int64_t now_ns = atomic_load_explicit(&waits.polled_ns, memory_order_relaxed);

    return now_ns ? now_ns : clock_mono_ns();
}

int64_t wait_turn_cost(void)
{
    return atomic_load_explicit(&waits.turn_cost, memory_order_relaxed);
}

void wait_begin(struct h2socket *socket, int64_t delay_ns)
{
    pthread_mutex_lock(&waits.lock);
    if (socket->is_watched) {
        atomic_store_explicit(&socket->turn, TURN_WAITS, memory_order_relaxed);
        if (!heap_holds(&socket->place))
            atomic_fetch_add(&waits.waiting, 1);
        CHECK(heap_set(&waits.queue, &socket->place, clock_from_now_ns(delay_ns)) == ERR_OK);
    }
    pthread_mutex_unlock(&waits.lock);
    /* The poller sets is_polling before it looks at `waiting`; we do it the other way round. So one
     * of us sees the other. */
    if (atomic_load(&waits.is_polling))
        (void)eventfd_write(waits.wake, 1);
}

/* Under the lock. Makes this set the core's. */
static void use_set(int epoll)
{
    /* Edge-triggered: each write is heard once, and nobody needs to read it. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &waits};

    if (atomic_load_explicit(&waits.epoll, memory_order_relaxed) == epoll)
        return;
    if (waits.wake < 0)
        waits.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waits.wake >= 0 && libc_epoll_ctl(epoll, EPOLL_CTL_ADD, waits.wake, &event) == 0)
        atomic_store_explicit(&waits.epoll, epoll, memory_order_relaxed);
}

int wait_watch(struct h2socket *socket, int epoll, int op, struct epoll_event *event)
{
    int result = libc_epoll_ctl(epoll, op, socket->fd, event);

    if (result != 0)
        return result;
    pthread_mutex_lock(&waits.lock);
    if (op == EPOLL_CTL_ADD && (event->events & EPOLLET) && !socket->is_watched) {
        use_set(epoll);
        if (atomic_load_explicit(&waits.epoll, memory_order_relaxed) == epoll &&
            heap_reserve(&waits.queue, waits.sockets + 1) == ERR_OK) {
            socket->is_watched = true;
            socket->event = (struct epoll_event){.events = EPOLLIN, .data = event->data};
            waits.sockets++;
        }
    }
    pthread_mutex_unlock(&waits.lock);
    return 0;
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
    if (heap_holds(&socket->place))
        atomic_fetch_sub(&waits.waiting, 1);
    heap_remove(&waits.queue, &socket->place);
    if (socket->is_watched)
        waits.sockets--;
    socket->is_watched = false;
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

        heap_remove(&waits.queue, &socket->place);
        atomic_fetch_sub(&waits.waiting, 1);
        atomic_store_explicit(&socket->turn, TURN_RELEASED, memory_order_relaxed);
        events[count++] = socket->event;
    }
    pthread_mutex_unlock(&waits.lock);
    return count;
}

int wait_epoll(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int kept = MIN_OF(MAX_H2SOCKET_RELEASES, max / 2);
    int count;

    if (epoll != atomic_load_explicit(&waits.epoll, memory_order_relaxed))
        return libc_epoll_wait(epoll, events, max, timeout_ms);
    atomic_store(&waits.is_polling, true);
    if (atomic_load(&waits.waiting) > 0)
        timeout_ms = shortened_ms(timeout_ms);
    count = libc_epoll_wait(epoll, events, max - kept, timeout_ms);
    atomic_store(&waits.is_polling, false);
    latest_poll = atomic_fetch_add_explicit(&waits.polls, 1, memory_order_relaxed) + 1;
    atomic_store_explicit(&waits.polled_ns, clock_mono_ns(), memory_order_relaxed);
    if (count < 0)
        return count;
    count = without_wakes(events, count);
    if (atomic_load(&waits.waiting) > 0)
        count += release(events + count, kept);
    atomic_store_explicit(&waits.turn_cost, MAX_ROUND_COST / MAX_OF(count, 1), memory_order_relaxed);
    return count;
}
