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

/* Serves the calls of connections with MARK_ANY_METHOD, whatever their path, by this method, which
 * must outlive the thread. Between call_acceptor_serve() and wire_thread_start(). Without it they
 * are answered UNIMPLEMENTED. */
void call_acceptor_serve_any(struct wire_thread *thread, const struct method *method);

/* Any thread, once. Notifies every live call of the thread, and every call that comes later, that
 * the server drains. */
void call_acceptor_drain(struct wire_thread *thread);

#endif
