/* folder.c - see folder.h. */
#include "server/config/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "server/config/file_bytes.h"

#define QUIET_NS (200 * NS_PER_MS)

/* What a file looks like. Zeroed: it is not there. */
struct stamp {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};

struct file {
    struct file *next;       /* in the order of their names */
    struct stamp seen, read; /* at the last scan, and of what was read */
    int64_t seen_since_ns;
    bool is_listed; /* by this scan */
    bool is_read;   /* `read` holds */
    size_t producers;
    char name[];
};

struct folder {
    const char *path;
    struct file *files;
    char fault[160];
    char template_name[32]; /* empty: there is none */
    struct tree template_tree;
    bool has_template, template_is_bad;
};

struct folder *folder_new(const char *path)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    if (folder)
        folder->path = path;
    return folder;
}

void folder_free(struct folder *folder)
{
    if (!folder)
        return;
    while (folder->files) {
        struct file *file = folder->files;

        folder->files = file->next;
        free(file);
    }
    tree_fini(&folder->template_tree);
    free(folder);
}

const char *folder_fault(const struct folder *folder)
{
    return folder->fault;
}

const char *folder_path(const struct folder *folder)
{
    return folder->path;
}

void file_change_free(struct file_change *change)
{
    endpoint_file_fini(&change->file);
    free(change);
}

/* ---- which files there are ---- */

static bool fail(struct folder *folder, const char *what, int reason)
{
    char text[64];

    snprintf(folder->fault, sizeof(folder->fault), "%s%s%s", what, reason != 0 ? ": " : "",
             reason != 0 ? strerror_r(reason, text, sizeof(text)) : "");
    return false;
}

/* The file of this name, which is made where there is none. NULL: out of memory. */
static struct file *note_name(struct folder *folder, const char *name)
{
    struct file **link = &folder->files;

    while (*link && strcmp((*link)->name, name) < 0)
        link = &(*link)->next;
    if (*link && strcmp((*link)->name, name) == 0)
        return *link;

    struct file *file = calloc(1, sizeof(*file) + strlen(name) + 1);

    if (!file)
        return NULL;
    memcpy(file->name, name, strlen(name) + 1);
    file->next = *link;
    *link = file;
    return file;
}

static bool list_names(struct folder *folder, DIR *stream)
{
    size_t count = 0;

    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);

        if (!entry)
            return errno == 0 || fail(folder, "it cannot be read", errno);
        if (!endpoint_file_is_one(entry->d_name))
            continue;
        if (++count > MAX_FOLDER_FILES)
            return fail(folder, "it has more than 1000 files", 0);
        struct file *file = note_name(folder, entry->d_name);
        if (!file)
            return fail(folder, "out of memory", 0);
        file->is_listed = true;
    }
}

static struct stamp stamp_of(int folder, const struct file *file)
{
    struct stat status;

    if (!file->is_listed || fstatat(folder, file->name, &status, 0) != 0)
        return (struct stamp){0};
    return (struct stamp){.device = status.st_dev,
                          .inode = status.st_ino,
                          .size = (uint64_t)status.st_size,
                          .modified_ns = status.st_mtim.tv_sec * NS_PER_S + status.st_mtim.tv_nsec,
                          .changed_ns = status.st_ctim.tv_sec * NS_PER_S + status.st_ctim.tv_nsec};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Looks at every file. False: the folder cannot be read. */
static bool look_at_all(struct folder *folder)
{
    const int64_t now_ns = clock_mono_ns();
    DIR *stream = opendir(folder->path);

    if (!stream)
        return fail(folder, "it cannot be opened", errno);
    for (struct file *file = folder->files; file; file = file->next)
        file->is_listed = false;
    const bool is_good = list_names(folder, stream);
    for (struct file *file = folder->files; file && is_good; file = file->next) {
        const struct stamp stamp = stamp_of(dirfd(stream), file);

        if (file->seen_since_ns == 0 || !same_stamp(&stamp, &file->seen))
            file->seen_since_ns = now_ns;
        file->seen = stamp;
    }
    closedir(stream);
    return is_good;
}

/* ---- what has changed ---- */

static bool is_there(const struct file *file)
{
    static const struct stamp none = {0};

    return !same_stamp(&file->seen, &none);
}

static bool has_changed(const struct file *file)
{
    return file->is_read ? !same_stamp(&file->seen, &file->read) : is_there(file);
}

/* How long until a change counts; 0: it counts. */
static int64_t wait_for(const struct file *file, bool is_first)
{
    return is_first ? 0 : MAX_OF(file->seen_since_ns + QUIET_NS - clock_mono_ns(), (int64_t)0);
}

static struct file_change *change_new(const struct folder *folder, const struct file *file,
                                      enum file_change_kind kind, struct list *changes)
{
    const size_t size = strlen(folder->path) + strlen(file->name) + 2;
    struct file_change *change = calloc(1, sizeof(*change) + size);

