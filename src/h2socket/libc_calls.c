/* libc_calls.c - finds each function at its first call. */
#include "h2socket/libc_calls.h"

#include <dlfcn.h>
#include <stdatomic.h>

#include "base/base.h"

/* Two threads may find the same function at the same time. */
static void *find(void *_Atomic *known, const char *name)
{
    void *found = atomic_load_explicit(known, memory_order_relaxed);

    if (!LIKELY(!!found)) {
        found = dlsym(RTLD_NEXT, name);
        CHECK(found);
        atomic_store_explicit(known, found, memory_order_relaxed);
    }
    return found;
}

ssize_t libc_recvmsg(int fd, struct msghdr *message, int flags)
{
    static void *_Atomic known;
    ssize_t (*call)(int, struct msghdr *, int);

    *(void **)&call = find(&known, "recvmsg");
    return call(fd, message, flags);
}

ssize_t libc_sendmsg(int fd, const struct msghdr *message, int flags)
{
    static void *_Atomic known;
    ssize_t (*call)(int, const struct msghdr *, int);

    *(void **)&call = find(&known, "sendmsg");
    return call(fd, message, flags);
}

int libc_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    static void *_Atomic known;
    int (*call)(int, int, int, struct epoll_event *);

    *(void **)&call = find(&known, "epoll_ctl");
    return call(epoll, op, fd, event);
}

int libc_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    static void *_Atomic known;
    int (*call)(int, struct epoll_event *, int, int);

    *(void **)&call = find(&known, "epoll_wait");
    return call(epoll, events, max, timeout_ms);
}

int libc_close(int fd)
{
    static void *_Atomic known;
    int (*call)(int);

    *(void **)&call = find(&known, "close");
    return call(fd);
}

int libc_shutdown(int fd, int how)
{
    static void *_Atomic known;
    int (*call)(int, int);

    *(void **)&call = find(&known, "shutdown");
    return call(fd, how);
}
