/* encode.h - the little that the server adds around events: headers of runs, and in-band notices of
 * fixed shape. Everything is a block of an EventBatch (field tag and length included), and blocks
 * may be laid end to end. Nothing here reads an event. */
#ifndef TRIBUTARY_EVENT_ENCODE_H
#define TRIBUTARY_EVENT_ENCODE_H

#include "base/base.h"
#include "base/buf.h"
#include "event/chunk.h"

/* What a Run says of its events, in front of them. */
struct run_head {
    const struct source *source;
    uint64_t first_sequence;
    int64_t observed_wall_ns;
    uint32_t attempt;
    uint64_t events_bytes;     /* the events that follow the head, tags and lengths included */
    const uint64_t *sequences; /* NULL: consecutive */
    uint32_t count;            /* entries of `sequences` */
};

/* Room that run_head_write() needs at most, without `sequences`. */
#define MAX_RUN_HEAD (64 + 3 + 256)

/* Bytes that the head takes, and the head itself: field `runs` of EventBatch up to where the events
 * begin. The events' bytes must follow at once. */
size_t run_head_size(const struct run_head *head);
size_t run_head_write(const struct run_head *head, uint8_t *at);

/* Lost, as field `lost` of EventBatch. `reason` as in the API. */
struct lost_note {
    const struct source *source;
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
};
void lost_write(struct buf *buf, const struct lost_note *note);

/* ProducerStatus, as field `producers` of EventBatch. `state` as in the API; code 0 and message
 * NULL: no error. */
void status_write(struct buf *buf, const struct source *source, uint32_t state, uint32_t code,
                  const char *message);

/* Position, as field `positions` of Progress. */
void position_write(struct buf *buf, const struct source *source, uint64_t sequence);

/* Generic pieces: field `number` with its tag; zero and empty values are left out, as proto3 does,
 * unless the name says always. */
void field_varint(struct buf *buf, uint32_t number, uint64_t value);
void field_fixed64(struct buf *buf, uint32_t number, uint64_t value);
void field_bytes(struct buf *buf, uint32_t number, struct bytes value);
void field_bytes_always(struct buf *buf, uint32_t number, struct bytes value);

#endif
