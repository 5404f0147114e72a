/* accounts.c - transfers between accounts of a bank, whose balances are in SQLite: 1000 at a time,
 * and one transaction for all transfers that come while the one before is written.
 *
 *   cc accounts.c $(pkg-config --cflags --libs tributary sqlite3) -o accounts && ./accounts
 *
 * The key of a batch is the bank, and its resource is the balances of all accounts. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include <tributary/batch.h>

#define ACCOUNTS 100
#define CALLERS 1000

struct bank {
    int balances[ACCOUNTS];
    int version; /* of the row, when it was loaded */
};

struct transfer {
    struct tributary_batch *batch;
    int from, to, amount;
    enum tributary_code code;
    pthread_t thread;
};

static enum tributary_code failed(sqlite3 *db, struct tributary_status *status)
{
    snprintf(status->message, sizeof(status->message), "%s", sqlite3_errmsg(db));
    return TRIBUTARY_INTERNAL;
}

static enum tributary_code load(void *ctx, const struct tributary_batch_call *call, void **resource_out,
                                struct tributary_status *status)
{
    sqlite3 *db = ctx;
    sqlite3_stmt *select = NULL;
    struct bank *bank = calloc(1, sizeof(*bank));
    enum tributary_code code = TRIBUTARY_OK;

    if (!bank)
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    if (sqlite3_prepare_v2(db, "SELECT balances, version FROM banks WHERE name = ?", -1, &select, NULL) ==
            SQLITE_OK &&
        sqlite3_bind_text(select, 1, call->key.data, (int)call->key.size, SQLITE_TRANSIENT) == SQLITE_OK &&
        sqlite3_step(select) == SQLITE_ROW && sqlite3_column_bytes(select, 0) == sizeof(bank->balances)) {
        const int *stored = sqlite3_column_blob(select, 0);

        for (int i = 0; i < ACCOUNTS; i++)
            bank->balances[i] = stored[i];
        bank->version = sqlite3_column_int(select, 1);
        *resource_out = bank;
    } else {
        code = failed(db, status);
        free(bank);
    }
    sqlite3_finalize(select);
    return code;
}

/* One transaction. Where another process has written the row since, nothing is changed: ABORTED
 * makes the library load again and run the transfers again. */
static enum tributary_code save(void *ctx, const struct tributary_batch_call *call, void *resource,
                                struct tributary_status *status)
{
    sqlite3 *db = ctx;
    const struct bank *bank = resource;
    sqlite3_stmt *update = NULL;
    enum tributary_code code = TRIBUTARY_OK;

    if (sqlite3_prepare_v2(
            db, "UPDATE banks SET balances = ?, version = version + 1 WHERE name = ? AND version = ?", -1,
            &update, NULL) != SQLITE_OK ||
        sqlite3_bind_blob(update, 1, bank->balances, sizeof(bank->balances), SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(update, 2, call->key.data, (int)call->key.size, SQLITE_TRANSIENT) != SQLITE_OK ||
        sqlite3_bind_int(update, 3, bank->version) != SQLITE_OK || sqlite3_step(update) != SQLITE_DONE)
        code = failed(db, status);
    else if (sqlite3_changes(db) == 0)
        code = TRIBUTARY_ABORTED;
    sqlite3_finalize(update);
    return code;
}

static void free_bank(void *ctx, void *resource)
{
    (void)ctx;
    free(resource);
}

/* Checks first, and changes then: one that fails leaves the resource as it was. */
static enum tributary_code transfer(void *ctx, void *resource, struct tributary_status *status)
{
    const struct transfer *transfer = ctx;
    struct bank *bank = resource;

    if (bank->balances[transfer->from] < transfer->amount) {
        snprintf(status->message, sizeof(status->message), "account %d has only %d", transfer->from,
                 bank->balances[transfer->from]);
        return TRIBUTARY_FAILED_PRECONDITION;
    }
    bank->balances[transfer->from] -= transfer->amount;
    bank->balances[transfer->to] += transfer->amount;
    return TRIBUTARY_OK;
}

static void *run_transfer(void *ctx)
{
    struct transfer *made = ctx;
    const struct tributary_batch_operation operation = {
        .key = tributary_text("bank"), .operate = transfer, .ctx = made};
    struct tributary_status status;

    made->code = tributary_batch_run(made->batch, &operation, TRIBUTARY_FOREVER, &status);
    if (made->code != TRIBUTARY_OK && made->code != TRIBUTARY_FAILED_PRECONDITION)
        fprintf(stderr, "%s: %s\n", tributary_code_name(made->code), status.message);
    return NULL;
}

/* A bank whose accounts have 10 each. */
static sqlite3 *open_bank(const char *path)
{
    struct bank bank;
    sqlite3_stmt *insert = NULL;
    sqlite3 *db = NULL;
    int result = sqlite3_open(path, &db);

    for (int i = 0; i < ACCOUNTS; i++)
        bank.balances[i] = 10;
    if (result == SQLITE_OK) /* for a lock of another process: half the deadline of load and save */
        result = sqlite3_busy_timeout(db, 100);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "CREATE TABLE banks (name TEXT PRIMARY KEY, balances BLOB, version INT)",
                              NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(db, "INSERT INTO banks VALUES ('bank', ?, 1)", -1, &insert, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_bind_blob(insert, 1, bank.balances, sizeof(bank.balances), SQLITE_STATIC);
    if (result == SQLITE_OK)
        result = sqlite3_step(insert) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
    if (result != SQLITE_OK)
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
    sqlite3_finalize(insert);
    if (result == SQLITE_OK)
        return db;
    sqlite3_close(db);
    return NULL;
}

static void print_total(sqlite3 *db)
{
    const struct tributary_batch_call call = {.key = tributary_text("bank")};
    struct tributary_status status = {.code = TRIBUTARY_OK};
    void *resource = NULL;
    int total = 0;

    if (load(db, &call, &resource, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s\n", status.message);
        return;
    }
    for (int i = 0; i < ACCOUNTS; i++)
        total += ((struct bank *)resource)->balances[i];
    printf("all accounts together have %d, after %d transactions\n", total,
           ((struct bank *)resource)->version - 1);
    free_bank(db, resource);
}

int main(int argc, char **argv)
{
    static struct transfer transfers[CALLERS];
    sqlite3 *db = open_bank(argc > 1 ? argv[1] : ":memory:");
    const struct tributary_batch_options options = {.load = load,
                                                    .save = save,
                                                    .free = free_bank,
                                                    .ctx = db,
                                                    .window = TRIBUTARY_BATCH_ADAPTIVE,
                                                    .max_reloads = 10};
    struct tributary_batch *batch = NULL;
    struct tributary_status status;
    int done = 0, refused = 0, started = 0;

    if (!db || tributary_batch_new(&options, &batch, &status) != TRIBUTARY_OK)
        return 1;
    for (; started < CALLERS; started++) {
        transfers[started] = (struct transfer){
            .batch = batch, .from = rand() % ACCOUNTS, .to = rand() % ACCOUNTS, .amount = 1 + rand() % 9};
        if (pthread_create(&transfers[started].thread, NULL, run_transfer, &transfers[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(transfers[i].thread, NULL);
        done += transfers[i].code == TRIBUTARY_OK;
        refused += transfers[i].code == TRIBUTARY_FAILED_PRECONDITION;
    }
    tributary_batch_free(batch);
    printf("%d transfers were made, %d accounts had too little\n", done, refused);
    print_total(db);
    sqlite3_close(db);
    return done + refused == CALLERS ? 0 : 1;
}
