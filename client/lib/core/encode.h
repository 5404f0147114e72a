/* encode.h - an event becomes bytes: no object per event, one pass to check and to measure, one to
 * write. Any thread. */
#ifndef TRIBUTARY_CLIENT_ENCODE_H
#define TRIBUTARY_CLIENT_ENCODE_H

#include "base/base.h"
#include "tributary/event.h"
#include "event/varint.h"

#define MAX_EVENT_BYTES (1u << 20)
#define MAX_NAME_BYTES 256u
#define MAX_VALUE_BYTES 8192u
#define MAX_HEADERS 64u

/* The bound that the event breaks, in words; NULL: none, and *size_out is event_size(). Static
 * text. */
const char *event_check(const struct tributary_event *event, size_t *size_out);

/* The event without its tag and length. Meaningful only where event_check() is NULL. */
size_t event_size(const struct tributary_event *event);

/* Bytes of a length on the wire, for what fits into a message. */
static inline size_t length_size(size_t size)
{
    return size < 1u << 7 ? 1 : size < 1u << 14 ? 2 : size < 1u << 21 ? 3 : varint_size(size);
}

/* The same as field 1 of a message: with tag and length. */
static inline size_t event_field_size(size_t size)
{
    return 1 + length_size(size) + size;
}

/* Writes field 1; `size` is event_size(). Returns where it ends. */
uint8_t *event_field_write(uint8_t *at, const struct tributary_event *event, size_t size);

/* Field `number` (1 to 15), as the name says; returns where it ends. */
uint8_t *text_field_write(uint8_t *at, uint32_t number, struct tributary_bytes text);
size_t text_field_size(struct tributary_bytes text); /* 0 where it is empty, as it is left out */

#endif
