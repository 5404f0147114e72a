/* state_dir.c - the folder of the store. */
#include "backend/sqlite/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "event/text.h"

#define MIN_BLOCK_BYTES 4096u
#define OTHERS_MAY_WRITE (S_IWGRP | S_IWOTH)
#define OTHERS_MAY_ANYTHING (S_IRWXG | S_IRWXO)

static bool refuse_errno(struct refusal *refusal, const char *path, const char *step)
{
    return refuse(refusal, "%s: %s: %s", path, step, strerror(errno));
}

/* ---- the folder ---- */

/* The name of a new folder is on the disk before anything in it counts. */
static bool sync_parent(int fd, const char *path, struct refusal *refusal)
{
    const int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = parent >= 0 && fsync(parent) == 0;

    if (!is_synced)
        (void)refuse_errno(refusal, path, "sync the folder above it");
    if (parent >= 0)
        close(parent);
    return is_synced;
}

static bool open_folder(const char *path, struct state_dir *dir, struct refusal *refusal)
{
    const bool is_new = mkdir(path, S_IRWXU) == 0;

    if (!is_new && errno != EEXIST)
        return refuse_errno(refusal, path, "make the folder");
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0)
        return refuse_errno(refusal, path, "open the folder");
    return !is_new || sync_parent(dir->fd, path, refusal);
}

static bool set_path(const char *path, struct state_dir *dir, struct refusal *refusal)
{
    char *absolute = realpath(path, NULL);
    const size_t size = absolute ? strlen(absolute) : 0;

    if (!absolute)
        return refuse_errno(refusal, path, "find its absolute path");
    if (size <= MAX_STATE_DIR_PATH)
        memcpy(dir->path, absolute, size + 1);
    free(absolute);
    if (size > MAX_STATE_DIR_PATH)
        return refuse(refusal, "%s: its absolute path has %zu bytes: at most %u", path, size,
                      MAX_STATE_DIR_PATH);
    return utf8_valid(text_bytes(dir->path)) || /* it is shown in protobuf's strings */
           refuse(refusal, "%s: its absolute path is not valid UTF-8", path);
}

static bool check_folder(const struct state_dir *dir, struct refusal *refusal)
{
    struct statvfs system;
    struct stat folder;

    if (fstat(dir->fd, &folder) != 0 || fstatvfs(dir->fd, &system) != 0)
        return refuse_errno(refusal, dir->path, "look at the folder");
    if (folder.st_uid != geteuid())
        return refuse(refusal, "%s: user %u owns it, and this process is user %u", dir->path, folder.st_uid,
                      geteuid());
    if (folder.st_mode & OTHERS_MAY_WRITE)
        return refuse(refusal, "%s: its mode is %04o: others may write to it; 'chmod 700' mends that",
                      dir->path, folder.st_mode & 07777u);
    if (system.f_flag & ST_RDONLY)
        return refuse(refusal, "%s: its file system is read-only", dir->path);
    if (system.f_bsize < MIN_BLOCK_BYTES)
        return refuse(refusal, "%s: its file system has blocks of %lu bytes: at least %u", dir->path,
                      system.f_bsize, MIN_BLOCK_BYTES);
    return true;
}

/* ---- the lock ---- */

#define FAILED "failed\n"

