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
#include "event/text.h"
#include "server/config/file_bytes.h"

#define QUIET_NS (200 * NS_PER_MS)

/* What a file looks like. Zeroed: it is not there. Where it is there and cannot be looked at,
 * `error` says why, and nothing else is known. */
struct stamp {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
    int64_t error;
};

struct file {
    struct file *next;       /* in the order of their names */
    struct stamp seen, read; /* at the last scan, and of what was read */
    int64_t seen_since_ns;
    bool is_listed; /* by this scan */
    bool is_read;   /* `read` holds */
    struct file_total defines;
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

    if (!file->is_listed)
        return (struct stamp){0};
    if (fstatat(folder, file->name, &status, 0) != 0)
        return (struct stamp){.error = errno};
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

/* What the list of a folder that cannot be read whole has brought. Otherwise it could grow with
 * each scan. */
static void forget_unread(struct folder *folder)
{
    for (struct file **link = &folder->files; *link;) {
        struct file *file = *link;

        if (file->is_read) {
            link = &file->next;
            continue;
        }
        *link = file->next;
        free(file);
    }
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
    if (!is_good)
        forget_unread(folder);
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

/* Its name is shown in protobuf's strings. */
static bool read_bytes(const struct folder *folder, const struct file *file, struct buf *bytes,
                       struct tree_fault *fault)
{
    if (!utf8_valid(text_bytes(file->name)))
        return tree_refuse(fault, 0, NULL, "its name is not valid UTF-8");
    return file_bytes_read(folder->path, file->name, MAX_ENDPOINT_FILE_BYTES, bytes, fault);
}

static struct file_total total_without(const struct file_total *total, const struct file *file)
{
    return (struct file_total){total->producers - file->defines.producers,
                               total->bytes - file->defines.bytes};
}

static void read_file(struct folder *folder, struct file *file, struct file_total *total,
                      struct list *changes)
{
    const struct file_template with = {folder->has_template ? folder->template_tree.root : NULL,
                                       folder->template_is_bad};
    struct file_change *change = change_new(folder, file, FILE_REFUSED, changes);
    const struct file_total others = total_without(total, file);
    struct buf bytes = {0};

    if (!change)
        return;
    if (read_bytes(folder, file, &bytes, &change->file.fault) &&
        endpoint_file_read(file->name, (struct bytes){bytes.data, bytes.size}, &with, &others,
                           &change->file)) {
        change->kind = FILE_READ;
        file->defines = (struct file_total){change->file.count, change->file.bytes};
        *total = (struct file_total){others.producers + file->defines.producers,
                                     others.bytes + file->defines.bytes};
    }
    buf_fini(&bytes);
    file->read = file->seen;
    file->is_read = true;
}

/* Takes a file out of the list: it is gone. */
static void drop_file(struct folder *folder, struct file **link, struct file_total *total,
                      struct list *changes)
{
    struct file *file = *link;

    if (file->is_read && !change_new(folder, file, FILE_GONE, changes))
        return;
    if (endpoint_file_is_template(file->name))
        drop_template(folder, file);
    *total = total_without(total, file);
    *link = file->next;
    free(file);
}

/* A template that is gone makes place for another one, which the lists are read with. */
enum pass { GONE_TEMPLATES, TEMPLATES, OTHER_FILES, PASS_COUNT };

static enum pass pass_of(const struct file *file)
{
    if (!endpoint_file_is_template(file->name))
        return OTHER_FILES;
    return is_there(file) ? TEMPLATES : GONE_TEMPLATES;
}

/* The files of one pass. Returns how long to wait until a change counts. */
static int64_t read_changed(struct folder *folder, enum pass pass, bool is_first, struct file_total *total,
                            struct list *changes)
{
    int64_t least_ns = 0;

    for (struct file **link = &folder->files; *link;) {
        struct file *file = *link;
        const bool is_changed = has_changed(file) || !is_there(file);
        const int64_t wait_ns = wait_for(file, is_first);

        if (pass_of(file) != pass || !is_changed) {
            link = &file->next;
        } else if (wait_ns > 0) {
            least_ns = least_ns == 0 ? wait_ns : MIN_OF(wait_ns, least_ns);
            link = &file->next;
        } else if (!is_there(file)) {
            drop_file(folder, link, total, changes);
            link = *link == file ? &file->next : link;
        } else {
            if (pass == TEMPLATES)
                read_template(folder, file, changes);
            else
                read_file(folder, file, total, changes);
            link = &file->next;
        }
    }
    return least_ns;
}

int64_t folder_scan(struct folder *folder, bool is_first, struct file_total *total, struct list *changes)
{
    int64_t least_ns = 0;

    folder->fault[0] = '\0';
    if (!look_at_all(folder))
        return 0;
    for (enum pass pass = 0; pass < PASS_COUNT; pass++) {
        const int64_t wait_ns = read_changed(folder, pass, is_first, total, changes);

        least_ns = least_ns == 0 || wait_ns == 0 ? MAX_OF(least_ns, wait_ns) : MIN_OF(least_ns, wait_ns);
    }
    return least_ns;
}
