/* follow_file.c - see follow_file.h. */
#include "client/tool/follow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"

#define BLOCK 65536u

/* FNV-1a. */
static uint64_t fingerprint_of(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Moves the mark to the beginning of the line that has begun, unless its bytes are no longer in the
 * tail, or parts of it were passed on. Then it stays where it is. */
static void update_mark(struct follow_file *file)
{
    const size_t begun = file->lines.rest.size;

    if (file->lines.parts > 0 || begun > file->tail_size || (begun == file->tail_size && begun > 0))
        return;
    file->mark.offset = (uint64_t)file->offset - begun;
    file->mark.tail_bytes = file->tail_size - begun;
    file->mark.fingerprint = fingerprint_of(file->tail, file->tail_size - begun);
}

/* Appends bytes to the tail, which keeps the latest ones. */
static void tail_add(struct follow_file *file, const uint8_t *bytes, size_t size)
{
    const size_t added = MIN_OF(size, sizeof(file->tail));
    const size_t kept = MIN_OF(file->tail_size, sizeof(file->tail) - added);

    memmove(file->tail, file->tail + file->tail_size - kept, kept);
    memcpy(file->tail + kept, bytes + size - added, added);
    file->tail_size = kept + added;
}

/* Continues at an offset, with the bytes before it as the tail. False: they cannot be read. */
static bool seek(struct follow_file *file, off_t offset)
{
    const size_t size = (size_t)MIN_OF(offset, (off_t)sizeof(file->tail));
    uint8_t tail[FOLLOW_TAIL_BYTES];

    if (pread(file->fd, tail, size, offset - (off_t)size) != (ssize_t)size)
        return false;
    memcpy(file->tail, tail, size);
    file->tail_size = size;
    file->offset = offset;
    update_mark(file);
    return true;
}

struct follow_file *follow_file_open(const char *path, const struct lines *lines)
{
    struct follow_file *file = calloc(1, sizeof(*file));
    struct stat about;

    if (!file)
        return NULL;
    file->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        const int error = file->fd < 0 ? errno : EINVAL;

        follow_file_free(file);
        errno = error;
        return NULL;
    }
    file->device = about.st_dev;
    file->inode = about.st_ino;
    file->lines = *lines;
    file->moved_ns = clock_mono_ns();
    file->mark = (struct follow_mark){.device = (uint64_t)about.st_dev, .inode = (uint64_t)about.st_ino};
    update_mark(file);
    return file;
}

void follow_file_free(struct follow_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    lines_fini(&file->lines);
    free(file);
}

bool follow_file_is(const struct follow_file *file, dev_t device, ino_t inode)
{
    return file->device == device && file->inode == inode;
}

/* The offset at which the last `count` lines begin. Searches backwards for the newline before
 * them. */
static off_t find_last_lines(int fd, uint64_t count)
{
    char block[BLOCK];
    const off_t end = lseek(fd, 0, SEEK_END);
    off_t offset = end;
    uint64_t seen = 0;

    if (end <= 0 || count == UINT64_MAX)
        return 0;
    if (count == 0)
        return end;
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

void follow_file_seek_lines(struct follow_file *file, uint64_t count)
{
    if (!seek(file, find_last_lines(file->fd, count)))
        seek(file, 0); /* it became shorter this moment, so everything in it is new */
}

bool follow_file_seek_mark(struct follow_file *file, const struct follow_mark *mark)
{
    uint8_t tail[FOLLOW_TAIL_BYTES];
    const size_t size = (size_t)MIN_OF(mark->tail_bytes, sizeof(tail));

    if (mark->device != (uint64_t)file->device || mark->inode != (uint64_t)file->inode ||
        mark->tail_bytes > sizeof(tail) || mark->offset < size || mark->offset > INT64_MAX)
        return false;
    return pread(file->fd, tail, size, (off_t)(mark->offset - size)) == (ssize_t)size &&
           fingerprint_of(tail, size) == mark->fingerprint && seek(file, (off_t)mark->offset);
}

bool follow_file_end(struct follow_file *file)
{
    const bool wanted = lines_end(&file->lines);

    if (wanted) /* else the line is read again */
        update_mark(file);
    return wanted;
}

/* Passes on what is left of a line, and begins anew. */
static enum follow_outcome restart(struct follow_file *file)
{
    const bool wanted = lines_end(&file->lines);

    file->offset = 0;
    file->tail_size = 0;
    file->moved_ns = clock_mono_ns();
    update_mark(file);
    return wanted ? FOLLOW_TRUNCATED : FOLLOW_DONE;
}

enum follow_outcome follow_file_read(struct follow_file *file)
{
    uint8_t block[FOLLOW_TAIL_BYTES + BLOCK];

    for (size_t total = 0; total < FOLLOW_PASS_BYTES;) {
        const size_t before = file->tail_size;
        const ssize_t size = pread(file->fd, block, before + BLOCK, file->offset - (off_t)before);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return FOLLOW_FAILED;
        if ((size_t)size < before || memcmp(block, file->tail, before) != 0)
            return restart(file);

        const size_t added = (size_t)size - before;

        if (added == 0)
            return FOLLOW_QUIET;
        file->offset += (off_t)added;
        file->moved_ns = clock_mono_ns();
        tail_add(file, block + before, added);
        if (!lines_add(&file->lines, (const char *)block + before, added)) {
            errno = ENOMEM;
            return file->lines.rest.broken ? FOLLOW_FAILED : FOLLOW_DONE;
        }
        update_mark(file);
        total += added;
    }
    return FOLLOW_MORE;
}
