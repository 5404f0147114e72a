/* keyed_store_internal.h - a keyed store inside. For the files of this room. */
#ifndef TRIBUTARY_BACKEND_SQLITE_KEYED_STORE_INTERNAL_H
#define TRIBUTARY_BACKEND_SQLITE_KEYED_STORE_INTERNAL_H

#include <pthread.h>

#include "backend/sqlite/database.h"
#include "backend/sqlite/keyed_store.h"
#include "base/list.h"

/* "trbk": tells this file from any other SQLite database. */
#define KEYED_APPLICATION_ID 0x7472626b
#define KEYED_SCHEMA_VERSION 1
/* How long another process may have the file locked. */
#define KEYED_BUSY_MS 10000

enum keyed_statement {
    KEYED_LOAD,
    KEYED_FIND,
    KEYED_GENERATION,
    KEYED_PUT_RESOURCE,
    KEYED_PUT_GENERATION,
    KEYED_PUT_RESULT,
    KEYED_TRIM,
    KEYED_STATEMENT_COUNT
};

/* One connection. Reads have one and saves have one, so that a read does not wait for the disk. */
struct keyed_connection {
    pthread_mutex_t lock;
    struct database database; /* its own statements are not prepared */
    sqlite3_stmt *statements[KEYED_STATEMENT_COUNT];
};

struct keyed_store {
    struct keyed_connection reader, writer;
    int64_t results_kept_ns;

    /* The saves that wait. Under `lock`. The thread that finds no leader leads: it commits what
     * waits, also for the others. It holds the writer without the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool has_leader;
    bool failed;
    struct list waiting;
};

/* Binds the processor and the key as the first two parameters. */
void keyed_bind_name(sqlite3_stmt *statement, const struct keyed_name *name);
void keyed_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes);

/* Notes what SQLite says, as an outcome and a text. */
enum keyed_outcome keyed_failed(struct keyed_connection *connection, int code, const char *step,
                                struct keyed_error *error);

/* Whether the file and its log stand where they were opened. KEYED_FAILED: what is written to them
 * is gone with the process. */
enum keyed_outcome keyed_check_places(struct keyed_connection *connection, struct keyed_error *error);

#endif
