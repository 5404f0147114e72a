/* power_vfs.c - a VFS of SQLite that cuts the power. */
#include "power_vfs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/splitmix.h"

#define MAX_IMAGES 16
#define MAX_PATH_BYTES 512
#define SECTOR 512u

/* A write, or a new size, which is not on the disk. */
struct change {
    struct change *next;
    bool is_size;
    int64_t offset; /* or the size */
    size_t size;
    unsigned char data[];
};

struct image {
    char path[MAX_PATH_BYTES];
    bool is_new;     /* its name is not on the disk */
    bool is_removed; /* its name may still be on the disk */
    unsigned char *disk;
    size_t disk_size, disk_capacity;
    int64_t size; /* as programs see it */
    struct change *first, **last;
};

struct power_file {
    sqlite3_file base;
    struct image *image; /* NULL: a file that does not count */
    sqlite3_file *real;  /* right behind */
};

static sqlite3_vfs vfs, *real_vfs;
static struct image images[MAX_IMAGES];
static struct power_plan plan;
static unsigned calls, syncs;
static bool is_off;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static atomic_bool sync_waits;

/* ---- images ---- */

static void image_write(struct image *image, int64_t offset, const void *data, size_t size)
{
    if ((size_t)offset + size > image->disk_size) {
        if ((size_t)offset + size > image->disk_capacity) {
            image->disk_capacity = 2 * ((size_t)offset + size);
            image->disk = realloc(image->disk, image->disk_capacity);
            cr_assert(image->disk);
        }
        memset(image->disk + image->disk_size, 0, (size_t)offset + size - image->disk_size);
        image->disk_size = (size_t)offset + size;
    }
    memcpy(image->disk + offset, data, size);
}

static void image_apply(struct image *image, const struct change *change)
{
    if (!change->is_size)
        image_write(image, change->offset, change->data, change->size);
    else if ((size_t)change->offset < image->disk_size)
        image->disk_size = (size_t)change->offset;
}

static void image_drop_changes(struct image *image)
{
    while (image->first) {
        struct change *change = image->first;

        image->first = change->next;
        free(change);
    }
    image->last = &image->first;
}

static void image_note(struct image *image, bool is_size, int64_t offset, const void *data, size_t size)
{
    struct change *change = malloc(sizeof(*change) + size);

    cr_assert(change);
    *change = (struct change){.is_size = is_size, .offset = offset, .size = size};
    if (size > 0)
        memcpy(change->data, data, size);
    *image->last = change;
    image->last = &change->next;
    image->size = is_size || offset + (int64_t)size > image->size ? offset + (int64_t)size : image->size;
}

static struct image *image_find(const char *path)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        if (strcmp(images[i].path, path) == 0)
            return &images[i];
    return NULL;
}

/* A file that is there already is on the disk as it is. */
static void image_load(struct image *image)
{
    const int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    char part[8192];
    ssize_t size;

    while (fd >= 0 && (size = read(fd, part, sizeof(part))) > 0)
        image_write(image, (int64_t)image->disk_size, part, (size_t)size);
    image->is_new = fd < 0;
    if (fd >= 0)
        close(fd);
    image->size = (int64_t)image->disk_size;
}

static struct image *image_of(const char *path)
{
    struct image *image = image_find(path);

    if (image) {
        image->is_removed = false;
        return image;
    }
    image = image_find("");
    cr_assert(image && strlen(path) < sizeof(image->path));
    strcpy(image->path, path);
    image->last = &image->first;
    image_load(image);
    return image;
}

static void image_fini(struct image *image)
{
    image_drop_changes(image);
    free(image->disk);
    *image = (struct image){.path = ""};
}

static int64_t all_bytes(void)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < MAX_IMAGES; i++)
        bytes += images[i].is_removed ? 0 : images[i].size;
    return bytes;
}

/* ---- what goes wrong ---- */

/* A call that changes something. False: it fails. */
static bool power_is_on(void)
{
    calls++;
    is_off |= plan.off_at > 0 && calls >= plan.off_at;
    return !is_off;
}

static void kill_here(void)
{
    if (plan.kill_at > 0 && calls >= plan.kill_at)
        (void)raise(SIGKILL);
}

static struct power_file *file_of(sqlite3_file *file)
{
    return (struct power_file *)(void *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return file_of(file)->real;
}

static int x_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    return is_off ? SQLITE_IOERR_READ : real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}

/* For a file that becomes so much longer. */
static bool has_space(int64_t growth)
{
    return growth <= 0 || ((plan.free_bytes == 0 || all_bytes() + growth <= plan.free_bytes) &&
                           (!plan.find_free || growth <= plan.find_free()));
}

static int x_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct image *image = file_of(file)->image;

    if (!power_is_on())
        return SQLITE_IOERR_WRITE;
    if (!has_space(offset + size - image->size))
        return plan.write_errno ? SQLITE_IOERR_WRITE : SQLITE_FULL;
    image_note(image, false, offset, data, (size_t)size);
    if (plan.kill_at > 0 && calls >= plan.kill_at)
        (void)real_of(file)->pMethods->xWrite(real_of(file), data, size / 2, offset);
    kill_here();
    return real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (!power_is_on())
        return SQLITE_IOERR_TRUNCATE;
    kill_here();
    image_note(file_of(file)->image, true, size, NULL, 0);
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static void wait_for_release(void)
{
    pthread_mutex_lock(&lock);
    while (plan.block_sync) {
        sync_waits = true;
        pthread_cond_wait(&released, &lock);
    }
    sync_waits = false;
    pthread_mutex_unlock(&lock);
}

