/* fields.h - append protobuf fields to a `struct buf`. Out of memory shows in `buf->broken`. Any
 * thread. */
#ifndef TRIBUTARY_CLIENT_FIELDS_H
#define TRIBUTARY_CLIENT_FIELDS_H

#include "base/base.h"
#include "base/buf.h"

/* `number` is the field's number, 1 to 15. */

/* Appends text or bytes, also where they are empty. */
void field_append_text(struct buf *buf, uint32_t number, struct bytes text);

/* Appends a number; nothing for 0. */
void field_append_number(struct buf *buf, uint32_t number, uint64_t value);

/* Appends google.protobuf.Duration: nothing for 0, an explicit zero for TRIBUTARY_NONE. */
void field_append_duration(struct buf *buf, uint32_t number, int64_t duration_ns);

/* Appends `message` as one field, and frees its bytes. */
void field_append_message(struct buf *buf, uint32_t number, struct buf *message);

#endif
