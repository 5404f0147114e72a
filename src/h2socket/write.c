/* write.c - see write.h. */
#include "h2socket/write.h"

#include <errno.h>

#include "h2socket/end.h"
#include "h2socket/kept.h"
#include "h2socket/libc_calls.h"

static void show(struct h2socket *socket, const struct msghdr *message, size_t size)
{
    for (size_t i = 0; i < message->msg_iovlen && size > 0; i++) {
        const struct iovec *piece = &message->msg_iov[i];
        size_t length = MIN_OF(size, piece->iov_len);

        h2guard_out(socket->guard, (struct bytes){piece->iov_base, length});
        size -= length;
    }
}

ssize_t socket_write(struct h2socket *socket, const struct msghdr *message, int flags)
{
    ssize_t size = -1;

    pthread_mutex_lock(&socket->lock);
    socket->was_written = true;
    if (socket->ended)
        errno = EPIPE;
    else
        size = libc_sendmsg(socket->fd, message, flags);
    if (size > 0 && socket->guard) {
        show(socket, message, (size_t)size);
        if (h2guard_stats(socket->guard)->goaway_code != 0)
            end_by_core(socket);
        kept_update(socket);
    }
    pthread_mutex_unlock(&socket->lock);
    return size;
}
