/* message_fields.h - what the fields of a message say of the event that it becomes.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_MESSAGE_FIELDS_H
#define TRIBUTARY_SERVER_DIAL_MESSAGE_FIELDS_H

#include "event/field_path.h"
#include "server/dial/upstream_plan.h"

struct message_fields {
    char key[FIELD_KEY_BYTES];
    size_t key_size;       /* 0: it has none */
    uint64_t time_unix_ns; /* 0: it has none */
};

/* Reads them where the plan asks for them. What cannot be read is counted. */
void message_fields_read(const struct upstream_plan *plan, const grpc_byte_buffer *message,
                         struct message_fields *fields_out);

#endif
