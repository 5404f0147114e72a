/* test_field.c - reader and writer of protobuf fields, against each other and protobuf-c. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/field_reader.h"
#include "event/field_write.h"
#include "google/protobuf/duration.pb-c.h"
#include "lib/events.h"
#include "proto/field_numbers.h"
#include "tributary/v1/event.pb-c.h"

static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, (1u << 29) - 1};
static const uint64_t values[] = {1, 127, 128, 16383, 16384, (1u << 21) - 1, 1u << 21, UINT64_MAX};
static const size_t sizes[] = {1, 127, 128, 16383, 16384, (1u << 21) - 1, 1u << 21};
static uint8_t content[1u << 21];

/* Reads one field that fills the buffer. */
static struct field only_field(const struct buf *buf)
{
    struct field_reader reader = field_reader_of((struct bytes){buf->data, buf->size});
    struct field field = {.number = 0};

    cr_assert(field_next(&reader, &field));
    cr_assert_eq(reader.next, reader.end);
    return field;
}

Test(fields, are_read_as_they_were_written_and_have_their_announced_size)
{
    for (size_t n = 0; n < ARRAY_LEN(numbers); n++) {
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            struct buf buf = {0};
            field_varint(&buf, numbers[n], values[v]);
            cr_assert_eq(buf.size, field_size_varint(numbers[n], values[v]));
            cr_assert_eq(field_tag(&(struct field){only_field(&buf).number, WIRE_VARINT, 0, {NULL, 0}}),
                         WIRE_TAG(numbers[n], WIRE_VARINT));
            cr_assert_eq(only_field(&buf).value, values[v]);
            buf_clear(&buf);
            field_fixed64(&buf, numbers[n], values[v]);
            cr_assert_eq(buf.size, field_size_fixed64(numbers[n], values[v]));
            cr_assert_eq(only_field(&buf).type, WIRE_FIXED64);
            cr_assert_eq(only_field(&buf).value, values[v]);
            buf_fini(&buf);
        }
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct buf buf = {0};
            field_bytes(&buf, numbers[n], (struct bytes){content, sizes[s]});
            cr_assert_eq(buf.size, field_size_bytes(numbers[n], sizes[s]));
            cr_assert_eq(only_field(&buf).number, numbers[n]);
            cr_assert_eq(only_field(&buf).type, WIRE_LEN);
            cr_assert_eq(only_field(&buf).bytes.size, sizes[s]);
            buf_fini(&buf);
        }
    }
}

Test(fields, without_a_value_are_left_out_but_for_bytes_always_and_messages)
{
    struct buf buf = {0};
    struct buf empty = {0};

    field_varint(&buf, 1, 0);
    field_fixed64(&buf, 2, 0);
    field_bytes(&buf, 3, (struct bytes){NULL, 0});
    field_text(&buf, 4, NULL);
    field_text(&buf, 4, "");
    field_duration(&buf, 5, 0);
    cr_assert_eq(buf.size, 0);
    cr_assert_eq(field_size_varint(1, 0) + field_size_fixed64(2, 0) + field_size_bytes(3, 0), 0);
    field_bytes_always(&buf, 3, (struct bytes){NULL, 0});
    cr_assert_eq(buf.size, 2);
    cr_assert_eq(field_size_bytes_always(3, 0), 2);
    field_message(&buf, 3, &empty);
    cr_assert_eq(buf.size, 4);
    field_varint(&buf, 16, 1);
    cr_assert_eq(buf.size, 7, "a field number above 15 takes a tag of two bytes");
    field_fixed64(&buf, (1u << 29) - 1, 1);
    cr_assert_eq(buf.size, 7 + 5 + 8);
    buf_fini(&buf);
}

Test(fields, of_a_message_are_moved_with_what_is_broken_in_it)
{
    struct buf buf = {0};
    struct buf message = {0};

    field_text(&message, 1, "content");
    field_message(&buf, 2, &message);
    cr_assert_null(message.data, "its bytes are freed");
    cr_assert_eq(only_field(&buf).bytes.size, 9);
    cr_assert_not(buf.broken);
    message.broken = true;
    field_message(&buf, 2, &message);
    cr_assert(buf.broken);
    buf_fini(&buf);
}

Test(fields, of_a_duration_decode_with_protobuf_c)
{
    static const int64_t durations[] = {1, NS_PER_S - 1, NS_PER_S, 90 * NS_PER_S + 5, INT64_MAX};
    struct buf buf = {0};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        field_duration(&buf, 7, durations[i]);
        struct field field = only_field(&buf);
        Google__Protobuf__Duration *duration =
            google__protobuf__duration__unpack(NULL, field.bytes.size, field.bytes.data);
        cr_assert_not_null(duration);
        cr_assert_eq(duration->seconds, durations[i] / NS_PER_S);
        cr_assert_eq(duration->nanos, durations[i] % NS_PER_S);
        google__protobuf__duration__free_unpacked(duration, NULL);
        buf_clear(&buf);
    }
    field_duration(&buf, 7, -1);
    cr_assert_eq(only_field(&buf).bytes.size, 0, "an explicit zero");
    buf_fini(&buf);
}

