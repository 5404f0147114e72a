/* follow_set.c - see follow_set.h. */
#include "client/tool/follow_set.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"

#define QUIET_WAIT_NS (50 * NS_PER_MS) /* between two looks at an old file that must be quiet */

bool follow_is_pattern(const char *text)
{
    struct stat about;

    return strpbrk(text, "*?[") && lstat(text, &about) != 0;
}

static bool names_files(const struct follow_set *set)
{
    return set->pattern_count > 1 || follow_is_pattern(set->patterns[0]);
}

/* Whether a path or a file that was saved under another path holds this inode. */
static bool others_has(void *ctx, const struct follow *follow, dev_t device, ino_t inode)
{
    const struct follow_set *set = ctx;

    for (size_t i = 0; i < set->count; i++) {
        if (set->each[i] != follow && follow_has(set->each[i], device, inode))
            return true;
    }
    for (size_t i = 0; i < set->saved_count; i++) {
        const struct follow_saved *saved = &set->saved[i];

        for (size_t j = 0; j < saved->count && strcmp(saved->path, follow->path) != 0; j++) {
            if (saved->marks[j].device == (uint64_t)device && saved->marks[j].inode == (uint64_t)inode)
                return true;
        }
    }
    return false;
}

static const struct follow_mark *others_closed_at(void *ctx, dev_t device, ino_t inode)
{
    const struct follow_set *set = ctx;

    for (size_t i = 0; i < set->closed_count; i++) {
        if (set->closed[i].device == (uint64_t)device && set->closed[i].inode == (uint64_t)inode)
            return &set->closed[i];
    }
    return NULL;
}

static void others_closed(void *ctx, const struct follow_mark *mark)
{
    struct follow_set *set = ctx;

    for (size_t i = 0; i < set->closed_count; i++) {
        if (set->closed[i].device == mark->device && set->closed[i].inode == mark->inode) {
            set->closed[i] = *mark;
            return;
        }
    }
    set->closed[set->next_closed] = *mark;
    set->next_closed = (set->next_closed + 1) % FOLLOW_MAX_CLOSED;
    set->closed_count = MIN_OF(set->closed_count + 1, (size_t)FOLLOW_MAX_CLOSED);
}

void follow_set_init(struct follow_set *set, const struct follow_port *port, const char *const *patterns,
                     size_t count)
{
    *set = (struct follow_set){
        .port = port,
        .patterns = patterns,
        .pattern_count = count,
        .notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
        .others = {.has = others_has, .closed_at = others_closed_at, .closed = others_closed, .ctx = set}};
}

static struct follow *find(const struct follow_set *set, const char *path)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->each[i]->path, path) == 0)
            return set->each[i];
    }
    return NULL;
}

/* A folder that cannot be watched, or is not there yet, is looked at once a second. */
static void notice_changes(const struct follow_set *set, const char *path)
{
    char *copy = strdup(path);

    if (set->notify_fd >= 0 && copy)
        inotify_add_watch(set->notify_fd, dirname(copy),
                          IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE);
    free(copy);
}

/* Adds a path, without opening its file. NULL: out of memory, or there are too many, which is
 * reported once. */
static struct follow *add(struct follow_set *set, const char *path)
{
    char text[128];
    struct follow **each = NULL;
    struct follow *follow = NULL;

    if (set->count == FOLLOW_MAX_PATHS) {
        snprintf(text, sizeof(text), "it is not followed: %u files are, and that is the bound",
                 FOLLOW_MAX_PATHS);
        if (!set->is_full)
            set->port->notice(set->port->ctx, path, text);
        set->is_full = true;
        return NULL;
    }
    each = realloc(set->each, (set->count + 1) * sizeof(struct follow *));
    if (!each)
        return NULL;
    set->each = each;
    follow = calloc(1, sizeof(*follow));
    if (!follow || !follow_init(follow, set->port, &set->others, path)) {
        free(follow);
        return NULL;
    }
    follow->names_file = names_files(set);
    set->each[set->count++] = follow;
    notice_changes(set, path);
    return follow;
}

/* Whether the path is one of those that are followed, or a pattern matches it. */
static bool is_wanted(const struct follow_set *set, const char *path)
{
    for (size_t i = 0; i < set->pattern_count; i++) {
        const char *pattern = set->patterns[i];

        if (strcmp(pattern, path) == 0 ||
            (follow_is_pattern(pattern) && fnmatch(pattern, path, FNM_PATHNAME) == 0))
            return true;
    }
    return false;
}

