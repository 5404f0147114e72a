/* bench_check.h - checks what a bench subscriber receives: the number in the payload of every
 * event, and the sequence of every event. One thread. */
#ifndef TRIBUTARY_TOOL_BENCH_CHECK_H
#define TRIBUTARY_TOOL_BENCH_CHECK_H

#include "base/map.h"
#include "tributary/tributary.h"
#include "client/tool/bench_histogram.h"

#define MAX_CHECK_NAMES 65536u /* the bound of known sources, and of known origins */

struct check_stats {
    uint64_t events, bytes; /* all events received; bytes of payload */
    uint64_t unchecked;     /* events without a mark, or beyond MAX_CHECK_NAMES */
    uint64_t producers;     /* pairs of run and producer in the marks */
    /* For runs older than the subscription: the numbers before the first one received. They are not
     * missing: nobody was subscribed then. */
    uint64_t before;
    uint64_t holes, missing;   /* gaps in a producer's numbers; the events missing in them */
    uint64_t disorder;         /* events that came after a later one, by number or by sequence */
    uint64_t duplicates;       /* numbers that were received before */
    uint64_t sequence_holes;   /* gaps in a source's sequences */
    uint64_t sequence_missing; /* the events missing in those gaps */
    uint64_t lost, lost_bytes; /* losses that the server reported */
    bool lost_unknown;         /* the server also lost events that it could not count */
};

struct check {
    /* Set by the caller. */
    bool no_sequences;       /* do not check sequences: a filter makes holes in them */
    int64_t latency_from_ns; /* `latency` leaves out marks with an earlier time */
    int64_t since_wall_ns;   /* a run that began later must be complete from its first event on */

    /* Set by check_init() and check_event(). */
    uint16_t host;
    struct check_stats stats;
    struct histogram latency; /* only of marks that this machine wrote */
    struct map sources, origins;
    struct check_source *source; /* source of the latest event; NULL: none */
};

void check_init(struct check *check);
void check_fini(struct check *check);

/* Checks one event that was received at `now_ns` of clock_mono_ns(). */
void check_event(struct check *check, const struct tributary_delivery *delivery, int64_t now_ns);

/* Counts a loss that the server reported. */
void check_lost(struct check *check, const struct tributary_lost *lost);

/* Adds up all members except `producers`, which becomes the larger of the two. */
void check_stats_add(struct check_stats *into, const struct check_stats *other);

/* True where there was a hole, a disorder or a loss. */
bool check_failed_by(const struct check_stats *stats);

#endif
