/* framing.h - the scan: bytes from the wire become events, or a fault. One pass, and no allocation
 * for an event.
 *
 * It scans any message that has `repeated Event events = 1`. What it accepts decodes with every
 * protobuf decoder that we know (protobuf-c, Python, Go, C++). So one producer's bad event can
 * never end a consumer's stream. It refuses:
 *   - groups
 *   - a field number of 0 or above 2^29-1
 *   - a tag or a length of more than 5 bytes
 *   - a varint of more than 10 bytes or above 64 bits
 *   - a wrong wire type of a known field of Event, and of an entry of its headers
 *   - an outer field that occurs with two wire types
 *   - a length that reaches past its container
 *   - a NUL or invalid UTF-8 in a string, a control character in topic or type
 *   - a header without a key
 *   - what is above a bound of framing_limits
 *
 * Unknown fields are accepted if they have the same form; their content is not checked. Of a
 * repeated scalar or map key the last one counts.
 *
 * Threads: any. A scan belongs to one thread at a time. */
#ifndef TRIBUTARY_EVENT_FRAMING_H
#define TRIBUTARY_EVENT_FRAMING_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/settings.h"
#include "event/varint.h"

/* A field of the outer message that is not an event; of several with one number the last. */
struct framing_field {
    bool present;
    enum wire_type type;
    uint64_t number;    /* the value, unless `type` is WIRE_LEN */
    struct bytes bytes; /* the content, if `type` is WIRE_LEN: points into the message, not checked */
};

#define FRAMING_FIELDS 16 /* outer fields 2 to 15 are kept, higher ones are ignored */

/* What a scan found, and the memory that it keeps for the next one. Zeroed it is ready for use. */
struct framing_scan {
    /* Event i, with its tag and length, is [offsets[i], offsets[i + 1]) of the message if
     * `contiguous`, and else [offsets[i], ends[i]). Both arrays are valid until the next scan. */
    uint32_t *offsets; /* count + 1 entries if contiguous */
    uint32_t *ends;    /* NULL until a message needs it */
    size_t capacity;
    uint32_t count;
    uint32_t events_bytes; /* all events with their tags and lengths */
    bool contiguous;       /* no other field stands between two events */
    uint32_t noted;        /* the scan's: a bit for each of `fields` that is present */
    struct framing_field fields[FRAMING_FIELDS];
};

/* Frees the arrays. The scan may be used again. */
void framing_fini(struct framing_scan *scan);

/* Takes the result out of a scan, which is then empty and may be used again. The arrays of the
 * result have no unused capacity; framing_fini() frees them. */
struct framing_scan framing_move(struct framing_scan *scan);

/* What may stand beside the event in a message with a single one, beyond max_batch_bytes: its tag
 * and length, the producer's name, numbers. So an event of max_event_bytes has its place also where
 * both bounds are the same. */
#define FRAMING_ENVELOPE_BYTES 1024u

/* Scans a whole message, which stays the caller's and must outlive the use of *scan.
 *   FAULT_NONE           *scan is filled in
 *   FAULT_MEMORY_BUDGET  out of memory
 *   any other reason     the message is refused; *fault says what is wrong, where (a path such as
 *                        `events[3].headers["a"]`), and which bound it breaks
 * After a refusal *scan holds neither events nor fields. */
MUST_CHECK enum fault_reason framing_scan(struct framing_scan *scan, struct bytes message,
                                          const struct framing_limits *limits, struct fault *fault);

#endif
