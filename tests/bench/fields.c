/* fields.c - writes and reads fields of protobuf. */
#include "bench/fields.h"

#include <string.h>

uint8_t *put_head(uint8_t *at, unsigned field, size_t size)
{
    at += varint_write(at, TAG_LEN(field));
    return at + varint_write(at, size);
}

uint8_t *put_text(uint8_t *at, unsigned field, const char *text)
{
    size_t size = strlen(text);

    at = put_head(at, field, size);
    memcpy(at, text, size);
    return at + size;
}

uint8_t *put_number(uint8_t *at, unsigned field, uint64_t number)
{
    at += varint_write(at, TAG_VARINT(field));
    return at + varint_write(at, number);
}

void put_prefix(uint8_t *at, size_t size)
{
    at[0] = 0;
    at[1] = (uint8_t)(size >> 24), at[2] = (uint8_t)(size >> 16), at[3] = (uint8_t)(size >> 8),
    at[4] = (uint8_t)size;
}

size_t field_read(const uint8_t *at, const uint8_t *end, uint64_t *tag_out, uint64_t *number_out,
                  struct bytes *value_out)
{
    size_t tag_size = varint_read(at, end, tag_out), used = 0;
    const uint8_t *value = at + tag_size;
    size_t left = (size_t)(end - value);

    if (!tag_size)
        return 0;
    switch (*tag_out & 7) {
    case WIRE_VARINT:
        used = varint_read(value, end, number_out);
        break;
    case WIRE_FIXED64:
        used = left >= 8 ? 8 : 0;
        if (used)
            memcpy(number_out, value, 8);
        break;
    case WIRE_FIXED32:
        used = left >= 4 ? 4 : 0;
        break;
    case WIRE_LEN:
        used = varint_read(value, end, number_out);
        if (!used || *number_out > left - used)
            return 0;
        *value_out = (struct bytes){value + used, *number_out};
        used += *number_out;
        break;
    }
    return used ? tag_size + used : 0;
}

bool walk_next(struct walk *walk, uint64_t *tag_out, uint64_t *number_out, struct bytes *value_out)
{
    if (walk->next >= walk->end)
        return false;
    size_t size = field_read(walk->next, walk->end, tag_out, number_out, value_out);
    walk->next = size ? walk->next + size : NULL;
    return size > 0;
}
