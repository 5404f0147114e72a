/* database.h - the one connection to the database: how it is opened and closed, its statements, its
 * transactions. For the files of this room.
 *
 * Threads: one at a time. The thread that opens it hands it over to the store's thread. */
#ifndef TRIBUTARY_BACKEND_SQLITE_DATABASE_H
#define TRIBUTARY_BACKEND_SQLITE_DATABASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "backend/sqlite/db_statement.h"
#include "backend/sqlite/refusal.h"
#include "backend/sqlite/sqlite_code.h"
#include "backend/sqlite/state_dir.h"

/* "trib": tells this file from any other SQLite database. */
#define STORE_APPLICATION_ID 0x74726962
/* A store with a later schema is refused. */
#define STORE_SCHEMA_VERSION 6
#define STORE_UUID_CAPACITY 33 /* 32 hex digits and the NUL */

/* How long another program may have the database locked: an operator with a shell. */
#define DATABASE_BUSY_TIMEOUT_MS 1000

/* The first failure that is not over. */
struct db_error {
    enum db_result result; /* DB_OK: there is none */
    int code;              /* SQLite's extended result code */
    int sys;               /* errno behind it; 0: none */
    char text[256];        /* the step, SQLite's text, the errno's text */
};

/* Which file has a name. */
struct file_place {
    dev_t device;
    ino_t inode;
};

struct database {
    sqlite3 *handle; /* NULL: not open */
    sqlite3_stmt *statements[DB_STATEMENT_COUNT];
    char path[MAX_STATE_DIR_PATH + sizeof("/" STORE_DRAFT)];
    char uuid[STORE_UUID_CAPACITY];
    bool was_clean; /* the process before ended as it should */
    bool same_boot; /* the machine has not restarted since it opened the store */
    int page_bytes;
    int64_t wal_bytes;           /* of frames that are not known to be in the database file (checkpoint.h) */
    int64_t wal_used_bytes;      /* of all frames, until the log begins anew */
    struct file_place places[2]; /* of the database file and its log */
    bool is_displaced;           /* one of them is gone from its place */
    struct db_error error;
};

/* ---- database_open.c ---- */

/* Opens the database of the folder, and makes it where there is none. Everything odd is refused:
 * nothing is repaired or deleted. After a power cut, and where a write had failed, the pages are
 * checked (quick_check), which takes seconds for a gigabyte. False: *refusal says why;
 * database_close() must follow. */
MUST_CHECK bool database_open(struct database *database, const struct state_dir *dir,
                              struct refusal *refusal);

/* Notes that a process uses the store: when all of it was found to be good. */
MUST_CHECK bool database_mark_open(struct database *database, struct refusal *refusal);

/* Closes the connection. `is_clean`: notes before that this process ended as it should, and brings
 * everything into the database file. Otherwise nothing more is written. Returns whether all that
 * worked; database->error says why not. Not open: does nothing. */
bool database_close(struct database *database, bool is_clean);

/* ---- database_place.c ---- */

/* Notes which files stand in the folder, which SQLite has just opened. False: errno says why. */
MUST_CHECK bool database_note_places(struct database *database);

/* Whether these files stand there still, and the log has what was written to it. DB_FAILED: one was
 * removed, moved, replaced or cut, and database->error says so. SQLite goes on writing to a file
 * that has no name any more. */
enum db_result database_check_places(struct database *database);

/* ---- database_create.c ---- */

/* Makes a new database under a draft's name, and gives it its own name when it is complete. So a
 * file of that name is a whole store, whenever the process was killed. */
MUST_CHECK bool database_create(const struct state_dir *dir, struct refusal *refusal);

/* Writes random hex digits. False: there are none. */
MUST_CHECK bool random_digits(char text[STORE_UUID_CAPACITY]);

/* In a transaction: gives the store another uuid. */
enum db_result database_new_uuid(struct database *database);

/* ---- database.c ---- */

/* Sets settings of the connection that SQLite has no pragma for, and the pragmas, and reads these
 * back. */
MUST_CHECK bool database_configure(struct database *database, struct refusal *refusal);

/* Runs statements without a result. */
enum db_result database_run(struct database *database, const char *sql, const char *step);
/* The first column of the first row, as a text or a number. False: there is none. */
MUST_CHECK bool database_text(struct database *database, const char *sql, char *text, size_t capacity);
MUST_CHECK bool database_number(struct database *database, const char *sql, int64_t *number_out);

/* Prepares all statements, once. False: *refusal says why. */
MUST_CHECK bool database_prepare(struct database *database, struct refusal *refusal);

/* Runs a prepared statement that has no row, and resets it. */
enum db_result database_step(struct database *database, enum db_statement statement, const char *step);

enum db_result database_step_of(struct database *database, sqlite3_stmt *statement, const char *step);

/* Prepares a statement where *statement is NULL. The caller finalizes it. */
enum db_result database_prepare_one(struct database *database, sqlite3_stmt **statement, const char *sql);

enum db_result database_begin(struct database *database);
enum db_result database_commit(struct database *database);
/* DB_OK, or DB_FAILED where the transaction could not be ended. */
enum db_result database_rollback(struct database *database);

/* Notes what SQLite says of a failed step, and returns what it leads to. */
enum db_result database_failed(struct database *database, int code, const char *step);

/* "PATH: STEP: cause", of the last failure. False, for `return`. */
bool database_refuse(struct database *database, int code, const char *step, struct refusal *refusal);

#endif
