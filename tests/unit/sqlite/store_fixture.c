/* store_fixture.c - a store in a temporary folder. */
#include "store_fixture.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

#define PATIENCE_NS (10 * NS_PER_S)

void fixture_init(struct store_fixture *fixture)
{
    *fixture = (struct store_fixture){.timeout_ns = PATIENCE_NS, .max_waiting = 100};
    /* in memory: the VFS plays the disk, and the folder itself is synced for real */
    const char *base = getenv("TMPDIR");
    if (!base || strlen(base) > 32)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fixture->folder, sizeof(fixture->folder), "%s/tributary-store-XXXXXX", base);
    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cr_assert(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof(fixture->path), "%s/state", fixture->folder);
    cr_assert_eq(loop_new(&fixture->loop).code, ERR_OK);
}

enum err fixture_open(struct store_fixture *fixture)
{
    const struct store_params params = {.path = fixture->path,
                                        .timeout_ns = fixture->timeout_ns,
                                        .max_waiting = fixture->max_waiting,
                                        .max_waiting_bytes = 1u << 20,
                                        .ballast_bytes = fixture->ballast_bytes,
                                        .max_wal_bytes = fixture->max_wal_bytes};

    return store_open(fixture->loop, &params, &fixture->store, &fixture->refusal);
}

void fixture_expect_open(struct store_fixture *fixture)
{
    cr_assert_eq(fixture_open(fixture), ERR_OK, "%s", fixture->refusal.text);
}

void fixture_close(struct store_fixture *fixture)
{
    if (!fixture->store)
        return;
    cr_assert(store_stop(fixture->store, PATIENCE_NS));
    loop_turn(fixture->loop); /* what was answered at the end */
    store_free(fixture->store);
    fixture->store = NULL;
}

void fixture_reopen(struct store_fixture *fixture)
{
    fixture_close(fixture);
    fixture_expect_open(fixture);
}

void fixture_fini(struct store_fixture *fixture)
{
    static const char *const names[] = {"store.db",           "store.db-wal",           "store.db-shm",
                                        "store.lock",         "store.db.draft",         "store.db.draft-wal",
                                        "store.db.draft-shm", "store.db.draft-journal", "store.ballast",
                                        "backup.tmp"};

    fixture_close(fixture);
    loop_free(fixture->loop);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(fixture_file(fixture, names[i]));
    (void)rmdir(fixture->path);
    cr_assert_eq(rmdir(fixture->folder), 0, "the store left something behind in %s", fixture->folder);
}

/* ---- operations ---- */

static void on_done(struct store_op *op)
{
    struct step *step = container_of(op, struct step, op);

    step->is_done = true;
    loop_stop(step->fixture->loop);
}

static void on_late(struct store_op *op)
{
    container_of(op, struct step, op)->was_late = true;
}

void step_begin(struct store_fixture *fixture, struct step *step, const char *name, const char *value)
{
    *step = (struct step){.fixture = fixture};
    snprintf(step->name, sizeof(step->name), "%s", name);
    snprintf(step->value, sizeof(step->value), "%s", value ? value : "");
    step->op = (struct store_op){.verb = value ? STORE_PUT : STORE_REMOVE,
                                 .record = {.kind = KIND,
                                            .name = text_bytes(step->name),
                                            .value = text_bytes(step->value),
                                            .owner = text_bytes("me")},
                                 .late = on_late,
                                 .done = on_done};
    store_submit(fixture->store, &step->op);
}

enum store_outcome step_end(struct step *step)
{
    while (!step->is_done)
        loop_run(step->fixture->loop);
    buf_fini(&step->op.before.value);
    buf_fini(&step->op.before.owner);
    return step->op.outcome;
}

enum store_outcome put(struct store_fixture *fixture, const char *name, const char *value)
{
    struct step step;

    step_begin(fixture, &step, name, value);
    return step_end(&step);
}

enum store_outcome removal(struct store_fixture *fixture, const char *name)
{
    return put(fixture, name, NULL);
}

/* ---- what is there ---- */

static bool add_record(void *ctx, const struct store_record *record)
{
    struct buf *text = ctx;

    buf_format(text, "%s%.*s=%.*s", text->size > 0 ? " " : "", (int)record->name.size,
               (const char *)record->name.data, (int)record->value.size, (const char *)record->value.data);
    cr_assert_eq(record->owner.size, 2u);
    cr_assert_gt(record->changed_wall_ns, 0);
    return true;
}

const char *fixture_records(struct store_fixture *fixture)
{
    static char shown[4096];
    struct refusal refusal;
    struct buf text = {0};

    if (store_read(fixture->store, KIND, add_record, &text, &refusal) != ERR_OK)
        snprintf(shown, sizeof(shown), "refused: %s", refusal.text);
    else
        snprintf(shown, sizeof(shown), "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
    buf_fini(&text);
    return shown;
}

const char *fixture_file(const struct store_fixture *fixture, const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
    return path;
}

void fixture_sql(const struct store_fixture *fixture, const char *sql)
{
    sqlite3 *handle;

    cr_assert_eq(sqlite3_open(fixture_file(fixture, "store.db"), &handle), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(handle));
    cr_assert_eq(sqlite3_close(handle), SQLITE_OK);
}
