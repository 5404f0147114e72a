/* framing.c - the one scan that every message of a producer passes.
 *
 * DESIGN: Two loops: one over the fields of the message, one over the fields of each event. A table
 * gives the wire type and the rule of every field of an event. So a good event costs one lookup and
 * one comparison for each field, and its strings cost one pass of eight bytes at a time. The parts
 * of a fault (paths, quoted values, bounds) are put together only when a fault is certain
 * (framing_fault.c).
 *
 * The offsets of the events go into an array that the scan keeps from message to message. When
 * other fields of the message stand between two events, a second array with the ends is filled,
 * from then on and for the events before. */
#include "event/framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/event_fields.h"
#include "event/field.h"
#include "event/framing_fault.h"
#include "event/text.h"

#define FIRST_CAPACITY 128u

/* From RULE_OPAQUE on the field has a length and content. */
enum rule {
    RULE_RARE,      /* every byte that tag_rules does not name: read_rare() decides */
    RULE_WORD,      /* eight bytes, not checked */
    RULE_OPAQUE,    /* content that is not checked */
    RULE_TEXT,      /* valid UTF-8 without NUL */
    RULE_PRINTABLE, /* also without control characters */
    RULE_HEADER     /* an entry of the headers */
};

/* By field number. */
static const struct field_rule {
    uint8_t type; /* enum wire_type */
    uint8_t rule; /* enum rule */
} field_rules[EVENT_FIELDS] = {
    [PB_EVENT_ID] = {WIRE_LEN, RULE_TEXT},
    [PB_EVENT_TOPIC] = {WIRE_LEN, RULE_PRINTABLE},
    [PB_EVENT_KEY] = {WIRE_LEN, RULE_TEXT},
    [PB_EVENT_TYPE] = {WIRE_LEN, RULE_PRINTABLE},
    [PB_EVENT_CONTENT_TYPE] = {WIRE_LEN, RULE_TEXT},
    [PB_EVENT_HEADERS] = {WIRE_LEN, RULE_HEADER},
    [PB_EVENT_TIME_UNIX_NANO] = {WIRE_FIXED64, RULE_WORD},
    [PB_EVENT_DATA] = {WIRE_LEN, RULE_OPAQUE},
    [PB_EVENT_EXPIRES_UNIX_NANO] = {WIRE_FIXED64, RULE_WORD},
    [PB_EVENT_DELIVER_AFTER_UNIX_NANO] = {WIRE_FIXED64, RULE_WORD},
};

/* The same rules by the byte of a tag that has one byte and the right wire type. Every other byte
 * is RULE_RARE. */
static const uint8_t tag_rules[256] = {
    [WIRE_TAG(PB_EVENT_ID, WIRE_LEN)] = RULE_TEXT,
    [WIRE_TAG(PB_EVENT_TOPIC, WIRE_LEN)] = RULE_PRINTABLE,
    [WIRE_TAG(PB_EVENT_KEY, WIRE_LEN)] = RULE_TEXT,
    [WIRE_TAG(PB_EVENT_TYPE, WIRE_LEN)] = RULE_PRINTABLE,
    [WIRE_TAG(PB_EVENT_CONTENT_TYPE, WIRE_LEN)] = RULE_TEXT,
    [WIRE_TAG(PB_EVENT_HEADERS, WIRE_LEN)] = RULE_HEADER,
    [WIRE_TAG(PB_EVENT_TIME_UNIX_NANO, WIRE_FIXED64)] = RULE_WORD,
    [WIRE_TAG(PB_EVENT_DATA, WIRE_LEN)] = RULE_OPAQUE,
    [WIRE_TAG(PB_EVENT_EXPIRES_UNIX_NANO, WIRE_FIXED64)] = RULE_WORD,
    [WIRE_TAG(PB_EVENT_DELIVER_AFTER_UNIX_NANO, WIRE_FIXED64)] = RULE_WORD,
};

#define EVENTS_TAG WIRE_TAG(PB_PUBLISH_REQUEST_EVENTS, WIRE_LEN)
#define WORD_BYTES 8

/* One scan serves each message that carries events. */
_Static_assert(EVENTS_TAG < 0x80 && PB_PUBLISH_STREAM_REQUEST_EVENTS == PB_PUBLISH_REQUEST_EVENTS &&
                   PB_REGISTER_REQUEST_EVENTS == PB_PUBLISH_REQUEST_EVENTS &&
                   PB_RUN_EVENTS == PB_PUBLISH_REQUEST_EVENTS,
               "the events are one field, with a tag of one byte");

