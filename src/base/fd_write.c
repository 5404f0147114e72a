/* fd_write.c - poll(), then write().
 *
 * It uses no CHECK(), because a CHECK() that fails writes through it. */
#include "base/fd_write.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns whether a write makes sense: there is space, or the write will say what is wrong. */
static bool wait_for_space(int fd, int64_t until_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int count;

    do {
        int64_t left_ms = until_ms - now_ms();

        count = poll(&poller, 1, (int)MAX_OF(left_ms, 0));
    } while (count < 0 && errno == EINTR);
    return count != 0;
}

static int write_all(int fd, const char *data, size_t size, int max_ms, size_t *done)
{
    const int64_t until_ms = now_ms() + max_ms;

    while (*done < size) {
        if (!wait_for_space(fd, until_ms))
            return EAGAIN;
        ssize_t written = write(fd, data + *done, size - *done);
        if (written > 0)
            *done += (size_t)written;
        else if (written == 0)
            return EIO;
        else if (errno != EINTR && errno != EAGAIN)
            return errno;
    }
    return 0;
}

int fd_write(int fd, const char *data, size_t size, int max_ms, size_t *done)
{
    const int before = errno;
    const int error = write_all(fd, data, size, max_ms, done);

    errno = before;
    return error;
}
