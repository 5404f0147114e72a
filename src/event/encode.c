/* encode.c - writes the heads of runs, and in-band reports. */
#include "event/encode.h"

#include <string.h>

#include "base/status.h"
#include "event/field_write.h"
#include "event/framing.h"
#include "proto/field_numbers.h"

#define MAX_FIXED64 9u /* tag and value */

static size_t sequences_size(const struct run_head *head)
{
    return head->sequences ? (size_t)head->count * sizeof(head->sequences[0]) : 0;
}

static size_t origin_size(const struct run_head *head)
{
    return head->origin ? field_size_bytes(PB_RUN_ORIGIN, head->origin->name_size) : 0;
}

/* The size of the run's fields in front of its events. */
static size_t fields_size(const struct run_head *head)
{
    return field_size_bytes(PB_RUN_SOURCE, head->source->name_size) +
           field_size_fixed64(PB_RUN_EPOCH, head->source->epoch) +
           field_size_fixed64(PB_RUN_FIRST_SEQUENCE, head->first_sequence) +
           field_size_fixed64(PB_RUN_OBSERVED_TIME_UNIX_NANO, (uint64_t)head->observed_wall_ns) +
           field_size_varint(PB_RUN_ATTEMPT, head->attempt) +
           field_size_bytes(PB_RUN_SEQUENCES, sequences_size(head)) + origin_size(head);
}

size_t run_head_size(const struct run_head *head)
{
    size_t fields = fields_size(head);

    return field_size_bytes_always(PB_EVENT_BATCH_RUNS, fields + head->events_bytes) - head->events_bytes;
}

size_t run_head_write(const struct run_head *head, uint8_t *at)
{
    struct bytes name = source_name(head->source);
    uint8_t *next = field_put_head(at, PB_EVENT_BATCH_RUNS, fields_size(head) + head->events_bytes);

    next = field_put_bytes(next, PB_RUN_SOURCE, name);
    next = field_put_fixed64(next, PB_RUN_EPOCH, head->source->epoch);
    next = field_put_fixed64(next, PB_RUN_FIRST_SEQUENCE, head->first_sequence);
    next = field_put_fixed64(next, PB_RUN_OBSERVED_TIME_UNIX_NANO, (uint64_t)head->observed_wall_ns);
    next = field_put_varint(next, PB_RUN_ATTEMPT, head->attempt);
    if (head->origin)
        next = field_put_bytes(next, PB_RUN_ORIGIN, source_name(head->origin));
    if (sequences_size(head) > 0) {
        next = field_put_head(next, PB_RUN_SEQUENCES, sequences_size(head));
        for (uint32_t i = 0; i < head->count; i++)
            next = word_put(next, head->sequences[i]);
    }
    return (size_t)(next - at);
}

/* The sum below counts one byte for each tag. */
_Static_assert(PB_EVENT_BATCH_RUNS < 16 && PB_RUN_SOURCE < 16 && PB_RUN_EPOCH < 16 &&
                   PB_RUN_FIRST_SEQUENCE < 16 && PB_RUN_OBSERVED_TIME_UNIX_NANO < 16 && PB_RUN_ATTEMPT < 16 &&
                   PB_RUN_SEQUENCES < 16 && PB_RUN_ORIGIN < 16,
               "tags of one byte");

/* Tag and length of the run, its names, tag and length of `sequences`, three fixed64 fields, the
 * attempt. */
_Static_assert(MAX_RUN_HEAD >= (1 + MAX_VARINT_BYTES) + 2 * (1 + 2 + 256) + (1 + MAX_VARINT_BYTES) +
                                   3 * MAX_FIXED64 + (1 + 5),
               "a head must fit");

/* What stands for no source: neither a name nor an epoch. */
static const struct source *or_none(const struct source *source)
{
    static const struct source none;

    return source ? source : &none;
}