/* Whether field_read() and field_next() accept these bytes. They lie at the end of their memory. */
struct readings {
    bool strict, lenient;
};

static struct readings read_both(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size);
    struct field field = {.number = 0};

    cr_assert_not_null(copy);
    memcpy(copy, bytes, size);
    const uint8_t *at = copy;
    struct field_reader reader = field_reader_of((struct bytes){copy, size});
    struct readings readings = {.strict = field_read(&at, copy + size, &field) == FAULT_NONE,
                                .lenient = field_next(&reader, &field)};
    if (readings.strict)
        cr_assert_eq(at, copy + size);
    if (readings.lenient)
        cr_assert_eq(reader.next, reader.end);
    free(copy);
    return readings;
}

/* Writes `value` as a varint of `size` bytes, padded with zeroes. */
static size_t pad(uint8_t *at, uint8_t value, size_t size)
{
    memset(at, 0x80, size);
    at[0] = (uint8_t)(value | (size > 1 ? 0x80 : 0));
    if (size > 1)
        at[size - 1] = 0;
    return size;
}

Test(fields, with_padded_tags_and_lengths_are_refused_by_field_read_and_accepted_by_field_next)
{
    uint8_t bytes[32];

    for (size_t tag = 1; tag <= 11; tag++) {
        for (size_t length = 1; length <= 11; length++) {
            size_t size = pad(bytes, WIRE_TAG(3, WIRE_LEN), tag);
            size += pad(bytes + size, 2, length);
            size += 2;
            struct readings readings = read_both(bytes, size);
            cr_assert_eq(readings.strict, tag <= 5 && length <= 5, "tag %zu, length %zu", tag, length);
            cr_assert_eq(readings.lenient, tag <= 10 && length <= 10, "tag %zu, length %zu", tag, length);
        }
        size_t size = pad(bytes, WIRE_TAG(3, WIRE_FIXED64), tag) + sizeof(uint64_t);
        cr_assert_eq(read_both(bytes, size).lenient, tag <= 10);
        pad(bytes, WIRE_TAG(0, WIRE_FIXED64), tag);
        cr_assert_not(read_both(bytes, size).lenient, "there is no field 0");
        pad(bytes, WIRE_TAG(3, 3), tag);
        cr_assert_not(read_both(bytes, tag).lenient, "a group");
    }
}

Test(fields, that_end_too_early_or_do_not_exist_are_refused)
{
    static const uint8_t wide_tag[] = {0x85, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 0};
    struct buf buf = {0};

    for (size_t s = 0; s < ARRAY_LEN(sizes) && sizes[s] <= 16384; s++) {
        buf_clear(&buf);
        field_bytes(&buf, 2048, (struct bytes){content, sizes[s]});
        for (size_t size = 1; size < buf.size; size += size < 8 ? 1 : 1000)
            cr_assert_not(read_both(buf.data, size).lenient);
        cr_assert(read_both(buf.data, buf.size).strict);
    }
    for (uint32_t type = 0; type < 8; type++) {
        const uint8_t tag = (uint8_t)WIRE_TAG(1, type);
        cr_assert_not(read_both(&tag, 1).lenient);
    }
    cr_assert_not(read_both(wide_tag, sizeof(wide_tag)).lenient, "a tag has 32 bits");
    buf_fini(&buf);
}

/* The generated numbers are those of another generator. */
Test(field_numbers, are_those_of_protobuf_c)
{
    const ProtobufCMessageDescriptor *event = &tributary__v1__event__descriptor;
    const ProtobufCMessageDescriptor *entry = &tributary__v1__event__headers_entry__descriptor;

    cr_assert_eq(protobuf_c_message_descriptor_get_field_by_name(event, "time_unix_nano")->id,
                 PB_EVENT_TIME_UNIX_NANO);
    cr_assert_eq(protobuf_c_message_descriptor_get_field_by_name(event, "deliver_after_unix_nano")->id,
                 PB_EVENT_DELIVER_AFTER_UNIX_NANO);
    cr_assert_eq(protobuf_c_message_descriptor_get_field_by_name(entry, "value")->id,
                 PB_EVENT_HEADERS_ENTRY_VALUE);
    cr_assert_eq(event->n_fields, PB_EVENT_DELIVER_AFTER_UNIX_NANO, "no field of Event is unknown here");
}
