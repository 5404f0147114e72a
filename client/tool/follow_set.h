/* follow_set.h - follows several paths, and the paths that patterns match, now and later. One
 * thread. */
#ifndef TRIBUTARY_TOOL_FOLLOW_SET_H
#define TRIBUTARY_TOOL_FOLLOW_SET_H

#include "client/tool/follow.h"

#define FOLLOW_MAX_PATHS 256u
#define FOLLOW_RESCAN_NS INT64_C(1000000000) /* for folders without change notices */

/* What an earlier process followed at one path, see follow_resume(). */
struct follow_saved {
    char *path;
    struct follow_mark marks[FOLLOW_MAX_FILES]; /* the oldest file first */
    size_t count;
};

#define FOLLOW_MAX_CLOSED 256u

struct follow_set {
    const struct follow_port *port;
    struct follow_others others;
    struct follow_mark closed[FOLLOW_MAX_CLOSED]; /* where files were closed: a ring */
    size_t closed_count, next_closed;
    const struct follow_saved *saved; /* while paths are resumed: all of them */
    size_t saved_count;
    const char *const *patterns; /* as given: a path, or a pattern as for a shell */
    size_t pattern_count;
    struct follow **each;
    size_t count;
    int notify_fd; /* readable when something in a folder changed (inotify); -1: not available */
    int64_t scanned_ns;
    bool is_full; /* more than FOLLOW_MAX_PATHS paths matched, and that was reported */
};

/* Whether the text is a pattern: it holds '*', '?' or '[', and no file has it as its name. */
bool follow_is_pattern(const char *text);

/* Prepares. `port` and `patterns` must outlive it, and the set must not move. */
void follow_set_init(struct follow_set *set, const struct follow_port *port, const char *const *patterns,
                     size_t count);

/* Continues at the paths that an earlier process followed, as far as the patterns still have them.
 * `closed` are the files that it had closed. Before follow_set_open(). */
void follow_set_resume(struct follow_set *set, const struct follow_saved *saved, size_t count,
                       const struct follow_mark *closed, size_t closed_count);

/* Opens what is there and was not resumed. A path without a file is reported. */
void follow_set_open(struct follow_set *set, uint64_t last_lines);

/* As follow_read(), for all paths. Finds new paths of patterns. */
enum follow_outcome follow_set_read(struct follow_set *set);

/* How long to wait for notify_fd at most before the next follow_set_read(). */
int64_t follow_set_wait_ns(const struct follow_set *set);
/* Consumes the notices that made notify_fd readable. */
void follow_set_noticed(struct follow_set *set);

void follow_set_fini(struct follow_set *set);

#endif
