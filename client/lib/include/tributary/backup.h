/* backup.h - copy what a server keeps (--state-dir). Part of <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply, too. */
#ifndef TRIBUTARY_BACKUP_H
#define TRIBUTARY_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "export.h"
#include "status.h"

struct tributary;

struct tributary_backup {
    int64_t timeout_ns; /* of all of it; 0: none */
    /* On the thread of the caller: the next bytes of the file, and its size. It may block: nothing
     * more is read meanwhile. False: ends it; the result is TRIBUTARY_CANCELLED. */
    bool (*part)(void *ctx, struct tributary_bytes data, uint64_t total_bytes);
    void *ctx;
};

/* Copies the store of the server, while it goes on. The parts together are one file: named
 * `store.db` in an empty folder, it is a --state-dir.
 *   TRIBUTARY_OK                   all of it has come
 *   TRIBUTARY_FAILED_PRECONDITION  the server has no --state-dir, or its disk has failed
 *   TRIBUTARY_RESOURCE_EXHAUSTED   another backup is running (STORE_BUSY), or its disk is full
 *   TRIBUTARY_PERMISSION_DENIED    the server permits it to callers on its machine only */
TRIBUTARY_API enum tributary_code tributary_backup(struct tributary *client,
                                                   const struct tributary_backup *backup,
                                                   struct tributary_status *status);

#endif
