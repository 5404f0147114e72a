/* decode.c - decodes the runs and events of an EventBatch. Notices are in decode_notice.c.
 *
 * DESIGN. One pass over the message checks its outer form and notes which kinds of fields it holds.
 * Then one pass for each of these kinds calls back, in the order in which the kinds apply. A run
 * takes two passes: one for its header fields, which may stand anywhere among the events, and one
 * for the events. Nearly all fields of a message are events and their texts: read_short_field()
 * reads these. field_next() reads all others. */
#include "client/lib/subscribe/decode.h"

#include <stddef.h>
#include <stdlib.h>

#include "client/lib/core/bytes.h"
#include "client/lib/subscribe/decode_notice.h"
#include "client/lib/subscribe/resume_state.h"
#include "event/field_reader.h"
#include "proto/field_numbers.h"

#define MALFORMED "a malformed message"

#define EVENT_TAG WIRE_TAG(PB_RUN_EVENTS, WIRE_LEN)
_Static_assert(EVENT_TAG < 0x80, "read_short_field() compares one byte");

/* One more than the highest known field of EventBatch. */
#define BATCH_FIELDS (PB_EVENT_BATCH_FELL_BEHIND + 1)
_Static_assert(BATCH_FIELDS <= 32, "decode_batch() has a bit for each");

