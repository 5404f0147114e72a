/* endpoint_files.c - see endpoint_files.h. What has changed is applied in slices: a step for each
 * definition. All that is to go goes first, so that a name may move from one file to another. */
#include "server/config/endpoint_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "event/text.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "server/config/file_source.h"
#include "server/config/folder.h"

struct endpoint_files {
    struct loop *loop;
    struct hub *hub;
    struct dial *dial;
    struct folder_watcher *watcher;
    struct map by_path;  /* struct file_source */
    struct list waiting; /* struct entry */

    struct slice slice;
    struct list changes; /* struct file_change: of the last scan, and not applied yet */
    size_t next_definition;
    struct list due; /* struct entry: those of `waiting` that are to be tried now */
};

/* The source of a file; with `make` one is made. NULL: there is none, or no memory. */
static struct file_source *source_of(struct endpoint_files *files, const char *path, bool make)
{
    struct map_node *node = map_find(&files->by_path, text_bytes(path));
    struct file_source *source;

    if (node || !make)
        return node ? container_of(node, struct file_source, by_path) : NULL;
    source = file_source_new(path, files->dial, &files->waiting);
    if (source && map_add(&files->by_path, &source->by_path) != ERR_OK) {
        file_source_free(source);
        source = NULL;
    }
    if (!source)
        log_write(LOG_ERROR, "endpoints.not_read", LOG_TEXT("file", path),
                  LOG_TEXT("reason", "out of memory"));
    return source;
}

/* Each returns whether more of this change is left. */

static bool apply_gone(struct endpoint_files *files, struct file_source *source)
{
    if (files->next_definition++ == 0)
        file_source_begin(source);
    if (file_source_drop_one(source))
        return true;
    file_source_gone(source);
    map_remove(&files->by_path, &source->by_path);
    file_source_free(source);
    return false;
}

static bool apply_read(struct endpoint_files *files, struct file_source *source,
                       const struct endpoint_file *file)
{
    const size_t next = files->next_definition++;

    if (next == 0)
        file_source_begin(source);
    if (next < file->count) {
        file_source_define(source, &file->definitions[next]);
        return true;
    }
    if (file_source_drop_one(source))
        return true;
    file_source_applied(source);
    return false;
}

static bool apply(struct endpoint_files *files, const struct file_change *change)
{
    struct file_source *source = source_of(files, change->path, change->kind != FILE_GONE);

    if (!source)
        return false;
    switch (change->kind) {
    case FILE_GONE:
        return apply_gone(files, source);
    case FILE_READ:
        return apply_read(files, source, &change->file);
    case FILE_REFUSED:
        file_source_refused(source, &change->file.fault);
        return false;
    }
    return false;
}

static void apply_next(struct endpoint_files *files)
{
    struct file_change *change = container_of(list_first(&files->changes), struct file_change, link);

    if (apply(files, change))
        return;
    files->next_definition = 0;
    list_remove(&change->link);
    file_change_free(change);
    if (list_empty(&files->changes))
        list_move_all(&files->waiting, &files->due);
}

static bool step(struct slice *slice)
{
    struct endpoint_files *files = container_of(slice, struct endpoint_files, slice);

    if (!list_empty(&files->changes)) {
        apply_next(files);
        return true;
    }
    if (!list_empty(&files->due) && !hub_draining(files->hub)) {
        entry_start(entry_of_waiting(list_first(&files->due)));
        return true;
    }
    list_move_all(&files->due, &files->waiting);
    folder_watcher_go_on(files->watcher);
    return false;
}

static void on_scanned(void *ctx, struct list *changes)
{
    struct endpoint_files *files = ctx;

    list_move_all(changes, &files->changes);
    if (list_empty(&files->changes))
        list_move_all(&files->waiting, &files->due);
    loop_slice_later(files->loop, &files->slice);
}

/* The path is shown in protobuf's strings. */
static struct status refuse_path(const char *path)
{
    log_write(LOG_ERROR, "endpoints.folder_failed", LOG_TEXT("folder", path),
              LOG_TEXT("reason", "its path is not valid UTF-8"));
    return (struct status){ERR_INVALID, 0, "read a path of --endpoints-dir"};
}

/* Somebody is here who can correct the option: a folder that comes later is not waited for. */
struct status endpoint_files_check(const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!utf8_valid(text_bytes(paths[i])))
            return refuse_path(paths[i]);
        DIR *stream = opendir(paths[i]);

        if (!stream) {
            const int reason = errno;

            log_write(LOG_ERROR, "endpoints.folder_failed", LOG_TEXT("folder", paths[i]),
                      LOG_NUMBER("errno", reason));
            return (struct status){ERR_IO, reason, "open a folder of --endpoints-dir"};
        }
        closedir(stream);
    }
    return STATUS_OK;
}

struct status endpoint_files_start(struct loop *loop, struct hub *hub, struct dial *dial,
                                   const char *const *paths, size_t count, struct endpoint_files **files_out)
{
    *files_out = NULL;
    if (count == 0)
        return STATUS_OK;

    struct endpoint_files *files = calloc(1, sizeof(*files));
    const struct folder_watcher_port port = {.scanned = on_scanned, .ctx = files};

    if (!files)
        return (struct status){ERR_NO_MEMORY, 0, "read the folders of endpoints"};
    files->loop = loop;
    files->hub = hub;
    files->dial = dial;
    slice_init(&files->slice, step);
    list_init(&files->waiting);
    list_init(&files->changes);
    list_init(&files->due);
    const struct status status = folder_watcher_start(loop, paths, count, &port, &files->watcher);
    if (status.code) {
        endpoint_files_free(files);
        return status;
    }
    *files_out = files;
    return STATUS_OK;
}

void endpoint_files_free(struct endpoint_files *files)
{
    if (!files)
        return;
    slice_stop(&files->slice);
    folder_watcher_stop(files->watcher);
    list_each(link, safe, &files->changes)
        file_change_free(container_of(link, struct file_change, link));
    map_each(node, following, &files->by_path)
        file_source_free(container_of(node, struct file_source, by_path));
    map_fini(&files->by_path);
    free(files);
}