/* The real file is not synced: nobody cuts its power. */
static int x_sync(sqlite3_file *file, int flags)
{
    struct image *image = file_of(file)->image;

    (void)flags;
    wait_for_release();
    if (!power_is_on())
        return SQLITE_IOERR_FSYNC;
    kill_here();
    if (++syncs == plan.fail_sync_at) {
        image_drop_changes(image); /* the kernel takes these pages for written */
        return SQLITE_IOERR_FSYNC;
    }
    if (plan.no_sync)
        return SQLITE_OK;
    for (const struct change *change = image->first; change; change = change->next)
        image_apply(image, change);
    image_drop_changes(image);
    image->is_new = false;
    return SQLITE_OK;
}

static int x_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int x_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int x_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int x_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int x_check_reserved(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int x_file_control(sqlite3_file *file, int op, void *arg)
{
    if (op == SQLITE_FCNTL_LAST_ERRNO && plan.write_errno) {
        *(int *)arg = plan.write_errno;
        return SQLITE_OK;
    }
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int x_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int x_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int x_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return is_off ? SQLITE_IOERR_SHMMAP
                  : real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int x_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void x_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int x_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct power_file *power = file_of(file);
    const bool counts = name && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));

    (void)self;
    *power = (struct power_file){.real = (sqlite3_file *)(void *)(power + 1)};
    if (is_off)
        return SQLITE_IOERR;
    if (!counts) /* it is the real one, in our place */
        return real_vfs->xOpen(real_vfs, name, file, flags, out);
    power->image = image_of(name);
    const int code = real_vfs->xOpen(real_vfs, name, power->real, flags, out);
    if (power->real->pMethods)
        power->base.pMethods = &methods;
    return code;
}

static int x_delete(sqlite3_vfs *self, const char *name, int sync_folder)
{
    struct image *image = image_find(name);

    (void)self;
    if (!power_is_on())
        return SQLITE_IOERR_DELETE;
    kill_here();
    if (image && sync_folder)
        image_fini(image);
    else if (image)
        image->is_removed = true;
    return real_vfs->xDelete(real_vfs, name, 0);
}

void power_vfs_register(void)
{
    if (real_vfs)
        return;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "power";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct power_file) + real_vfs->szOsFile;
    vfs.xOpen = x_open;
    vfs.xDelete = x_delete;
    cr_assert_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- plans and cuts ---- */

void power_plan_change(const struct power_plan *next)
{
    pthread_mutex_lock(&lock);
    plan = *next;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

void power_plan_set(const struct power_plan *next)
{
    for (size_t i = 0; i < MAX_IMAGES; i++)
        image_fini(&images[i]);
    calls = syncs = 0;
    is_off = false;
    power_plan_change(next);
}

unsigned power_calls(void)
{
    return calls;
}

void power_release_sync(void)
{
    pthread_mutex_lock(&lock);
    plan.block_sync = false;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

bool power_sync_waits(void)
{
    return sync_waits;
}

/* Some sectors of a write, as they were or as garbage. */
static void apply_sectors(struct image *image, struct change *change, uint64_t *random)
{
    for (size_t at = 0; at < change->size; at += SECTOR) {
        const size_t size = change->size - at < SECTOR ? change->size - at : SECTOR;
        const uint64_t choice = splitmix64(random) % 8;

        if (choice == 0)
            memset(change->data + at, (int)(splitmix64(random) & 0xff), size);
        if (choice < 5)
            image_write(image, change->offset + (int64_t)at, change->data + at, size);
    }
}

enum kept { KEEP_NONE, KEEP_ALL, KEEP_SOME, KEEP_SECTORS };

static void lose_some(struct image *image, uint64_t *random)
{
    const enum kept kept = (enum kept)(splitmix64(random) % 4);

    for (struct change *change = image->first; change; change = change->next) {
        if (kept == KEEP_NONE || (kept != KEEP_ALL && splitmix64(random) % 2 == 0))
            continue;
        if (kept == KEEP_SECTORS && !change->is_size)
            apply_sectors(image, change, random);
        else
            image_apply(image, change);
    }
}

static void write_file(const struct image *image)
{
    const int fd = open(image->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, image->disk_size > 0 ? image->disk : (const void *)"", image->disk_size),
                 (ssize_t)image->disk_size);
    close(fd);
}

void power_return(uint64_t seed)
{
    uint64_t random = seed;

    for (size_t i = 0; i < MAX_IMAGES; i++) {
        char path[MAX_PATH_BYTES + 8];

        if (images[i].path[0] == '\0')
            continue;
        lose_some(&images[i], &random);
        snprintf(path, sizeof(path), "%.*s-shm", (int)MAX_PATH_BYTES, images[i].path);
        (void)unlink(path);
        if ((images[i].is_new || images[i].is_removed) && splitmix64(&random) % 2 == 0)
            (void)unlink(images[i].path);
        else if (access(images[i].path, F_OK) == 0 || images[i].is_removed)
            write_file(&images[i]);
    }
    power_plan_set(&(struct power_plan){.off_at = 0});
}
