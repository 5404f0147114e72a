/* socket_writable.c - see socket_writable.h. */
#include "server/wire/socket_writable.h"

#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

/* Unix sockets are not asked: their buffer is small, and the peer empties it many times within the
 * millisecond after which the sender would ask again.
 *
 * The connection may be closed, and its descriptor given to another connection, before its call is
 * notified. The result is meaningless then, and harmless. */
size_t socket_writable(int fd, size_t *unread_out)
{
    int unread = 0, buffer = 0;
    socklen_t size = sizeof(buffer);

    *unread_out = 0;
    if (fd < 0 || ioctl(fd, SIOCOUTQ, &unread) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size) != 0)
        return SIZE_MAX;
    int writable = buffer - buffer / 8 - unread; /* the kernel counts its overhead, too */
    *unread_out = (size_t)unread;
    return writable < buffer / 4 ? 0 : (size_t)writable;
}
