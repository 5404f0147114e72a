/* called.h - a call of a client that producers answer by their own method (docs/fan-in.md), as the
 * hub sees it. It is a subscription that is bound to those producers that serve the method.
 *
 * Threads: references and `ends_early` any; the rest is the loop's until `is_settled` is set. Then
 * it is constant. */
#ifndef TRIBUTARY_HUB_CALLED_H
#define TRIBUTARY_HUB_CALLED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "event/serve_entry.h"

/* Embedded in the caller's object. Zeroed with `refs` 1, `free` and `method` it is ready. */
struct called {
    _Atomic uint32_t refs;
    void (*free)(struct called *called);
    struct bytes method;      /* "/package.Service/Method"; constant */
    enum serve_end asked_end; /* what the client says; constant */
    uint64_t kept_bytes;      /* what it keeps, for its peer to be charged with; constant */
    /* Until it is settled: producers that serve the method, whether they are selected or not; and
     * those of them that were bound. */
    uint32_t serving, selected;
    /* The rules of the call: what all of these have in common. */
    bool one_request; /* one of them allows no more */
    bool first_ok, refuse_many;
    enum serve_end end;
    /* Any thread: the subscription ends, and not because all of them have ended. So the ends that
     * follow are not their own. Set before the first of these is reported. */
    _Atomic bool ends_early;
    bool is_walked;  /* every producer was looked at; false: the subscription ended before */
    bool is_settled; /* the rules do not change any more: who joins later follows them */
};

static inline struct called *called_retain(struct called *called)
{
    if (called)
        atomic_fetch_add_explicit(&called->refs, 1, memory_order_relaxed);
    return called;
}

static inline void called_release(struct called *called)
{
    if (called && atomic_fetch_sub_explicit(&called->refs, 1, memory_order_acq_rel) == 1)
        called->free(called);
}

/* More than one producer was bound, and one of them allows only one. Then none is called. */
static inline bool called_is_refused(const struct called *called)
{
    return called->refuse_many && called->selected > 1;
}

static inline bool called_ends_early(const struct called *called)
{
    return atomic_load_explicit(&called->ends_early, memory_order_acquire);
}

/* Loop. Whether a producer that serves the method by this entry (NULL: by none) is started again
 * when it has failed. */
static inline bool called_rejoins(const struct called *called, const struct serve_entry *entry)
{
    const enum serve_end end = called->asked_end != SERVE_END_UNSAID ? called->asked_end : called->end;

    return entry && entry->rejoins && called->is_settled && !called->first_ok && end == SERVE_END_PARTIAL_OK;
}

/* A producer that serves the method by this entry is bound. */
static inline void called_add(struct called *called, const struct serve_entry *entry)
{
    if (called->is_settled)
        return;
    called->selected++;
    called->one_request |= !entry->many_requests;
    called->first_ok |= entry->answer == SERVE_FIRST_OK;
    called->refuse_many |= entry->answer == SERVE_REFUSE;
    called->end = MAX_OF(called->end, entry->end);
}

#endif
