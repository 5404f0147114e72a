/* encode.c - writes the heads of runs, and in-band reports. */
#include "event/encode.h"

#include <endian.h>
#include <string.h>

#include "base/status.h"
#include "event/framing.h"

#define MAX_FIXED64 9u /* tag and value; every field number here is below 16, so its tag is one byte */

/* Field numbers of event.proto. */
enum batch_field { BATCH_RUNS = 1, BATCH_LOST = 2, BATCH_PRODUCERS = 3 };
enum run_field {
    RUN_SOURCE = 2,
    RUN_EPOCH = 3,
    RUN_FIRST_SEQUENCE = 4,
    RUN_OBSERVED = 5,
    RUN_ATTEMPT = 6,
    RUN_SEQUENCES = 7
};
enum lost_field {
    LOST_SOURCE = 1,
    LOST_EPOCH = 2,
    LOST_COUNT = 3,
    LOST_BYTES = 4,
    LOST_FIRST_SEQUENCE = 5,
    LOST_LAST_SEQUENCE = 6,
    LOST_REASON = 7,
    LOST_COUNT_UNKNOWN = 8
};
enum status_field { STATUS_SOURCE = 1, STATUS_EPOCH = 2, STATUS_STATE = 3, STATUS_ERROR = 4 };
enum error_field { ERROR_CODE = 1, ERROR_MESSAGE = 2 };
enum position_field { POSITION_SOURCE = 1, POSITION_EPOCH = 2, POSITION_SEQUENCE = 3 };
enum progress_field { PROGRESS_POSITIONS = 1 };

static uint64_t tag_of(uint32_t number, enum wire_type type)
{
    return (uint64_t)number << 3 | (uint64_t)type;
}

/* The bytes that a field takes, tag included; 0 where it is left out. */
static size_t size_varint(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : varint_size(tag_of(number, WIRE_VARINT)) + varint_size(value);
}

static size_t size_fixed64(uint32_t number, uint64_t value)
{
    return value == 0 ? 0 : varint_size(tag_of(number, WIRE_FIXED64)) + sizeof(value);
}

static size_t size_bytes_always(uint32_t number, size_t size)
{
    return varint_size(tag_of(number, WIRE_LEN)) + varint_size(size) + size;
}

static size_t size_bytes(uint32_t number, size_t size)
{
    return size == 0 ? 0 : size_bytes_always(number, size);
}

/* Each writes a field, or a part of one, and returns its end. The caller has checked the
 * capacity. */
static uint8_t *put_varint(uint8_t *at, uint32_t number, uint64_t value)
{
    if (value == 0)
        return at;
    at += varint_write(at, tag_of(number, WIRE_VARINT));
    return at + varint_write(at, value);
}

static uint8_t *put_word(uint8_t *at, uint64_t value)
{
    uint64_t little = htole64(value);

    memcpy(at, &little, sizeof(little));
    return at + sizeof(little);
}

static uint8_t *put_fixed64(uint8_t *at, uint32_t number, uint64_t value)
{
    if (value == 0)
        return at;
    at += varint_write(at, tag_of(number, WIRE_FIXED64));
    return put_word(at, value);
}

/* Tag and length of a field whose content the caller writes next. */
static uint8_t *put_open(uint8_t *at, uint32_t number, size_t size)
{
    at += varint_write(at, tag_of(number, WIRE_LEN));
    return at + varint_write(at, size);
}

void field_varint(struct buf *buf, uint32_t number, uint64_t value)
{
    uint8_t piece[2 * MAX_VARINT_BYTES];

    buf_bytes(buf, piece, (size_t)(put_varint(piece, number, value) - piece));
}

void field_fixed64(struct buf *buf, uint32_t number, uint64_t value)
{
    uint8_t piece[MAX_VARINT_BYTES + sizeof(value)];

    buf_bytes(buf, piece, (size_t)(put_fixed64(piece, number, value) - piece));
}

/* The same into a buffer. */
static void field_open(struct buf *buf, uint32_t number, size_t size)
{
    uint8_t piece[2 * MAX_VARINT_BYTES];

    buf_bytes(buf, piece, (size_t)(put_open(piece, number, size) - piece));
}

void field_bytes_always(struct buf *buf, uint32_t number, struct bytes value)
{
    field_open(buf, number, value.size);
    if (value.size > 0)
        buf_bytes(buf, value.data, value.size);
}

void field_bytes(struct buf *buf, uint32_t number, struct bytes value)
{
    if (value.size > 0)
        field_bytes_always(buf, number, value);
}

static size_t sequences_size(const struct run_head *head)
{
    return head->sequences ? (size_t)head->count * sizeof(head->sequences[0]) : 0;
}

