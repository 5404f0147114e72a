/* cascade_read.h - reads the parts of an EventBatch of another tributary. Nothing is trusted: names
 * are checked, and numbers have bounds.
 *
 * Threads: any. What is read points into the message. */
#ifndef TRIBUTARY_SERVER_DIAL_CASCADE_READ_H
#define TRIBUTARY_SERVER_DIAL_CASCADE_READ_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "event/framing.h"
#include "flow/source_loss.h"
#include "server/dial/peer_words.h"

struct chunk;

#define MAX_INNER_NAME_BYTES 256u

/* Above this a sequence is refused: the numbers behind it must not overflow. */
#define MAX_RELAYED_SEQUENCE (UINT64_C(1) << 62)

/* Of which source something is. No name: the upstream could not tell. */
struct inner_name {
    struct bytes name;
    uint64_t epoch;
};

struct inner_loss {
    struct inner_name source;
    struct source_loss loss;
    bool moves; /* nothing of the source comes any more up to its last sequence */
};

struct inner_state {
    struct inner_name source;
    uint32_t state, code;
    char message[PEER_WORDS_BYTES + 1];
};

struct inner_position {
    struct inner_name source;
    uint64_t sequence;
};

/* FAULT_NONE, or why the whole message is refused: *fault says the rest. */
MUST_CHECK enum fault_reason cascade_read_loss(struct bytes from, struct inner_loss *loss,
                                               struct fault *fault);
MUST_CHECK enum fault_reason cascade_read_state(struct bytes from, struct inner_state *state,
                                                struct fault *fault);
MUST_CHECK enum fault_reason cascade_read_position(struct bytes from, struct inner_position *position,
                                                   struct fault *fault);

/* Whose a run is that was scanned. */
MUST_CHECK enum fault_reason cascade_read_source(const struct framing_scan *scan, struct inner_name *source,
                                                 struct fault *fault);

/* Who published it, where its source is a stored topic; empty: it does not say. */
MUST_CHECK enum fault_reason cascade_read_origin(const struct framing_scan *scan, struct bytes *origin,
                                                 struct fault *fault);

/* A chunk of the run's events, with their sequences. MEMORY_BUDGET: there is no memory for it. Any
 * other reason: the sequences are none. */
MUST_CHECK enum fault_reason cascade_read_events(struct bytes run, const struct framing_scan *scan,
                                                 struct chunk **chunk_out, struct fault *fault);

/* The field of this number, the last one; it has no bytes where it is not there. False:
 * malformed. */
MUST_CHECK bool cascade_read_field(struct bytes from, uint32_t number, struct bytes *field);

#endif
