/* dial.c - connects a socket. */
#include "lib/h2/h2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int h2_dial(const char *address)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET};
    const struct sockaddr *where = (const struct sockaddr *)&remote;
    socklen_t size = sizeof(remote);
    char host[64] = {0};

    if (!strncmp(address, "unix:", 5)) {
        snprintf(local.sun_path, sizeof(local.sun_path), "%s", address + 5);
        where = (const struct sockaddr *)&local;
        size = sizeof(local);
    } else {
        const char *colon = strrchr(address, ':');
        if (!colon || (size_t)(colon - address) >= sizeof(host)) {
            errno = EINVAL;
            return -1;
        }
        memcpy(host, address, (size_t)(colon - address));
        remote.sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, host, &remote.sin_addr) != 1) {
            errno = EINVAL;
            return -1;
        }
    }
    int fd = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (fd >= 0 && connect(fd, where, size) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
        if (where->sa_family == AF_INET)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}
