/* front.c - the functions that stand in front of libc's. gRPC core calls them, and so does every
 * other caller in the program; CMakeLists.txt says how they get there.
 *
 * Threads: any. */
#include <errno.h>
#include <unistd.h>

#include "h2socket/libc_calls.h"
#include "h2socket/read.h"
#include "h2socket/socket_table.h"
#include "h2socket/wait.h"
#include "h2socket/write.h"

/* The linker is told that it needs this symbol, and so takes the functions below. */
extern const char h2socket_front;
const char h2socket_front = 1;

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct h2socket *socket = socket_of(fd);

    if (!socket || (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0)
        return libc_recvmsg(fd, message, flags);
    ssize_t size = socket_read(socket, message, flags);
    if (!LIKELY(!atomic_load_explicit(&socket->is_above, memory_order_relaxed)))
        socket_end_largest(socket);
    return size;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct h2socket *socket = socket_of(fd);

    return socket ? socket_write(socket, message, flags) : libc_sendmsg(fd, message, flags);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    struct h2socket *socket = socket_of(fd);

    return socket ? wait_watch(socket, epoll, op, event) : libc_epoll_ctl(epoll, op, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    return wait_epoll(epoll, events, max, timeout_ms);
}

int shutdown(int fd, int how)
{
    return libc_shutdown(fd, socket_lingers(fd) ? SHUT_WR : how);
}

int close(int fd)
{
    wait_closing(fd);
    return socket_remove(fd) ? 0 : libc_close(fd);
}
