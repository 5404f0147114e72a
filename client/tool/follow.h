/* follow.h - reads a file as it grows, like `tail -F`: it may be missing at first, be replaced
 * (rotated) or be cut short (truncated). */
#ifndef TRIBUTARY_TOOL_FOLLOW_H
#define TRIBUTARY_TOOL_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/tool/lines.h"

struct follow {
    const char *path;
    int fd; /* -1: not there at the moment */
    /* inotify on the folder: something in it changed; -1: not to be had, so look now and then */
    int notify_fd;
    dev_t dev;
    ino_t ino;
    off_t at;
    bool was_missing;
    uint64_t rotations;
    uint64_t truncations;
};

/* Begins with the last `last_lines` lines (UINT64_MAX: all) where the file is there. `path` must
 * outlive it. */
void follow_open(struct follow *follow, const char *path, uint64_t last_lines);
void follow_close(struct follow *follow);

/* Reads what is there to be read, over a rotation or a truncation. False: the receiver wants no
 * more. */
bool follow_read(struct follow *follow, struct lines *lines);

/* Forgets the notices that made notify_fd readable. */
void follow_noticed(struct follow *follow);

#endif
