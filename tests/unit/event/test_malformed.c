/* test_malformed.c - every known way in which a message can be wrong, with the reason and the field
 * of its fault. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/events.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

/* Where the bytes are: the whole message, inside of events[3], or inside of an entry of its
 * headers. */
enum level { MESSAGE, EVENT, ENTRY };

static const struct row {
    const char *what;
    enum level level;
    const char *bytes;
    size_t size;
    enum fault_reason reason;
    const char *field;
} rows[] = {
    {"a tag cut short", MESSAGE, BYTES("\x80"), FAULT_BAD_VARINT, ""},
    {"a tag of six bytes", MESSAGE, BYTES("\x8a\x80\x80\x80\x80\x00\x00"), FAULT_BAD_TAG, ""},
    {"a tag above 32 bits", MESSAGE, BYTES("\xfa\xff\xff\xff\x1f\x00"), FAULT_BAD_TAG, ""},
    {"field number 0", MESSAGE, BYTES("\x02\x00"), FAULT_BAD_TAG, ""},
    {"field number 0 in five bytes", MESSAGE, BYTES("\x82\x80\x80\x80\x00\x00"), FAULT_BAD_TAG, ""},
    {"a group begins", MESSAGE, BYTES("\x13\x14"), FAULT_GROUP, ""},
    {"a group ends", MESSAGE, BYTES("\x14"), FAULT_GROUP, ""},
    {"a group of an unknown field", MESSAGE, BYTES("\x93\x01\x94\x01"), FAULT_GROUP, ""},
    {"events as a group", MESSAGE, BYTES("\x0b\x0c"), FAULT_GROUP, "events[0]"},
    {"wire type 6", MESSAGE, BYTES("\x16"), FAULT_MALFORMED, ""},
    {"wire type 7", MESSAGE, BYTES("\x17"), FAULT_MALFORMED, ""},
    {"events as a varint", MESSAGE, BYTES("\x08\x01"), FAULT_WRONG_WIRE_TYPE, "events[0]"},
    {"events as fixed64", MESSAGE, BYTES("\x09\x01\x02\x03\x04\x05\x06\x07\x08"), FAULT_WRONG_WIRE_TYPE,
     "events[0]"},
    {"events as fixed32", MESSAGE, BYTES("\x0d\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE, "events[0]"},
    {"the second event as fixed32", MESSAGE, BYTES("\x0a\x00\x0d\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE,
     "events[1]"},
    {"an event without its length", MESSAGE, BYTES("\x0a"), FAULT_BAD_VARINT, "events[0]"},
    {"an event past the end", MESSAGE, BYTES("\x0a\x01"), FAULT_BAD_LENGTH, "events[0]"},
    {"an event past the end by far", MESSAGE, BYTES("\x0a\xff\xff\xff\xff\x07"), FAULT_BAD_LENGTH,
     "events[0]"},
    {"a length above 31 bits", MESSAGE, BYTES("\x0a\x80\x80\x80\x80\x08"), FAULT_BAD_LENGTH, "events[0]"},
    {"a length of six bytes", MESSAGE, BYTES("\x0a\x80\x80\x80\x80\x80\x00"), FAULT_BAD_LENGTH, "events[0]"},
    {"a length that would wrap", MESSAGE, BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     FAULT_BAD_LENGTH, "events[0]"},
    {"an outer field past the end", MESSAGE,
     BYTES("\x12\x05"
           "ab"),
     FAULT_BAD_LENGTH, ""},
    {"an outer varint cut short", MESSAGE, BYTES("\x18\xff"), FAULT_BAD_VARINT, ""},
    {"an outer varint of eleven bytes", MESSAGE, BYTES("\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
     FAULT_BAD_VARINT, ""},
    {"an outer varint above 64 bits", MESSAGE, BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
     FAULT_BAD_VARINT, ""},
    {"an outer fixed64 cut short", MESSAGE, BYTES("\x19\x01\x02\x03\x04\x05\x06\x07"), FAULT_BAD_LENGTH, ""},
    {"an outer fixed32 cut short", MESSAGE, BYTES("\x1d\x01\x02\x03"), FAULT_BAD_LENGTH, ""},
    {"an outer field of two wire types", MESSAGE,
     BYTES("\x10\x01\x12\x01"
           "a"),
     FAULT_WRONG_WIRE_TYPE, "field 2"},

    {"a tag cut short", EVENT, BYTES("\x80"), FAULT_BAD_VARINT, "events[3]"},
    {"a tag of six bytes", EVENT, BYTES("\x92\x80\x80\x80\x80\x00\x00"), FAULT_BAD_TAG, "events[3]"},
    {"field number 0", EVENT, BYTES("\x01\x00"), FAULT_BAD_TAG, "events[3]"},
    {"a group", EVENT, BYTES("\x43\x44"), FAULT_GROUP, "events[3]"},
    {"an unknown group", EVENT, BYTES("\xa3\x06\xa4\x06"), FAULT_GROUP, "events[3]"},
    {"a stray end of a group", EVENT, BYTES("\xa4\x06"), FAULT_GROUP, "events[3]"},
    {"wire type 7", EVENT, BYTES("\x5f"), FAULT_MALFORMED, "events[3]"},
    {"id as a varint", EVENT, BYTES("\x08\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].id"},
    {"topic as fixed64", EVENT, BYTES("\x11\x01\x02\x03\x04\x05\x06\x07\x08"), FAULT_WRONG_WIRE_TYPE,
     "events[3].topic"},
    {"key as fixed32", EVENT, BYTES("\x1d\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE, "events[3].key"},
    {"type as a varint", EVENT, BYTES("\x20\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].type"},
    {"content_type as a varint", EVENT, BYTES("\x28\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].content_type"},
    {"headers as a varint", EVENT, BYTES("\x30\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].headers"},
    {"time as a varint", EVENT, BYTES("\x38\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].time_unix_nano"},
    {"data as fixed32", EVENT, BYTES("\x45\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE, "events[3].data"},
    {"expires as bytes", EVENT,
     BYTES("\x4a\x01"
           "a"),
     FAULT_WRONG_WIRE_TYPE, "events[3].expires_unix_nano"},
    {"deliver_after as fixed32", EVENT, BYTES("\x55\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE,
     "events[3].deliver_after_unix_nano"},
    {"data past the end", EVENT,
     BYTES("\x42\x03"
           "ab"),
     FAULT_BAD_LENGTH, "events[3]"},
    {"time cut short", EVENT, BYTES("\x39\x01\x02\x03"), FAULT_BAD_LENGTH, "events[3]"},
    {"an unknown varint cut short", EVENT, BYTES("\x58\x80"), FAULT_BAD_VARINT, "events[3]"},
    {"an unknown varint above 64 bits", EVENT, BYTES("\x58\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
     FAULT_BAD_VARINT, "events[3]"},
    {"an unknown length past the end", EVENT,
     BYTES("\x5a\x02"
           "a"),
     FAULT_BAD_LENGTH, "events[3]"},
    {"NUL in id", EVENT,
     BYTES("\x0a\x02"
           "a\0"),
     FAULT_BAD_UTF8, "events[3].id"},
    {"NUL in topic", EVENT,
     BYTES("\x12\x01"
           "\0"),
     FAULT_BAD_UTF8, "events[3].topic"},
    {"NUL in key", EVENT,
     BYTES("\x1a\x0a"
           "abcdefgh\0i"),
     FAULT_BAD_UTF8, "events[3].key"},
    {"bad UTF-8 in type", EVENT, BYTES("\x22\x01\xff"), FAULT_BAD_UTF8, "events[3].type"},
    {"overlong UTF-8 in content_type", EVENT, BYTES("\x2a\x02\xc0\xaf"), FAULT_BAD_UTF8,
     "events[3].content_type"},
    {"a surrogate in id", EVENT, BYTES("\x0a\x03\xed\xa0\x80"), FAULT_BAD_UTF8, "events[3].id"},
    {"bad UTF-8 that a later id replaces", EVENT,
     BYTES("\x0a\x01\xff\x0a\x01"
           "a"),
     FAULT_BAD_UTF8, "events[3].id"},
    {"a newline in topic", EVENT,
     BYTES("\x12\x03"
           "a\nb"),
     FAULT_BAD_NAME, "events[3].topic"},
    {"DEL in type", EVENT, BYTES("\x22\x01\x7f"), FAULT_BAD_NAME, "events[3].type"},
    {"C1 in topic", EVENT, BYTES("\x12\x02\xc2\x85"), FAULT_BAD_NAME, "events[3].topic"},
    {"a line separator in type", EVENT, BYTES("\x22\x03\xe2\x80\xa8"), FAULT_BAD_NAME, "events[3].type"},

    {"an empty entry", ENTRY, BYTES(""), FAULT_EMPTY, "events[3].headers"},
    {"an empty key", ENTRY,
     BYTES("\x0a\x00\x12\x01"
           "v"),
     FAULT_EMPTY, "events[3].headers"},
    {"a key that ends empty", ENTRY,
     BYTES("\x0a\x01"
           "a\x0a\x00"),
     FAULT_EMPTY, "events[3].headers"},
    {"key as a varint", ENTRY, BYTES("\x08\x01"), FAULT_WRONG_WIRE_TYPE, "events[3].headers"},
    {"value as fixed64", ENTRY,
     BYTES("\x0a\x01"
           "a\x11\x01\x02\x03\x04\x05\x06\x07\x08"),
     FAULT_WRONG_WIRE_TYPE, "events[3].headers"},
    {"a group", ENTRY,
     BYTES("\x0a\x01"
           "a\x1b\x1c"),
     FAULT_GROUP, "events[3].headers"},
    {"field number 0", ENTRY, BYTES("\x00\x00"), FAULT_BAD_TAG, "events[3].headers"},
    {"a key past the end", ENTRY,
     BYTES("\x0a\x02"
           "a"),
     FAULT_BAD_LENGTH, "events[3].headers"},
    {"bad UTF-8 in the key", ENTRY, BYTES("\x0a\x01\xfe"), FAULT_BAD_UTF8, "events[3].headers"},
    {"NUL in the value", ENTRY,
     BYTES("\x0a\x01"
           "a\x12\x01\0"),
     FAULT_BAD_UTF8, "events[3].headers[\"a\"]"},
    {"bad UTF-8 in a value before its key", ENTRY,
     BYTES("\x12\x01\x80\x0a\x03"
           "abc"),
     FAULT_BAD_UTF8, "events[3].headers[\"abc\"]"},
    {"bad UTF-8 in a value with a key that needs escapes", ENTRY,
     BYTES("\x0a\x02"
           "\"\n\x12\x01\x80"),
     FAULT_BAD_UTF8, "events[3].headers[\"\\\"\\n\"]"},
};

static void wrap(const struct row *row, struct buf *message)
{
    struct bytes bytes = {(const uint8_t *)row->bytes, row->size};
    struct buf body = {0};

    if (row->level == MESSAGE) {
        if (bytes.size > 0)
            buf_bytes(message, bytes.data, bytes.size);
        return;
    }
    for (int i = 0; i < 3; i++)
        put_event(message, &(struct event_view){.topic = text_of("fine")}, NULL, 0);
    put_field(&body, 8, text_of("data"));
    if (row->level == ENTRY)
        put_field(&body, 6, bytes);
    else
        buf_bytes(&body, bytes.data, bytes.size);
    put_field(message, 1, (struct bytes){body.data, body.size});
    buf_fini(&body);
}

/* Scans a copy of exactly this size on the heap, so that the sanitizer detects a read past the
 * end. */
static enum fault_reason scan_exactly(struct framing_scan *scan, const struct buf *message,
                                      struct fault *fault)
{
    uint8_t *exact = malloc(message->size + (message->size == 0));
    enum fault_reason reason;

    cr_assert_not_null(exact);
    if (message->size > 0)
        memcpy(exact, message->data, message->size);
    reason = framing_scan(scan, (struct bytes){exact, message->size}, &settings_defaults.framing, fault);
    free(exact);
    return reason;
}

Test(malformed, is_refused_with_reason_and_field)
{
    struct framing_scan scan = {0};

    cr_assert_geq(ARRAY_LEN(rows), 40);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf message = {0};
        struct fault fault = {.reason = FAULT_NONE};
        wrap(&rows[i], &message);
        enum fault_reason reason = scan_exactly(&scan, &message, &fault);
        cr_assert_eq(reason, rows[i].reason, "%s (%d): %s", rows[i].what, rows[i].level,
                     fault_reason_name(reason));
        cr_assert_eq(fault.reason, reason);
        cr_assert_str_eq(fault.field, rows[i].field, "%s: %s", rows[i].what, fault.field);
        cr_assert_eq(fault_code(reason), CODE_INVALID_ARGUMENT);
        cr_assert_eq(scan.count, 0, "a refused message has no events");
        cr_assert_eq(scan.events_bytes, 0);
        buf_fini(&message);
    }
    framing_fini(&scan);
}

Test(malformed, shows_the_value_escaped)
{
    struct framing_scan scan = {0};
    struct fault fault;
    struct buf message = {0};
    char text[512];

    put_event(&message, &(struct event_view){.topic = text_of("line\nbreak")}, NULL, 0);
    cr_assert_eq(scan_exactly(&scan, &message, &fault), FAULT_BAD_NAME);
    cr_assert_str_eq(fault.value, "\"line\\nbreak\"");
    fault_message(&fault, text, sizeof(text));
    cr_assert_null(strchr(text, '\n'));
    buf_fini(&message);
    framing_fini(&scan);
}

Test(malformed, names_a_long_header_within_the_bounds_of_a_path)
{
    struct framing_scan scan = {0};
    struct fault fault;
    struct buf message = {0};
    char key[257];

    for (int control = 0; control < 2; control++) {
        memset(key, control ? '\x01' : 'k', 256);
        key[256] = '\0';
        buf_clear(&message);
        put_event(&message, &(struct event_view){.data = {NULL, 0}},
                  &(struct pair){text_of(key), text_of("\xff")}, 1);
        cr_assert_eq(scan_exactly(&scan, &message, &fault), FAULT_BAD_UTF8);
        cr_assert_eq(strncmp(fault.field, "events[0].headers[\"", 19), 0, "%s", fault.field);
        cr_assert_eq(fault.field[strlen(fault.field) - 1], ']', "%s", fault.field);
    }
    buf_fini(&message);
    framing_fini(&scan);
}

Test(malformed, is_refused_wherever_a_good_message_is_cut)
{
    struct framing_scan scan = {0};
    struct fault fault;
    struct buf message = {0};
    struct pair header = {text_of("traceparent"), text_of("00-1-2-01")};

    put_event(&message,
              &(struct event_view){.id = text_of("i"),
                                   .topic = text_of("t"),
                                   .time_unix_nano = 1,
                                   .data = text_of("0123456789"),
                                   .deliver_after_unix_nano = 2},
              &header, 1);
    for (size_t size = message.size; size > 0; size--) {
        struct buf shorter = {.data = message.data, .size = size};
        enum fault_reason reason = scan_exactly(&scan, &shorter, &fault);
        if (size == message.size)
            cr_assert_eq(reason, FAULT_NONE);
        else
            cr_assert_neq(reason, FAULT_NONE, "cut to %zu", size);
    }
    buf_fini(&message);
    framing_fini(&scan);
}
