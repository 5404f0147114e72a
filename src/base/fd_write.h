/* fd_write.h - writes to a descriptor, and waits only so long.
 *
 * The descriptor may be shared with other processes, as standard error is. So its flags are not
 * changed: it is polled before each write. It may be blocking or not.
 *
 * Threads: any. Signal handlers too. */
#ifndef TRIBUTARY_BASE_FD_WRITE_H
#define TRIBUTARY_BASE_FD_WRITE_H

#include "base/base.h"

/* Writes the bytes from `*done` on, and adds to `*done` what was written. Waits at most `max_ms`
 * milliseconds for space; 0: not at all. The variable errno is unchanged. Returns
 *   0       all are written
 *   EAGAIN  the time is over; the caller may go on later
 *   or another errno: the reader is gone (EPIPE), the disk is full (ENOSPC), and so on
 *
 * Up to PIPE_BUF bytes go into a pipe whole or not at all. A write may still block where poll()
 * promised space: in a terminal or a socket with less space than `size`, or in a pipe that another
 * process fills at the same moment. */
MUST_CHECK int fd_write(int fd, const char *data, size_t size, int max_ms, size_t *done);

#endif
