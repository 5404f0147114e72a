/* follow.c - follows a path, see follow.h.
 *
 *   files[0], files[1], ...   files that were at the path before, in their order
 *   files[file_count - 1]     the present one, where has_present is set */
#include "client/tool/follow.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/clock.h"

#define MAX_FOLDER_ENTRIES 100000 /* that are looked at for an old file */

static void notice(const struct follow *follow, const char *format, ...) PRINTF_LIKE(2, 3);
static void notice(const struct follow *follow, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    follow->port->notice(follow->port->ctx, follow->path, text);
}

bool follow_init(struct follow *follow, const struct follow_port *port, const struct follow_others *others,
                 const char *path)
{
    *follow = (struct follow){.port = port, .others = others, .path = strdup(path)};
    return follow->path;
}

static struct follow_file *open_at(const struct follow *follow, const char *path)
{
    const struct lines lines = {.line = follow->port->line,
                                .ctx = follow->port->ctx,
                                .max_bytes = follow->port->max_line_bytes,
                                .source = follow->names_file ? follow->path : NULL};

    return follow_file_open(path, &lines);
}

/* Adds a file behind the others. There is space for it. */
static void add(struct follow *follow, struct follow_file *file, bool is_present)
{
    CHECK(follow->file_count < FOLLOW_MAX_FILES);
    follow->files[follow->file_count++] = file;
    follow->has_present = is_present;
}

/* Opens what is at the path now, unless another path has it open. It starts where its reading
 * ended earlier, else at its beginning. *is_known_out: it was read before. NULL: there is nothing
 * to read; `error` says why. */
static struct follow_file *open_present(struct follow *follow, bool *is_known_out)
{
    const struct follow_others *others = follow->others;
    struct follow_file *file = open_at(follow, follow->path);

    *is_known_out = false;
    follow->error = file || errno == ENOENT ? 0 : errno;
    if (!file || !others)
        return file;
    if (others->has(others->ctx, follow, file->device, file->inode)) {
        follow_file_free(file);
        return NULL;
    }

    const struct follow_mark *mark = others->closed_at(others->ctx, file->device, file->inode);

    *is_known_out = mark && follow_file_seek_mark(file, mark);
    return file;
}

bool follow_open(struct follow *follow, uint64_t last_lines)
{
    bool is_known = false;
    struct follow_file *file = open_present(follow, &is_known);

    if (!file)
        return false;
    if (!is_known)
        follow_file_seek_lines(file, last_lines);
    add(follow, file, true);
    return true;
}

bool follow_has(const struct follow *follow, dev_t device, ino_t inode)
{
    for (size_t i = 0; i < follow->file_count; i++) {
        if (follow_file_is(follow->files[i], device, inode))
            return true;
    }
    return false;
}

/* Passes on what is left of the last line, and closes a file. False: the receiver wants no more
 * lines. */
static bool finish(struct follow *follow, size_t index, const char *reason)
{
    struct follow_file *file = follow->files[index];
    bool wanted;

    if (lines_in_line(&file->lines))
        notice(follow, "%s: its last line has no end", reason);
    wanted = follow_file_end(file);
    if (follow->others)
        follow->others->closed(follow->others->ctx, &file->mark);
    follow_file_free(file);
    follow->file_count--;
    memmove(follow->files + index, follow->files + index + 1,
            (follow->file_count - index) * sizeof(struct follow_file *));
    return wanted;
}

/* The present file is at the path no more: it becomes the latest one of the old files. */
static void replace_present(struct follow *follow, int64_t now_ns)
{
    follow->has_present = false;
    follow->replaced_ns = now_ns;
    follow->rotations++;
}

static enum follow_outcome read_one(struct follow *follow, struct follow_file *file)
{
    const bool in_line = lines_in_line(&file->lines);
    const off_t offset = file->offset;
    const enum follow_outcome outcome = follow_file_read(file);