/* A run without its events. */
struct run {
    struct bytes body;
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
 * False: it is something else, or malformed. Then nothing was read, and field_next() decides. */
static inline bool read_short_field(struct field_reader *reader, uint8_t tag,
                                    struct tributary_bytes *bytes_out)
{
    const uint8_t *at = reader->next;
    const uint8_t *end = reader->end;
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
    *bytes_out = (struct tributary_bytes){at, size};
    reader->next = at + size;
    return true;
}

static bool add_header(struct decoder *decoder, struct tributary_event *event, struct bytes entry)
{
    struct tributary_header header = {{NULL, 0}, {NULL, 0}};
    struct field_reader reader = field_reader_of(entry);
    struct field field;

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field_tag(&field) == WIRE_TAG(PB_EVENT_HEADERS_ENTRY_KEY, WIRE_LEN))
            header.name = from_bytes(field.bytes);
        else if (field_tag(&field) == WIRE_TAG(PB_EVENT_HEADERS_ENTRY_VALUE, WIRE_LEN))
            header.value = from_bytes(field.bytes);
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

/* The fields of an event that are texts or bytes. */
#define TEXTS                                                                                                \
    (BIT(PB_EVENT_ID) | BIT(PB_EVENT_TOPIC) | BIT(PB_EVENT_KEY) | BIT(PB_EVENT_TYPE) |                       \
     BIT(PB_EVENT_CONTENT_TYPE) | BIT(PB_EVENT_DATA))

/* read_short_texts() finds them by a tag of one byte. */
_Static_assert(TEXTS < BIT(16), "their numbers are below 16");

/* The member for one of TEXTS. */
static inline struct tributary_bytes *text_member(struct tributary_event *event, uint32_t number)
{
    static const uint8_t places[] = {
        [PB_EVENT_ID] = offsetof(struct tributary_event, id),
        [PB_EVENT_TOPIC] = offsetof(struct tributary_event, topic),
        [PB_EVENT_KEY] = offsetof(struct tributary_event, key),
        [PB_EVENT_TYPE] = offsetof(struct tributary_event, type),
        [PB_EVENT_CONTENT_TYPE] = offsetof(struct tributary_event, content_type),
        [PB_EVENT_DATA] = offsetof(struct tributary_event, data),
    };

    return (struct tributary_bytes *)(void *)((uint8_t *)event + places[number]);
}

/* Reads short texts that follow each other. The reader stops at the first other field. */
static inline void read_short_texts(struct field_reader *reader, struct tributary_event *event)
{
    while (reader->next != reader->end) {
        const uint8_t tag = *reader->next;

        if ((tag & 7) != WIRE_LEN || (TEXTS & BIT(tag >> 3)) == 0 ||
            !read_short_field(reader, tag, text_member(event, tag >> 3)))
            return;
    }
}

/* Reads one field at which read_short_texts() stopped. */
static bool read_field(struct decoder *decoder, struct field_reader *reader, struct tributary_event *event)
{
    struct field field = {.number = 0};

    if (!field_next(reader, &field))
        return false;
    switch (field_tag(&field)) {
    case WIRE_TAG(PB_EVENT_ID, WIRE_LEN):
    case WIRE_TAG(PB_EVENT_TOPIC, WIRE_LEN):
    case WIRE_TAG(PB_EVENT_KEY, WIRE_LEN):
    case WIRE_TAG(PB_EVENT_TYPE, WIRE_LEN):
    case WIRE_TAG(PB_EVENT_CONTENT_TYPE, WIRE_LEN):
    case WIRE_TAG(PB_EVENT_DATA, WIRE_LEN):
        *text_member(event, field.number) = from_bytes(field.bytes);
        return true;
    case WIRE_TAG(PB_EVENT_HEADERS, WIRE_LEN):
        return add_header(decoder, event, field.bytes);
    case WIRE_TAG(PB_EVENT_TIME_UNIX_NANO, WIRE_FIXED64):
        event->time_unix_nano = field.value;
        return true;
    case WIRE_TAG(PB_EVENT_EXPIRES_UNIX_NANO, WIRE_FIXED64):
        event->expires_unix_nano = field.value;
        return true;
    case WIRE_TAG(PB_EVENT_DELIVER_AFTER_UNIX_NANO, WIRE_FIXED64):
        event->deliver_after_unix_nano = field.value;
        return true;
    default:
        /* A lower number is a known field of a wrong type. */
        return field.number > PB_EVENT_DELIVER_AFTER_UNIX_NANO;
    }
}

/* Starts with a copy of an empty event. For zeroes compilers generate `rep stos`, which takes as
 * long as the rest of this function. */
static inline bool read_event(struct decoder *decoder, struct bytes body, struct tributary_event *event)
{
    static const struct tributary_event empty;
    struct field_reader reader = field_reader_of(body);

    *event = empty;
    for (;;) {
        read_short_texts(&reader, event);
        if (reader.next == reader.end)
            return true;
        if (!read_field(decoder, &reader, event))
            return false;
    }
}

/* Adds sequences, packed or not: every decoder must accept both. */
static bool add_sequences(struct decoder *decoder, struct run *run, const struct field *field)
{
    const size_t more = field->type == WIRE_LEN ? field->bytes.size / sizeof(uint64_t) : 1;

    if (field->type == WIRE_LEN && field->bytes.size % sizeof(uint64_t) != 0)
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
        decoder->sequences[run->sequences++] = word_read(field->bytes.data + i * sizeof(uint64_t));
    return true;
}

static bool read_run_head(struct decoder *decoder, struct run *run)
{
    struct field_reader reader = field_reader_of(run->body);
    struct tributary_bytes event;
    struct field field;

    for (;;) {
        while (read_short_field(&reader, EVENT_TAG, &event))
            run->events++;
        if (reader.next == reader.end)
            break;
        if (!field_next(&reader, &field))
            return false;
        switch (field_tag(&field)) {
        case EVENT_TAG:
            run->events++;
            break;
        case WIRE_TAG(PB_RUN_SOURCE, WIRE_LEN):
            run->head.source = from_bytes(field.bytes);
            break;
        case WIRE_TAG(PB_RUN_EPOCH, WIRE_FIXED64):
            run->head.epoch = field.value;
            break;
        case WIRE_TAG(PB_RUN_FIRST_SEQUENCE, WIRE_FIXED64):
            run->first_sequence = field.value;
            break;
        case WIRE_TAG(PB_RUN_OBSERVED_TIME_UNIX_NANO, WIRE_FIXED64):
            run->head.observed_time_unix_nano = field.value;
            break;
        case WIRE_TAG(PB_RUN_ATTEMPT, WIRE_VARINT):
            run->head.attempt = (uint32_t)field.value;
            break;
        case WIRE_TAG(PB_RUN_SEQUENCES, WIRE_FIXED64):
        case WIRE_TAG(PB_RUN_SEQUENCES, WIRE_LEN):
            if (!add_sequences(decoder, run, &field))
                return false;
            break;
        case WIRE_TAG(PB_RUN_ORIGIN, WIRE_LEN):
            run->head.origin = from_bytes(field.bytes);
            break;
        default:
            if (field.number <= PB_RUN_ORIGIN)
                return false;
        }
    }
    return run->sequences == 0 || run->sequences == run->events;
}

/* Returns the next event of a run. read_run_head() has counted the events, so there is one, and
 * it is well formed. Adds its size, with tag and length, to *bytes. */
static inline struct bytes next_event(struct field_reader *reader, uint64_t *bytes)
{
    for (;;) {
        const uint8_t *begin = reader->next;
        struct tributary_bytes event = {NULL, 0};
        struct field field = {.number = PB_RUN_EVENTS};

        if (!read_short_field(reader, EVENT_TAG, &event)) {
            CHECK(field_next(reader, &field));
            event = from_bytes(field.bytes);
        }
        if (field.number == PB_RUN_EVENTS) {
            *bytes += (size_t)(reader->next - begin);
            return to_bytes(event);
        }
    }
}

static const char *deliver_run(struct decoder *decoder, struct bytes body,
                               const struct tributary_subscriber_callbacks *callbacks)
{
    struct run run = {.body = body};
    struct field_reader reader = field_reader_of(body);

    if (!read_run_head(decoder, &run))
        return "a malformed run";
    for (size_t i = 0; i < run.events && !decoder->stop; i++) {
        if (!read_event(decoder, next_event(&reader, &decoder->bytes), &run.head.event))
            return "a malformed event";
        run.head.sequence = run.sequences > 0 ? decoder->sequences[i] : run.first_sequence + i;
        decoder->events++;
        if (callbacks->event)
            callbacks->event(callbacks->ctx, &run.head);
    }
    if (decoder->handled && run.head.sequence > 0)
        resume_state_handled(decoder->handled, to_bytes(run.head.source), run.head.epoch, run.head.sequence);
    return NULL;
}

static const char *apply(struct decoder *decoder, uint32_t kind, struct bytes body,
                         const struct tributary_subscriber_callbacks *callbacks)
{
    switch (kind) {
    case PB_EVENT_BATCH_STARTED:
        return decode_started(decoder, body, callbacks);
    case PB_EVENT_BATCH_SETTINGS:
        return decode_settings(decoder, body, callbacks);
    case PB_EVENT_BATCH_ACK_RESULTS:
        return decode_request_refused(decoder, body, callbacks);
    case PB_EVENT_BATCH_FELL_BEHIND:
        return decode_topic_notice(body, callbacks->fell_behind, callbacks->ctx);
    case PB_EVENT_BATCH_LOST:
        return decode_lost(body, callbacks);
    case PB_EVENT_BATCH_RUNS:
        return deliver_run(decoder, body, callbacks);
    case PB_EVENT_BATCH_CAUGHT_UP:
        return decode_topic_notice(body, callbacks->caught_up, callbacks->ctx);
    case PB_EVENT_BATCH_PRODUCERS:
        return decode_status(body, callbacks);
    case PB_EVENT_BATCH_PROGRESS:
        return decode_progress(decoder, body, callbacks);
    default:
        return decode_closing(decoder, body, callbacks);
    }
}

static const char *apply_kind(struct decoder *decoder, uint32_t kind, struct bytes message,
                              const struct tributary_subscriber_callbacks *callbacks)
{
    struct field_reader reader = field_reader_of(message);
    const char *fault = NULL;
    struct field field;

    while (reader.next != reader.end && !fault && !decoder->stop) {
        if (!field_next(&reader, &field))
            return MALFORMED;
        if (field.number == kind)
            fault = apply(decoder, kind, field.bytes, callbacks);
    }
    return fault;
}

const char *decode_batch(struct decoder *decoder, struct bytes message,
                         const struct tributary_subscriber_callbacks *callbacks)
{
    static const uint32_t order[] = {PB_EVENT_BATCH_STARTED,     PB_EVENT_BATCH_SETTINGS,
                                     PB_EVENT_BATCH_ACK_RESULTS, PB_EVENT_BATCH_FELL_BEHIND,
                                     PB_EVENT_BATCH_LOST,        PB_EVENT_BATCH_RUNS,
                                     PB_EVENT_BATCH_CAUGHT_UP,   PB_EVENT_BATCH_PRODUCERS,
                                     PB_EVENT_BATCH_PROGRESS,    PB_EVENT_BATCH_CLOSING};
    struct field_reader reader = field_reader_of(message);
    const char *fault = NULL;
    struct field field;
    uint32_t present = 0;

    decoder->stop = false;
    decoder->has_started = false;
    decoder->resume_token = (struct tributary_bytes){NULL, 0};
    decoder->progress = (struct tributary_bytes){NULL, 0};
    decoder->events = 0;
    decoder->bytes = 0;
    decoder->has_settings = false;
    decoder->refused_request = 0;
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field) || (field.number < BATCH_FIELDS && field.type != WIRE_LEN))
            return MALFORMED;
        if (field.number < BATCH_FIELDS)
            present |= BIT(field.number);
    }
    for (size_t i = 0; i < ARRAY_LEN(order) && !fault && !decoder->stop; i++) {
        if ((present & BIT(order[i])) != 0)
            fault = apply_kind(decoder, order[i], message, callbacks);
    }
    return fault;
}
