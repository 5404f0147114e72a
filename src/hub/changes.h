/* changes.h - what is there, and then what changes, for one who reads it: the snapshot, walked in
 * portions, and the changes of change_log.h.
 *
 * While the snapshot is walked, a change is shown where the walk has passed what it is about.
 * Otherwise the walk will show the new state. So what is shown is right at any moment, if it is
 * applied in order. Producers come in the order of their names, then subscriptions in that of their
 * ids.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_CHANGES_H
#define TRIBUTARY_HUB_CHANGES_H

#include "base/fault.h"
#include "base/peer.h"
#include "hub/change_log.h"
#include "hub/hub_query.h"

/* At a time; one peer may have its share of them. */
#define MAX_WATCHES 1000u

struct changes;
struct hub;
struct peer_count;

/* All but readable() are called from within changes_read(), and must not call the hub, but for
 * changes_full(). What they are given is valid during the call. */
struct changes_port {
    void (*producer)(void *ctx, const struct producer_view *view);
    void (*subscription)(void *ctx, const struct subscription_view *view);
    void (*complete)(void *ctx); /* everything that is there was shown, where that is wanted */
    void (*change)(void *ctx, const struct change *change);
    /* So many changes are left out. The snapshot is shown anew, where it is wanted. */
    void (*missed)(void *ctx, uint64_t count);
    /* There is something to read, after changes_read() has returned false. It may only start slices
     * with loop_slice_later(). */
    void (*readable)(void *ctx);
};

struct changes_params {
    struct bytes pattern; /* for the names of producers; at most MAX_PATTERN_BYTES; not copied. Empty: all */
    bool subscriptions;
    bool snapshot;
    struct peer_key peer;
    const struct changes_port *port;
    void *ctx;
};

enum changes_phase { CHANGES_PRODUCERS, CHANGES_SUBSCRIPTIONS, CHANGES_COMPLETE, CHANGES_LIVE };

/* Embedded; all of it is for changes.c. */
struct changes {
    struct hub *hub;
    struct changes_params params;
    struct change_reader reader;
    enum changes_phase phase;
    struct hub_list list; /* of the phase */
    struct peer_count *charge;
};

/* FAULT_NONE: changes_close() must follow. TOO_MANY_WATCHES, PEER_WATCHES, MEMORY_BUDGET, DRAINING:
 * nothing was opened. */
MUST_CHECK enum fault_reason changes_open(struct hub *hub, struct changes *changes,
                                          const struct changes_params *params, struct fault *fault);
void changes_close(struct changes *changes);

/* Shows the next few. Returns whether there may be more now. False: readable() follows, unless this
 * is called again before. */
bool changes_read(struct changes *changes);

/* From within producer() or subscription(): enough for this call of changes_read(). */
void changes_full(struct changes *changes);

#endif
