/* framing.c - the one scan that every message of a producer passes.
 *
 * DESIGN. Two loops: one over the fields of the message, one over the fields of each event. A table
 * says of every field of an event which wire type and which rule it has, so a good event costs one
 * lookup and one comparison per field, and its strings one pass of eight bytes at a time.
 * Everything that a fault wants to say (paths, quoted values, bounds) is put together only once a
 * fault is certain.
 *
 * Offsets are noted in an array that the scan keeps from message to message. Where events stand
 * apart from each other (fields of the message between them) a second array with their ends is
 * filled, from then on and backwards. */
#include "event/framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/field.h"

#define FIRST_CAPACITY 128u
#define PATH_BYTES sizeof(((struct fault *)0)->field)

enum rule {
    RULE_RARE, /* whatever stands there is read with care */
    RULE_WORD, /* eight bytes that are not looked at; from here on a length and its content */
    RULE_OPAQUE,
    RULE_TEXT,
    RULE_PRINTABLE,
    RULE_HEADER
};

static const struct known {
    uint8_t type; /* enum wire_type */
    uint8_t rule; /* enum rule */
    const char *name;
} known[EVENT_FIELDS] = {
    [EVENT_ID] = {WIRE_LEN, RULE_TEXT, "id"},
    [EVENT_TOPIC] = {WIRE_LEN, RULE_PRINTABLE, "topic"},
    [EVENT_KEY] = {WIRE_LEN, RULE_TEXT, "key"},
    [EVENT_TYPE] = {WIRE_LEN, RULE_PRINTABLE, "type"},
    [EVENT_CONTENT_TYPE] = {WIRE_LEN, RULE_TEXT, "content_type"},
    [EVENT_HEADERS] = {WIRE_LEN, RULE_HEADER, "headers"},
    [EVENT_TIME] = {WIRE_FIXED64, RULE_WORD, "time_unix_nano"},
    [EVENT_DATA] = {WIRE_LEN, RULE_OPAQUE, "data"},
    [EVENT_EXPIRES] = {WIRE_FIXED64, RULE_WORD, "expires_unix_nano"},
    [EVENT_DELIVER_AFTER] = {WIRE_FIXED64, RULE_WORD, "deliver_after_unix_nano"},
};

/* The same by a tag of one byte, with the right wire type; every other byte is RULE_RARE. */
static const uint8_t rules[256] = {
    [EVENT_ID << 3 | WIRE_LEN] = RULE_TEXT,           [EVENT_TOPIC << 3 | WIRE_LEN] = RULE_PRINTABLE,
    [EVENT_KEY << 3 | WIRE_LEN] = RULE_TEXT,          [EVENT_TYPE << 3 | WIRE_LEN] = RULE_PRINTABLE,
    [EVENT_CONTENT_TYPE << 3 | WIRE_LEN] = RULE_TEXT, [EVENT_HEADERS << 3 | WIRE_LEN] = RULE_HEADER,
    [EVENT_TIME << 3 | WIRE_FIXED64] = RULE_WORD,     [EVENT_DATA << 3 | WIRE_LEN] = RULE_OPAQUE,
    [EVENT_EXPIRES << 3 | WIRE_FIXED64] = RULE_WORD,  [EVENT_DELIVER_AFTER << 3 | WIRE_FIXED64] = RULE_WORD,
};

#define EVENTS_TAG (1u << 3 | WIRE_LEN) /* field 1 of the message */
#define WORD_BYTES 8

const struct framing_limits framing_defaults = {
    .event_bytes = 1u << 20,
    .batch_bytes = 1u << 20,
    .batch_events = 65536,
    .headers = 64,
    .name_bytes = 256,
    .value_bytes = 8192,
};

/* Where the scan stands, for whoever has to name it. */
struct cursor {
    const struct framing_limits *limits;
    struct fault *fault;
    uint32_t event;
    /* What read_rare() and read_outer() read, and where it ends: kept here, since where the common
     * case is laid out nothing has its address taken, so that all of it may stay in registers. */
    const uint8_t *next;
    struct field field;
};

static NOINLINE enum fault_reason refuse_event(const struct cursor *cursor, enum fault_reason reason)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "events[%u]", cursor->event);
    return fault_set(cursor->fault, reason, path, "");
}

/* `value` 0 is not shown. */
static NOINLINE enum fault_reason refuse_bound(struct fault *fault, enum fault_reason reason,
                                               const char *path, uint64_t value, uint32_t max,
                                               const char *unit)
{
    char bound[48];

    snprintf(bound, sizeof bound, "at most %u %s", max, unit);
    return value > 0 ? fault_number(fault, reason, path, value, bound)
                     : fault_set(fault, reason, path, bound);
}

static NOINLINE enum fault_reason refuse_event_size(const struct cursor *cursor, size_t size)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "events[%u]", cursor->event);
    return refuse_bound(cursor->fault, FAULT_EVENT_TOO_LARGE, path, size, cursor->limits->event_bytes,
                        "bytes");
}

