/* relays.h - the inner sources of an endpoint: sources of another tributary, which this server gets
 * through that endpoint, a *cascade*.
 *
 * DESIGN. Each inner source is a producer of its own, with the name ENDPOINT/INNER, and in the
 * epoch and with the sequences that the other server gave it (route/relay.h). So filters,
 * positions, resume gaps, histories and listings know it as they know any producer. The endpoint
 * has a set of them. It makes one when it first hears of a source, and ends it when it hears that
 * the source has ended, when nothing is heard of it for FORGET_TIMES the time for transient
 * producers, or with itself.
 *
 * One name may have two epochs at a time, where a source hands over. The one that came last has the
 * name; with a third one the oldest ends.
 *
 * What an upstream can make this server keep is bounded by MAX_RELAYED for each endpoint. The names
 * and their memory are charged to the peer that has added the endpoint.
 *
 * Threads: the loop, except where a function says otherwise. */
#ifndef TRIBUTARY_HUB_RELAYS_H
#define TRIBUTARY_HUB_RELAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/peer.h"
#include "flow/source_state.h"
#include "route/relay.h"

struct hub;
struct inlet;
struct relayed;
struct relays;
struct session;
struct source;

#define MAX_RELAYED 10000u /* of one endpoint */

/* A longer name leaves too little for those of the inner sources. */
#define MAX_CASCADE_NAME_BYTES 200u

/* Sources that are silent for so many times settings.transient_forget_ns are forgotten. */
#define FORGET_TIMES 10

struct relays_params {
    struct hub *hub;
    struct bytes name;          /* of the endpoint; copied; at most MAX_CASCADE_NAME_BYTES */
    struct peer_key peer_key;   /* who pays */
    const char *peer;           /* the upstream's address; copied */
    void (*emptied)(void *ctx); /* after relays_close(), when no source is left; it may free the set */
    void *ctx;
};

struct relays *relays_new(const struct relays_params *params); /* NULL: out of memory */
void relays_free(struct relays *relays);                       /* it is empty; NULL is allowed */

/* The endpoint's session is welcome. Before anything below. */
void relays_begin(struct relays *relays, struct session *session);

/* Any thread. The source of this name, as the upstream has it, in this epoch. It counts as heard
 * of. NULL: there is none. relayed_release() must follow. */
struct relayed *relays_find(struct relays *relays, struct bytes inner, uint64_t epoch);
void relayed_release(struct relayed *relayed); /* any thread; NULL is allowed */
OWNED_BY(relayed_release, struct relayed);

/* Any thread. Where it publishes. The inlet is removed (ERR_NOT_FOUND) when the source has
 * ended. */
struct inlet *relayed_inlet(struct relayed *relayed);
struct bytes relayed_inner(const struct relayed *relayed); /* its name as the upstream has it */
uint64_t relayed_epoch(const struct relayed *relayed);

/* What its publisher notes of it. One thread at a time. */
struct relay_mark {
    struct relay_place place;
    uint64_t call;  /* the upstream call in which it was heard of last */
    uint64_t token; /* the resume token after which it has moved */
};
struct relay_mark *relayed_mark(struct relayed *relayed);

/* Any thread. Calls `each` for the sources until it returns false. It may only look at them.
 * Between portions others may use the set: a source that is there all the time comes once, or twice
 * where new ones come in. */
void relays_each(struct relays *relays, bool (*each)(void *ctx, struct relayed *relayed), void *ctx);

/* Any thread. What stands for a producer behind the endpoint that is no inner source: who published
 * to a stored topic of the other server. Its name is made as that of an inner source. The caller
 * owns the one reference. NULL: out of memory. */
struct source *relays_origin(const struct relays *relays, struct bytes inner);

/* Any thread. Whether there are as many sources as there may be. */
bool relays_are_full(const struct relays *relays);
uint32_t relays_count(const struct relays *relays); /* any thread */

/* Makes a source, which must not be there. `inner` must have passed name_check(). A name over 256
 * bytes is truncated, and ends with '~' and a hash of the inner name.
 *
 * FAULT_NONE: relayed_release() must follow. DIALS_ITSELF: the source is one of this server, which
 * has come back. TOO_MANY, NAME_TAKEN, TOO_MANY_PRODUCERS,
 * PEER_PRODUCERS, MEMORY_BUDGET, DRAINING: nothing was made. */
MUST_CHECK enum fault_reason relays_open(struct relays *relays, struct bytes inner, uint64_t epoch,
                                         uint64_t call, struct relayed **relayed_out, struct fault *fault);

/* The source has another state, of which was heard in this upstream call. ENDED and REMOVED end the
 * source: its consumers hear that behind its last event. Nothing happens where it has ended. */
void relayed_report(struct relayed *relayed, uint64_t call, const struct source_state *state);

/* The upstream call with this number, and all before it, have ended: every source that was heard of
 * in them has this state, in portions; ENDED ends them. `gap`: what comes next does not go on where
 * they ended, so consumers hear a RESUME_GAP without a count. */
void relays_down(struct relays *relays, uint64_t call, const struct source_state *state, bool gap);

/* All sources end (REMOVED), in portions, and no new ones are made. emptied() follows; it may come
 * before this returns. Once. */
void relays_close(struct relays *relays);

#endif
