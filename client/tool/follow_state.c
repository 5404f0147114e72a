/* follow_state.c - see follow_state.h. The file is JSON:
 *
 *   {"tributary_follow": 1,
 *    "files": [{"path": "/var/log/a", "marks": [{"device": 1, "inode": 2, "offset": 3,
 *               "tail_bytes": 3, "fingerprint": "00000000000000ff"}]}],
 *    "closed": [{"device": ...}]} */
#include "client/tool/follow_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/fd_write.h"

#define VERSION 1
#define MAX_STATE_BYTES (16 << 20)
#define MAX_WRITE_MS 10000

static json_t *mark_to_json(const struct follow_mark *mark)
{
    char fingerprint[17];

    snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, mark->fingerprint);
    return json_pack("{s:I,s:I,s:I,s:I,s:s}", "device", (json_int_t)mark->device, "inode",
                     (json_int_t)mark->inode, "offset", (json_int_t)mark->offset, "tail_bytes",
                     (json_int_t)mark->tail_bytes, "fingerprint", fingerprint);
}

static bool mark_of_json(json_t *json, struct follow_mark *mark_out)
{
    json_int_t device = 0;
    json_int_t inode = 0;
    json_int_t offset = 0;
    json_int_t tail_bytes = 0;
    const char *fingerprint = NULL;
    char *end = NULL;

    if (json_unpack(json, "{s:I,s:I,s:I,s:I,s:s}", "device", &device, "inode", &inode, "offset", &offset,
                    "tail_bytes", &tail_bytes, "fingerprint", &fingerprint) != 0 ||
        offset < 0 || tail_bytes < 0 || tail_bytes > offset || tail_bytes > (json_int_t)FOLLOW_TAIL_BYTES)
        return false;
    *mark_out = (struct follow_mark){.device = (uint64_t)device,
                                     .inode = (uint64_t)inode,
                                     .offset = (uint64_t)offset,
                                     .tail_bytes = (uint64_t)tail_bytes,
                                     .fingerprint = strtoull(fingerprint, &end, 16)};
    return strlen(fingerprint) == 16 && *end == '\0';
}

/* Reads an array of marks. False: it is none, or too long. */
static bool marks_of_json(const json_t *array, struct follow_mark *marks, size_t max, size_t *count_out)
{
    if (!json_is_array(array) || json_array_size(array) > max)
        return false;
    *count_out = json_array_size(array);
    for (size_t i = 0; i < *count_out; i++) {
        if (!mark_of_json(json_array_get(array, i), &marks[i]))
            return false;
    }
    return true;
}

static bool read_saved(struct follow_state *state, const json_t *files)
{
    if (!json_is_array(files) || json_array_size(files) > FOLLOW_MAX_PATHS)
        return false;
    state->saved = calloc(json_array_size(files) + 1, sizeof(*state->saved));
    for (size_t i = 0; state->saved && i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *path = json_string_value(json_object_get(file, "path"));
        struct follow_saved *saved = &state->saved[i];

        if (!path || !(saved->path = strdup(path)))
            return false;
        state->saved_count++;
        if (!marks_of_json(json_object_get(file, "marks"), saved->marks, FOLLOW_MAX_FILES, &saved->count))
            return false;
    }
    return state->saved;
}

/* Reads what the file says. */
static bool read_state(struct follow_state *state, int fd, char fault[512])
{
    struct stat about;
    json_error_t error;
    json_t *json = NULL;
    bool done = false;

    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        snprintf(fault, 512, "it is no regular file");
        return false;
    }
    if (about.st_size > MAX_STATE_BYTES) {
        snprintf(fault, 512, "it has more than %d bytes, so it is no state of ours", MAX_STATE_BYTES);
        return false;
    }
    json = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        snprintf(fault, 512, "it is damaged: %.200s (line %d)", error.text, error.line);
        return false;
    }
    done = json_integer_value(json_object_get(json, "tributary_follow")) == VERSION &&
           read_saved(state, json_object_get(json, "files")) &&
           marks_of_json(json_object_get(json, "closed"), state->closed, FOLLOW_MAX_CLOSED,
                         &state->closed_count);
    if (!done)
        snprintf(fault, 512, "it is no state that this version has written");
    json_decref(json);
    return done;
}

