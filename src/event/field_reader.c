/* field_reader.c - reads fields whose tag or length has too many bytes. */
#include "event/field_reader.h"

bool field_read_padded(const uint8_t **at, const uint8_t *end, struct field *field)
{
    uint64_t number = 0;
    size_t read = varint_read(*at, end, &number);
    const uint8_t *next = *at + read;

    if (read == 0 || number < WIRE_TAG(1, 0) || number > UINT32_MAX)
        return false;
    field->number = (uint32_t)number >> 3;
    field->type = (enum wire_type)(number & 7);
    if (field->type != WIRE_LEN) {
        struct piece piece = scalar_read(next, end, field->type);
        field->value = piece.value;
        *at = piece.next;
        return piece.next;
    }
    read = varint_read(next, end, &number);
    next += read;
    if (read == 0 || number > (uint64_t)(end - next))
        return false;
    field->bytes = (struct bytes){next, (size_t)number};
    *at = next + number;
    return true;
}
