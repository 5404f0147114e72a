/* keyed_store.h - a file in which workers of keyed batches keep the resource of each key, and the
 * results of operations that have an id. Nothing here knows the service: a processor, a key and an
 * operation's id are names.
 *
 * A resource has a *generation*: how often it was saved. A save says which generation it began
 * with. Where the file has another one by then, nothing is written: KEYED_CONFLICT. Resource,
 * generation and results are written in one transaction. So several processes may work on one file.
 *
 * Threads: any; every call may block on the disk, or on another process for up to 10 s. Saves that
 * come at the same time go into one transaction together. Loads do not wait for saves. */
#ifndef TRIBUTARY_BACKEND_SQLITE_KEYED_STORE_H
#define TRIBUTARY_BACKEND_SQLITE_KEYED_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/sqlite/refusal.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/status.h"

#define KEYED_MAX_RESOURCE_BYTES ((size_t)64 << 20)

struct keyed_store;

enum keyed_outcome {
    KEYED_OK = 0,
    KEYED_NOT_FOUND, /* keyed_store_find(): there is no such result */
    KEYED_CONFLICT,  /* the generation has moved; nothing was written */
    KEYED_FULL,      /* the disk, a quota or a limit of file sizes is full; nothing was written */
    KEYED_LOCKED,    /* another process has had the file locked all the time; nothing was written */
    KEYED_NO_MEMORY, /* nothing was written */
    KEYED_FAILED,    /* the file is out of order, read-only, or not in its place; all later saves fail */
};

/* Why a call failed. Empty for KEYED_OK, KEYED_NOT_FOUND and KEYED_CONFLICT. */
struct keyed_error {
    char text[320]; /* the step, and SQLite's words */
};

struct keyed_name {
    struct bytes processor; /* UTF-8 */
    struct bytes key;
};

/* What load() has found. The caller owns `data`: buf_fini(). */
struct keyed_resource {
    uint64_t generation; /* 0: the key was never saved */
    bool is_there;       /* false: there is no resource, and `data` is empty */
    struct buf data;
};

/* The result of an operation. The texts belong to whoever made it. */
struct keyed_result {
    struct bytes operation_id; /* not empty */
    int code;                  /* 0: OK; else a status code, and the operation has failed */
    struct bytes reason, message, data;
};

enum keyed_change { KEYED_UNCHANGED, KEYED_REPLACED, KEYED_REMOVED };

struct keyed_save {
    struct keyed_name name;
    uint64_t generation; /* what the load has found */
    enum keyed_change change;
    struct bytes resource; /* KEYED_REPLACED: at most KEYED_MAX_RESOURCE_BYTES */
    const struct keyed_result *results;
    size_t result_count;
};

/* Opens the file, and makes it where there is none, readable for its owner only. `results_kept_ns`
 * is how long a result stays; an older one goes in a later save, a few at a time.
 *   ERR_INVALID    the file is another program's, a later version's, damaged, read-only, or cannot
 *                  be opened; *refusal says which; the file is as it was
 *   ERR_NO_MEMORY  */
MUST_CHECK enum err keyed_store_open(const char *path, int64_t results_kept_ns,
                                     struct keyed_store **store_out, struct refusal *refusal);

/* After the last call. NULL is allowed. */
void keyed_store_close(struct keyed_store *store);

/* Reads the resource of a key. KEYED_OK also where there is none. */
enum keyed_outcome keyed_store_load(struct keyed_store *store, const struct keyed_name *name,
                                    struct keyed_resource *resource_out, struct keyed_error *error);

/* Reads the result of an operation. `text` gets its bytes, to which *result_out points: they are
 * valid until `text` changes. KEYED_NOT_FOUND: it was not run, or its result is too old. */
enum keyed_outcome keyed_store_find(struct keyed_store *store, const struct keyed_name *name,
                                    struct bytes operation_id, struct buf *text,
                                    struct keyed_result *result_out, struct keyed_error *error);

/* Writes what a batch has changed, and returns when it is on the disk. A save that changes nothing
 * only compares the generation: no write, the generation stays. */
enum keyed_outcome keyed_store_save(struct keyed_store *store, const struct keyed_save *save,
                                    struct keyed_error *error);

#endif
