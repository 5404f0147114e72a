/* guard_check.c - see guard_check.h. */
#include "server/guard_check.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "h2socket/h2socket.h"

#define MAX_CHECK_NS (5 * NS_PER_S)
#define PAUSE_US 500

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            "\0\0\0\4\0\0\0\0\0"; /* SETTINGS, empty */

static bool is_closed(int fd)
{
    (void)fd; /* the only one: nothing is accepted yet */
    return h2socket_count() == 0;
}

/* Waits until it is so. False: it took too long. */
static bool becomes(bool (*is_so)(int fd), int fd)
{
    const int64_t until_ns = clock_from_now_ns(MAX_CHECK_NS);

    while (!is_so(fd)) {
        if (clock_mono_ns() > until_ns)
            return false;
        usleep(PAUSE_US);
    }
    return true;
}

struct status guard_check(struct wire_thread *thread, const struct h2guard_limits *limits)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return (struct status){ERR_IO, errno, "make a connection to check the guard"};
    if (h2socket_add(ends[0], H2GUARD_SERVER, limits, "the server itself", NO_PEER)) {
        close(ends[0]);
        close(ends[1]);
        return (struct status){ERR_NO_MEMORY, 0, "make a connection to check the guard"};
    }
    wire_thread_adopt(thread, ends[0]);
    bool sent = send(ends[1], hello, sizeof(hello) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(hello) - 1;
    bool is_used = sent && becomes(h2socket_is_in_front, ends[0]);
    close(ends[1]); /* the core notices, and closes the other end */
    if (!is_used)
        return (struct status){ERR_IO, 0, "check the guard: gRPC core reads past it"};
    if (!becomes(is_closed, ends[0]))
        return (struct status){ERR_IO, 0, "check the guard: gRPC core closes past it"};
    return STATUS_OK;
}