/* Where the scan is, and what read_rare() and read_outer() return. They return it here and not
 * through pointers to locals. So the inline code takes the address of no local, and the compiler
 * may keep all of them in registers. */
struct cursor {
    struct framing_place place;
    const uint8_t *next; /* where the field ends that was read */
    struct field field;
};

static NOINLINE enum fault_reason text_check_full(struct bytes text, bool printable)
{
    if (printable)
        return text_printable(text);
    return utf8_valid(text) ? FAULT_NONE : FAULT_BAD_UTF8;
}

/* Every string passes here. The length comes first, since it costs nothing. */
static inline enum fault_reason text_check(struct bytes text, size_t max, bool printable)
{
    if (!LIKELY(text.size <= max))
        return FAULT_TOO_LONG;
    return LIKELY(text_plain(text)) ? FAULT_NONE : text_check_full(text, printable);
}

static enum fault_reason scan_entry(const struct cursor *cursor, struct bytes entry)
{
    const struct framing_limits *limits = cursor->place.limits;
    const uint8_t *at = entry.data;
    const uint8_t *end = entry.data + entry.size;
    const struct bytes none = {NULL, 0};
    size_t key_size = 0;
    enum fault_reason reason;
    struct field field = {.number = 0};

    while (at < end) {
        reason = field_read(&at, end, &field);
        if (reason == FAULT_NONE && field.number < ENTRY_FIELDS && field.type != WIRE_LEN)
            reason = FAULT_WRONG_WIRE_TYPE;
        if (!LIKELY(reason == FAULT_NONE))
            return framing_refuse_field(&cursor->place, reason, PB_EVENT_HEADERS, none);
        if (field.number == PB_EVENT_HEADERS_ENTRY_KEY) {
            key_size = field.bytes.size;
            reason = text_check(field.bytes, limits->max_name_bytes, false);
            if (!LIKELY(reason == FAULT_NONE))
                return framing_refuse_field(&cursor->place, reason, PB_EVENT_HEADERS, field.bytes);
        } else if (field.number == PB_EVENT_HEADERS_ENTRY_VALUE) {
            reason = text_check(field.bytes, limits->max_value_bytes, false);
            if (!LIKELY(reason == FAULT_NONE))
                return framing_refuse_header_value(&cursor->place, reason, entry, field.bytes);
        }
    }
    return LIKELY(key_size > 0) ? FAULT_NONE
                                : framing_refuse_field(&cursor->place, FAULT_EMPTY, PB_EVENT_HEADERS, none);
}

/* Reads a field of an event that is unknown, wrong, or good with a tag of several bytes, into
 * cursor->field. */
static NOINLINE enum fault_reason read_rare(struct cursor *cursor, const uint8_t *at, const uint8_t *end)
{
    struct field *field = &cursor->field;

    cursor->next = at;
    enum fault_reason reason = field_read(&cursor->next, end, field);
    if (reason != FAULT_NONE)
        return framing_refuse_event(&cursor->place, reason);
    if (field->number < EVENT_FIELDS && field->type != field_rules[field->number].type)
        return framing_refuse_field(&cursor->place, FAULT_WRONG_WIRE_TYPE, field->number,
                                    (struct bytes){NULL, 0});
    return FAULT_NONE;
}

static inline enum fault_reason scan_event(struct cursor *cursor, struct bytes event)
{
    const uint8_t *at = event.data;
    const uint8_t *end = event.data + event.size;
    uint32_t headers = 0;

    while (at < end) {
        uint32_t number = *at >> 3;
        enum rule rule = tag_rules[*at];
        enum fault_reason reason;
        struct bytes content;

        if (LIKELY(rule >= RULE_OPAQUE)) {
            at++;
            reason = content_read(&at, end, &content);
            if (!LIKELY(reason == FAULT_NONE))
                return framing_refuse_event(&cursor->place, reason);
        } else if (LIKELY(rule == RULE_WORD && end - at > WORD_BYTES)) {
            at += 1 + WORD_BYTES;
            continue;
        } else {
            reason = read_rare(cursor, at, end);
            if (reason != FAULT_NONE)
                return reason;
            at = cursor->next;
            number = cursor->field.number;
            if (number >= EVENT_FIELDS)
                continue;
            rule = field_rules[number].rule;
            content = cursor->field.bytes;
        }
        if (rule <= RULE_OPAQUE)
            continue;
        if (rule != RULE_HEADER) {
            reason = text_check(content, cursor->place.limits->max_name_bytes, rule == RULE_PRINTABLE);
            if (!LIKELY(reason == FAULT_NONE))
                return framing_refuse_field(&cursor->place, reason, number, content);
            continue;
        }
        if (!LIKELY(headers++ < cursor->place.limits->max_headers))
            return framing_refuse_headers(&cursor->place);
        reason = scan_entry(cursor, content);
        if (!LIKELY(reason == FAULT_NONE))
            return reason;
    }
    return FAULT_NONE;
}

