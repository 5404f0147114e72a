/* end.h - ends a connection as its guard has decided, and says so in the log. */
#ifndef TRIBUTARY_H2SOCKET_END_H
#define TRIBUTARY_H2SOCKET_END_H

#include "h2socket/socket.h"

/* Carries out the guard's end: GOAWAY where the bytes sent so far end with a whole frame, else a
 * reset. After a GOAWAY the connection lingers (linger.h). Writes the log line connection.ended, or
 * counts it for a later one: at most one line is written for each reason in each second. Does
 * nothing the second time. Under the socket's lock. */
void end_connection(struct h2socket *socket, enum h2guard_reason reason);

/* The core has sent GOAWAY with an error code. Writes the log line as above, the first time. Under
 * the socket's lock. */
void end_by_core(struct h2socket *socket);

/* For socket_table.c: the record of a new socket, with one reference. NULL: out of memory. */
struct h2socket_end *end_new(void);

/* Writes the log lines for ends that were only counted so far, where a second has passed. */
void end_report(int64_t now_ns);
/* Whether an end is not in the log yet. */
bool end_is_unreported(void);

#endif
