/* guard_check.h - proves at the start that the guard stands in front of gRPC core.
 *
 * The core calls the program's own recvmsg() and so on only because the dynamic linker binds it to
 * them, and only if it polls with epoll. A build or an environment in which it does not would serve
 * without a guard, and nobody would notice. */
#ifndef TRIBUTARY_SERVER_GUARD_CHECK_H
#define TRIBUTARY_SERVER_GUARD_CHECK_H

#include "base/status.h"
#include "h2guard/h2guard_limits.h"
#include "server/wire/thread.h"

/* Gives a wire thread that serves a connection of our own, sends the HTTP/2 preface and SETTINGS,
 * and waits up to 5 s until the core has watched, read and written that socket through the table of
 * sockets. The connection is closed again. Not on the wire thread.
 *   ERR_IO         the system gave no socket pair, see `sys`; or the core goes past the guard, with
 *                  `sys` 0
 *   ERR_NO_MEMORY  out of memory */
MUST_CHECK struct status guard_check(struct wire_thread *thread, const struct h2guard_limits *limits);

#endif
