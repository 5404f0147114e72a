/* decode.c - decodes the runs and events of an EventBatch. Notices are in decode_notice.c.
 *
 * DESIGN. One pass over the message checks its outer form and notes which kinds of fields it holds.
 * Then one pass for each of these kinds calls back, in the order in which the kinds apply. A run
 * takes two passes: one for its header fields, which may stand anywhere among the events, and one
 * for the events. Nearly all fields of a message are events and their texts: read_short_field()
 * reads these. wire_next() reads all others. */
#include "client/lib/subscribe/decode.h"

#include <stddef.h>
#include <stdlib.h>

#include "client/lib/subscribe/decode_notice.h"
#include "client/lib/core/wire.h"

#define MALFORMED "a malformed message"

enum {
    BATCH_RUNS = 1,
    BATCH_LOST,
    BATCH_PRODUCERS,
    BATCH_PROGRESS,
    BATCH_CLOSING,
    BATCH_STARTED,
    BATCH_ANSWERS,
    BATCH_SETTINGS,
    BATCH_KINDS
};

enum { RUN_EVENTS = 1 };

#define EVENT_TAG WIRE_TAG(RUN_EVENTS, WIRE_LEN)

/* A run without its events. */
struct run {
    struct tributary_bytes body;
    struct tributary_delivery head;
    uint64_t first_sequence;
    size_t events;
    size_t sequences; /* in the decoder's scratch memory; 0: the events are consecutive */
};

void decoder_fini(struct decoder *decoder)
{
    free(decoder->headers);
    free(decoder->sequences);
    *decoder = (struct decoder){0};
}

/* Reads the next field if its tag is `tag` (one byte, WIRE_LEN) and its length is below 16 KiB.
 * False: it is something else, or malformed. Then nothing was read, and wire_next() decides. */
static inline bool read_short_field(struct cursor *cursor, uint8_t tag, struct tributary_bytes *bytes_out)
{
    const uint8_t *at = cursor->at;
    const uint8_t *end = cursor->end;
    size_t size = 0;

    if (end - at < 3 || at[0] != tag)
        return false;
    if (at[1] < 0x80) {
        size = at[1];
        at += 2;
    } else if (at[2] < 0x80) {
        size = (at[1] & 0x7fu) | (size_t)at[2] << 7;
        at += 3;
    } else {
        return false;
    }
    if (size > (size_t)(end - at))
        return false;
    bytes_out->data = at;
    bytes_out->size = size;
    cursor->at = at + size;
    return true;
}

static bool add_header(struct decoder *decoder, struct tributary_event *event, struct tributary_bytes entry)
{
    struct tributary_header header = {{NULL, 0}, {NULL, 0}};
    struct cursor cursor = wire_within(entry);
    struct wire_field field;

    while (cursor.at != cursor.end) {
        if (!wire_next(&cursor, &field))
            return false;
        if (wire_tag(&field) == WIRE_TAG(1, WIRE_LEN))
            header.name = field.bytes;
        else if (wire_tag(&field) == WIRE_TAG(2, WIRE_LEN))
            header.value = field.bytes;
    }
    if (event->header_count == decoder->headers_capacity) {
        const size_t capacity = MAX_OF(decoder->headers_capacity * 2, 8);
        struct tributary_header *headers = NULL;

        if (decoder->headers_capacity >= MAX_DECODE_HEADERS ||
            !(headers = realloc(decoder->headers, capacity * sizeof(*headers))))
            return false;
        decoder->headers = headers;
        decoder->headers_capacity = capacity;
    }
    decoder->headers[event->header_count++] = header;
    event->headers = decoder->headers;
    return true;
}

#define TEXTS (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(8))

/* The member for one of TEXTS. */
static inline struct tributary_bytes *text_member(struct tributary_event *event, uint32_t number)
{
    static const uint8_t places[] = {
        [1] = offsetof(struct tributary_event, id),           [2] = offsetof(struct tributary_event, topic),
        [3] = offsetof(struct tributary_event, key),          [4] = offsetof(struct tributary_event, type),
        [5] = offsetof(struct tributary_event, content_type), [8] = offsetof(struct tributary_event, data),
    };

    return (struct tributary_bytes *)(void *)((uint8_t *)event + places[number]);
}

