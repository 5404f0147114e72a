/* encode.h - an event becomes bytes: one pass checks and measures it, one pass writes it.
 * Nothing is allocated. Any thread. */
#ifndef TRIBUTARY_CLIENT_ENCODE_H
#define TRIBUTARY_CLIENT_ENCODE_H

#include "base/base.h"
#include "tributary/event.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define MAX_EVENT_BYTES (1u << 20)
#define MAX_NAME_BYTES 256u
#define MAX_VALUE_BYTES 8192u
#define MAX_HEADERS 64u

/* Returns the bound that the event breaks, in words, as static text. NULL: it breaks none, and
 * *size_out is event_size(). */
const char *event_check(const struct tributary_event *event, size_t *size_out);

/* The encoded size of the event, without its tag and length. The event must have passed
 * event_check(). */
size_t event_size(const struct tributary_event *event);

/* All messages that carry events have them in the same field. */
_Static_assert(PB_PUBLISH_STREAM_REQUEST_EVENTS == PB_REGISTER_REQUEST_EVENTS, "one field of events");

/* The size of an event as a field of its message, with tag and length. */
static inline size_t event_field_size(size_t size)
{
    return field_size_bytes_always(PB_PUBLISH_STREAM_REQUEST_EVENTS, size);
}

/* Writes the event as a field of its message at `at`. `size` is event_size(). Returns the end. */
uint8_t *event_field_write(uint8_t *at, const struct tributary_event *event, size_t size);

#endif
