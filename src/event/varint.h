/* varint.h - protobuf's wire types, and varints.
 *
 * A varint holds 7 bits in each byte, the low ones first. The high bit of a byte says that another
 * byte follows. A value of 64 bits takes at most MAX_VARINT_BYTES.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_VARINT_H
#define TRIBUTARY_EVENT_VARINT_H

#include "base/base.h"
#include "base/fault.h"

#define MAX_VARINT_BYTES 10u

/* The wire types that this server accepts. Groups (3 and 4) are refused. */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2, WIRE_FIXED32 = 5 };

/* Number and wire type of a field in one value, as a tag holds them. Tags of fields 1 to 15 have
 * one byte. */
#define WIRE_TAG(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

/* The bytes that varint_write() writes for the value, 1 to 10. */
size_t varint_size(uint64_t value);

/* Writes the shortest form of the value. Returns the bytes written. */
size_t varint_write(uint8_t *at, uint64_t value);

/* Reads a varint. Returns the bytes read. 0: it reaches past `end`, has more than 10 bytes, or is
 * above 64 bits; then *value_out is unchanged. */
size_t varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value_out);

/* Reads a varint of at most `max` bytes whose value has at most `bits` bits, and moves *at past it.
 * `bits` is more than max - 1 bytes can hold.
 *   FAULT_BAD_VARINT  it reaches past `end`
 *   `beyond`          it has more bytes, or more bits
 * In both cases *at and *value_out are unchanged. */
enum fault_reason varint_bounded(const uint8_t **at, const uint8_t *end, unsigned max, unsigned bits,
                                 enum fault_reason beyond, uint64_t *value_out);

#endif
