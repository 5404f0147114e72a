/* h2guard_stats.h - what a guard has seen, and the counters of verdicts. */
#ifndef TRIBUTARY_H2GUARD_H2GUARD_STATS_H
#define TRIBUTARY_H2GUARD_H2GUARD_STATS_H

#include <stdatomic.h>

#include "base/base.h"
#include "h2guard/h2guard_limits.h"
#include "h2guard/h2guard_reason.h"

/* What arrived from the peer since the connection began. The items HEADER_BYTE, SETTING and
 * SETTINGS_STREAM count as many as they were charged for. */
struct h2guard_totals {
    uint64_t bytes; /* that passed, with frame headers and preface */
    uint64_t cost;
    uint64_t waste;
    uint64_t items[H2GUARD_ITEM_COUNT];
};

/* What `total` was when this turn began: the difference is this turn's. */
struct h2guard_at_turn {
    uint64_t bytes;
    uint64_t cost;
};

/* One connection. */
struct h2guard_stats {
    struct h2guard_totals total;
    struct h2guard_at_turn at_turn;
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t bytes_out;
    uint32_t streams_open;
    uint32_t streams_open_max;
    uint64_t streams_opened;
    uint64_t streams_reset_in;  /* by the peer */
    uint64_t streams_reset_out; /* by us */
    uint32_t header_bytes;      /* of the latest header block */
    uint32_t continuations;     /* of the latest header block */
    uint32_t settings_unacked;  /* SETTINGS of ours that the peer has not acknowledged */
    uint32_t pings_unacked;     /* PINGs of ours, as above */
    uint32_t unanswered;        /* PINGs and SETTINGS of the peer that we have not acknowledged */
    uint32_t goaways_out;       /* GOAWAYs of ours, counted at the end of their error code */
    uint32_t goaway_code;       /* of the latest (RFC 9113, section 7); 0: none, or no error */
    uint64_t unfinished_bytes;  /* received, of all messages that are not complete */
    uint64_t unread_bytes;      /* received on open streams, and not announced to the peer again */
};

/* Verdicts of many connections; zeroed at first. Any thread may add and read: the operations are
 * relaxed atomics. */
struct h2guard_counters {
    _Atomic uint64_t passes;
    _Atomic uint64_t turn_waits;   /* the portion of a turn was used */
    _Atomic uint64_t second_waits; /* the budget of a second was used */
    _Atomic uint64_t window_waits; /* the core's window of the connection was used */
    _Atomic uint64_t ends[H2GUARD_REASON_COUNT];
};

#endif