static bool grow(struct framing_scan *scan, size_t capacity)
{
    uint32_t *offsets = realloc(scan->offsets, capacity * sizeof(*offsets));
    uint32_t *ends;

    if (!offsets)
        return false;
    scan->offsets = offsets;
    if (scan->ends) {
        ends = realloc(scan->ends, capacity * sizeof(*ends));
        if (!ends)
            return false; /* the offsets are larger than `capacity` says, which is harmless */
        scan->ends = ends;
    }
    scan->capacity = capacity;
    return true;
}

/* The events are no longer contiguous: from now on each has its end in `ends`, the earlier ones
 * too. */
static bool keep_ends(struct framing_scan *scan)
{
    if (!scan->ends)
        scan->ends = malloc(scan->capacity * sizeof(*scan->ends));
    if (!scan->ends)
        return false;
    memcpy(scan->ends, scan->offsets + 1, scan->count * sizeof(*scan->ends));
    scan->contiguous = false;
    return true;
}

/* Adds one event, [start, end) of the message. False: out of memory. */
static inline bool add_event(struct framing_scan *scan, uint32_t start, uint32_t end)
{
    uint32_t index = scan->count;

    if (!LIKELY(index + 1 < scan->capacity) && !grow(scan, scan->capacity * 2))
        return false;
    if (!LIKELY(scan->contiguous))
        scan->ends[index] = end;
    else if (!LIKELY(index == 0 || scan->offsets[index] == start)) {
        if (!keep_ends(scan))
            return false;
        scan->ends[index] = end;
    }
    scan->offsets[index] = start;
    scan->offsets[index + 1] = end; /* the next event's start, unless there is a gap */
    scan->count = index + 1;
    return true;
}

/* Keeps an outer field other than the events, for the code that knows the message. Decoders accept
 * one wire type for each field, so a second one is refused. */
static enum fault_reason keep_field(struct framing_scan *scan, const struct field *field, struct fault *fault)
{
    char path[32];

    if (field->number >= FRAMING_FIELDS)
        return FAULT_NONE;
    struct framing_field *kept = &scan->fields[field->number];
    if (kept->present && kept->type != field->type) {
        snprintf(path, sizeof(path), "field %u", field->number);
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, path, "one wire type for all its occurrences");
    }
    scan->noted |= BIT(field->number);
    *kept = (struct framing_field){.present = true, .type = field->type};
    if (field->type == WIRE_LEN)
        kept->bytes = field->bytes;
    else
        kept->number = field->value;
    return FAULT_NONE;
}

/* Reads a field of the message into cursor->field: one that is no event, or an event whose tag has
 * several bytes. */
static NOINLINE enum fault_reason read_outer(struct framing_scan *scan, struct cursor *cursor,
                                             const uint8_t *at, const uint8_t *end)
{
    struct field *field = &cursor->field;

    cursor->next = at;
    enum fault_reason reason = field_read(&cursor->next, end, field);
    if (reason != FAULT_NONE)
        return *at >> 3 == PB_PUBLISH_REQUEST_EVENTS ? framing_refuse_event(&cursor->place, reason)
                                                     : fault_set(cursor->place.fault, reason, "", "");
    if (field->number != PB_PUBLISH_REQUEST_EVENTS)
        return keep_field(scan, field, cursor->place.fault);
    return field->type == WIRE_LEN ? FAULT_NONE : framing_refuse_event(&cursor->place, FAULT_WRONG_WIRE_TYPE);
}

static enum fault_reason scan_message(struct framing_scan *scan, struct bytes message, struct cursor *cursor)
{
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    enum fault_reason reason;

