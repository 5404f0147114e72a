/* dial_slots.h - how many connections of one thread are being dialled at a time. An address that
 * swallows what is sent to it keeps a descriptor for the whole connect timeout, so a thousand of
 * them must not be dialled at once, and must not keep others waiting.
 *
 *                                          ,--begun, of one that was late---------.
 *   IDLE --request--> WAITING --come--> HELD --begun--> PROMPT --DIAL_PROMPT_NS--> LATE
 *     ^                  |               |                |                          |
 *     `------leave-------+---------------+----------------+--------------------------'
 *
 * MAX_DIALS slots may be held. A slot is held until the connection has come about or is closed. A
 * dial that takes longer than DIAL_PROMPT_NS is late; at most MAX_LATE_DIALS slots are held by late
 * ones. One more has to yield where others wait that were not late. A late one has to yield after
 * LATE_DIAL_NS where other late ones wait.
 *
 * An upstream whose last dial was late waits behind those that were not, and gets one of the late
 * slots. MIN_LATE_DIALS of them are theirs whoever waits: while some of these wait, those that are
 * late for the first time leave them so many. So one that answers waits for few others, however
 * many do not: for each MAX_DIALS - MAX_LATE_DIALS of them in front of it DIAL_PROMPT_NS.
 *
 * Peers take turns (base/peer_queue.h): nobody waits for all that another peer has to dial.
 *
 * A TLS handshake waits for a turn of its own (tls_turns.h) when it has its slot. At most
 * MAX_HELD_DIALS slots wait so, and further handshakes wait without one. So they do not keep the
 * slots from those that need no such turn.
 *
 * Threads: one wire thread. */
#ifndef TRIBUTARY_SERVER_DIAL_DIAL_SLOTS_H
#define TRIBUTARY_SERVER_DIAL_DIAL_SLOTS_H

#include "base/list.h"
#include "base/peer_queue.h"
#include "grpc/cq_thread.h"

#define MAX_DIALS 128u
#define MAX_LATE_DIALS 64u
#define MIN_LATE_DIALS 8u
#define MAX_HELD_DIALS 16u
#define DIAL_PROMPT_NS INT64_C(250000000)
#define LATE_DIAL_NS INT64_C(10000000000)

/* Of two kinds, which take turns where both may go on. */
struct dial_queue {
    struct peer_queue prompt; /* struct dial_slot, by its entry: their dial begins with come() */
    struct peer_queue longer; /* the same, with `waits_longer` */
    bool longer_is_next;
};

struct dial_slots {
    struct cq_thread *cq;
    struct dial_queue waiting, late_waiting;
    /* Those that have begun, in this order. `late` has those that hold one of the late slots. */
    struct list prompt, late;
    unsigned held, late_held;
    unsigned own_late_held; /* of those that were late before */
    unsigned longer_held;   /* HELD, of those that wait longer */
    struct cq_timer timer;  /* the next one is late, or has to yield */
};

enum dial_slot_state { DIAL_SLOT_IDLE, DIAL_SLOT_WAITING, DIAL_SLOT_HELD, DIAL_SLOT_PROMPT, DIAL_SLOT_LATE };

/* Embedded in what is dialled. dial_slot_init() first. */
struct dial_slot {
    struct peer_entry entry; /* WAITING; its peer is set before the request */
    struct list link;        /* PROMPT and LATE */
    enum dial_slot_state state;
    bool was_late;     /* set before the request: the last dial of this upstream was late */
    bool waits_longer; /* the same: its dial does not begin with come() */
    bool has_late;     /* it holds one of the late slots */
    int64_t begun_ns;
    void (*come)(struct dial_slot *slot);  /* it is held: dial */
    void (*yield)(struct dial_slot *slot); /* others need it: leave soon. At most once */
};

void dial_slots_init(struct dial_slots *slots, struct cq_thread *cq);
void dial_slots_fini(struct dial_slots *slots); /* no slot waits */
void dial_slot_init(struct dial_slot *slot, void (*come)(struct dial_slot *slot),
                    void (*yield)(struct dial_slot *slot));

/* come() follows once, now or later. The slot must be idle. */
void dial_slot_request(struct dial_slots *slots, struct dial_slot *slot);
/* The dial begins: its time counts from now. The slot must be held. */
void dial_slot_begun(struct dial_slots *slots, struct dial_slot *slot);
/* Whether the dial has begun, and has taken longer than DIAL_PROMPT_NS by now. */
bool dial_slot_is_late(const struct dial_slot *slot);
/* The dial is over, or nobody wants it any more. come() or yield() of others may be called now.
 * Does nothing where it is idle. */
void dial_slot_leave(struct dial_slots *slots, struct dial_slot *slot);

#endif
