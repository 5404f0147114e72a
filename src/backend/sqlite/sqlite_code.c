/* sqlite_code.c - what SQLite's result codes mean for the store. */
#include "backend/sqlite/sqlite_code.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "base/base.h"

#define PRIMARY_BITS 0xff

/* SQLite's own VFS has a code of its own for ENOSPC alone. Beyond a quota, or a limit of file sizes
 * (ulimit -f), a write fails in the same way: nothing was written, and another attempt is safe. */
static bool is_full(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
}

enum db_result db_result_of(int code, int sys)
{
    switch (code & PRIMARY_BITS) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return DB_OK;
    case SQLITE_FULL:
        return DB_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DB_LOCKED;
    case SQLITE_NOMEM:
        return DB_NO_MEMORY;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_WRITE && is_full(sys) ? DB_FULL : DB_FAILED;
    default:
        return DB_FAILED;
    }
}

#define NAME(code)                                                                                           \
    {                                                                                                        \
        code, #code                                                                                          \
    }

static const struct {
    int code;
    const char *name;
} names[] = {
    NAME(SQLITE_IOERR_READ),
    NAME(SQLITE_IOERR_SHORT_READ),
    NAME(SQLITE_IOERR_WRITE),
    NAME(SQLITE_IOERR_FSYNC),
    NAME(SQLITE_IOERR_DIR_FSYNC),
    NAME(SQLITE_IOERR_TRUNCATE),
    NAME(SQLITE_IOERR_FSTAT),
    NAME(SQLITE_IOERR_UNLOCK),
    NAME(SQLITE_IOERR_RDLOCK),
    NAME(SQLITE_IOERR_DELETE),
    NAME(SQLITE_IOERR_NOMEM),
    NAME(SQLITE_IOERR_ACCESS),
    NAME(SQLITE_IOERR_LOCK),
    NAME(SQLITE_IOERR_CLOSE),
    NAME(SQLITE_IOERR_SHMOPEN),
    NAME(SQLITE_IOERR_SHMSIZE),
    NAME(SQLITE_IOERR_SHMLOCK),
    NAME(SQLITE_IOERR_SHMMAP),
    NAME(SQLITE_IOERR_SEEK),
    NAME(SQLITE_IOERR_CORRUPTFS),
    NAME(SQLITE_READONLY_DBMOVED),
    NAME(SQLITE_READONLY_CANTINIT),
    NAME(SQLITE_CANTOPEN_SYMLINK),
    NAME(SQLITE_CORRUPT_INDEX),
    NAME(SQLITE_ERROR),
    NAME(SQLITE_INTERNAL),
    NAME(SQLITE_PERM),
    NAME(SQLITE_ABORT),
    NAME(SQLITE_BUSY),
    NAME(SQLITE_LOCKED),
    NAME(SQLITE_NOMEM),
    NAME(SQLITE_READONLY),
    NAME(SQLITE_INTERRUPT),
    NAME(SQLITE_IOERR),
    NAME(SQLITE_CORRUPT),
    NAME(SQLITE_NOTFOUND),
    NAME(SQLITE_FULL),
    NAME(SQLITE_CANTOPEN),
    NAME(SQLITE_PROTOCOL),
    NAME(SQLITE_SCHEMA),
    NAME(SQLITE_TOOBIG),
    NAME(SQLITE_CONSTRAINT),
    NAME(SQLITE_MISMATCH),
    NAME(SQLITE_MISUSE),
    NAME(SQLITE_NOLFS),
    NAME(SQLITE_AUTH),
    NAME(SQLITE_RANGE),
    NAME(SQLITE_NOTADB),
    NAME(SQLITE_OK),
};

static const char *find(int code)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return NULL;
}

const char *sqlite_code_name(int code)
{
    const char *name = find(code);

    if (!name)
        name = find(code & PRIMARY_BITS);
    return name ? name : "SQLITE_UNKNOWN";
}
