/* guard_model.h - a plain model of the guard: one byte at a time, an array of all streams, and the
 * messages of a stream read again from its first byte on with each byte. The clock stands still. */
#ifndef TRIBUTARY_TESTS_UNIT_H2GUARD_GUARD_MODEL_H
#define TRIBUTARY_TESTS_UNIT_H2GUARD_GUARD_MODEL_H

#include "base/buf.h"
#include "h2guard/h2guard.h"

#define MODEL_STREAMS 64u

struct model_stream {
    bool open;
    bool peer_ended;
    bool we_ended;
    bool answered;
    bool spoke;
    struct buf data; /* all that the peer sent */
};

struct guard_model {
    const struct h2guard_limits *limits;
    enum h2guard_role role;
    enum h2guard_reason reason;
    uint64_t items[H2GUARD_ITEM_COUNT];
    uint64_t frames;
    struct model_stream streams[MODEL_STREAMS];
    uint32_t highest;
    uint32_t updates, pings, late; /* credits */
    uint32_t settings_unacked, pings_unacked, unanswered;
    bool had_settings;
    uint32_t block; /* the stream of the open header block */
    uint32_t block_bytes, continuations;
    uint32_t preface_size;
    uint8_t head[9];
    uint32_t size;    /* bytes of the frame that have come, with its header */
    uint32_t padding; /* of the frame */
    bool skipped;     /* the frame's data belong to no stream */
};

void model_init(struct guard_model *model, enum h2guard_role role, const struct h2guard_limits *limits);
void model_fini(struct guard_model *model);

/* A byte from the peer. Nothing happens after an end. */
void model_in(struct guard_model *model, uint8_t byte);

/* A whole frame to the peer. */
void model_out(struct guard_model *model, unsigned type, unsigned flags, uint32_t stream);

uint64_t model_cost(const struct guard_model *model);
uint64_t model_waste(const struct guard_model *model);
uint64_t model_unfinished(const struct guard_model *model);
uint32_t model_open_streams(const struct guard_model *model);

#endif
