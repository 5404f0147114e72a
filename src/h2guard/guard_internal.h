/* guard_internal.h - the guard as the files of this room see it.
 *
 * DESIGN
 *
 * Charging. `left` is what this turn may still cost. Every item is charged when the byte arrives
 * that completes it: the last byte of a frame header, of a message's prefix, and each byte of a
 * payload. The walk stops before the first byte at which `left` is not above 0. So where it stops,
 * and what it counts, does not depend on the pieces in which the bytes come. Ending a connection
 * sets `left` to 0, which stops the walk too.
 *
 * Two buckets. `budget` is the cost that a second allows. It is brought up to date once in a turn,
 * and bounds `left`. `waste` is charged with the item, and below 0 the connection ends.
 *
 * Credits. Some frames are what an honest peer answers to ours: WINDOW_UPDATE and PING to DATA,
 * frames in flight to a stream that we ended. A frame with credit is another item than one without.
 *
 * The lent window. See guard_window.h.
 *
 * Order of the files: guard_in walks; guard_frame knows what frames mean; guard_message walks the
 * messages inside of DATA; header_block decodes header blocks; guard_stream opens and closes
 * streams; guard_verdict ends a connection. guard_out walks the other direction. guard_window has
 * the connection's window. guard_life has turns, portions and time limits.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_INTERNAL_H
#define TRIBUTARY_H2GUARD_GUARD_INTERNAL_H

#include "h2guard/frame_reader.h"
#include "h2guard/h2guard.h"
#include "h2guard/header_block.h"
#include "h2guard/stream_table.h"

/* What the payload of the frame from the peer is. */
enum payload {
    PAYLOAD_SKIPPED,
    PAYLOAD_PAD_LENGTH, /* its next byte is the length of the padding */
    PAYLOAD_DATA,       /* bytes of messages, and then `padding` bytes */
    PAYLOAD_BLOCK       /* `priority_left` bytes, bytes of a header block, and then `padding` bytes */
};

/* An amount that comes back with time, up to a bound. */
struct bucket {
    int64_t level;
    int64_t rest; /* millionths of a point that refilling has left over */
};

/* The window of the connection (guard_window.h). Bytes are those of DATA frames. */
struct window {
    int64_t used;      /* what came */
    int64_t announced; /* what the core has announced, from the beginning */
    int64_t round_end; /* the peer may send up to here before it learns of the update of this round */
    int64_t round_ns;  /* when this update was sent; 0: no round runs; below 0: not known yet */
    int64_t behind_ns; /* since when we do not keep up with the peer; 0: we do */

    uint32_t lent;   /* what the guard has announced beyond `announced` */
    uint32_t due;    /* what it will announce next; 0: nothing */
    uint32_t taken;  /* of what was lent, out of announcements of the core that are not sent yet */
    uint32_t held;   /* the length of the frame that the core has no room for; 0: none is held back */
    bool passes;     /* the next frame is not held back: it was, for too long */
    uint32_t waits;  /* rounds in succession in which we waited for the peer */
    int64_t held_ns; /* since when the frame is held back */
};

struct h2guard {
    const struct h2guard_limits *limits;
    struct h2guard_counters *counters;
    enum h2guard_role role;

    /* The turn. */
    int64_t left;      /* what may still be spent */
    int64_t given;     /* `left` when the cost was last added up */
    int64_t turn_left; /* of the portion without regard to the second: negative is debt */
    uint64_t density;  /* what a byte costs, in 256ths: what the portion goes by */
    struct bucket budget;
    struct bucket waste;
    bool second_is_short; /* the second bounds `left`, not the turn */

    /* From the peer. */
    struct frame_reader in;
    enum payload payload;
    uint32_t byte_cost; /* of the payload */
    uint32_t padding;
    uint32_t priority_left; /* bytes of the frame's priority that must still come */
    bool had_settings;
    uint32_t block_stream; /* of the header block that is open; 0: none is */
    struct header_block block;
    uint32_t last_stream; /* the highest number that was opened */
    struct stream_table streams;

    /* To the peer. */
    struct frame_reader out;
    uint32_t update_credit;
    uint32_t ping_credit;
    uint32_t late_credit;
    uint32_t goaway_word; /* the latest four bytes of a GOAWAY, up to its error code */
    uint32_t update_word; /* of a WINDOW_UPDATE, up to its increment */

    struct window window; /* of the connection */

    /* Times. */
    int64_t now_ns; /* of the latest turn or check */
    int64_t made_ns;
    int64_t refilled_ns;
    int64_t block_ns;      /* when the open header block began */
    int64_t partial_ns;    /* when partial_part was first seen to be incomplete */
    int64_t settings_ns;   /* when SETTINGS of ours were first seen to be unacknowledged; 0: not yet */
    uint64_t partial_part; /* a number for each header and each payload */

    /* The end. */
    enum h2guard_reason reason;
    uint32_t end_stream;
    uint64_t end_value;
    uint64_t end_bound; /* 0: the reason has no bound */

    struct h2guard_stats stats;
};

#endif
