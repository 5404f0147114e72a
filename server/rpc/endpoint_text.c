/* endpoint_text.c - see endpoint_text.h. */
#include "server/rpc/endpoint_text.h"

#include <stdio.h>
#include <string.h>

#include "base/quantity.h"
#include "event/field_write.h"
#include "google/protobuf/duration.pb-c.h"
#include "tributary/v1/admin.pb-c.h"

/* Of an entry of any map. */
#define KEY_NUMBER 1u
#define VALUE_NUMBER 2u
#define MAX_WORD_BYTES 63u /* of a number, a choice, a duration */

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;

    return field->label == PROTOBUF_C_LABEL_REPEATED && entry->n_fields == 2 &&
           strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING && entry->fields[1].type == PROTOBUF_C_TYPE_STRING;
}

static enum endpoint_form form_of(const ProtobufCFieldDescriptor *field)
{
    const bool is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;

    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        if (field->descriptor == &google__protobuf__duration__descriptor && !is_repeated)
            return ENDPOINT_TEXT;
        return is_map(field) ? ENDPOINT_PAIRS : ENDPOINT_OTHER;
    case PROTOBUF_C_TYPE_BYTES:
        return is_repeated ? ENDPOINT_MESSAGES : ENDPOINT_OTHER;
    case PROTOBUF_C_TYPE_STRING:
        return is_repeated ? ENDPOINT_LIST : ENDPOINT_TEXT;
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        return is_repeated ? ENDPOINT_OTHER : ENDPOINT_TEXT;
    default:
        return ENDPOINT_OTHER;
    }
}

bool endpoint_field_get(size_t index, struct endpoint_field *field_out)
{
    const ProtobufCMessageDescriptor *endpoint = &tributary__v1__endpoint__descriptor;

    if (index >= endpoint->n_fields)
        return false;
    *field_out = (struct endpoint_field){.name = endpoint->fields[index].name,
                                         .form = form_of(&endpoint->fields[index]),
                                         .descriptor = &endpoint->fields[index]};
    return true;
}

static bool write_choice(const ProtobufCFieldDescriptor *field, const char *word, struct buf *message,
                         char fault[ENDPOINT_TEXT_FAULT])
{
    const ProtobufCEnumDescriptor *choices = field->descriptor;
    size_t size = (size_t)snprintf(fault, ENDPOINT_TEXT_FAULT, "one of");

    for (unsigned i = 0; i < choices->n_values; i++) {
        if (strcmp(choices->values[i].name, word) == 0) {
            field_varint(message, field->id, (uint64_t)choices->values[i].value);
            return true;
        }
        if (choices->values[i].value != 0 && size < ENDPOINT_TEXT_FAULT)
            size +=
                (size_t)snprintf(fault + size, ENDPOINT_TEXT_FAULT - size, " %s", choices->values[i].name);
    }
    return false;
}

static bool write_duration(const ProtobufCFieldDescriptor *field, const char *word, struct buf *message,
                           char fault[ENDPOINT_TEXT_FAULT])
{
    const struct quantity_bounds any = quantity_any(QUANTITY_DURATION);
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    struct buf bytes = {0};
    uint64_t ns;

    if (!quantity_parse(QUANTITY_DURATION, word, any, &ns, fault))
        return false;
    duration.seconds = (int64_t)(ns / 1000000000u);
    duration.nanos = (int32_t)(ns % 1000000000u);
    uint8_t *at = buf_extend(&bytes, google__protobuf__duration__get_packed_size(&duration));
    if (at)
        google__protobuf__duration__pack(&duration, at);
    field_message(message, field->id, &bytes);
    return true;
}

static bool write_number(const ProtobufCFieldDescriptor *field, const char *word, struct buf *message,
                         char fault[ENDPOINT_TEXT_FAULT])
{
    struct quantity_bounds bounds = quantity_any(QUANTITY_NUMBER);
    uint64_t number;

    if (field->type == PROTOBUF_C_TYPE_UINT32)
        bounds.max = UINT32_MAX;
    if (!quantity_parse(QUANTITY_NUMBER, word, bounds, &number, fault))
        return false;
    field_varint(message, field->id, number);
    return true;
}

static bool write_flag(const ProtobufCFieldDescriptor *field, const char *word, struct buf *message,
                       char fault[ENDPOINT_TEXT_FAULT])
{
    const bool is_true = strcmp(word, "true") == 0;

    if (!is_true && strcmp(word, "false") != 0) {
        snprintf(fault, ENDPOINT_TEXT_FAULT, "true or false");
        return false;
    }
    field_varint(message, field->id, is_true);
    return true;
}

_Static_assert(ENDPOINT_TEXT_FAULT >= QUANTITY_FAULT_CAPACITY, "faults of quantities fit");

bool endpoint_field_write(const struct endpoint_field *field, struct bytes text, struct buf *message,
                          char fault[ENDPOINT_TEXT_FAULT])
{
    const ProtobufCFieldDescriptor *descriptor = field->descriptor;
    char word[MAX_WORD_BYTES + 1];

    if (descriptor->type == PROTOBUF_C_TYPE_STRING) {
        field_bytes(message, descriptor->id, text);
        return true;
    }
    if (text.size > MAX_WORD_BYTES) {
        snprintf(fault, ENDPOINT_TEXT_FAULT, "at most %u bytes", MAX_WORD_BYTES);
        return false;
    }
    snprintf(word, sizeof(word), "%.*s", (int)text.size, (const char *)text.data);
    if (descriptor->type == PROTOBUF_C_TYPE_ENUM)
        return write_choice(descriptor, word, message, fault);
    if (descriptor->type == PROTOBUF_C_TYPE_MESSAGE)
        return write_duration(descriptor, word, message, fault);
    if (descriptor->type == PROTOBUF_C_TYPE_BOOL)
        return write_flag(descriptor, word, message, fault);
    return write_number(descriptor, word, message, fault);
}

void endpoint_field_write_pair(const struct endpoint_field *field, struct bytes key, struct bytes value,
                               struct buf *message)
{
    const ProtobufCFieldDescriptor *descriptor = field->descriptor;
    struct buf pair = {0};

    field_bytes(&pair, KEY_NUMBER, key);
    field_bytes(&pair, VALUE_NUMBER, value);
    field_message(message, descriptor->id, &pair);
}

void endpoint_field_write_bytes(const struct endpoint_field *field, struct bytes bytes, struct buf *message)
{
    const ProtobufCFieldDescriptor *descriptor = field->descriptor;

    field_bytes_always(message, descriptor->id, bytes);
}
