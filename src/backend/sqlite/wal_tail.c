/* wal_tail.c - see wal_tail.h. The format is that of https://sqlite.org/fileformat2.html#walformat:
 * a header, then frames: each has a header and a page. All numbers have their highest byte first.
 *
 *   header: magic, version, bytes of a page, checkpoint number, two salts, two checksums
 *   frame:  page, pages of the database after a commit or 0, the two salts, two checksums, the page
 *
 * A frame is good where its salts are those of the header, and its checksums continue those of the
 * frame before. */
#include "backend/sqlite/wal_tail.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 32u
#define FRAME_HEADER_BYTES 24u
#define SALTS_BYTES 8u
#define MAGIC 0x377f0682u /* and 1: checksums are of numbers with the highest byte first */
#define MIN_PAGE_BYTES 512u
#define MAX_PAGE_BYTES 65536u

struct wal {
    int fd;
    bool big_endian; /* the numbers that a checksum adds up */
    uint32_t page_bytes;
    int64_t frames; /* that fit into the file */
    uint8_t header[HEADER_BYTES];
    uint32_t checksums[2]; /* of the latest good frame */
    uint8_t *frame;
};

static uint32_t big(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* `size` is a multiple of 8. */
static void add_up(const struct wal *wal, const uint8_t *bytes, size_t size, uint32_t checksums[2])
{
    for (size_t i = 0; i < size; i += 8) {
        checksums[0] += (wal->big_endian ? big(bytes + i) : little(bytes + i)) + checksums[1];
        checksums[1] += (wal->big_endian ? big(bytes + i + 4) : little(bytes + i + 4)) + checksums[0];
    }
}

static bool read_at(const struct wal *wal, void *bytes, size_t size, int64_t offset)
{
    return pread(wal->fd, bytes, size, offset) == (ssize_t)size;
}

static bool is_page_size(uint32_t bytes)
{
    return bytes >= MIN_PAGE_BYTES && bytes <= MAX_PAGE_BYTES && (bytes & (bytes - 1)) == 0;
}

static bool read_header(struct wal *wal)
{
    uint32_t magic;

    if (!read_at(wal, wal->header, HEADER_BYTES, 0))
        return false;
    magic = big(wal->header);
    wal->big_endian = magic & 1;
    wal->page_bytes = big(wal->header + 8);
    add_up(wal, wal->header, HEADER_BYTES - 8, wal->checksums);
    return (magic & ~UINT32_C(1)) == MAGIC && is_page_size(wal->page_bytes) &&
           big(wal->header + 24) == wal->checksums[0] && big(wal->header + 28) == wal->checksums[1];
}

/* From 0. False: it cannot be read. */
static bool read_frame(const struct wal *wal, int64_t number)
{
    const size_t size = FRAME_HEADER_BYTES + wal->page_bytes;

    return read_at(wal, wal->frame, size, (int64_t)HEADER_BYTES + number * (int64_t)size);
}

static bool is_of_this_log(const struct wal *wal)
{
    return memcmp(wal->frame + 8, wal->header + 16, SALTS_BYTES) == 0;
}

/* The frame at hand. */
static bool is_good(struct wal *wal)
{
    uint32_t checksums[2] = {wal->checksums[0], wal->checksums[1]};

    if (!is_of_this_log(wal) || big(wal->frame) == 0)
        return false;
    add_up(wal, wal->frame, 8, checksums);
    add_up(wal, wal->frame + FRAME_HEADER_BYTES, wal->page_bytes, checksums);
    if (big(wal->frame + 16) != checksums[0] || big(wal->frame + 20) != checksums[1])
        return false;
    memcpy(wal->checksums, checksums, sizeof(checksums));
    return true;
}

static void scan(struct wal *wal, struct wal_tail *tail)
{
    int64_t number = 0;

    for (; number < wal->frames && read_frame(wal, number) && is_good(wal); number++)
        if (big(wal->frame + 4) != 0)
            tail->used = number + 1;
    const int64_t first = number;
    for (; number < wal->frames && read_frame(wal, number); number++)
        tail->unused += is_of_this_log(wal);
    if (tail->unused > 0)
        tail->bad_frame = first + 1;
}

struct wal_tail wal_tail_read(const struct state_dir *dir, const char *name)
{
    struct wal_tail tail = {.bad_frame = -1};
    struct wal wal = {.fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat file;

    if (wal.fd < 0)
        return tail;
    if (fstat(wal.fd, &file) == 0 && file.st_size > (off_t)HEADER_BYTES) {
        const bool is_header = read_header(&wal);

        if (!is_page_size(wal.page_bytes))
            wal.page_bytes = MIN_PAGE_BYTES;
        wal.frames = (file.st_size - (off_t)HEADER_BYTES) / (FRAME_HEADER_BYTES + wal.page_bytes);
        wal.frame = malloc(FRAME_HEADER_BYTES + wal.page_bytes);
        if (is_header && wal.frame)
            scan(&wal, &tail);
        else if (!is_header && wal.frames > 0)
            tail = (struct wal_tail){.bad_frame = 0, .unused = wal.frames};
        free(wal.frame);
    }
    close(wal.fd);
    return tail;
}
