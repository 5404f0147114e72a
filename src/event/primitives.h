/* primitives.h - protobuf's smallest pieces, and the rules for text. Threads: any. */
#ifndef TRIBUTARY_EVENT_PRIMITIVES_H
#define TRIBUTARY_EVENT_PRIMITIVES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"

/* Protobuf's wire types; groups (3, 4) are refused. */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2, WIRE_FIXED32 = 5 };

size_t varint_size(uint64_t value);
size_t varint_write(uint8_t *at, uint64_t value); /* returns the bytes written, at most 10 */
/* Returns the bytes read; 0 where it is past the end, over 10 bytes or above 64 bits. */
size_t varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value_out);

/* Whole, valid UTF-8 (RFC 3629: no surrogates, nothing overlong) without NUL. */
bool utf8_valid(struct bytes text);

/* The rule for names: 1 to `max` bytes of printable UTF-8, without control characters (C0, DEL, C1,
 * U+2028, U+2029). FAULT_NONE, or EMPTY, TOO_LONG, BAD_UTF8, BAD_NAME with `field` in *fault. */
enum fault_reason name_check(struct bytes name, const char *field, size_t max, struct fault *fault);

/* The same without a bound and without the rule that a name is not empty. FAULT_NONE, BAD_UTF8 or
 * BAD_NAME. */
enum fault_reason text_printable(struct bytes text);

#define MAX_VARINT_BYTES 10u

/* Reads a varint of at most `max` bytes that carry at most `bits` bits (more than most - 1 bytes
 * hold), and moves *at past it. FAULT_NONE; BAD_VARINT where the end comes first; `beyond` where it
 * is longer or larger. */
enum fault_reason varint_bounded(const uint8_t **at, const uint8_t *end, unsigned max, unsigned bits,
                                 enum fault_reason beyond, uint64_t *value_out);

#endif
