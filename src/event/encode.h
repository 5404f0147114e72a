/* encode.h - writes what the server adds around events: the heads of runs, and in-band reports of
 * losses, states and progress.
 *
 * Each but the head is a whole field of its message, tag and length included, so fields may be laid
 * end to end. No function here reads an event. A write into a `buf` fails as buf.h says: the caller
 * checks `broken`.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_ENCODE_H
#define TRIBUTARY_EVENT_ENCODE_H

#include "base/base.h"
#include "base/buf.h"
#include "event/chunk.h"

/* The fields of a Run in front of its events. */
struct run_head {
    const struct source *source;
    const struct source *origin; /* only its name counts; NULL: the source */
    uint64_t first_sequence;
    int64_t observed_wall_ns;
    uint32_t attempt;
    uint64_t events_bytes;     /* the events that follow the head, with their tags and lengths */
    const uint64_t *sequences; /* NULL: consecutive */
    uint32_t count;            /* the entries of `sequences` */
};

/* The most bytes that run_head_write() writes, without `sequences`, where names have 256 bytes. */
#define MAX_RUN_HEAD (64 + 2 * (3 + 256))

/* The size of a head, and the head itself: field `runs` of EventBatch up to where its events begin.
 * The bytes of the events must follow at once. `at` must have capacity for run_head_size() bytes.
 * Both return that size. */
size_t run_head_size(const struct run_head *head);
size_t run_head_write(const struct run_head *head, uint8_t *at);

/* One Lost. `reason` is a value of the API's enum. `source` NULL: it is of no source. */
struct lost_note {
    const struct source *source;
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
    bool upstream;
};

/* Appends a Lost, as field `lost` of EventBatch. */
void lost_write(struct buf *buf, const struct lost_note *note);

/* Appends a ProducerStatus, as field `producers` of EventBatch. `source` NULL: it is of no source.
 * `state` is a value of the API's enum. The error has `code` and `message`; 0 and NULL: there is
 * none. */
void status_write(struct buf *buf, const struct source *source, uint32_t state, uint32_t code,
                  const char *message);

/* Appends a CaughtUp, as field `caught_up` of EventBatch, or else a FellBehind as `fell_behind`. */
void catch_write(struct buf *buf, const struct source *source, uint64_t sequence, bool caught_up);

/* Appends a Position, as field `positions` of Progress. */
void position_write(struct buf *buf, const struct source *source, uint64_t sequence);

#endif
