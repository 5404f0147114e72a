/* cascade.h - what an endpoint does with the stream of another tributary: it keeps the inner
 * sources apart (hub/relays.h), with their epochs and sequences.
 *
 * DESIGN. One call at a time feeds a cascade. A message is taken apart on the call's thread: losses
 * first, then runs, then states, then positions, as EventBatch says. Where a source must be made,
 * reported or ended, the loop does it and the message waits. Where a channel blocks a source, it
 * waits too. Meanwhile the call is not read, so an upstream that makes this server work waits for
 * that work itself.
 *
 *   no message --cascade_begin()--> at work <--waits, ready()--> waits
 *        ^                              |
 *        `--------------done------------'
 *
 * The next call of Subscriber.Subscribe resumes: its request carries the latest resume token, and
 * the positions of the sources that have moved since. So the upstream says what was missed.
 *
 * What of the upstream has no source here is lost of the endpoint itself: of sources beyond
 * MAX_RELAYED, whose name is taken, or for which there is no memory.
 *
 * Threads: the thread of the endpoint's calls, except what says otherwise. */
#ifndef TRIBUTARY_SERVER_DIAL_CASCADE_H
#define TRIBUTARY_SERVER_DIAL_CASCADE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"

#include <grpc/grpc.h>

struct cascade;
struct relays;
struct session;
struct source_state;
struct upstream_plan;

enum cascade_step {
    CASCADE_DONE,   /* the message is taken */
    CASCADE_WAITS,  /* ready() follows; then call cascade_go_on() */
    CASCADE_REFUSED /* *fault says why; the rest of the message is dropped */
};

/* Loop. `plan` must outlive the cascade. NULL: out of memory. */
struct cascade *cascade_new(const struct upstream_plan *plan, struct relays *relays);
void cascade_free(struct cascade *cascade); /* loop; no call is open; NULL is allowed */

/* Loop, before the first call. */
void cascade_set_session(struct cascade *cascade, struct session *session);

/* A call begins. `ready` is called on this thread. */
void cascade_open(struct cascade *cascade, void (*ready)(void *ctx), void *ctx);

/* The request of the call that has begun: `request`, and where it resumes. */
grpc_slice cascade_request(const struct cascade *cascade, struct bytes request);

/* The next message of the call, which is taken over: *message is NULL afterwards. */
MUST_CHECK enum cascade_step cascade_begin(struct cascade *cascade, grpc_byte_buffer **message,
                                           struct fault *fault);
MUST_CHECK enum cascade_step cascade_go_on(struct cascade *cascade, struct fault *fault);

/* The rest of the message waits for no channel. Where it waits for one now ready() follows. */
void cascade_hurry(struct cascade *cascade);
/* The rest of the message is dropped. Not while it waits. */
void cascade_drop(struct cascade *cascade);

/* Loop, when a call has ended: the state of every source, with the code of the call. ENDED: they
 * are over. */
void cascade_ended(struct cascade *cascade, const struct source_state *state);

#endif
