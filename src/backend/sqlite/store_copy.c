/* store_copy.c - a copy of the whole store, in turns. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

bool backup_remove_files(const struct state_dir *dir, struct refusal *refusal)
{
    static const char *const names[] = {STORE_BACKUP, STORE_BACKUP "-journal", STORE_BACKUP "-wal",
                                        STORE_BACKUP "-shm"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!state_dir_unlink(dir, names[i], refusal))
            return false;
    return true;
}

/* ---- the answer ---- */

/* The loop. */
static void answer(struct task *task)
{
    struct store_backup *backup = container_of(task, struct store_backup, task);
    struct store *store = backup->store;
    struct backup_job *job = &store->backup;

    if (backup->is_begun) {
        if (job->has_thread)
            CHECK(pthread_join(job->thread, NULL) == 0);
        job->has_thread = false;
        pthread_mutex_lock(&store->lock);
        job->state = backup->outcome == BACKUP_DONE ? BACKUP_HELD : BACKUP_NONE;
        job->backup = NULL;
        pthread_mutex_unlock(&store->lock);
    }
    backup->done(backup);
}

/* The thread that has the copy. */
static void end(struct store *store, enum backup_outcome outcome, const char *reason)
{
    struct backup_job *job = &store->backup;
    struct store_backup *backup = job->backup;

    if (outcome != BACKUP_DONE)
        (void)unlink(job->path);
    backup->outcome = outcome;
    snprintf(backup->reason, sizeof(backup->reason), "%s", reason);
    log_write(outcome == BACKUP_DONE || outcome == BACKUP_CANCELLED ? LOG_INFO : LOG_WARN, "store.backup",
              LOG_TEXT("path", job->path),
              LOG_TEXT("outcome", outcome == BACKUP_DONE        ? "done"
                                  : outcome == BACKUP_CANCELLED ? "cancelled"
                                                                : "failed"),
              LOG_TEXT("reason", reason), LOG_NUMBER("bytes", backup->bytes),
              LOG_NUMBER("ms", (clock_mono_ns() - job->begun_ns) / NS_PER_MS),
              LOG_NUMBER("longest_turn_us", job->longest_ns / NS_PER_US));
    loop_post(store->loop, &backup->task);
}

/* ---- checking: a thread of its own ---- */

static void *check_thread(void *ctx)
{
    struct store *store = ctx;
    struct backup_job *job = &store->backup;
    struct store_backup *backup = job->backup;
    char text[sizeof(backup->reason)] = "";
    const bool is_good = backup_check(job->path, &job->is_cancelled, text, sizeof(text), &backup->bytes);

    if (is_good)
        snprintf(backup->path, sizeof(backup->path), "%s", job->path);
    if (job->is_cancelled)
        end(store, BACKUP_CANCELLED, "");
    else
        end(store, is_good ? BACKUP_DONE : BACKUP_FAILED, text);
    return NULL;
}

/* ---- copying: the store's thread ---- */

static void close_copy(struct backup_job *job)
{
    if (job->handle)
        (void)sqlite3_backup_finish(job->handle);
    (void)sqlite3_close(job->copy);
    job->handle = NULL;
    job->copy = NULL;
}

static void set_state(struct store *store, enum backup_state state)
{
    pthread_mutex_lock(&store->lock);
    store->backup.state = state;
    pthread_mutex_unlock(&store->lock);
}

/* Nobody copies any more. */
static void give_up(struct store *store, enum backup_outcome outcome, const char *reason)
{
    close_copy(&store->backup);
    set_state(store, BACKUP_CHECKING);
    end(store, outcome, reason);
}

static void give_up_code(struct store *store, const char *step, int code)
{
    char text[200];

    snprintf(text, sizeof(text), "%s: %s (%s)", step, sqlite3_errstr(code), sqlite_code_name(code));
    give_up(store, (code & 0xff) == SQLITE_FULL ? BACKUP_DISK_FULL : BACKUP_FAILED, text);
}

/* A backup does not fill the disk: what the store needs for a full one stays free. */
static bool has_space(struct store *store)
{
    struct disk_space space;
    int64_t pages;

    return !disk_space_find(&store->dir, &space) ||
           !database_number(&store->database, "PRAGMA page_count", &pages) ||
           space.free_bytes >= pages * store->database.page_bytes + store->ballast.bytes;
}

