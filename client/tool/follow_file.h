/* follow_file.h - reads one file as it grows. It stays the same file, whatever its name becomes.
 *
 * A file that becomes shorter is noticed, also when it has grown again meanwhile: the bytes before
 * the offset are read once more with every read, and compared. One thread. */
#ifndef TRIBUTARY_TOOL_FOLLOW_FILE_H
#define TRIBUTARY_TOOL_FOLLOW_FILE_H

#include <sys/types.h>

#include "client/tool/lines.h"

#define FOLLOW_TAIL_BYTES 1024u

/* The way to a place in a file that a later process finds again. */
struct follow_mark {
    uint64_t device, inode, offset;
    uint64_t tail_bytes; /* how many bytes before the offset the fingerprint is of */
    uint64_t fingerprint;
};

struct follow_file {
    int fd;
    dev_t device;
    ino_t inode;
    off_t offset;                    /* of the next byte to read */
    uint8_t tail[FOLLOW_TAIL_BYTES]; /* the bytes before the offset */
    size_t tail_size;
    int64_t moved_ns; /* when bytes came last, or it was opened; clock_mono_ns() */
    struct lines lines;
    struct follow_mark mark; /* behind the latest line that was passed on whole */
};

enum follow_outcome {
    FOLLOW_QUIET,     /* it was read to its end */
    FOLLOW_MORE,      /* there is more to read */
    FOLLOW_TRUNCATED, /* it became shorter: reading begins at its beginning, and what was left of a
                         line was passed on; there is more to read */
    FOLLOW_DONE,      /* the receiver wants no more lines, or memory ran out */
    FOLLOW_FAILED,    /* it cannot be read; errno says why */
};

/* Opens a regular file; reading starts at its beginning. `lines` says where its lines go, and has
 * no content. NULL: it cannot be opened, is no regular file (EINVAL), or memory ran out; errno says
 * why. */
struct follow_file *follow_file_open(const char *path, const struct lines *lines);
void follow_file_free(struct follow_file *file); /* NULL is allowed */

bool follow_file_is(const struct follow_file *file, dev_t device, ino_t inode);

/* Starts with the last `count` lines. UINT64_MAX: all. */
void follow_file_seek_lines(struct follow_file *file, uint64_t count);

/* Starts at a mark. False: the file is another one, is shorter, or has other bytes there; nothing
 * changes. */
bool follow_file_seek_mark(struct follow_file *file, const struct follow_mark *mark);

/* Passes on what is left of the last line. False: the receiver wants no more lines. */
bool follow_file_end(struct follow_file *file);

/* Reads up to its end, or FOLLOW_PASS_BYTES. */
#define FOLLOW_PASS_BYTES (4u << 20)
enum follow_outcome follow_file_read(struct follow_file *file);

#endif
