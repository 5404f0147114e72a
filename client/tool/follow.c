/* follow.c - follows a file by its name.
 *
 * DESIGN. At the end of the open file, stat() of its name says what happened.
 *   another file    rotation: the old file was read to its end, so the new one is opened
 *   a shorter file  truncation: reading starts at its beginning
 * In both cases a last line without a newline is complete. */
#include "client/tool/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#define BLOCK 65536

static bool open_file(struct follow *follow)
{
    struct stat now;
    const int fd = open(follow->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) {
        close(fd);
        return false;
    }
    follow->fd = fd;
    follow->dev = now.st_dev;
    follow->ino = now.st_ino;
    follow->offset = 0;
    return true;
}

static void close_file(struct follow *follow)
{
    if (follow->fd >= 0)
        close(follow->fd);
    follow->fd = -1;
}

/* The offset at which the last `count` lines begin. Searches backwards for the newline before
 * them. */
static off_t find_last_lines(int fd, uint64_t count)
{
    char block[BLOCK];
    off_t end = lseek(fd, 0, SEEK_END);
    off_t offset = end;
    uint64_t seen = 0;

    if (end <= 0 || count == UINT64_MAX)
        return 0;
    while (offset > 0) {
        const off_t from = offset > BLOCK ? offset - BLOCK : 0;
        const ssize_t size = pread(fd, block, (size_t)(offset - from), from);

        if (size <= 0)
            return offset;
        for (ssize_t i = size - 1; i >= 0; i--) {
            if (block[i] != '\n' || from + i == end - 1) /* the newline at the end begins no line */
                continue;
            if (++seen == count)
                return from + i + 1;
        }
        offset = from;
    }
    return 0;
}

void follow_open(struct follow *follow, const char *path, uint64_t last_lines)
{
    char *copy = strdup(path);

    *follow = (struct follow){.path = path, .fd = -1, .notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (follow->notify_fd >= 0 && copy)
        inotify_add_watch(follow->notify_fd, dirname(copy),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE);
    free(copy);
    follow->was_missing = !open_file(follow);
    if (!follow->was_missing)
        follow->offset =
            last_lines == 0 ? lseek(follow->fd, 0, SEEK_END) : find_last_lines(follow->fd, last_lines);
}

void follow_close(struct follow *follow)
{
    close_file(follow);
    if (follow->notify_fd >= 0)
        close(follow->notify_fd);
    follow->notify_fd = -1;
}

void follow_noticed(struct follow *follow)
{
    char events[4096];

    while (follow->notify_fd >= 0 && read(follow->notify_fd, events, sizeof(events)) > 0)
        continue;
}

/* Reads to the end of the open file. False: the receiver wants no more lines. */
static bool read_open(struct follow *follow, struct lines *lines)
{
    char block[BLOCK];
    ssize_t size = 0;

    while (follow->fd >= 0 && (size = pread(follow->fd, block, sizeof(block), follow->offset)) > 0) {
        follow->offset += size;
        if (!lines_add(lines, block, (size_t)size))
            return false;
    }
    return true;
}

/* Checks what the name means now. *more_out: there may be more to read. False: the receiver wants
 * no more lines. */
static bool recheck(struct follow *follow, struct lines *lines, bool *more_out)
{
    struct stat now;
    const bool there = stat(follow->path, &now) == 0;
    bool wanted = true;

    *more_out = false;
    if (follow->fd < 0) {
        *more_out = there && open_file(follow);
    } else if (there && (now.st_dev != follow->dev || now.st_ino != follow->ino)) {
        /* It may have grown between our last read and stat(). */
        wanted = read_open(follow, lines) && lines_end(lines);
        close_file(follow);
        follow->rotations++;
        *more_out = open_file(follow);
    } else if (there && now.st_size < follow->offset) {
        wanted = lines_end(lines);
        follow->offset = 0;
        follow->truncations++;
        *more_out = true;
    }
    return wanted;
}

bool follow_read(struct follow *follow, struct lines *lines)
{
    bool more = true;

    while (more) {
        if (!read_open(follow, lines) || !recheck(follow, lines, &more))
            return false;
    }
    return true;
}
