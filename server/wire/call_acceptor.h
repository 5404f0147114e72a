/* call_acceptor.h - the methods that a wire thread serves, and the calls that gRPC core hands over
 * for them. */
#ifndef TRIBUTARY_SERVER_WIRE_CALL_ACCEPTOR_H
#define TRIBUTARY_SERVER_WIRE_CALL_ACCEPTOR_H

#include "base/base.h"
#include "base/status.h"
#include "server/wire/call.h"
#include "server/wire/thread.h"

/* Serves these methods on a thread. Call it between wire_thread_new() and wire_thread_start().
 * `methods` must outlive the thread. Calls of every other path are answered UNIMPLEMENTED.
 *   ERR_NO_MEMORY  the thread can only be freed */
MUST_CHECK enum err call_acceptor_serve(struct wire_thread *thread, const struct method *methods,
                                        size_t count);

/* Any thread, once. Notifies every live call of the thread, and every call that comes later, that
 * the server drains. */
void call_acceptor_drain(struct wire_thread *thread);

#endif