static NOINLINE enum fault_reason refuse_headers(const struct cursor *cursor)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "events[%u].headers", cursor->event);
    return refuse_bound(cursor->fault, FAULT_TOO_MANY_HEADERS, path, 0, cursor->limits->headers, "entries");
}

/* `path` is of the field; `value` is shown where it is the value that is wrong. */
static enum fault_reason refuse_text(const struct cursor *cursor, enum fault_reason reason, const char *path,
                                     struct bytes value, size_t max)
{
    char bound[48] = "";

    if (reason == FAULT_TOO_LONG)
        snprintf(bound, sizeof bound, "at most %zu bytes", max);
    return fault_bytes(cursor->fault, reason, path, value, bound);
}

static NOINLINE enum fault_reason refuse_field(const struct cursor *cursor, enum fault_reason reason,
                                               uint32_t number, struct bytes value)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "events[%u].%s", cursor->event, known[number].name);
    if (reason == FAULT_TOO_LONG || reason == FAULT_BAD_UTF8 || reason == FAULT_BAD_NAME)
        return refuse_text(cursor, reason, path, value, cursor->limits->name_bytes);
    return fault_set(cursor->fault, reason, path, "");
}

/* The key of an entry, read as far as it can be: it may stand behind the value that is at fault. */
static struct bytes entry_key(struct bytes entry)
{
    const uint8_t *at = entry.data;
    struct bytes key = {NULL, 0};
    struct field field = {.number = 0};

    while (at < entry.data + entry.size && field_read(&at, entry.data + entry.size, &field) == FAULT_NONE) {
        if (field.number == ENTRY_KEY && field.type == WIRE_LEN)
            key = field.bytes;
    }
    return key;
}

static NOINLINE enum fault_reason refuse_value(const struct cursor *cursor, enum fault_reason reason,
                                               struct bytes entry, struct bytes value)
{
    struct bytes key = entry_key(entry);
    char path[PATH_BYTES];
    char quoted[4 * 56 + 6];

    /* A path is short: where escapes blow a key up, less of it has to do. */
    if (quote_bytes(key, 56, quoted, sizeof quoted) > 64)
        quote_bytes(key, 14, quoted, sizeof quoted);
    snprintf(path, sizeof path, "events[%u].headers[%.64s]", cursor->event, quoted);
    return refuse_text(cursor, reason, path, value, cursor->limits->value_bytes);
}

static NOINLINE enum fault_reason odd_text_check(struct bytes text, bool printable)
{
    if (printable)
        return text_printable(text);
    return utf8_valid(text) ? FAULT_NONE : FAULT_BAD_UTF8;
}

/* Every string passes here: length first, since it costs nothing. */
static inline enum fault_reason text_check(struct bytes text, size_t max, bool printable)
{
    if (!LIKELY(text.size <= max))
        return FAULT_TOO_LONG;
    return LIKELY(text_plain(text)) ? FAULT_NONE : odd_text_check(text, printable);
}

static enum fault_reason scan_entry(const struct cursor *cursor, struct bytes entry)
{
    const struct framing_limits *limits = cursor->limits;
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
            return refuse_field(cursor, reason, EVENT_HEADERS, none);
        if (field.number == ENTRY_KEY) {
            key_size = field.bytes.size;
            reason = text_check(field.bytes, limits->name_bytes, false);
            if (!LIKELY(reason == FAULT_NONE))
                return refuse_field(cursor, reason, EVENT_HEADERS, field.bytes);
        } else if (field.number == ENTRY_VALUE) {
            reason = text_check(field.bytes, limits->value_bytes, false);
            if (!LIKELY(reason == FAULT_NONE))
                return refuse_value(cursor, reason, entry, field.bytes);
        }
    }
    return LIKELY(key_size > 0) ? FAULT_NONE : refuse_field(cursor, FAULT_EMPTY, EVENT_HEADERS, none);
}

/* A field of an event that is unknown, wrong, or right but written at length: into
 * cursor->field. */
static NOINLINE enum fault_reason read_rare(struct cursor *cursor, const uint8_t *at, const uint8_t *end)
{
    struct field *field = &cursor->field;
    enum fault_reason reason;

    cursor->next = at;
    reason = field_read(&cursor->next, end, field);
    if (reason != FAULT_NONE)
        return refuse_event(cursor, reason);
    if (field->number < EVENT_FIELDS && field->type != known[field->number].type)
        return refuse_field(cursor, FAULT_WRONG_WIRE_TYPE, field->number, (struct bytes){NULL, 0});
    return FAULT_NONE;
}

