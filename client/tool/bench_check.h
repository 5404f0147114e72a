/* bench_check.h - believes nothing: every payload of a bench is checked for its number, every event
 * for its sequence. One thread. */
#ifndef TRIBUTARY_TOOL_BENCH_CHECK_H
#define TRIBUTARY_TOOL_BENCH_CHECK_H

#include "base/map.h"
#include "tributary/tributary.h"
#include "client/tool/bench_histogram.h"

#define MAX_CHECK_NAMES 65536u /* producers that are told apart, and sources */

struct check_stats {
    uint64_t events, bytes; /* of everything that came; bytes of payload */
    uint64_t unchecked;     /* events without a mark, or of a producer too many */
    uint64_t producers;     /* of marks: pairs of run and producer */
    /* numbers of runs older than the subscription that stand before the first one that came */
    uint64_t before;
    uint64_t holes, missing;   /* gaps in a producer's numbers; how many events are missing in them */
    uint64_t disorder;         /* events that came behind a later one, by number or by sequence */
    uint64_t duplicates;       /* numbers that came before */
    uint64_t sequence_holes;   /* gaps in a source's sequences, */
    uint64_t sequence_missing; /* and how many events are missing in them */
    uint64_t lost, lost_bytes; /* by the server's own word */
    bool lost_unknown;         /* and more than it could count */
};

struct check {
    /* Set by the caller. */
    bool no_sequences;       /* a filter makes holes in them: they are not checked */
    int64_t latency_from_ns; /* marks of an earlier moment do not count in `latency` */
    int64_t since_wall_ns;   /* runs that began later are expected from their first event on */

    /* Its own. */
    uint16_t host;
    struct check_stats stats;
    struct histogram latency; /* of marks of this machine */
    struct map sources, origins;
    struct check_source *source; /* of the latest event; NULL: none */
};

void check_init(struct check *check);
void check_fini(struct check *check);

/* One event, which came at `now_ns` of clock_mono_ns(). */
void check_event(struct check *check, const struct tributary_delivery *delivery, int64_t now_ns);

void check_lost(struct check *check, const struct tributary_lost *lost);

/* `producers` of both is that of the one that saw more. */
void check_stats_add(struct check_stats *into, const struct check_stats *other);

/* A hole, a disorder or a loss. */
bool check_failed_by(const struct check_stats *stats);

#endif
