/* columns.h - bytes as columns of a row, and as parameters of a statement. For the files of this
 * room.
 *
 * Threads: the connection's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_COLUMNS_H
#define TRIBUTARY_BACKEND_SQLITE_COLUMNS_H

#include <sqlite3.h>

#include "base/base.h"

/* Valid until the statement's next step. */
static inline struct bytes column_bytes(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);

    return (struct bytes){data, (size_t)sqlite3_column_bytes(statement, index)};
}

static inline uint64_t column_number(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

/* The bytes must stay until the statement is reset. */
static inline void bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
    if (bytes.size == 0)
        (void)sqlite3_bind_zeroblob(statement, index, 0); /* a pointer that is NULL would be NULL */
    else
        (void)sqlite3_bind_blob64(statement, index, bytes.data, bytes.size, SQLITE_STATIC);
}

static inline void bind_number(sqlite3_stmt *statement, int index, uint64_t number)
{
    (void)sqlite3_bind_int64(statement, index, (sqlite3_int64)number);
}

#endif