    if (outcome != FOLLOW_TRUNCATED)
        return outcome;
    follow->truncations++;
    notice(follow,
           "it was truncated: it is read from its beginning; what was written behind byte %" PRIu64
           " before that is lost%s",
           (uint64_t)offset, in_line ? ", the end of the last line too" : "");
    return FOLLOW_MORE;
}

static void notice_unreadable(const struct follow *follow, const struct follow_file *file)
{
    notice(follow, "reading it at byte %" PRIu64 ": %s", (uint64_t)file->offset, strerror(errno));
}

/* Makes space for one more file. The oldest one gives way, once it was read up to where it ends
 * now. False: the receiver wants no more lines; nothing is closed. */
static bool make_space(struct follow *follow)
{
    enum follow_outcome outcome = FOLLOW_MORE;
    struct stat about;

    if (follow->file_count < FOLLOW_MAX_FILES)
        return true;
    if (fstat(follow->files[0]->fd, &about) != 0)
        about.st_size = 0;
    while (outcome == FOLLOW_MORE && follow->files[0]->offset < about.st_size)
        outcome = read_one(follow, follow->files[0]);
    if (outcome == FOLLOW_DONE)
        return false;
    if (outcome == FOLLOW_FAILED)
        notice_unreadable(follow, follow->files[0]);
    notice(follow,
           "%u files were here before and are still read: the oldest one is closed, and lines that its "
           "writer adds now are not read",
           FOLLOW_MAX_FILES);
    return finish(follow, 0, "the oldest file is closed");
}

/* Looks what is at the path now, and opens what is new. False: the receiver wants no more lines. */
static bool check_path(struct follow *follow, int64_t now_ns)
{
    struct follow_file *last = follow->has_present ? follow->files[follow->file_count - 1] : NULL;
    struct stat there;
    const bool is_there = stat(follow->path, &there) == 0;

    if (last && is_there && follow_file_is(last, there.st_dev, there.st_ino))
        return true;
    if (last)
        replace_present(follow, now_ns);
    if (!is_there) {
        follow->error = errno == ENOENT ? 0 : errno;
        return true;
    }
    for (size_t i = 0; i < follow->file_count; i++) { /* an old file that has its name again */
        if (follow_file_is(follow->files[i], there.st_dev, there.st_ino)) {
            struct follow_file *again = follow->files[i];

            memmove(follow->files + i, follow->files + i + 1,
                    (follow->file_count - i - 1) * sizeof(struct follow_file *));
            follow->files[follow->file_count - 1] = again;
            follow->has_present = true;
            return true;
        }
    }

    bool is_known = false;
    struct follow_file *file = open_present(follow, &is_known);

    if (!file)
        return true;
    if (!make_space(follow)) {
        follow_file_free(file);
        return false;
    }
    add(follow, file, true);
    return true;
}

/* Whether what follows this old file must wait for more of it. */
static bool may_grow(const struct follow *follow, const struct follow_file *file, int64_t now_ns)
{
    return now_ns - MAX_OF(file->moved_ns, follow->replaced_ns) < FOLLOW_QUIET_NS &&
           now_ns - follow->replaced_ns < FOLLOW_QUIET_MAX_NS;
}

/* Reads the file at the index. *removed_out: it was closed; the next one is at the index now. */
static enum follow_outcome read_at(struct follow *follow, size_t index, int64_t now_ns, bool *removed_out)
{
    struct follow_file *file = follow->files[index];
    const bool is_present = follow->has_present && index + 1 == follow->file_count;
    enum follow_outcome outcome = read_one(follow, file);

    if (outcome == FOLLOW_FAILED) {
        notice_unreadable(follow, file);
        if (is_present)
            replace_present(follow, now_ns);
        *removed_out = true;
        return finish(follow, index, "it is closed") ? FOLLOW_QUIET : FOLLOW_DONE;
    }
    if (outcome != FOLLOW_QUIET || is_present)
        return outcome;
    if (now_ns - MAX_OF(file->moved_ns, follow->replaced_ns) >= FOLLOW_KEEP_NS) {
        *removed_out = true;
        return finish(follow, index, "the file that was here before is closed") ? FOLLOW_QUIET : FOLLOW_DONE;
    }
    if (index + 1 < follow->file_count && may_grow(follow, file, now_ns))
        follow->is_waiting = true;
    return FOLLOW_QUIET;
}

