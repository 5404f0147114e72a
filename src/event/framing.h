/* framing.h - bytes from the wire become events, or a fault with a name. One pass, no allocation
 * per event.
 *
 * Scans any message that carries `repeated Event events = 1`. What is accepted here decodes with
 * every protobuf decoder we know (protobuf-c, Python, Go, C++), so one producer's bad event can
 * never end a consumer's stream. Refused: groups; field number 0 or above 2^29-1; a tag or a length
 * over 5 bytes; a varint over 10 bytes or above 64 bits; a wrong wire type on a known field, map
 * entries included; an outer field that comes with two wire types; lengths past their container;
 * NUL or invalid UTF-8 in strings. Unknown fields pass, and are checked for the same form (their
 * content is opaque). A repeated scalar or map key: the last wins.
 *
 * Threads: any; a scan belongs to one thread at a time. */
#ifndef TRIBUTARY_EVENT_FRAMING_H
#define TRIBUTARY_EVENT_FRAMING_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/status.h"
#include "event/primitives.h"

struct framing_limits {
    uint32_t event_bytes;  /* one event, without its tag and length */
    uint32_t batch_bytes;  /* the whole message */
    uint32_t batch_events; /* events in one message */
    uint32_t headers;      /* entries of Event.headers */
    uint32_t name_bytes;   /* id, topic, key, type, content_type, a header's key */
    uint32_t value_bytes;  /* a header's value */
};

/* The defaults of the API: 1 MiB, 1 MiB, 65 536, 64, 256, 8192. */
extern const struct framing_limits framing_defaults;

/* A field of the outer message other than 1; the last of its number. */
struct framing_field {
    bool present;
    enum wire_type type;
    uint64_t number; /* the value, unless type is WIRE_LEN */
    /* the value, where type is WIRE_LEN; points into the message; neither UTF-8 nor length is
       checked */
    struct bytes bytes;
};

#define FRAMING_FIELDS 16 /* outer fields 2 to 15 are reported, higher ones pass unread */

struct framing_scan {
    /* Event i, tag and length included, is [offsets[i], offsets[i + 1]) of the message when
     * `contiguous`. Otherwise it begins at offsets[i] and ends at ends[i]. */
    uint32_t *offsets; /* count + 1 entries where contiguous; valid until the next scan */
    uint32_t *ends;    /* NULL until a message needs it */
    size_t capacity;
    uint32_t count;
    uint32_t events_bytes; /* all events with their tags and lengths */
    bool contiguous;       /* nothing stands between the first event and the last */
    uint32_t noted;        /* the scan's own: which of `fields` are present */
    struct framing_field fields[FRAMING_FIELDS];
};

void framing_fini(struct framing_scan *scan); /* a zeroed scan is ready for use */

/* Scans a whole message. FAULT_NONE: *scan is filled in. Otherwise *fault says what, where
 * (`events[3].headers["a"]`) and which bound, and *scan holds nothing. Memory that runs out is
 * FAULT_MEMORY_BUDGET. */
MUST_CHECK enum fault_reason framing_scan(struct framing_scan *scan, struct bytes message,
                                          const struct framing_limits *limits, struct fault *fault);

/* What a selector, an index or a printer wants to know of one event. Empty where the event does not
 * say. */
struct event_view {
    struct bytes id, topic, key, type, content_type, data;
    uint64_t time_unix_nano, expires_unix_nano, deliver_after_unix_nano;
    struct bytes body; /* the whole event, without its tag and length: for event_header() */
};

/* Reads one event that framing_scan() accepted: `event` with its tag and length. */
void event_view(struct bytes event, struct event_view *view_out);

/* The value of a header; the last one wins. False: the event does not carry it. */
bool event_header(const struct event_view *view, struct bytes name, struct bytes *value_out);

#endif
