/* h2guard_limits.h - what a guard allows, and what things cost.
 *
 * Threads: any. The values must not change while a guard uses them. */
#ifndef TRIBUTARY_H2GUARD_H2GUARD_LIMITS_H
#define TRIBUTARY_H2GUARD_H2GUARD_LIMITS_H

#include <stdbool.h>

#include "base/base.h"

/* What costs something. h2guard_item.def says what each item is. */
enum h2guard_item {
#define ITEM(id, cost, waste, reason) H2GUARD_ITEM_##id,
#include "h2guard/h2guard_item.def"
#undef ITEM
    H2GUARD_ITEM_COUNT
};

/* The price of one item. Both are at most 2^30. */
struct h2guard_price {
    uint32_t cost;  /* about nanoseconds of a thread; BYTE: at least 1 */
    uint32_t waste; /* points */
};

/* Bounds of one connection. Each "at most" is allowed, and one more is not. */
struct h2guard_limits {
    struct h2guard_price prices[H2GUARD_ITEM_COUNT];

    /* Beyond these the connection waits. Costs and points of waste are at most 2^36. */
    int64_t turn_cost;   /* the portion of a turn; at least 1 */
    int64_t second_cost; /* the budget of a second, which may be used in one burst; at least turn_cost */

    /* Beyond this the connection ends: so many points at once, and so many more with each second.
     * */
    int64_t waste_burst;
    int64_t second_waste;

    /* What h2guard_portion() may answer. 1 <= min <= first <= max. */
    uint32_t min_read_bytes;
    uint32_t first_read_bytes; /* for a new connection */
    uint32_t max_read_bytes;

    /* What the guard may announce to the peer beyond what the core does, for the connection
     * (h2guard_lend()): 0 to 2^30; 0 if max_frame_bytes is above MAX_LENT_FRAME. */
    uint32_t max_lent_bytes;

    uint32_t max_streams;          /* open at once: what the core announces, or more; 1 to 2^20 */
    uint32_t max_frame_bytes;      /* of a payload: what the core announces, or more */
    uint32_t max_header_bytes;     /* of a header block, as it is on the wire */
    uint32_t max_continuations;    /* of a header block */
    uint32_t max_message_bytes;    /* that a message may declare */
    uint64_t max_unfinished_bytes; /* received, of all messages that are not complete */
    uint32_t stream_bytes;         /* what the core keeps for an open stream: h2guard_kept() */
    uint32_t max_unanswered;       /* PING and SETTINGS of the peer that the core has not answered */
    uint32_t small_data_bytes;     /* less data in a frame that completes nothing is SMALL_DATA */
    bool allow_compressed;         /* messages with flag 1, whatever encoding their stream named */

    /* Credits: how much of what would be waste our own frames justify. */
    uint32_t updates_per_data; /* WINDOW_UPDATE frames for each DATA frame that we send */
    uint32_t max_updates;      /* such credit at most */
    uint32_t max_pings;        /* PING frames; each DATA or HEADERS frame that we send adds one */
    uint32_t late_frames;      /* frames for streams that we ended first; a new such stream renews it */

    /* Nanoseconds; 0: no limit. */
    int64_t open_timeout_ns;     /* from h2guard_new() to the first SETTINGS */
    int64_t header_timeout_ns;   /* from HEADERS to the end of the block */
    int64_t frame_timeout_ns;    /* for the rest of a frame header, or of a payload, that has begun */
    int64_t settings_timeout_ns; /* for the acknowledgement of our SETTINGS */
};

/* The largest frame for which the core always makes room in its window of a connection. It
 * announces more when less than half of the window is left, and the window is 65535 bytes or more.
 */
#define MAX_LENT_FRAME 32767u

/* The defaults. They fit a core that announces 1000 streams and frames of 256 KiB, and refuses
 * messages above 1 MiB with a status of their own. */
extern const struct h2guard_limits h2guard_defaults;

/* The name of the first value that is outside of its bounds. NULL: the limits can be used. */
const char *h2guard_limits_wrong(const struct h2guard_limits *limits);

/* The name of an item, such as "EMPTY_DATA"; "UNKNOWN" for a value outside of the enum. Static
 * text. */
const char *h2guard_item_name(enum h2guard_item item);

#endif
