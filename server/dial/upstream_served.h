/* upstream_served.h - an upstream call that answers one of a client. For the files of an upstream
 * call (upstream_internal.h). is_served() says whether it is one.
 *
 * Threads: the call's thread, where nothing else is said. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_SERVED_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_SERVED_H

#include "base/base.h"

#include <grpc/grpc.h>

struct called;
struct client_call_end;
struct client_call_opening;
struct upstream;

/* Loop. */
void upstream_served_init(struct upstream *upstream, struct called *called);
/* How it is opened. */
void upstream_served_open(const struct upstream *upstream, struct client_call_opening *opening);
void upstream_served_send_next(struct upstream *upstream);
/* A message: it is offered, or held. The next one is read where that makes sense. */
void upstream_served_message(struct upstream *upstream, const grpc_byte_buffer *message);
/* Whether a message is held until a pause is over: then no other one is read. */
bool upstream_served_waits(const struct upstream *upstream);
/* What is held is offered, where nothing is in its way any more. */
void upstream_served_resume(struct upstream *upstream);
/* It has ended, as upstream->end says. `end` NULL: it was not opened. Returns whether it is over;
 * else something is held, and upstream_served_resume() is to be called. */
bool upstream_served_ended(struct upstream *upstream, const struct client_call_end *end);

#endif