void lost_write(struct buf *buf, const struct lost_note *note)
{
    const struct source *source = or_none(note->source);
    struct bytes name = source_name(source);
    size_t size =
        field_size_bytes(PB_LOST_SOURCE, name.size) + field_size_fixed64(PB_LOST_EPOCH, source->epoch) +
        field_size_varint(PB_LOST_COUNT, note->count) + field_size_varint(PB_LOST_BYTES, note->bytes) +
        field_size_fixed64(PB_LOST_FIRST_SEQUENCE, note->first_sequence) +
        field_size_fixed64(PB_LOST_LAST_SEQUENCE, note->last_sequence) +
        field_size_varint(PB_LOST_REASON, note->reason) +
        field_size_varint(PB_LOST_COUNT_UNKNOWN, note->count_unknown) +
        field_size_varint(PB_LOST_UPSTREAM, note->upstream);

    field_head(buf, PB_EVENT_BATCH_LOST, size);
    field_bytes(buf, PB_LOST_SOURCE, name);
    field_fixed64(buf, PB_LOST_EPOCH, source->epoch);
    field_varint(buf, PB_LOST_COUNT, note->count);
    field_varint(buf, PB_LOST_BYTES, note->bytes);
    field_fixed64(buf, PB_LOST_FIRST_SEQUENCE, note->first_sequence);
    field_fixed64(buf, PB_LOST_LAST_SEQUENCE, note->last_sequence);
    field_varint(buf, PB_LOST_REASON, note->reason);
    field_varint(buf, PB_LOST_COUNT_UNKNOWN, note->count_unknown);
    field_varint(buf, PB_LOST_UPSTREAM, note->upstream);
}

void status_write(struct buf *buf, const struct source *source, uint32_t state, uint32_t code,
                  const char *message)
{
    struct bytes name = source_name(or_none(source));
    struct bytes text = {(const uint8_t *)message, message ? strlen(message) : 0};
    size_t error = field_size_varint(PB_PRODUCER_STATUS_ERROR_CODE, code) +
                   field_size_bytes(PB_PRODUCER_STATUS_ERROR_MESSAGE, text.size);

    field_head(buf, PB_EVENT_BATCH_PRODUCERS,
               field_size_bytes(PB_PRODUCER_STATUS_SOURCE, name.size) +
                   field_size_fixed64(PB_PRODUCER_STATUS_EPOCH, or_none(source)->epoch) +
                   field_size_varint(PB_PRODUCER_STATUS_STATE, state) +
                   field_size_bytes(PB_PRODUCER_STATUS_ERROR, error));
    field_bytes(buf, PB_PRODUCER_STATUS_SOURCE, name);
    field_fixed64(buf, PB_PRODUCER_STATUS_EPOCH, or_none(source)->epoch);
    field_varint(buf, PB_PRODUCER_STATUS_STATE, state);
    if (error == 0)
        return;
    field_head(buf, PB_PRODUCER_STATUS_ERROR, error);
    field_varint(buf, PB_PRODUCER_STATUS_ERROR_CODE, code);
    field_bytes(buf, PB_PRODUCER_STATUS_ERROR_MESSAGE, text);
}

void position_write(struct buf *buf, const struct source *source, uint64_t sequence)
{
    struct bytes name = source_name(source);

    field_head(buf, PB_PROGRESS_POSITIONS,
               field_size_bytes(PB_POSITION_SOURCE, name.size) +
                   field_size_fixed64(PB_POSITION_EPOCH, source->epoch) +
                   field_size_fixed64(PB_POSITION_SEQUENCE, sequence));
    field_bytes(buf, PB_POSITION_SOURCE, name);
    field_fixed64(buf, PB_POSITION_EPOCH, source->epoch);
    field_fixed64(buf, PB_POSITION_SEQUENCE, sequence);
}

/* The messages have the same fields. */
_Static_assert((int)PB_CAUGHT_UP_SOURCE == (int)PB_FELL_BEHIND_SOURCE &&
                   (int)PB_CAUGHT_UP_EPOCH == (int)PB_FELL_BEHIND_EPOCH &&
                   (int)PB_CAUGHT_UP_SEQUENCE == (int)PB_FELL_BEHIND_SEQUENCE,
               "one writer for both");

void catch_write(struct buf *buf, const struct source *source, uint64_t sequence, bool caught_up)
{
    struct bytes name = source_name(source);

    field_head(buf, caught_up ? PB_EVENT_BATCH_CAUGHT_UP : PB_EVENT_BATCH_FELL_BEHIND,
               field_size_bytes(PB_CAUGHT_UP_SOURCE, name.size) +
                   field_size_fixed64(PB_CAUGHT_UP_EPOCH, source->epoch) +
                   field_size_fixed64(PB_CAUGHT_UP_SEQUENCE, sequence));
    field_bytes(buf, PB_CAUGHT_UP_SOURCE, name);
    field_fixed64(buf, PB_CAUGHT_UP_EPOCH, source->epoch);
    field_fixed64(buf, PB_CAUGHT_UP_SEQUENCE, sequence);
}