enum follow_outcome follow_read(struct follow *follow, int64_t now_ns)
{
    follow->is_waiting = false;
    if (!check_path(follow, now_ns))
        return FOLLOW_DONE;
    for (size_t i = 0; i < follow->file_count && !follow->is_waiting;) {
        bool removed = false;
        const enum follow_outcome outcome = read_at(follow, i, now_ns, &removed);

        if (outcome != FOLLOW_QUIET)
            return outcome;
        i += removed ? 0 : 1;
    }
    return FOLLOW_QUIET;
}

/* Opens the file with this inode in the folder of the path. NULL: it is not there. */
static struct follow_file *find_in_folder(const struct follow *follow, const struct follow_mark *mark)
{
    char *copy = strdup(follow->path);
    const char *folder = copy ? dirname(copy) : NULL;
    DIR *dir = folder ? opendir(folder) : NULL;
    struct follow_file *found = NULL;
    const struct dirent *entry;

    for (int i = 0; dir && !found && i < MAX_FOLDER_ENTRIES && (entry = readdir(dir)); i++) {
        char path[4096 + 256];

        if ((uint64_t)entry->d_ino != mark->inode)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        found = open_at(follow, path);
        if (found && !follow_file_is(found, (dev_t)mark->device, (ino_t)mark->inode)) {
            follow_file_free(found);
            found = NULL;
        }
    }
    if (dir)
        closedir(dir);
    free(copy);
    return found;
}

/* Continues with a file at a mark. */
static void resume_at(struct follow *follow, struct follow_file *file, const struct follow_mark *mark)
{
    if (!follow_file_seek_mark(file, mark))
        notice(follow,
               "it was truncated while it was not followed: it is read from its beginning; what was written "
               "behind byte %" PRIu64 " before that is lost",
               mark->offset);
}

/* The old files are at most as many as the marks, and one fewer where the present file has a mark.
 * So there is space for each of them. */
void follow_resume(struct follow *follow, const struct follow_mark *marks, size_t count)
{
    bool is_known = false;
    struct follow_file *present = open_present(follow, &is_known);
    bool is_new = present && !is_known;

    for (size_t i = 0; i < count; i++) {
        if (present && follow_file_is(present, (dev_t)marks[i].device, (ino_t)marks[i].inode)) {
            resume_at(follow, present, &marks[i]);
            is_new = false;
            continue;
        }

        struct follow_file *old = find_in_folder(follow, &marks[i]);

        if (old) {
            resume_at(follow, old, &marks[i]);
            add(follow, old, false);
        } else {
            notice(follow,
                   "the file that was followed here is gone: what was written behind its byte %" PRIu64
                   " is lost",
                   marks[i].offset);
        }
    }
    if (is_new)
        notice(follow,
               "it was replaced while it was not followed: it is read from its beginning; a file that "
               "came and went in between is not read");
    follow->replaced_ns = clock_mono_ns();
    if (follow->file_count == FOLLOW_MAX_FILES) /* follow_read() makes space, and opens it again */
        follow_file_free(present);
    else if (present)
        add(follow, present, true);
}

void follow_fini(struct follow *follow)
{
    for (size_t i = 0; i < follow->file_count; i++) {
        const struct lines *lines = &follow->files[i]->lines;

        if (lines_in_line(lines) && !lines->rest.broken)
            notice(follow, "it ends within a line, of which %zu bytes were not published", lines->rest.size);
        follow_file_free(follow->files[i]);
    }
    free(follow->path);
    *follow = (struct follow){.file_count = 0};
}