static bool refuse_locked(const struct state_dir *dir, struct refusal *refusal)
{
    char holder[16] = "";
    const ssize_t size = pread(dir->lock_fd, holder, sizeof(holder) - 1, 0);

    holder[size > 0 ? (size_t)size : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return refuse(refusal, "%s: another tributaryd uses it%s%s%s", dir->path, *holder ? " (process " : "",
                  holder, *holder ? ")" : "");
}

void state_dir_note(const struct state_dir *dir, bool has_failed)
{
    char text[32];
    const int size = snprintf(text, sizeof(text), "%d\n%s", getpid(), has_failed ? FAILED : "");

    /* the first line is for whoever is refused; a full disk may keep the file as it is */
    if (pwrite(dir->lock_fd, text, (size_t)size, 0) == size)
        (void)!ftruncate(dir->lock_fd, size);
}

static bool was_noted(const struct state_dir *dir)
{
    char text[32] = "";
    const ssize_t size = pread(dir->lock_fd, text, sizeof(text) - 1, 0);

    return size > 0 && strstr(text, FAILED);
}

static bool lock_folder(struct state_dir *dir, struct refusal *refusal)
{
    struct stat file;

    dir->lock_fd = openat(dir->fd, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                          S_IRUSR | S_IWUSR);
    if (dir->lock_fd < 0 || fstat(dir->lock_fd, &file) != 0)
        return refuse(refusal, "%s/%s: open the lock file: %s", dir->path, STORE_LOCK, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return refuse(refusal, "%s/%s: it is no regular file", dir->path, STORE_LOCK);
    /* The folder too: somebody may remove the file. Not every file system locks folders. */
    if (flock(dir->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return refuse_locked(dir, refusal);
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? refuse_locked(dir, refusal)
                   : refuse(refusal, "%s/%s: lock it: %s", dir->path, STORE_LOCK, strerror(errno));
    dir->failed_before = was_noted(dir);
    state_dir_note(dir, dir->failed_before);
    return true;
}

bool state_dir_open(const char *path, struct state_dir *dir, struct refusal *refusal)
{
    *dir = (struct state_dir){.fd = -1, .lock_fd = -1};
    if (open_folder(path, dir, refusal) && set_path(path, dir, refusal) && check_folder(dir, refusal) &&
        lock_folder(dir, refusal))
        return true;
    state_dir_close(dir);
    return false;
}

void state_dir_close(struct state_dir *dir)
{
    if (dir->lock_fd >= 0)
        close(dir->lock_fd);
    if (dir->fd >= 0)
        close(dir->fd);
    *dir = (struct state_dir){.fd = -1, .lock_fd = -1};
}

/* ---- files ---- */

static bool refuse_file(const struct state_dir *dir, const char *name, const char *step,
                        struct refusal *refusal)
{
    return refuse(refusal, "%s/%s: %s: %s", dir->path, name, step, strerror(errno));
}

bool state_dir_look(const struct state_dir *dir, const char *name, struct state_file *file_out,
                    struct refusal *refusal)
{
    struct stat file;

    *file_out = (struct state_file){.is_there = false};
    if (fstatat(dir->fd, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || refuse_file(dir, name, "look at it", refusal);
    if (!S_ISREG(file.st_mode))
        return refuse(refusal, "%s/%s: it is no regular file", dir->path, name);
    if (file.st_uid != geteuid())
        return refuse(refusal, "%s/%s: user %u owns it, and this process is user %u", dir->path, name,
                      file.st_uid, geteuid());
    if (file.st_nlink != 1)
        return refuse(refusal, "%s/%s: it has a second name (hard link)", dir->path, name);
    if (file.st_mode & OTHERS_MAY_ANYTHING)
        return refuse(
            refusal,
            "%s/%s: its mode is %04o: it may hold secrets, and others may use it; 'chmod 600' mends "
            "that",
            dir->path, name, file.st_mode & 07777u);
    *file_out = (struct state_file){.is_there = true, .size_bytes = file.st_size};
    return true;
}

bool state_dir_read(const struct state_dir *dir, const char *name, void *bytes, size_t size,
                    struct refusal *refusal)
{
    const int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const ssize_t count = fd < 0 ? -1 : pread(fd, bytes, size, 0);

    if (count < 0)
        (void)refuse_file(dir, name, "read it", refusal);
    else if ((size_t)count < size)
        (void)refuse(refusal, "%s/%s: it has only %zd bytes, so it is no store of tributary", dir->path, name,
                     count);
    if (fd >= 0)
        close(fd);
    return count >= 0 && (size_t)count == size;
}

void state_dir_drop_cache(const struct state_dir *dir, const char *name)
{
    const int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

bool state_dir_unlink(const struct state_dir *dir, const char *name, struct refusal *refusal)
{
    return unlinkat(dir->fd, name, 0) == 0 || errno == ENOENT || refuse_file(dir, name, "remove it", refusal);
}

bool state_dir_create(const struct state_dir *dir, const char *name, struct refusal *refusal)
{
    const int fd =
        openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return refuse_file(dir, name, "make it", refusal);
    close(fd);
    return true;
}

bool state_dir_rename(const struct state_dir *dir, const char *from, const char *to, struct refusal *refusal)
{
    if (renameat(dir->fd, from, dir->fd, to) != 0)
        return refuse_file(dir, from, "rename it", refusal);
    return fsync(dir->fd) == 0 || refuse_file(dir, to, "sync the folder", refusal);
}
