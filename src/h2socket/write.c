/* write.c - see write.h. */
#include "h2socket/write.h"

#include <errno.h>

#include "base/clock.h"
#include "h2guard/h2guard_window.h"
#include "h2socket/end.h"
#include "h2socket/kept.h"
#include "h2socket/libc_calls.h"
#include "h2socket/wait.h"

static void show(struct h2socket *socket, const struct msghdr *message, size_t size)
{
    for (size_t i = 0; i < message->msg_iovlen && size > 0; i++) {
        const struct iovec *piece = &message->msg_iov[i];
        size_t length = MIN_OF(size, piece->iov_len);

        h2guard_out(socket->guard, (struct bytes){piece->iov_base, length});
        size -= length;
    }
}

/* Lends the connection a window, where it is time to. A socket that is short of memory may take a
 * part of the frame: that ends the connection, whose peer would wait for the rest. */
static void lend(struct h2socket *socket)
{
    uint8_t frame[H2GUARD_LEND_BYTES];
    struct iovec piece = {.iov_base = frame, .iov_len = h2guard_lend(socket->guard, frame)};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (LIKELY(piece.iov_len == 0))
        return;
    ssize_t sent = libc_sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == (ssize_t)piece.iov_len) {
        h2guard_lent(socket->guard);
    } else if (sent > 0) {
        h2guard_end(socket->guard, H2GUARD_NO_MEMORY, 0, 0);
        end_connection(socket, H2GUARD_NO_MEMORY);
    }
}

/* Accounts for what the core has sent. It may end the wait for room in the core's window. */
static void account(struct h2socket *socket, const struct msghdr *message, size_t size)
{
    bool held_back = h2guard_holds_back(socket->guard);

    show(socket, message, size);
    if (h2guard_round_is_new(socket->guard))
        h2guard_begin_round(socket->guard, clock_mono_ns());
    if (held_back && !h2guard_holds_back(socket->guard) &&
        atomic_load_explicit(&socket->turn, memory_order_relaxed) == TURN_WAITS)
        wait_begin(socket, h2guard_wait_ns(socket->guard));
    if (h2guard_stats(socket->guard)->goaway_code != 0)
        end_by_core(socket);
    else
        lend(socket);
    kept_update(socket);
}

/* As sendmsg(). Notes that nothing reaches the peer any more. */
static ssize_t transmit(struct h2socket *socket, const struct msghdr *message, int flags)
{
    const ssize_t size = libc_sendmsg(socket->fd, message, flags);

    if (size < 0 && errno != EAGAIN && errno != EINTR)
        socket->is_over = true;
    return size;
}

ssize_t socket_write(struct h2socket *socket, const struct msghdr *message, int flags)
{
    ssize_t size = -1;

    pthread_mutex_lock(&socket->lock);
    socket->was_written = true;
    if (socket->guard && h2guard_takes_back(socket->guard))
        h2guard_take_back(socket->guard, message->msg_iov, message->msg_iovlen);
    if (socket->ended)
        errno = EPIPE;
    else
        size = transmit(socket, message, flags);
    if (size > 0 && socket->guard)
        account(socket, message, (size_t)size);
    pthread_mutex_unlock(&socket->lock);
    return size;
}
