/* file_bytes.c - see file_bytes.h. */
#include "server/config/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTION_BYTES ((size_t)64 << 10)

static bool refuse(struct tree_fault *fault, const char *what, int reason)
{
    char text[64];

    return tree_refuse(fault, 0, NULL, "%s: %s", what, strerror_r(reason, text, sizeof(text)));
}

static bool refuse_kind(struct tree_fault *fault)
{
    return tree_refuse(fault, 0, NULL, "it is no regular file");
}

static bool read_all(int fd, size_t max, struct buf *bytes, struct tree_fault *fault)
{
    for (;;) {
        uint8_t *at = buf_extend(bytes, PORTION_BYTES);
        const ssize_t size = at ? read(fd, at, PORTION_BYTES) : -1;

        if (!at)
            return tree_refuse(fault, 0, NULL, "out of memory");
        bytes->size -= PORTION_BYTES - (size_t)MAX_OF(size, (ssize_t)0);
        if (size < 0)
            return refuse(fault, "it cannot be read", errno);
        if (bytes->size > max)
            return tree_refuse(fault, 0, NULL, "it has more than %zu bytes", max);
        if (size == 0)
            return true;
    }
}

bool file_bytes_read(const char *folder, const char *name, size_t max, struct buf *bytes,
                     struct tree_fault *fault)
{
    char path[4096];
    struct stat status;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return refuse(fault, "it cannot be opened", ENAMETOOLONG);
    /* Already to open it may do something where a link leads to a device. */
    if (stat(path, &status) != 0)
        return refuse(fault, "it cannot be opened", errno);
    if (!S_ISREG(status.st_mode))
        return refuse_kind(fault);
    /* another one may be there now: a named pipe would wait for a writer */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refuse(fault, "it cannot be opened", errno);
    const bool is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    const bool is_good = is_regular ? read_all(fd, max, bytes, fault) : refuse_kind(fault);
    close(fd);
    return is_good;
}
