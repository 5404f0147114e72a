/* calls.h - which methods a wire thread serves, and how the core hands calls over. */
#ifndef TRIBUTARY_SERVER_WIRE_CALLS_H
#define TRIBUTARY_SERVER_WIRE_CALLS_H

#include "base/base.h"
#include "base/status.h"
#include "server/wire/call.h"
#include "server/wire/thread.h"

/* Serves these methods on a thread, between wire_thread_new() and wire_thread_start(); `methods`
 * must outlive it. Every other path is answered UNIMPLEMENTED. ERR_NO_MEMORY  the thread may only
 * be freed */
MUST_CHECK enum err calls_serve(struct wire_thread *thread, const struct method *methods, size_t count);

/* Any thread, once. Tells every live call of the thread, now and those that come later, that the
 * server is draining. */
void calls_drain(struct wire_thread *thread);

#endif
