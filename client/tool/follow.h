/* follow.h - reads a file as it grows, like `tail -F`. The file may be missing at first, may be
 * replaced (rotated) and may become shorter (truncated). One thread. */
#ifndef TRIBUTARY_TOOL_FOLLOW_H
#define TRIBUTARY_TOOL_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/tool/lines.h"

struct follow {
    const char *path;
    int fd; /* -1: the file cannot be opened at the moment */
    /* Readable when something in the file's folder changed (inotify). -1: inotify is not available,
     * so call follow_read() from time to time. */
    int notify_fd;
    dev_t dev;
    ino_t ino;
    off_t offset;     /* of the next byte to read */
    bool was_missing; /* follow_open() could not open the file */
    uint64_t rotations;
    uint64_t truncations;
};

/* Begins with the last `last_lines` lines (UINT64_MAX: all of them) where the file exists. `path`
 * must outlive `follow`. */
void follow_open(struct follow *follow, const char *path, uint64_t last_lines);
void follow_close(struct follow *follow);

/* Reads up to the end of the file, also across rotations and truncations. False: the receiver wants
 * no more lines. */
bool follow_read(struct follow *follow, struct lines *lines);

/* Consumes the notices that made notify_fd readable. */
void follow_noticed(struct follow *follow);

#endif
