/* file_bytes.c - see file_bytes.h. */
#include "client/tool/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool file_bytes_read(const char *path, size_t max, struct buf *buf)
{
    const int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = 1;

    while (fd >= 0 && size > 0 && buf->size <= max && !buf->broken) {
        char block[4096];

        size = read(fd, block, sizeof(block));
        if (size > 0)
            buf_bytes(buf, block, (size_t)size);
    }
    if (fd < 0 || size < 0 || buf->broken)
        fprintf(stderr, "tributary: %s: %s\n", path, strerror(buf->broken ? ENOMEM : errno));
    if (fd > STDIN_FILENO)
        close(fd);
    return fd >= 0 && size >= 0 && !buf->broken;
}
