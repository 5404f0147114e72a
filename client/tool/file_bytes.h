/* file_bytes.h - reads a file that must not be large. Main thread. */
#ifndef TRIBUTARY_TOOL_FILE_BYTES_H
#define TRIBUTARY_TOOL_FILE_BYTES_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends the bytes of a file, or of standard input where `path` is "-", unchanged. It reads on
 * until `buf` has more than `max` bytes: then the file is too large, and the caller refuses it.
 * False: it could not be read, or memory ran out; the fault was printed to standard error. */
bool file_bytes_read(const char *path, size_t max, struct buf *buf);

#endif