/* The size of the run's fields in front of its events. */
static size_t fields_size(const struct run_head *head)
{
    return size_bytes(RUN_SOURCE, head->source->name_size) + size_fixed64(RUN_EPOCH, head->source->epoch) +
           size_fixed64(RUN_FIRST_SEQUENCE, head->first_sequence) +
           size_fixed64(RUN_OBSERVED, (uint64_t)head->observed_wall_ns) +
           size_varint(RUN_ATTEMPT, head->attempt) + size_bytes(RUN_SEQUENCES, sequences_size(head));
}

size_t run_head_size(const struct run_head *head)
{
    size_t fields = fields_size(head);

    return varint_size(tag_of(BATCH_RUNS, WIRE_LEN)) + varint_size(fields + head->events_bytes) + fields;
}

size_t run_head_write(const struct run_head *head, uint8_t *at)
{
    struct bytes name = source_name(head->source);
    uint8_t *next = put_open(at, BATCH_RUNS, fields_size(head) + head->events_bytes);

    if (name.size > 0) {
        next = put_open(next, RUN_SOURCE, name.size);
        memcpy(next, name.data, name.size);
        next += name.size;
    }
    next = put_fixed64(next, RUN_EPOCH, head->source->epoch);
    next = put_fixed64(next, RUN_FIRST_SEQUENCE, head->first_sequence);
    next = put_fixed64(next, RUN_OBSERVED, (uint64_t)head->observed_wall_ns);
    next = put_varint(next, RUN_ATTEMPT, head->attempt);
    if (sequences_size(head) > 0) {
        next = put_open(next, RUN_SEQUENCES, sequences_size(head));
        for (uint32_t i = 0; i < head->count; i++)
            next = put_word(next, head->sequences[i]);
    }
    return (size_t)(next - at);
}

/* Tag and length of the run, its name, tag and length of `sequences`, three fixed64 fields, the
 * attempt. */
_Static_assert(MAX_RUN_HEAD >= (1 + MAX_VARINT_BYTES) + (1 + 2 + 256) + (1 + MAX_VARINT_BYTES) +
                                   3 * MAX_FIXED64 + (1 + 5),
               "a head must fit");

void lost_write(struct buf *buf, const struct lost_note *note)
{
    struct bytes name = source_name(note->source);
    size_t size = size_bytes(LOST_SOURCE, name.size) + size_fixed64(LOST_EPOCH, note->source->epoch) +
                  size_varint(LOST_COUNT, note->count) + size_varint(LOST_BYTES, note->bytes) +
                  size_fixed64(LOST_FIRST_SEQUENCE, note->first_sequence) +
                  size_fixed64(LOST_LAST_SEQUENCE, note->last_sequence) +
                  size_varint(LOST_REASON, note->reason) +
                  size_varint(LOST_COUNT_UNKNOWN, note->count_unknown);

    field_open(buf, BATCH_LOST, size);
    field_bytes(buf, LOST_SOURCE, name);
    field_fixed64(buf, LOST_EPOCH, note->source->epoch);
    field_varint(buf, LOST_COUNT, note->count);
    field_varint(buf, LOST_BYTES, note->bytes);
    field_fixed64(buf, LOST_FIRST_SEQUENCE, note->first_sequence);
    field_fixed64(buf, LOST_LAST_SEQUENCE, note->last_sequence);
    field_varint(buf, LOST_REASON, note->reason);
    field_varint(buf, LOST_COUNT_UNKNOWN, note->count_unknown);
}

void status_write(struct buf *buf, const struct source *source, uint32_t state, uint32_t code,
                  const char *message)
{
    struct bytes name = source_name(source);
    struct bytes text = {(const uint8_t *)message, message ? strlen(message) : 0};
    size_t error = size_varint(ERROR_CODE, code) + size_bytes(ERROR_MESSAGE, text.size);

    field_open(buf, BATCH_PRODUCERS,
               size_bytes(STATUS_SOURCE, name.size) + size_fixed64(STATUS_EPOCH, source->epoch) +
                   size_varint(STATUS_STATE, state) + size_bytes(STATUS_ERROR, error));
    field_bytes(buf, STATUS_SOURCE, name);
    field_fixed64(buf, STATUS_EPOCH, source->epoch);
    field_varint(buf, STATUS_STATE, state);
    if (error == 0)
        return;
    field_open(buf, STATUS_ERROR, error);
    field_varint(buf, ERROR_CODE, code);
    field_bytes(buf, ERROR_MESSAGE, text);
}

void position_write(struct buf *buf, const struct source *source, uint64_t sequence)
{
    struct bytes name = source_name(source);

    field_open(buf, PROGRESS_POSITIONS,
               size_bytes(POSITION_SOURCE, name.size) + size_fixed64(POSITION_EPOCH, source->epoch) +
                   size_fixed64(POSITION_SEQUENCE, sequence));
    field_bytes(buf, POSITION_SOURCE, name);
    field_fixed64(buf, POSITION_EPOCH, source->epoch);
    field_fixed64(buf, POSITION_SEQUENCE, sequence);
}
