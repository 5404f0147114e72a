/* field_reader.h - reads a protobuf message field by field, for those that do not pass it on: the
 * decoder of the client library.
 *
 * A reader accepts what field_read() accepts, and also tags and lengths of six to ten bytes, which
 * end in zeroes. Decoders disagree on these. So a server must not pass them on, but a consumer may
 * read them.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_READER_H
#define TRIBUTARY_EVENT_FIELD_READER_H

#include "event/field.h"

/* The part of a message that is not read yet. */
struct field_reader {
    const uint8_t *next;
    const uint8_t *end;
};

/* A reader of the whole message. An empty message may have no address. */
static inline struct field_reader field_reader_of(struct bytes message)
{
    static const uint8_t nothing[1];
    const uint8_t *at = message.size > 0 ? message.data : nothing;

    return (struct field_reader){at, at + message.size};
}

/* Reads the field at *at, which field_read() has refused, and accepts it if only its tag or its
 * length has too many bytes. False: malformed. */
MUST_CHECK bool field_read_padded(const uint8_t **at, const uint8_t *end, struct field *field);

/* Reads the next field. The reader must not be at its end. False: malformed; then *reader and
 * *field mean nothing. */
MUST_CHECK static inline bool field_next(struct field_reader *reader, struct field *field)
{
    const uint8_t *at = reader->next;

    /* Eight bytes with a tag of one: nearly every event has a time. */
    if ((*at & 0x87) == WIRE_FIXED64 && *at > WIRE_FIXED64 &&
        reader->end - at > (ptrdiff_t)sizeof(uint64_t)) {
        field->number = *at >> 3;
        field->type = WIRE_FIXED64;
        field->value = word_read(at + 1);
        reader->next = at + 1 + sizeof(uint64_t);
        return true;
    }
    if (!LIKELY(field_read(&at, reader->end, field) == FAULT_NONE)) {
        at = reader->next;
        if (!field_read_padded(&at, reader->end, field))
            return false;
    }
    reader->next = at;
    return true;
}

#endif