    if (!change)
        return NULL;
    change->kind = kind;
    snprintf(change->path, size, "%s/%s", folder->path, file->name);
    list_init(&change->link);
    list_append(changes, &change->link);
    return change;
}

/* ---- the template ---- */

/* All files of the folder are to be read again. */
static void forget_all(struct folder *folder)
{
    for (struct file *file = folder->files; file; file = file->next)
        memset(&file->read, 0xff, sizeof(file->read));
}

static void read_template(struct folder *folder, struct file *file, struct list *changes)
{
    struct file_change *change = change_new(folder, file, FILE_REFUSED, changes);
    struct buf bytes = {0};
    struct tree tree;
    bool is_good;

    if (!change)
        return;
    tree_init(&tree);
    if (folder->template_name[0] != '\0' && strcmp(folder->template_name, file->name) != 0)
        is_good =
            tree_refuse(&tree.fault, 0, NULL, "the folder has another template: %s", folder->template_name);
    else
        is_good = file_bytes_read(folder->path, file->name, MAX_ENDPOINT_FILE_BYTES, &bytes, &tree.fault) &&
                  endpoint_file_parse_template(file->name, (struct bytes){bytes.data, bytes.size}, &tree);
    buf_fini(&bytes);
    if (!is_good) {
        change->file.fault = tree.fault;
        tree_fini(&tree);
        folder->template_is_bad = !folder->has_template;
    } else {
        change->kind = FILE_READ;
        tree_fini(&folder->template_tree);
        folder->template_tree = tree;
        folder->has_template = true;
        folder->template_is_bad = false;
        snprintf(folder->template_name, sizeof(folder->template_name), "%s", file->name);
        forget_all(folder);
    }
    file->read = file->seen;
    file->is_read = true;
}

static void drop_template(struct folder *folder, const struct file *file)
{
    if (strcmp(folder->template_name, file->name) != 0 && !folder->template_is_bad)
        return;
    folder->template_is_bad = false;
    tree_fini(&folder->template_tree);
    folder->has_template = false;
    folder->template_name[0] = '\0';
    forget_all(folder);
}

/* ---- the other files ---- */

static void read_file(struct folder *folder, struct file *file, size_t *producers, struct list *changes)
{
    const struct file_template with = {folder->has_template ? folder->template_tree.root : NULL,
                                       folder->template_is_bad};
    struct file_change *change = change_new(folder, file, FILE_REFUSED, changes);
    const size_t others = *producers - file->producers;
    struct buf bytes = {0};

    if (!change)
        return;
    if (file_bytes_read(folder->path, file->name, MAX_ENDPOINT_FILE_BYTES, &bytes, &change->file.fault) &&
        endpoint_file_read(file->name, (struct bytes){bytes.data, bytes.size}, &with,
                           MAX_FILE_PRODUCERS - others, &change->file)) {
        change->kind = FILE_READ;
        file->producers = change->file.count;
        *producers = others + file->producers;
    }
    buf_fini(&bytes);
    file->read = file->seen;
    file->is_read = true;
}

/* Takes a file out of the list: it is gone. */
static void drop_file(struct folder *folder, struct file **link, size_t *producers, struct list *changes)
{
    struct file *file = *link;

    if (file->is_read && !change_new(folder, file, FILE_GONE, changes))
        return;
    if (endpoint_file_is_template(file->name))
        drop_template(folder, file);
    *producers -= file->producers;
    *link = file->next;
    free(file);
}

/* Reads the templates, or everything else. Returns how long to wait until a change counts. */
static int64_t read_changed(struct folder *folder, bool templates, bool is_first, size_t *producers,
                            struct list *changes)
{
    int64_t least_ns = 0;

    for (struct file **link = &folder->files; *link;) {
        struct file *file = *link;
        const bool is_changed = has_changed(file) || !is_there(file);
        const int64_t wait_ns = wait_for(file, is_first);

        if (endpoint_file_is_template(file->name) != templates || !is_changed) {
            link = &file->next;
        } else if (wait_ns > 0) {
            least_ns = least_ns == 0 ? wait_ns : MIN_OF(wait_ns, least_ns);
            link = &file->next;
        } else if (!is_there(file)) {
            drop_file(folder, link, producers, changes);
            link = *link == file ? &file->next : link;
        } else {
            if (templates)
                read_template(folder, file, changes);
            else
                read_file(folder, file, producers, changes);
            link = &file->next;
        }
    }
    return least_ns;
}

int64_t folder_scan(struct folder *folder, bool is_first, size_t *producers, struct list *changes)
{
    folder->fault[0] = '\0';
    if (!look_at_all(folder))
        return 0;
    const int64_t template_ns = read_changed(folder, true, is_first, producers, changes);
    const int64_t others_ns = read_changed(folder, false, is_first, producers, changes);
    return template_ns == 0 || others_ns == 0 ? MAX_OF(template_ns, others_ns)
                                              : MIN_OF(template_ns, others_ns);
}
