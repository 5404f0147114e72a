/* binding.h - bindings: the routes of shared producers.
 *
 * A binding is one (shared producer, subscription) pair.
 *
 * The bindings of a subscription have a generation. Those of its present generation put. While its
 * filter changes (rebind.h) it has spare ones beside them: of the next generation, then of the one
 * before. Their routes are linked, and what they put is refused (chan_change_over()). Two bindings
 * of one pair are twins.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDING_H
#define TRIBUTARY_HUB_BINDING_H

#include <stdbool.h>

#include "base/list.h"
#include "route/route.h"

struct producer;
struct reselection;
struct slice;
struct subscription;

struct binding {
    struct route route; /* of the producer's inlet */
    struct producer *producer;
    struct subscription *subscription;
    struct binding *twin; /* NULL: none */
    bool by_wildcard;     /* it, or the twin before it, was made where a wildcard got the events */
    bool taken_over;      /* a wildcard has taken over from it, or from its twin */
    struct list link;     /* in subscription->bindings or ->spare_bindings */
    size_t kept_bytes;    /* that it is charged with (kept_memory.h) */
    /* What was routed of its source when that was looked at last: see hub_filtered_positions().
     * Under the lock of the hub's wildcard set. */
    uint64_t reported;
};

/* What every kind of shared producer has as its bind() and reselect() (producer_internal.h). */
MUST_CHECK enum err binding_bind(struct producer *producer, struct subscription *subscription,
                                 const struct filter_part *part, const struct start_point *start_point,
                                 struct list *created);
MUST_CHECK enum err binding_reselect(struct producer *producer, struct subscription *subscription,
                                     const struct filter_part *part, struct reselection *reselection);

/* Gives a binding a spare twin, where the next filter wants its producer and it has none.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err binding_renew(struct binding *binding, const struct reselection *reselection);

/* Makes spare bindings to the producers without a name whose events the wildcard gets, and that the
 * next filter wants: they close. It looks at each inlet of the wildcard set, some 20 ns for each.
 *   ERR_NO_MEMORY  some were made */
MUST_CHECK enum err bindings_reselect_unnamed(struct subscription *subscription,
                                              const struct reselection *reselection);

/* The spare bindings become those that put, and the other way around, at one moment, at which
 * `mark` is set (0: none). The subscription is no wildcard any more, unless `wildcard`. The caller
 * holds the lock of the hub's wildcard set. */
void bindings_change_over(struct subscription *subscription, uint32_t generation, bool wildcard,
                          uint32_t mark);

/* Frees one spare binding. Where its source is not bound otherwise, reports its end (ENDED).
 * Returns whether there was one. */
bool bindings_free_spare(struct subscription *subscription);

/* What it took over from is gone: route_set_first(). */
void binding_set_first(struct binding *binding);

/* Takes the binding out everywhere, reports the last state of its source (shared_end()) and frees
 * it. */
void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message);

/* Takes a subscription out of the wildcard set, and all its bindings out, and frees them. The
 * feeds stay with the channel, in the state they are in. With subscription->keeps_positions the
 * positions of sources without a feed go to subscription->left_positions. Where that takes longer
 * than this turn has time for, the rest follows in slices: until then bindings_left() is true. A
 * wildcard that reports no positions any more goes later, with others (wildcard_sweep.h): until
 * then it is in the set. Afterwards the subscription is put on the ready list. */
void bindings_detach(struct subscription *subscription);
bool bindings_left(const struct subscription *subscription); /* whether it has any, spare ones too */
/* The same, now, for a subscription that nobody knows. */
void bindings_detach_now(struct subscription *subscription);
bool bindings_detach_step(struct slice *slice); /* of subscription->detach */

#endif
