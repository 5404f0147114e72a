/* fields.h - protobuf by hand, and the prefix of a gRPC message. */
#ifndef TRIBUTARY_TESTS_FIELDS_H
#define TRIBUTARY_TESTS_FIELDS_H

#include <stdbool.h>

#include "base/base.h"
#include "event/varint.h"

#define TAG_LEN(field) ((field) << 3 | WIRE_LEN)
#define TAG_VARINT(field) ((field) << 3 | WIRE_VARINT)
#define TAG_FIXED64(field) ((field) << 3 | WIRE_FIXED64)

enum { GRPC_PREFIX_BYTES = 5 };

/* Each function writes one field and returns where the next one goes. */
/* The head of a length-delimited value; the caller writes the value. */
uint8_t *put_head(uint8_t *at, unsigned field, size_t size);
uint8_t *put_text(uint8_t *at, unsigned field, const char *text);
uint8_t *put_number(uint8_t *at, unsigned field, uint64_t number);
void put_prefix(uint8_t *at, size_t size); /* for a message of `size` bytes */

/* Reads one field at `at`: its tag, and its number or its value. Returns its size; 0: it is not
 * whole, or malformed. */
size_t field_read(const uint8_t *at, const uint8_t *end, uint64_t *tag_out, uint64_t *number_out,
                  struct bytes *value_out);

/* Walks the fields of a whole message. walk_next() returns false at the end; if `next` is NULL
 * then, the message is malformed. */
struct walk {
    const uint8_t *next, *end;
};
bool walk_next(struct walk *walk, uint64_t *tag_out, uint64_t *number_out, struct bytes *value_out);

#endif
