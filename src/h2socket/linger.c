/* linger.c - see linger.h. */
#include "h2socket/linger.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "h2socket/libc_calls.h"

#define MAX_DROPPED 65536u /* bytes of one peer that are read; what comes later stays in the kernel */

static struct {
    pthread_mutex_t lock;
    struct list sockets; /* oldest first: that is the order of their times */
    int epoll;           /* edge-triggered; -1: there is none yet */
} lingering = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .sockets = {&lingering.sockets, &lingering.sockets}, .epoll = -1};

void linger_add(struct h2socket *socket, int64_t now_ns)
{
    const int least_memory = 1; /* the kernel rounds it up */
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = socket};

    (void)setsockopt(socket->fd, SOL_SOCKET, SO_RCVBUF, &least_memory, sizeof(least_memory));
    socket->linger_until_ns = clock_add_ns(now_ns, LINGER_NS);
    pthread_mutex_lock(&lingering.lock);
    if (lingering.epoll < 0)
        lingering.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (lingering.epoll >= 0) /* else it lingers for the whole time */
        (void)libc_epoll_ctl(lingering.epoll, EPOLL_CTL_ADD, socket->fd, &event);
    list_append(&lingering.sockets, &socket->linger_link);
    pthread_mutex_unlock(&lingering.lock);
}

/* Reads and drops what the peer has sent. Returns whether the peer has closed. */
static bool drop(struct h2socket *socket)
{
    char dropped[4096];
    ssize_t size = 1;

    while (size > 0 && socket->dropped_bytes < MAX_DROPPED) {
        struct iovec piece = {.iov_base = dropped, .iov_len = sizeof(dropped)};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

        size = libc_recvmsg(socket->fd, &message, MSG_DONTWAIT);
        socket->dropped_bytes += size > 0 ? (size_t)size : 0;
    }
    return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

/* Under the lock. NULL: no peer has closed. */
static struct h2socket *closed_by_peer(void)
{
    struct epoll_event event;

    while (lingering.epoll >= 0 && libc_epoll_wait(lingering.epoll, &event, 1, 0) == 1) {
        struct h2socket *socket = event.data.ptr;

        if (drop(socket))
            return socket;
    }
    return NULL;
}

struct h2socket *linger_next(int64_t now_ns)
{
    struct h2socket *socket = NULL;

    pthread_mutex_lock(&lingering.lock);
    const struct list *first = list_first(&lingering.sockets);
    if (first) {
        socket = container_of(first, struct h2socket, linger_link);
        if (socket->linger_until_ns > now_ns)
            socket = closed_by_peer();
    }
    if (socket) {
        list_remove(&socket->linger_link);
        if (lingering.epoll >= 0)
            (void)libc_epoll_ctl(lingering.epoll, EPOLL_CTL_DEL, socket->fd, NULL);
    }
    pthread_mutex_unlock(&lingering.lock);
    return socket;
}

bool linger_wait(int64_t until_ns)
{
    struct pollfd poll_fd = {.events = POLLIN};

    pthread_mutex_lock(&lingering.lock);
    const struct list *first = list_first(&lingering.sockets);
    const int64_t first_ns =
        first ? container_of(first, struct h2socket, linger_link)->linger_until_ns : INT64_MAX;
    poll_fd.fd = lingering.epoll;
    pthread_mutex_unlock(&lingering.lock);
    const int64_t now_ns = clock_mono_ns(), left_ns = MIN_OF(until_ns, first_ns) - now_ns;
    if (!first || now_ns >= until_ns)
        return false;
    if (left_ns > 0)
        (void)poll(&poll_fd, 1, (int)MIN_OF((left_ns + NS_PER_MS - 1) / NS_PER_MS, INT_MAX));
    return true;
}