/* Reads short texts that follow each other. The cursor stops at the first other field. */
static inline void read_short_texts(struct cursor *cursor, struct tributary_event *event)
{
    while (cursor->at != cursor->end) {
        const uint8_t tag = *cursor->at;

        if ((tag & 7) != WIRE_LEN || (TEXTS & BIT(tag >> 3)) == 0 ||
            !read_short_field(cursor, tag, text_member(event, tag >> 3)))
            return;
    }
}

/* Reads one field at which read_short_texts() stopped. */
static bool read_field(struct decoder *decoder, struct cursor *cursor, struct tributary_event *event)
{
    struct wire_field field;

    if (!wire_next(cursor, &field))
        return false;
    switch (wire_tag(&field)) {
    case WIRE_TAG(1, WIRE_LEN):
    case WIRE_TAG(2, WIRE_LEN):
    case WIRE_TAG(3, WIRE_LEN):
    case WIRE_TAG(4, WIRE_LEN):
    case WIRE_TAG(5, WIRE_LEN):
    case WIRE_TAG(8, WIRE_LEN):
        *text_member(event, field.number) = field.bytes;
        return true;
    case WIRE_TAG(6, WIRE_LEN):
        return add_header(decoder, event, field.bytes);
    case WIRE_TAG(7, WIRE_FIXED64):
        event->time_unix_nano = field.value;
        return true;
    case WIRE_TAG(9, WIRE_FIXED64):
        event->expires_unix_nano = field.value;
        return true;
    case WIRE_TAG(10, WIRE_FIXED64):
        event->deliver_after_unix_nano = field.value;
        return true;
    default:
        return field.number > 10; /* a lower number is a known field of a wrong type */
    }
}

/* Starts with a copy of an empty event. For zeroes compilers generate `rep stos`, which takes as
 * long as the rest of this function. */
static inline bool read_event(struct decoder *decoder, struct tributary_bytes body,
                              struct tributary_event *event)
{
    static const struct tributary_event empty;
    struct cursor cursor = wire_within(body);

    *event = empty;
    for (;;) {
        read_short_texts(&cursor, event);
        if (cursor.at == cursor.end)
            return true;
        if (!read_field(decoder, &cursor, event))
            return false;
    }
}

/* Adds sequences, packed or not: every decoder must accept both. */
static bool add_sequences(struct decoder *decoder, struct run *run, const struct wire_field *field)
{
    struct cursor cursor = wire_within(field->bytes);
    const size_t more = field->type == WIRE_LEN ? field->bytes.size / 8 : 1;

    if (field->type == WIRE_LEN && field->bytes.size % 8 != 0)
        return false;
    if (run->sequences + more > decoder->sequences_capacity) {
        const size_t capacity = MAX_OF(decoder->sequences_capacity * 2, run->sequences + more);
        uint64_t *sequences = realloc(decoder->sequences, capacity * sizeof(*sequences));

        if (!sequences)
            return false;
        decoder->sequences = sequences;
        decoder->sequences_capacity = capacity;
    }
    if (field->type == WIRE_FIXED64)
        decoder->sequences[run->sequences++] = field->value;
    for (size_t i = 0; field->type == WIRE_LEN && i < more; i++)
        wire_fixed(&cursor, 8, &decoder->sequences[run->sequences++]);
    return true;
}

static bool read_run_head(struct decoder *decoder, struct run *run)
{
    struct cursor cursor = wire_within(run->body);
    struct tributary_bytes event;
    struct wire_field field;

    for (;;) {
        while (read_short_field(&cursor, EVENT_TAG, &event))
            run->events++;
        if (cursor.at == cursor.end)
            break;
        if (!wire_next(&cursor, &field))
            return false;
        switch (wire_tag(&field)) {
        case EVENT_TAG:
            run->events++;
            break;
        case WIRE_TAG(2, WIRE_LEN):
            run->head.source = field.bytes;
            break;
        case WIRE_TAG(3, WIRE_FIXED64):
            run->head.epoch = field.value;
            break;
        case WIRE_TAG(4, WIRE_FIXED64):
            run->first_sequence = field.value;
            break;
        case WIRE_TAG(5, WIRE_FIXED64):
            run->head.observed_time_unix_nano = field.value;
            break;
        case WIRE_TAG(6, WIRE_VARINT):
            run->head.attempt = (uint32_t)field.value;
            break;
        case WIRE_TAG(7, WIRE_FIXED64):
        case WIRE_TAG(7, WIRE_LEN):
            if (!add_sequences(decoder, run, &field))
                return false;
            break;
        default:
            if (field.number <= 7)
                return false;
        }
    }
    return run->sequences == 0 || run->sequences == run->events;
}

