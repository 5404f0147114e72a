/* pem_file.h - reads a file in PEM. It may wait for a disk: call it at the start, or on a worker.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_TLS_PEM_FILE_H
#define TRIBUTARY_SERVER_TLS_PEM_FILE_H

#include <stdbool.h>

#include "base/base.h"
#include "server/tls/pem_check.h"

#define MAX_PEM_BYTES ((size_t)1 << 20)

/* The text of a file with a closing NUL. NULL: `fault` says why: it cannot be opened or read, is no
 * regular file, has more than MAX_PEM_BYTES or a NUL, or is a `secret` that every user of the
 * machine may read or write. */
char *pem_file_read(const char *path, bool secret, char fault[PEM_FAULT_CAPACITY]);

/* Overwrites the text, and frees it. NULL is allowed. */
void pem_text_free(char *text);

#endif