/* Nothing of it counts before it is whole: it needs no journal. */
static int open_copy(struct store *store)
{
    struct backup_job *job = &store->backup;
    struct refusal refusal;

    if (!backup_remove_files(&store->dir, &refusal) || !state_dir_create(&store->dir, STORE_BACKUP, &refusal))
        return SQLITE_CANTOPEN;
    int code = sqlite3_open_v2(job->path, &job->copy,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(job->copy,
                            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-2048", NULL,
                            NULL, NULL);
    if (code != SQLITE_OK)
        return code;
    job->handle = sqlite3_backup_init(job->copy, "main", store->database.handle, "main");
    return job->handle ? SQLITE_OK : sqlite3_errcode(job->copy);
}

/* False: it was answered. */
static bool begin_copy(struct store *store)
{
    if (!has_space(store)) {
        give_up(store, BACKUP_DISK_FULL, "the disk has no space for a copy of the store");
        return false;
    }
    const int code = open_copy(store);
    if (code != SQLITE_OK)
        give_up_code(store, "begin the copy", code);
    return code == SQLITE_OK;
}

static void begin_check(struct store *store)
{
    struct backup_job *job = &store->backup;

    close_copy(job);
    set_state(store, BACKUP_CHECKING);
    job->has_thread = thread_start(&job->thread, check_thread, store, "store-backup") == 0;
    if (!job->has_thread)
        end(store, BACKUP_FAILED, "there is no thread to check the copy");
}

bool backup_is_copying(const struct store *store)
{
    return store->backup.state == BACKUP_COPYING;
}

void backup_turn(struct store *store)
{
    struct backup_job *job = &store->backup;
    const int64_t begun_ns = clock_mono_ns();

    pthread_mutex_lock(&store->lock);
    const bool copies = backup_is_copying(store);
    pthread_mutex_unlock(&store->lock);
    if (!copies)
        return;
    if (job->is_cancelled) {
        give_up(store, BACKUP_CANCELLED, "");
        return;
    }
    if (store_is(store, STORE_IS_FAILED)) {
        give_up(store, BACKUP_FAILED, "the store has failed");
        return;
    }
    if (!job->handle && !begin_copy(store))
        return;
    const int code = sqlite3_backup_step(job->handle, BACKUP_TURN_PAGES);
    job->longest_ns = MAX_OF(job->longest_ns, clock_mono_ns() - begun_ns);
    if (code == SQLITE_DONE)
        begin_check(store);
    else if (code != SQLITE_OK && code != SQLITE_BUSY && code != SQLITE_LOCKED)
        give_up_code(store, "copy the store", code);
}

void backup_abort(struct store *store)
{
    atomic_store(&store->backup.is_cancelled, true);
    backup_turn(store);
}

/* ---- the loop's part ---- */

/* Under the lock. */
static bool begin(struct store *store, struct store_backup *backup)
{
    struct backup_job *job = &store->backup;

    if (store->closing)
        backup->outcome = BACKUP_CANCELLED;
    else if (job->state != BACKUP_NONE)
        backup->outcome = BACKUP_BUSY;
    else if (store->health.state == STORE_IS_FAILED)
        backup->outcome = BACKUP_FAILED;
    else
        backup->is_begun = true;
    if (!backup->is_begun)
        return false;
    snprintf(job->path, sizeof(job->path), "%s/%s", store->dir.path, STORE_BACKUP);
    atomic_store(&job->is_cancelled, false);
    job->begun_ns = clock_mono_ns();
    job->longest_ns = 0;
    job->backup = backup;
    job->state = BACKUP_COPYING;
    pthread_cond_signal(&store->changed);
    return true;
}

void store_backup(struct store *store, struct store_backup *backup)
{
    backup->store = store;
    backup->task.run = answer;
    backup->is_begun = false;
    backup->reason[0] = backup->path[0] = '\0';
    backup->bytes = 0;
    pthread_mutex_lock(&store->lock);
    const bool is_begun = begin(store, backup);
    pthread_mutex_unlock(&store->lock);
    if (is_begun)
        return;
    if (backup->outcome == BACKUP_FAILED)
        snprintf(backup->reason, sizeof(backup->reason), "the store has failed");
    loop_post(store->loop, &backup->task);
}

void store_backup_cancel(struct store_backup *backup)
{
    struct store *store = backup->store;

    if (!backup->is_begun)
        return;
    atomic_store(&store->backup.is_cancelled, true);
    pthread_mutex_lock(&store->lock);
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

void store_backup_end(struct store_backup *backup)
{
    struct store *store = backup->store;

    CHECK(store->backup.state == BACKUP_HELD);
    (void)unlink(store->backup.path);
    set_state(store, BACKUP_NONE);
}
