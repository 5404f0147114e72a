/* listen.c - see listen.h. */
#include "bench/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

bool read_address(const char *address, struct sockaddr_in *address_out)
{
    const char *colon = strrchr(address, ':');
    char host[64] = {0};
    char *end = NULL;

    if (!colon || (size_t)(colon - address) >= sizeof(host))
        return false;
    memcpy(host, address, (size_t)(colon - address));

    unsigned long port = strtoul(colon + 1, &end, 10);

    *address_out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return port <= UINT16_MAX && end != colon + 1 && !*end &&
           inet_pton(AF_INET, host, &address_out->sin_addr) == 1;
}

int listen_at(const char *address, char *bound, size_t capacity)
{
    struct sockaddr_in at;
    socklen_t size = sizeof(at);
    int yes = 1;

    errno = EINVAL;
    if (!read_address(address, &at))
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    snprintf(bound, capacity, "%.*s:%u\n", (int)(strrchr(address, ':') - address), address,
             ntohs(at.sin_port));
    return fd;
}

int listen_for_end(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool write_ready(const char *path, const char *bound)
{
    char beside[4096];

    if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside)) {
        errno = ENAMETOOLONG;
        return false;
    }
    FILE *file = fopen(beside, "we");
    bool wrote = file && fputs(bound, file) >= 0;
    return file && fclose(file) == 0 && wrote && rename(beside, path) == 0;
}
