/* ballast.c - a file that keeps space on the disk. */
#include "backend/sqlite/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/splitmix.h"

#define BLOCK_BYTES 512 /* of st_blocks */
#define STEP_EVERY_NS (20 * NS_PER_MS)
#define LOOK_EVERY_NS NS_PER_S
/* So much of the disk must be free before it comes back. */
#define RETURN_PART 20
#define MAX_RETURN_BYTES (INT64_C(1) << 30)

bool disk_space_find(const struct state_dir *dir, struct disk_space *space_out)
{
    struct statvfs system;

    if (fstatvfs(dir->fd, &system) != 0)
        return false;
    *space_out = (struct disk_space){(int64_t)(system.f_bavail * system.f_frsize),
                                     (int64_t)(system.f_blocks * system.f_frsize)};
    return true;
}

/* What the disk is large enough for. */
static int64_t bounded(const struct state_dir *dir, int64_t bytes)
{
    struct disk_space space;

    if (!disk_space_find(dir, &space))
        return bytes;
    bytes = MIN_OF(bytes, space.all_bytes / BALLAST_DISK_PART);
    return bytes < MIN_BALLAST_BYTES ? 0 : bytes;
}

void ballast_init(struct ballast *ballast, const struct state_dir *dir, int64_t wanted)
{
    const int64_t bytes = bounded(dir, wanted);
    struct stat file;
    const bool is_whole = bytes > 0 && fstatat(dir->fd, STORE_BALLAST, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
                          S_ISREG(file.st_mode) && file.st_size == bytes &&
                          file.st_blocks * BLOCK_BYTES >= bytes;

    *ballast = (struct ballast){.dir = dir,
                                .bytes = bytes,
                                .written = is_whole ? bytes : 0,
                                .due_ns = is_whole || bytes == 0 ? INT64_MAX : clock_mono_ns()};
}

/* ---- writing ---- */

static bool write_all(int fd, const uint8_t *bytes, size_t size, int64_t offset)
{
    while (size > 0) {
        const ssize_t count = pwrite(fd, bytes, size, offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes += count;
        size -= (size_t)count;
        offset += count;
    }
    return true;
}

/* Nothing that could be compressed. */
static bool write_part(int fd, size_t size, int64_t offset)
{
    uint64_t random = (uint64_t)offset + 1, *part = malloc(size + sizeof(*part));

    for (size_t i = 0; part && i <= size / sizeof(*part); i++)
        part[i] = splitmix64(&random);
    const bool is_written = part && write_all(fd, (const uint8_t *)part, size, offset) && fdatasync(fd) == 0;
    free(part);
    return is_written;
}

/* What an earlier process left of it is no use. */
static int open_file(const struct ballast *ballast)
{
    const int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;

    if (ballast->written > 0)
        return openat(ballast->dir->fd, STORE_BALLAST, flags);
    if (unlinkat(ballast->dir->fd, STORE_BALLAST, 0) != 0 && errno != ENOENT)
        return -1;
    return openat(ballast->dir->fd, STORE_BALLAST, flags | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
}

static void refuse_ballast(struct ballast *ballast, const char *reason)
{
    if (!ballast->was_refused)
        log_write(LOG_WARN, "store.no_ballast", LOG_TEXT("path", ballast->dir->path),
                  LOG_NUMBER("bytes", ballast->bytes), LOG_TEXT("reason", reason));
    ballast->was_refused = true;
    ballast->due_ns = clock_from_now_ns(LOOK_EVERY_NS);
}

static bool has_space(const struct ballast *ballast)
{
    struct disk_space space;

    if (!disk_space_find(ballast->dir, &space))
        return false;
    const int64_t part = MIN_OF(space.all_bytes / RETURN_PART, MAX_RETURN_BYTES);
    return space.free_bytes >= ballast->bytes - ballast->written + ballast_margin(ballast) &&
           (!ballast->was_removed || ballast->written > 0 || space.free_bytes >= part);
}

void ballast_step(struct ballast *ballast)
{
    if (clock_mono_ns() < ballast->due_ns)
        return;
    if (!has_space(ballast)) {
        ballast_remove(ballast);
        refuse_ballast(ballast, "the disk has no space for it");
        return;
    }
    const size_t size = (size_t)MIN_OF(ballast->bytes - ballast->written, BALLAST_STEP_BYTES);
    const int fd = open_file(ballast);
    const bool is_written = fd >= 0 && write_part(fd, size, ballast->written);
    const int failed = errno;

    if (fd >= 0)
        close(fd);
    if (!is_written) {
        ballast_remove(ballast);
        refuse_ballast(ballast, strerror(failed));
        return;
    }
    ballast->written += (int64_t)size;
    ballast->due_ns = ballast_is_whole(ballast) ? INT64_MAX : clock_from_now_ns(STEP_EVERY_NS);
    if (ballast_is_whole(ballast) && (ballast->was_refused || ballast->was_removed))
        log_write(LOG_INFO, "store.ballast", LOG_TEXT("path", ballast->dir->path),
                  LOG_NUMBER("bytes", ballast->bytes));
    ballast->was_refused &= !ballast_is_whole(ballast);
}

void ballast_remove(struct ballast *ballast)
{
    if (ballast->bytes == 0)
        return;
    if (unlinkat(ballast->dir->fd, STORE_BALLAST, 0) == 0 && ballast_is_whole(ballast))
        ballast->was_removed = true;
    ballast->written = 0;
    ballast->due_ns = clock_from_now_ns(LOOK_EVERY_NS);
}
