/* outcome.h - what becomes of a fan-in call: who has ended, who has failed, what was lost; and the
 * status and the trailers that say so.
 *
 * Threads: the call's wire thread. */
#ifndef TRIBUTARY_SERVER_FANIN_OUTCOME_H
#define TRIBUTARY_SERVER_FANIN_OUTCOME_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/list.h"
#include "flow/chan_report.h"
#include "server/dial/served_call.h"
#include "server/fanin/fanin_request.h"
#include "server/fanin/kept_trailers.h"
#include "server/wire/call.h"

#define MAX_OUTCOME_LOSSES 32u /* sources and reasons */

/* An upstream whose part has ended. */
struct part {
    struct list link;
    struct served_end *end; /* NULL: it has reported none */
    uint32_t code;          /* the call's own: where it has not ended by itself, UNAVAILABLE */
    char message[PEER_WORDS_BYTES + 1];
    char name[];
};

struct part_loss {
    char *name;
    uint32_t reason;
    uint64_t count;
};

/* What it keeps does not grow with the upstreams that come and go: of a part that was looked at the
 * trailers are left, as many as the call may have. */
struct outcome {
    struct served_call *call; /* the owner's reference */
    enum serve_end rule;
    struct list noted; /* struct part: written down, and not looked at */
    struct part *bad;  /* the first that has failed; NULL: none */
    uint64_t good_count, bad_count;
    struct kept_trailers failed, own; /* in the order of their ends; what the endpoints let through */
    uint64_t lost;                    /* events */
    struct part_loss losses[MAX_OUTCOME_LOSSES];
    size_t loss_count;
    bool is_incomplete; /* memory ran out: something is missing here */
};

void outcome_init(struct outcome *outcome, struct served_call *call, enum serve_end rule);
void outcome_fini(struct outcome *outcome); /* a zeroed one is allowed */

/* Under the channel's lock: they only write it down. */
void outcome_note_state(struct outcome *outcome, const struct feed_change *change);
void outcome_note_loss(struct outcome *outcome, const struct lost_note *note);

/* Looks at what was written down. Returns whether the rule ends the call now. Where the call is cut
 * (struct called), the upstreams that this has ended count as nothing. */
bool outcome_update(struct outcome *outcome);

/* The trailers of a status. They point into the outcome, and into memory of the struct's. */
struct outcome_trailers {
    struct pair list[MAX_CALL_TRAILERS];
    void *memory[MAX_CALL_TRAILERS]; /* NULL: it is the outcome's */
    size_t count, bytes;
    uint64_t left_out;
};

/* `bad`: the part whose failure the status tells; NULL: none. */
void outcome_trailers(const struct outcome *outcome, struct outcome_trailers *trailers_out,
                      const struct part *bad);
/* Writes the trailer that names a part that has failed, into the outcome. */
void outcome_add_failed(struct outcome *outcome, const struct part *part);
void outcome_trailers_fini(struct outcome_trailers *trailers);

#endif
