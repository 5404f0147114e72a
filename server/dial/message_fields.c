/* message_fields.c - see message_fields.h. */
#include "server/dial/message_fields.h"

#include "base/counters.h"
#include "grpc/slices.h"

/* Returns whether the message has the field. */
static bool find(const struct field_path *path, struct bytes message, struct field *field)
{
    if (path->count == 0)
        return false;
    switch (field_path_find(path, message, field)) {
    case FIELD_FOUND:
        return true;
    case FIELD_MISSING:
        return false;
    case FIELD_UNREADABLE:
        count_add(COUNT_UNREAD_FIELDS, 1);
        return false;
    }
    return false;
}

void message_fields_read(const struct upstream_plan *plan, const grpc_byte_buffer *message,
                         struct message_fields *fields)
{
    struct field field;
    grpc_slice copy;
    bool is_copy;

    fields->key_size = 0;
    fields->time_unix_ns = 0;
    if (plan->key_field.count + plan->time_field.count == 0)
        return;
    const struct bytes bytes = message_whole(message, &copy, &is_copy);
    if (find(&plan->key_field, bytes, &field) && !field_as_key(&field, fields->key, &fields->key_size))
        count_add(COUNT_UNREAD_FIELDS, 1);
    if (find(&plan->time_field, bytes, &field) && !field_as_time(&field, &fields->time_unix_ns))
        count_add(COUNT_UNREAD_FIELDS, 1);
    if (is_copy)
        grpc_slice_unref(copy);
}
