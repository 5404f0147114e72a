/* encode.h - an event becomes bytes: one pass checks and measures it, one pass writes it.
 * Nothing is allocated. Any thread. */
#ifndef TRIBUTARY_CLIENT_ENCODE_H
#define TRIBUTARY_CLIENT_ENCODE_H

#include "base/base.h"
#include "tributary/event.h"
#include "event/varint.h"

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

/* The encoded size of a length that fits into a message. */
static inline size_t length_size(size_t size)
{
    return size < 1u << 7 ? 1 : size < 1u << 14 ? 2 : size < 1u << 21 ? 3 : varint_size(size);
}

/* The size of an event as field 1 of a message, with tag and length. */
static inline size_t event_field_size(size_t size)
{
    return 1 + length_size(size) + size;
}

/* Writes the event as field 1 at `at`. `size` is event_size(). Returns the end. */
uint8_t *event_field_write(uint8_t *at, const struct tributary_event *event, size_t size);

/* Writes text as field `number`, 1 to 15, at `at`. Returns the end. Empty text is left out. */
uint8_t *text_field_write(uint8_t *at, uint32_t number, struct tributary_bytes text);
size_t text_field_size(struct tributary_bytes text);

#endif