static inline enum fault_reason scan_event(struct cursor *cursor, struct bytes event)
{
    const uint8_t *at = event.data;
    const uint8_t *end = event.data + event.size;
    uint32_t headers = 0;

    while (at < end) {
        uint32_t number = *at >> 3;
        enum rule rule = rules[*at];
        enum fault_reason reason;
        struct bytes content;

        if (LIKELY(rule >= RULE_OPAQUE)) {
            at++;
            reason = content_read(&at, end, &content);
            if (!LIKELY(reason == FAULT_NONE))
                return refuse_event(cursor, reason);
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
            rule = known[number].rule;
            content = cursor->field.bytes;
        }
        if (rule <= RULE_OPAQUE)
            continue;
        if (rule != RULE_HEADER) {
            reason = text_check(content, cursor->limits->name_bytes, rule == RULE_PRINTABLE);
            if (!LIKELY(reason == FAULT_NONE))
                return refuse_field(cursor, reason, number, content);
            continue;
        }
        if (!LIKELY(headers++ < cursor->limits->headers))
            return refuse_headers(cursor);
        reason = scan_entry(cursor, content);
        if (!LIKELY(reason == FAULT_NONE))
            return reason;
    }
    return FAULT_NONE;
}

static bool grow(struct framing_scan *scan, size_t capacity)
{
    uint32_t *offsets = realloc(scan->offsets, capacity * sizeof *offsets);
    uint32_t *ends;

    if (offsets == NULL)
        return false;
    scan->offsets = offsets;
    if (scan->ends != NULL) {
        ends = realloc(scan->ends, capacity * sizeof *ends);
        if (ends == NULL)
            return false; /* the offsets have more room than is said, which harms nobody */
        scan->ends = ends;
    }
    scan->capacity = capacity;
    return true;
}

/* Events no longer touch: from now on their ends are told one by one, those of the earlier ones
 * too. */
static bool keep_ends(struct framing_scan *scan)
{
    if (scan->ends == NULL)
        scan->ends = malloc(scan->capacity * sizeof *scan->ends);
    if (scan->ends == NULL)
        return false;
    memcpy(scan->ends, scan->offsets + 1, scan->count * sizeof *scan->ends);
    scan->contiguous = false;
    return true;
}

static inline bool note_event(struct framing_scan *scan, uint32_t start, uint32_t end)
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

/* An outer field other than the events: kept for whoever knows the message. Decoders want one wire
 * type per field, so do we. */
static enum fault_reason note_field(struct framing_scan *scan, const struct field *field, struct fault *fault)
{
    struct framing_field *kept;
    char path[PATH_BYTES];

    if (field->number >= FRAMING_FIELDS)
        return FAULT_NONE;
    kept = &scan->fields[field->number];
    if (kept->present && kept->type != field->type) {
        snprintf(path, sizeof path, "field %u", field->number);
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

/* A field of the message that is not an event, or one that is written at length: that is in
 * cursor->field. */
static NOINLINE enum fault_reason read_outer(struct framing_scan *scan, struct cursor *cursor,
                                             const uint8_t *at, const uint8_t *end)
{
    struct field *field = &cursor->field;
    enum fault_reason reason;

    cursor->next = at;
    reason = field_read(&cursor->next, end, field);
    if (reason != FAULT_NONE)
        return *at >> 3 == 1 ? refuse_event(cursor, reason) : fault_set(cursor->fault, reason, "", "");
    if (field->number != 1)
        return note_field(scan, field, cursor->fault);
    return field->type == WIRE_LEN ? FAULT_NONE : refuse_event(cursor, FAULT_WRONG_WIRE_TYPE);
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
                return refuse_event(cursor, reason);
        } else {
            reason = read_outer(scan, cursor, at, end);
            if (reason != FAULT_NONE)
                return reason;
            at = cursor->next;
            if (cursor->field.number != 1)
                continue;
            event = cursor->field.bytes;
        }
        if (!LIKELY(cursor->event < cursor->limits->batch_events))
            return refuse_bound(cursor->fault, FAULT_TOO_MANY_EVENTS, "events", 0,
                                cursor->limits->batch_events, "events");
        if (!LIKELY(event.size <= cursor->limits->event_bytes))
            return refuse_event_size(cursor, event.size);
        reason = scan_event(cursor, event);
        if (!LIKELY(reason == FAULT_NONE))
            return reason;
        if (!LIKELY(note_event(scan, (uint32_t)(start - message.data), (uint32_t)(at - message.data))))
            return fault_set(cursor->fault, FAULT_MEMORY_BUDGET, "", "");
        cursor->event++;
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
    memset(scan, 0, sizeof *scan);
}

enum fault_reason framing_scan(struct framing_scan *scan, struct bytes message,
                               const struct framing_limits *limits, struct fault *fault)
{
    struct cursor cursor = {.limits = limits, .fault = fault};
    enum fault_reason reason = FAULT_NONE;

    empty(scan);
    if (message.size > limits->batch_bytes)
        return refuse_bound(fault, FAULT_BATCH_TOO_LARGE, "", message.size, limits->batch_bytes, "bytes");
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
