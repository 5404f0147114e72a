/* follow_state.h - a file that says how far files were followed, so that a later process goes on
 * there. Main thread.
 *
 * It says only what the server has confirmed: a snapshot is written once every event before it is
 * done. It is replaced as a whole, so a reader sees the old one or the new one. A lock beside it,
 * `FILE.lock`, keeps two processes from using one. */
#ifndef TRIBUTARY_TOOL_FOLLOW_STATE_H
#define TRIBUTARY_TOOL_FOLLOW_STATE_H

#include "client/tool/follow_set.h"

#define FOLLOW_STATE_WRITE_NS INT64_C(1000000000) /* between two writes */

struct follow_state {
    const char *path;
    int lock_fd;
    struct follow_saved *saved; /* what the file said at the start */
    size_t saved_count;
    struct follow_mark closed[FOLLOW_MAX_CLOSED];
    size_t closed_count;

    char *pending;    /* a snapshot that was not written yet; NULL: none */
    char *written;    /* what the file says now; NULL: not known */
    int64_t tried_ns; /* when it was written last, or could not be; 0: never */
    bool failed;      /* a write failed, and that was reported */
};

/* Reads the file, which may be missing, and locks it. False: *fault_out says why: it is no regular
 * file, is damaged, another process has it, or the system refuses. */
bool follow_state_open(struct follow_state *state, const char *path, char fault[512]);

/* Takes a snapshot. None may be pending. */
void follow_state_note(struct follow_state *state, const struct follow_set *set);

/* Writes the pending snapshot, because all events before it are done: `at_once`, or if
 * FOLLOW_STATE_WRITE_NS have passed since the write before; else it stays pending. A failure is
 * reported on standard error, once, and `failed` is set until a write succeeds. False: it could not
 * be written. */
bool follow_state_write(struct follow_state *state, bool at_once);

void follow_state_close(struct follow_state *state);

#endif
