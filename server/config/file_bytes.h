/* file_bytes.h - the bytes of a small regular file.
 *
 * Threads: any. It may block. */
#ifndef TRIBUTARY_SERVER_CONFIG_FILE_BYTES_H
#define TRIBUTARY_SERVER_CONFIG_FILE_BYTES_H

#include "base/buf.h"
#include "server/config/tree.h"

/* Reads at most `max` bytes of a file in a folder. False: the fault says why. buf_fini() must
 * follow in both cases. */
MUST_CHECK bool file_bytes_read(const char *folder, const char *name, size_t max, struct buf *bytes,
                                struct tree_fault *fault);

#endif
