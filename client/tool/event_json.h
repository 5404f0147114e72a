/* event_json.h - an event as JSON, and back. `pub --jsonl` reads a line that `sub -o jsonl` wrote
 * as the same event. Any thread.
 *
 *   {"producer":"web","sequence":7,"epoch":"1700000000000000000",
 *    "time":"2026-01-31T12:00:00.123456789Z","observed":"...","id":"a","topic":"t","key":"k",
 *    "type":"y","content_type":"text/plain","headers":{"a":"b"},"expires":"...",
 *    "deliver_after":"...","data":"hello"}
 *
 * Members that the event does not set are left out. Data that is not valid UTF-8 is written as
 * "data_base64". The server sets "sequence", "epoch", "observed" and "attempt": they are known, and
 * not read back. "data" that is no string is the data byte by byte, as JSON. A byte order mark
 * before the line is left out. */
#ifndef TRIBUTARY_TOOL_EVENT_JSON_H
#define TRIBUTARY_TOOL_EVENT_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "tributary/tributary.h"

/* The event as a JSON object, whose reference the caller owns. NULL: out of memory, or a text of
 * the event is not valid UTF-8. */
json_t *event_to_json(const struct tributary_delivery *delivery);

/* An event that was read from JSON. `event` points into the other members. */
struct json_event {
    struct tributary_event event;
    struct tributary_bytes producer; /* a valid name, or empty */
    json_t *json;
    struct tributary_header *headers;
    struct buf data; /* data that was decoded from base64, or is JSON */
    char fault[256]; /* what is wrong with the line, where it could not be read */
};

/* Reads one line. `parsed` is zeroed before its first use and may be used again; the event of the
 * line before is freed then. An unknown member is added to *ignored; NULL: it is a fault. False:
 * the line is no event, and `fault` says why. Call json_event_fini() at the end. */
bool json_event_read(struct json_event *parsed, const char *line, size_t size, uint64_t *ignored);
void json_event_fini(struct json_event *parsed);

/* Base64 as in RFC 4648, with padding. base64_read() appends to `buf`. It is strict: line breaks,
 * missing padding and set bits behind the end are refused. */
void base64_write(struct buf *buf, const void *bytes, size_t size);
bool base64_read(struct buf *buf, const char *text, size_t size);

#endif