    while (at < end) {
        const uint8_t *start = at;
        struct bytes event;

        if (LIKELY(*at == EVENTS_TAG)) {
            at++;
            reason = content_read(&at, end, &event);
            if (!LIKELY(reason == FAULT_NONE))
                return framing_refuse_event(&cursor->place, reason);
        } else {
            reason = read_outer(scan, cursor, at, end);
            if (reason != FAULT_NONE)
                return reason;
            at = cursor->next;
            if (cursor->field.number != PB_PUBLISH_REQUEST_EVENTS)
                continue;
            event = cursor->field.bytes;
        }
        if (!LIKELY(cursor->place.event < cursor->place.limits->max_batch_events))
            return framing_refuse_bound(cursor->place.fault, FAULT_TOO_MANY_EVENTS, "events", 0,
                                        cursor->place.limits->max_batch_events, "events");
        if (!LIKELY(event.size <= cursor->place.limits->max_event_bytes))
            return framing_refuse_event_size(&cursor->place, event.size);
        reason = scan_event(cursor, event);
        if (!LIKELY(reason == FAULT_NONE))
            return reason;
        if (!LIKELY(add_event(scan, (uint32_t)(start - message.data), (uint32_t)(at - message.data))))
            return fault_set(cursor->place.fault, FAULT_MEMORY_BUDGET, "", "");
        cursor->place.event++;
    }
    return FAULT_NONE;
}

static uint32_t events_bytes(const struct framing_scan *scan)
{
    uint32_t bytes = 0;

    if (scan->contiguous)
        return scan->count > 0 ? scan->offsets[scan->count] - scan->offsets[0] : 0;
    for (uint32_t i = 0; i < scan->count; i++)
        bytes += scan->ends[i] - scan->offsets[i];
    return bytes;
}

static void empty(struct framing_scan *scan)
{
    scan->count = 0;
    scan->events_bytes = 0;
    scan->contiguous = true;
    for (; scan->noted != 0; scan->noted &= scan->noted - 1)
        scan->fields[__builtin_ctz(scan->noted)] = (struct framing_field){.present = false};
}

void framing_fini(struct framing_scan *scan)
{
    free(scan->offsets);
    free(scan->ends);
    memset(scan, 0, sizeof(*scan));
}

static uint32_t *shrunk(uint32_t *array, size_t capacity)
{
    uint32_t *smaller = realloc(array, capacity * sizeof(*array));

    return smaller ? smaller : array;
}

struct framing_scan framing_move(struct framing_scan *scan)
{
    struct framing_scan moved = *scan;

    memset(scan, 0, sizeof(*scan));
    if (moved.capacity == 0)
        return moved;
    moved.capacity = (size_t)moved.count + 1;
    moved.offsets = shrunk(moved.offsets, moved.capacity);
    if (moved.contiguous) {
        free(moved.ends);
        moved.ends = NULL;
    } else {
        moved.ends = shrunk(moved.ends, moved.capacity);
    }
    return moved;
}

/* Whether a message above max_batch_bytes may pass: it is not much larger, and has a single event,
 * as far as it can be read. What else is wrong with it, the scan will find. */
static NOINLINE bool may_be_large(struct bytes message, const struct framing_limits *limits)
{
    const uint8_t *at = message.data;
    const uint8_t *const end = at + message.size;
    unsigned events = 0;
    struct field field = {0};

    if (message.size > (uint64_t)limits->max_batch_bytes + FRAMING_ENVELOPE_BYTES)
        return false;
    while (at < end && events < 2 && field_read(&at, end, &field) == FAULT_NONE)
        events += field.number == PB_PUBLISH_REQUEST_EVENTS;
    return events == 1;
}

enum fault_reason framing_scan(struct framing_scan *scan, struct bytes message,
                               const struct framing_limits *limits, struct fault *fault)
{
    struct cursor cursor = {.place = {.limits = limits, .fault = fault}};
    enum fault_reason reason = FAULT_NONE;

    empty(scan);
    if (message.size > limits->max_batch_bytes && !may_be_large(message, limits))
        return framing_refuse_bound(fault, FAULT_BATCH_TOO_LARGE, "", message.size, limits->max_batch_bytes,
                                    "bytes");
    if (scan->capacity == 0 && !grow(scan, FIRST_CAPACITY))
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    scan->offsets[0] = 0;
    if (message.size > 0)
        reason = scan_message(scan, message, &cursor);
    if (reason != FAULT_NONE)
        empty(scan);
    else
        scan->events_bytes = events_bytes(scan);
    return reason;
}
