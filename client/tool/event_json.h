/* event_json.h - an event as JSON, and back: what `sub -o jsonl` writes, `pub --jsonl` reads as the same event.
 *
 *   {"producer":"web","sequence":7,"epoch":"1700000000000000000","time":"2026-01-31T12:00:00.123456789Z","observed":"...",
 * "id":"a","topic":"t","key":"k","type":"y","content_type":"text/plain","headers":{"a":"b"},"expires":"...",
 * "deliver_after":"...","data":"hello"}
 *
 * What an event does not say is left out. Data that is not valid UTF-8 comes as "data_base64".
 * "producer", "sequence", "epoch", "observed" and "attempt" are the server's words: they are not
 * read back. */
#ifndef TRIBUTARY_TOOL_EVENT_JSON_H
#define TRIBUTARY_TOOL_EVENT_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "tributary/tributary.h"

/* NULL: out of memory, or a text of the event is no valid UTF-8. The caller owns the reference. */
json_t *event_to_json(const struct tributary_delivery *delivery);

/* An event out of JSON; it points into what stands beside it. */
struct json_event {
    struct tributary_event event;
    json_t *json;
    struct tributary_header *headers;
    struct buf data; /* decoded from base64 */
    char fault[160]; /* what is wrong, where it could not be read */
};

/* Reads one line. False: see `fault`. Call json_event_fini() in both cases; a zeroed one is ready
 * for use, and may be used again. */
bool json_event_read(struct json_event *parsed, const char *line, size_t size);
void json_event_fini(struct json_event *parsed);

/* RFC 4648, with padding. base64_read() is strict: no line breaks, no missing padding, no loose
 * bits. */
void base64_write(struct buf *buf, const void *bytes, size_t size);
bool base64_read(struct buf *buf, const char *text, size_t size);

#endif
