/* endpoint_files.h - the endpoints that files in folders define (--endpoints-dir).
 *
 * A definition that has not changed keeps its producer. A changed one gets another producer, and
 * the one before has 1 s to end. What a file no longer says is drained for 5 s. A file that cannot
 * be read changes nothing. A definition whose name is in use waits until it is free.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_CONFIG_ENDPOINT_FILES_H
#define TRIBUTARY_SERVER_CONFIG_ENDPOINT_FILES_H

#include "base/status.h"
#include "server/config/folder_watcher.h"

struct dial;
struct endpoint_files;
struct hub;

/* Whether all folders are there. ERR_IO: one cannot be opened; the log says which. */
MUST_CHECK struct status endpoint_files_check(const char *const *paths, size_t count);

/* Begins to read the folders. The paths must outlive the process. No folders: *files_out is NULL.
 *   ERR_NO_MEMORY, ERR_IO  nothing was started */
MUST_CHECK struct status endpoint_files_start(struct loop *loop, struct hub *hub, struct dial *dial,
                                              const char *const *paths, size_t count,
                                              struct endpoint_files **files_out);

/* After the hub has ended all sessions. NULL is allowed. */
void endpoint_files_free(struct endpoint_files *files);

#endif
