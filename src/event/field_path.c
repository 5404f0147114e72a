/* field_path.c - see field_path.h. */
#include "event/field_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "event/field_reader.h"
#include "event/text.h"

#define MAX_FIELD_NUMBER 536870911u
#define MAX_DIGITS 9u

bool field_path_parse(const char *text, struct field_path *path_out)
{
    struct field_path path = {.count = 0};

    for (;;) {
        const size_t digits = strspn(text, "0123456789");
        uint32_t number = 0;

        if (digits == 0 || digits > MAX_DIGITS || *text == '0' || path.count == FIELD_PATH_DEPTH)
            return false;
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (uint32_t)(text[i] - '0');
        if (number > MAX_FIELD_NUMBER)
            return false;
        path.numbers[path.count++] = number;
        text += digits;
        if (*text == '\0')
            break;
        if (*text++ != '.')
            return false;
    }
    *path_out = path;
    return true;
}

/* The last field of this number in one message. *left: how many fields may be looked at. */
static enum field_found find_last(struct bytes message, uint32_t number, uint32_t *left,
                                  struct field *field_out)
{
    struct field_reader reader = field_reader_of(message);
    enum field_found found = FIELD_MISSING;

    while (reader.next < reader.end) {
        struct field field = {0};

        if ((*left)-- == 0 || !field_next(&reader, &field))
            return FIELD_UNREADABLE;
        if (field.number != number)
            continue;
        *field_out = field;
        found = FIELD_FOUND;
    }
    return found;
}

enum field_found field_path_find(const struct field_path *path, struct bytes message, struct field *field_out)
{
    uint32_t left = FIELD_PATH_FIELDS;

    for (uint32_t i = 0;; i++) {
        struct field field = {0};
        const enum field_found found = find_last(message, path->numbers[i], &left, &field);

        if (found != FIELD_FOUND)
            return found;
        if (i + 1 == path->count) {
            *field_out = field;
            return FIELD_FOUND;
        }
        if (field.type != WIRE_LEN)
            return FIELD_UNREADABLE;
        message = field.bytes;
    }
}

bool field_as_key(const struct field *field, char text[FIELD_KEY_BYTES], size_t *size_out)
{
    if (field->type != WIRE_LEN) {
        *size_out = (size_t)snprintf(text, FIELD_KEY_BYTES, "%" PRIu64, field->value);
        return true;
    }
    if (field->bytes.size > FIELD_KEY_BYTES || !utf8_valid(field->bytes))
        return false;
    if (field->bytes.size > 0)
        memcpy(text, field->bytes.data, field->bytes.size);
    *size_out = field->bytes.size;
    return true;
}

enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };

static bool read_timestamp(struct bytes message, uint64_t *unix_ns_out)
{
    struct field_reader reader = field_reader_of(message);
    uint64_t seconds = 0, nanos = 0;
    uint32_t left = FIELD_PATH_FIELDS;

    while (reader.next < reader.end) {
        struct field field = {0};

        if (left-- == 0 || !field_next(&reader, &field))
            return false;
        if (field.number > TIMESTAMP_NANOS)
            continue;
        if (field.type != WIRE_VARINT)
            return false;
        *(field.number == TIMESTAMP_SECONDS ? &seconds : &nanos) = field.value;
    }
    if (seconds >= (uint64_t)(INT64_MAX / NS_PER_S) || nanos >= (uint64_t)NS_PER_S)
        return false;
    *unix_ns_out = seconds * (uint64_t)NS_PER_S + nanos;
    return true;
}

bool field_as_time(const struct field *field, uint64_t *unix_ns_out)
{
    if (field->type == WIRE_LEN)
        return read_timestamp(field->bytes, unix_ns_out);
    if ((field->type != WIRE_FIXED64 && field->type != WIRE_VARINT) || field->value > INT64_MAX)
        return false;
    *unix_ns_out = field->value;
    return true;
}
