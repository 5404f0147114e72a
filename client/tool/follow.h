/* follow.h - reads what is at a path as it grows, like `tail -F`. The file may be missing at first,
 * may be replaced (rotated) and may become shorter (truncated).
 *
 * A file that was replaced is still read: its writer may not have noticed. The new file is opened
 * at once, and read when the old one is quiet, so that lines keep their order. Where there are too
 * many old files, the oldest one is read to its end and closed. What cannot be read any more is
 * reported. One thread. */
#ifndef TRIBUTARY_TOOL_FOLLOW_H
#define TRIBUTARY_TOOL_FOLLOW_H

#include "client/tool/follow_file.h"

#define FOLLOW_MAX_FILES 5u                     /* at one path: the present one and those that it replaced */
#define FOLLOW_QUIET_NS INT64_C(500000000)      /* an old file is quiet after so long */
#define FOLLOW_QUIET_MAX_NS INT64_C(5000000000) /* the new one is read then, too */
#define FOLLOW_KEEP_NS INT64_C(60000000000)     /* an old file is closed when it was quiet so long */

struct follow;

struct follow_port {
    bool (*line)(void *ctx, const struct line *line); /* false: no more lines are wanted */
    /* Something that the reader of the lines should know; `text` is about the file at `path`. */
    void (*notice)(void *ctx, const char *path, const char *text);
    void *ctx;
    size_t max_line_bytes;
};

/* What follows other paths at the same time. Functions and `ctx` as the functions want it. */
struct follow_others {
    /* Whether another path has this file open, so that it is not to be read twice. */
    bool (*has)(void *ctx, const struct follow *follow, dev_t device, ino_t inode);
    /* Where reading of a file ended that was closed; NULL: it was not open before. */
    const struct follow_mark *(*closed_at)(void *ctx, dev_t device, ino_t inode);
    void (*closed)(void *ctx, const struct follow_mark *mark);
    void *ctx;
};

struct follow {
    const struct follow_port *port;
    const struct follow_others *others; /* NULL: there are none */
    char *path;
    bool names_file;                             /* each line says which file it is from */
    struct follow_file *files[FOLLOW_MAX_FILES]; /* the oldest one first */
    size_t file_count;
    bool has_present;    /* the last one of them is at the path */
    int64_t replaced_ns; /* when the latest replacement was seen; clock_mono_ns() */
    uint64_t rotations, truncations;
    bool is_waiting; /* a new file waits until an old one is quiet: call follow_read() again soon */
    int error;       /* why the file at the path cannot be read; 0: it can, or there is none */
};

/* Prepares; no file is open yet. `port` and `others` must outlive it. False: out of memory. */
bool follow_init(struct follow *follow, const struct follow_port *port, const struct follow_others *others,
                 const char *path);

/* Opens the file at the path, and starts with its last lines; UINT64_MAX: all. False: there is none
 * that can be read, yet. */
bool follow_open(struct follow *follow, uint64_t last_lines);

/* Opens files that an earlier process followed at this path, the oldest one first and at most
 * FOLLOW_MAX_FILES, and the present one. An old file is looked for in the same folder. Files that
 * are gone are reported. */
void follow_resume(struct follow *follow, const struct follow_mark *marks, size_t count);

/* Reads what there is. `now_ns` is clock_mono_ns().
 *   FOLLOW_QUIET  everything was read; or a new file waits, see is_waiting
 *   FOLLOW_MORE   call it again
 *   FOLLOW_DONE   the receiver wants no more lines, or memory ran out */
enum follow_outcome follow_read(struct follow *follow, int64_t now_ns);

/* Whether it has this file open. */
bool follow_has(const struct follow *follow, dev_t device, ino_t inode);

/* Closes all. Reports lines that have begun and whose end has not come; they are not passed on. */
void follow_fini(struct follow *follow);

#endif