/* Locks FILE.lock for as long as the process runs. */
static bool lock(struct follow_state *state, char fault[512])
{
    char path[4096];

    if ((size_t)snprintf(path, sizeof(path), "%s.lock", state->path) >= sizeof(path)) {
        snprintf(fault, 512, "its name has more than %zu bytes", sizeof(path) - sizeof(".lock"));
        return false;
    }
    state->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (state->lock_fd >= 0 && flock(state->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        snprintf(fault, 512, "another process uses it");
    else
        snprintf(fault, 512, "%.300s.lock: %s", state->path, strerror(errno));
    return false;
}

bool follow_state_open(struct follow_state *state, const char *path, char fault[512])
{
    *state = (struct follow_state){.path = path, .lock_fd = -1};

    struct stat about;
    const bool is_there = lstat(path, &about) == 0;

    if (is_there && !S_ISREG(about.st_mode)) {
        snprintf(fault, 512, "it is no regular file");
        return false;
    }
    if (!lock(state, fault))
        return false;

    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool done = fd < 0 && errno == ENOENT;

    if (fd >= 0) {
        done = read_state(state, fd, fault);
        close(fd);
    } else if (!done) {
        snprintf(fault, 512, "%s", strerror(errno));
    }
    return done;
}

static json_t *marks_of_follow(const struct follow *follow)
{
    json_t *marks = json_array();

    for (size_t i = 0; i < follow->file_count; i++)
        json_array_append_new(marks, mark_to_json(&follow->files[i]->mark));
    return marks;
}

/* The text of the state. NULL: out of memory, or a path is not UTF-8. */
static char *snapshot(const struct follow_set *set)
{
    json_t *files = json_array();
    json_t *closed = json_array();
    json_t *json = NULL;
    char *text = NULL;
    bool done = true;

    for (size_t i = 0; i < set->count; i++) {
        const struct follow *follow = set->each[i];

        if (follow->file_count > 0)
            done = json_array_append_new(files, json_pack("{s:s,s:o}", "path", follow->path, "marks",
                                                          marks_of_follow(follow))) == 0 &&
                   done;
    }
    for (size_t i = 0; i < set->closed_count; i++)
        done = json_array_append_new(closed, mark_to_json(&set->closed[i])) == 0 && done;
    json = json_pack("{s:i,s:o,s:o}", "tributary_follow", VERSION, "files", files, "closed", closed);
    text = json && done ? json_dumps(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    return text;
}

static void report(struct follow_state *state, const char *reason)
{
    if (!state->failed)
        fprintf(stderr, "tributary: --state %s: it cannot be written: %s\n", state->path, reason);
    state->failed = true;
}

void follow_state_note(struct follow_state *state, const struct follow_set *set)
{
    CHECK(!state->pending);
    state->pending = snapshot(set);
    if (!state->pending)
        report(state, "out of memory, or the name of a followed file is not UTF-8");
}

/* Replaces the file by one with this text. Returns 0 or errno. */
static int replace(const struct follow_state *state, const char *text)
{
    char draft[4096];
    struct stat about;
    size_t done = 0;

    if (lstat(state->path, &about) == 0 && !S_ISREG(about.st_mode))
        return EEXIST; /* somebody put it there since we looked */
    snprintf(draft, sizeof(draft), "%s.XXXXXX", state->path);

    const int fd = mkostemp(draft, O_CLOEXEC); /* a name that is nobody's; mode 0600 */
    int error = fd < 0 ? errno : 0;

    if (error == 0)
        error = fd_write(fd, text, strlen(text), MAX_WRITE_MS, &done);
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (fd >= 0 && close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(draft, state->path) != 0)
        error = errno;
    if (fd >= 0 && error != 0)
        (void)unlink(draft);
    return error;
}

bool follow_state_write(struct follow_state *state, bool at_once)
{
    const int64_t now_ns = clock_mono_ns();

    if (!state->pending)
        return true;
    if (!at_once && state->tried_ns > 0 && now_ns - state->tried_ns < FOLLOW_STATE_WRITE_NS)
        return true;
    state->tried_ns = now_ns;
    if (!state->written || strcmp(state->pending, state->written) != 0) {
        const int error = replace(state, state->pending);

        if (error != 0)
            report(state, strerror(error));
        if (error != 0 && !at_once) { /* try again later, with what is true then */
            free(state->pending);
            state->pending = NULL;
            return false;
        }
        if (error != 0)
            return false;
        state->failed = false;
    }
    free(state->written);
    state->written = state->pending;
    state->pending = NULL;
    return true;
}

void follow_state_close(struct follow_state *state)
{
    for (size_t i = 0; i < state->saved_count; i++)
        free(state->saved[i].path);
    free(state->saved);
    free(state->pending);
    free(state->written);
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    *state = (struct follow_state){.lock_fd = -1};
}