void follow_set_resume(struct follow_set *set, const struct follow_saved *saved, size_t count,
                       const struct follow_mark *closed, size_t closed_count)
{
    for (size_t i = 0; i < closed_count; i++)
        others_closed(set, &closed[i]);
    set->saved = saved;
    set->saved_count = count;
    for (size_t i = 0; i < count; i++) {
        struct follow *follow = is_wanted(set, saved[i].path) ? add(set, saved[i].path) : NULL;

        if (follow)
            follow_resume(follow, saved[i].marks, saved[i].count);
    }
    set->saved_count = 0;
}

/* Whether a path is a file that no path has open. One that was renamed is open already. */
static bool is_new_file(const struct follow_set *set, const char *path)
{
    struct stat about;

    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        if (follow_has(set->each[i], about.st_dev, about.st_ino))
            return false;
    }
    return true;
}

/* Adds the paths that a pattern matches and that are new. */
static void scan_pattern(struct follow_set *set, const char *pattern, uint64_t last_lines)
{
    glob_t found = {0};

    notice_changes(set, pattern);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *path = found.gl_pathv[i];
            const bool is_new = !find(set, path) && is_new_file(set, path);
            struct follow *follow = is_new ? add(set, path) : NULL;

            if (follow)
                follow_open(follow, last_lines);
        }
    }
    globfree(&found);
}

static void scan(struct follow_set *set, uint64_t last_lines)
{
    set->scanned_ns = clock_mono_ns();
    for (size_t i = 0; i < set->pattern_count; i++) {
        if (follow_is_pattern(set->patterns[i]))
            scan_pattern(set, set->patterns[i], last_lines);
    }
}

void follow_set_open(struct follow_set *set, uint64_t last_lines)
{
    for (size_t i = 0; i < set->pattern_count; i++) {
        const char *path = set->patterns[i];
        struct follow *follow = NULL;
        char text[256];

        if (follow_is_pattern(path) || find(set, path) || !(follow = add(set, path)))
            continue;
        if (follow_open(follow, last_lines))
            continue;
        snprintf(text, sizeof(text), "it is no file that can be read%s%s: waiting for it",
                 follow->error != 0 ? ": " : "",
                 follow->error == EINVAL ? "no regular file"
                 : follow->error != 0    ? strerror(follow->error)
                                         : "");
        set->port->notice(set->port->ctx, path, text);
    }
    scan(set, last_lines);
    if (set->count == 0)
        set->port->notice(set->port->ctx, set->patterns[0], "no file matches yet: waiting for one");
}

/* Whether the path came from a pattern, and nothing is left of it. */
static bool is_over(const struct follow_set *set, const struct follow *follow)
{
    if (follow->file_count > 0)
        return false;
    for (size_t i = 0; i < set->pattern_count; i++) {
        if (strcmp(set->patterns[i], follow->path) == 0)
            return false;
    }
    return true;
}

enum follow_outcome follow_set_read(struct follow_set *set)
{
    const int64_t now_ns = clock_mono_ns();
    enum follow_outcome result = FOLLOW_QUIET;

    for (size_t i = 0; i < set->count;) {
        const enum follow_outcome outcome = follow_read(set->each[i], now_ns);

        if (outcome == FOLLOW_DONE)
            return outcome;
        if (outcome == FOLLOW_MORE)
            result = FOLLOW_MORE;
        if (!is_over(set, set->each[i])) {
            i++;
            continue;
        }
        follow_fini(set->each[i]);
        free(set->each[i]);
        set->each[i] = set->each[--set->count];
    }
    if (now_ns - set->scanned_ns >= FOLLOW_RESCAN_NS || set->scanned_ns == 0) {
        const size_t count = set->count;

        scan(set, UINT64_MAX); /* a file that comes later is new as a whole */
        result = set->count > count ? FOLLOW_MORE : result;
    }
    return result;
}

int64_t follow_set_wait_ns(const struct follow_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->each[i]->is_waiting)
            return QUIET_WAIT_NS;
    }
    return FOLLOW_RESCAN_NS;
}

void follow_set_noticed(struct follow_set *set)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t size = 0;

    while (set->notify_fd >= 0 && (size = read(set->notify_fd, events, sizeof(events))) > 0) {
        const struct inotify_event *event = NULL;

        for (const char *next = events; next < events + size; next += sizeof(*event) + event->len) {
            event = (const struct inotify_event *)(const void *)next;
            if (event->mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW))
                set->scanned_ns = 0;
        }
    }
}

void follow_set_fini(struct follow_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        follow_fini(set->each[i]);
        free(set->each[i]);
    }
    free(set->each);
    if (set->notify_fd >= 0)
        close(set->notify_fd);
    *set = (struct follow_set){.notify_fd = -1};
}