/* Returns the next event of a run. read_run_head() has counted the events, so there is one, and
 * it is well formed. Adds its size, with tag and length, to *bytes. */
static inline struct tributary_bytes next_event(struct cursor *cursor, uint64_t *bytes)
{
    for (;;) {
        const uint8_t *begin = cursor->at;
        struct tributary_bytes event = {NULL, 0};
        struct wire_field field = {.number = RUN_EVENTS};

        if (!read_short_field(cursor, EVENT_TAG, &event)) {
            CHECK(wire_next(cursor, &field));
            event = field.bytes;
        }
        if (field.number == RUN_EVENTS) {
            *bytes += (size_t)(cursor->at - begin);
            return event;
        }
    }
}

static const char *deliver_run(struct decoder *decoder, struct tributary_bytes body,
                               const struct tributary_subscriber_callbacks *callbacks)
{
    struct run run = {.body = body};
    struct cursor cursor = wire_within(body);

    if (!read_run_head(decoder, &run))
        return "a malformed run";
    for (size_t i = 0; i < run.events && !decoder->stop; i++) {
        if (!read_event(decoder, next_event(&cursor, &decoder->bytes), &run.head.event))
            return "a malformed event";
        run.head.sequence = run.sequences > 0 ? decoder->sequences[i] : run.first_sequence + i;
        decoder->events++;
        if (callbacks->event)
            callbacks->event(callbacks->ctx, &run.head);
    }
    return NULL;
}

static const char *apply(struct decoder *decoder, uint32_t kind, struct tributary_bytes body,
                         const struct tributary_subscriber_callbacks *callbacks)
{
    switch (kind) {
    case BATCH_STARTED:
        return decode_started(decoder, body, callbacks);
    case BATCH_SETTINGS:
        return decode_settings(decoder, body, callbacks);
    case BATCH_ANSWERS:
        return decode_request_refused(decoder, body, callbacks);
    case BATCH_LOST:
        return decode_lost(body, callbacks);
    case BATCH_RUNS:
        return deliver_run(decoder, body, callbacks);
    case BATCH_PRODUCERS:
        return decode_status(body, callbacks);
    case BATCH_PROGRESS:
        return decode_progress(decoder, body, callbacks);
    default:
        return decode_closing(decoder, body, callbacks);
    }
}

static const char *apply_kind(struct decoder *decoder, uint32_t kind, struct bytes message,
                              const struct tributary_subscriber_callbacks *callbacks)
{
    struct cursor cursor = wire_within((struct tributary_bytes){message.data, message.size});
    const char *fault = NULL;
    struct wire_field field;

    while (cursor.at != cursor.end && !fault && !decoder->stop) {
        if (!wire_next(&cursor, &field))
            return MALFORMED;
        if (field.number == kind)
            fault = apply(decoder, kind, field.bytes, callbacks);
    }
    return fault;
}

const char *decode_batch(struct decoder *decoder, struct bytes message,
                         const struct tributary_subscriber_callbacks *callbacks)
{
    static const uint32_t order[] = {BATCH_STARTED, BATCH_SETTINGS,  BATCH_ANSWERS,  BATCH_LOST,
                                     BATCH_RUNS,    BATCH_PRODUCERS, BATCH_PROGRESS, BATCH_CLOSING};
    struct cursor cursor = wire_within((struct tributary_bytes){message.data, message.size});
    const char *fault = NULL;
    struct wire_field field;
    uint32_t present = 0;

    decoder->stop = false;
    decoder->has_started = false;
    decoder->resume_token = (struct tributary_bytes){NULL, 0};
    decoder->events = 0;
    decoder->bytes = 0;
    decoder->has_settings = false;
    decoder->refused_request = 0;
    while (cursor.at != cursor.end) {
        if (!wire_next(&cursor, &field) || (field.number < BATCH_KINDS && field.type != WIRE_LEN))
            return MALFORMED;
        if (field.number < BATCH_KINDS)
            present |= BIT(field.number);
    }
    for (size_t i = 0; i < ARRAY_LEN(order) && !fault && !decoder->stop; i++) {
        if ((present & BIT(order[i])) != 0)
            fault = apply_kind(decoder, order[i], message, callbacks);
    }
    return fault;
}
