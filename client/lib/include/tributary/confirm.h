/* confirm.h - when the server confirms events, and how none is stored twice. Part of
 * <tributary/tributary.h>.
 *
 * Events of a *stored topic* are kept on the server's disk. With TRIBUTARY_CONFIRM_STORED they are
 * confirmed when they are on the disk: what was confirmed survives a crash of the server and of its
 * machine. Such a publisher numbers its events, unless `numbering.off` is set, and the server keeps
 * the last number that it has stored. So a message that is sent again, because its confirmation was
 * lost, is not stored twice: as long as the publisher lives, delivery is *exactly once*. There is
 * one bound: the server remembers 65 536 publishers, each for 7 days after its last message. Where
 * it forgets this one before the first message of its life is confirmed, that one may be stored
 * twice.
 *
 * A program that may rely on this:
 *   - An event that was confirmed is stored, once.
 *   - An event that was refused is not stored, unless `outcome_unknown` is set in the refusal.
 *   - The events of one publisher are stored in their order. Refused events are left out.
 *   - The publisher sends again by itself what a lost connection, or a restart of the server, left
 *     without an answer, and what the server could not store for the moment. It gives that up after
 *     `give_up_ns`. So the outcome is unknown only for what was given up, or freed before it was
 *     confirmed, or failed with its publisher, and only if it had been sent.
 *
 * A program that restarts is another publisher, unless it says who it was: with the same
 * `numbering.id`, `life` and producer, and the same events under the same numbers, what is stored
 * already is not stored again, and is counted in `duplicates`. */
#ifndef TRIBUTARY_CONFIRM_H
#define TRIBUTARY_CONFIRM_H

#include <stdbool.h>

#include "event.h"
#include "status.h"

enum tributary_confirm {
    /* the server decides: STORED for events of stored topics, RECEIVED for others; no numbers */
    TRIBUTARY_CONFIRM_DEFAULT = 0,
    /* when every matching subscription has the events, or has applied its overflow policy */
    TRIBUTARY_CONFIRM_RECEIVED = 1,
    /* when the events are on the disk; only for events of stored topics */
    TRIBUTARY_CONFIRM_STORED = 2
};

/* Who numbers the events. For TRIBUTARY_CONFIRM_STORED only. All zero is the default. */
struct tributary_numbering {
    bool off;                  /* no numbers: what is sent again may be stored twice */
    struct tributary_bytes id; /* at most 64 bytes; empty: 16 random bytes, made once */
    /* Events of a lower life of the same id are refused (PUBLISHER_FENCED). 0: the clock, in
     * nanoseconds since 1970, when the publisher is made. Then the publisher raises it by itself,
     * where numbers may not be used again. A life that the program chose is never raised: there the
     * publisher fails for good. */
    uint64_t life;
    uint64_t first_number; /* of the first event; 0: 1 */
};

/* Events that were stored, of one topic. */
struct tributary_stored_range {
    const char *topic;
    uint64_t epoch; /* the topic's incarnation */
    uint64_t first_sequence;
    uint64_t last_sequence;
};

/* Events that were accepted here and will not be delivered. Valid during the callback. */
struct tributary_refused {
    /* The server's code. Or UNAVAILABLE: there was no connection for `give_up_ns`. Or CANCELLED:
     * the publisher was freed. */
    enum tributary_code code;
    const char *reason; /* ErrorInfo.reason of the server, or empty */
    const char *message;
    /* Events are numbered from 1, in the order in which they were accepted. */
    uint64_t first_event;
    uint64_t last_event;
    /* They were sent, and that attempt was not answered: the server may have accepted them. False:
     * it has not. */
    bool outcome_unknown;
};

/* Events that the server confirmed. Valid during the callback. */
struct tributary_confirmed {
    /* Events are numbered from 1, in the order in which they were accepted. Those between these two
     * that were refused have been reported before. */
    uint64_t first_event;
    uint64_t last_event;
    /* Where events of stored topics were stored. Of a topic that one answer confirms several
     * messages of, the range of the latest one. At most 64; empty without stored topics, and for
     * RECEIVED. */
    const struct tributary_stored_range *ranges;
    size_t range_count;
    uint64_t duplicates; /* so many of the events had been stored before */
};

#endif
