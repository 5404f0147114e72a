/* test_decode.c - every fault of form is refused with the path of its field; everything else is
 * read as protobuf defines it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/events.h"
#include "server/rpc/decode.h"
#include "tributary/v1/admin.pb-c.h"
#include "tributary/v1/event.pb-c.h"
#include "tributary/v1/subscriber.pb-c.h"

#define BYTES(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

static const ProtobufCMessageDescriptor *const subscribe = &tributary__v1__subscribe_request__descriptor;

static void expect(struct bytes bytes, const ProtobufCMessageDescriptor *type, enum fault_reason reason,
                   const char *field)
{
    ProtobufCMessage *message = NULL;
    struct fault fault = {0};
    enum fault_reason got = decode(bytes, type, &message, &fault);

    cr_expect_eq(got, reason, "%s instead of %s", fault_reason_name(got), fault_reason_name(reason));
    cr_expect_str_eq(fault.field, field);
    cr_expect_null(message, "a refused request leaves nothing");
    decoded_free(message);
}

Test(decode, refuses_what_is_malformed_and_names_the_field)
{
    static const struct {
        struct bytes bytes;
        enum fault_reason reason;
        const char *field;
    } cases[] = {
        /* field 0 */
        {BYTES("\x00\x01"), FAULT_BAD_TAG, ""},
        /* a tag of 6 bytes */
        {BYTES("\xff\xff\xff\xff\xff\x01"), FAULT_BAD_TAG, ""},
        /* a tag that does not end */
        {BYTES("\x80"), FAULT_BAD_VARINT, ""},
        /* field 100, start of a group */
        {BYTES("\xa3\x06"), FAULT_GROUP, ""},
        /* and the end of one */
        {BYTES("\xa4\x06"), FAULT_GROUP, ""},
        /* a varint that does not end */
        {BYTES("\x30\x80"), FAULT_BAD_VARINT, "max_batch_events"},
        /* above 64 bits */
        {BYTES("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), FAULT_BAD_VARINT, "max_batch_events"},
        {BYTES("\x5a\x05"
               "ab"),
         FAULT_BAD_LENGTH, "name"},                         /* longer than what holds it */
        {BYTES("\x58\x05"), FAULT_WRONG_WIRE_TYPE, "name"}, /* a string as a varint */
        {BYTES("\x32\x01"
               "a"),
         /* a number as bytes, and not repeated */
         FAULT_WRONG_WIRE_TYPE, "max_batch_events"},
        {BYTES("\x25\x01\x02\x03\x04"), FAULT_WRONG_WIRE_TYPE, "buffer"}, /* a message as fixed32 */
        {BYTES("\x5a\x02\xc3\x28"), FAULT_BAD_UTF8, "name"},              /* half a character */
        {BYTES("\x5a\x03"
               "a\0b"),
         FAULT_BAD_UTF8, "name"}, /* protobuf-c would truncate it */
        {BYTES("\x50\x03"), FAULT_UNKNOWN_ENUM, "notices"},
        {BYTES("\x50\x81\x80\x80\x80\x10"), FAULT_UNKNOWN_ENUM, "notices"}, /* 2^32 + 1 is not 1 */
        {BYTES("\x22\x02\x20\x06"), FAULT_UNKNOWN_ENUM, "buffer.overflow"},
        {BYTES("\x30\x80\x80\x80\x80\x10"), FAULT_OUT_OF_BOUNDS, "max_batch_events"}, /* 2^32 is not 0 */
        {BYTES("\x0a\x02\x12\x05"), FAULT_BAD_LENGTH, "selectors[0].topic"},
        {BYTES("\x0a\x03\x0a\x01*\x0a\x03\x12\x01\xff"), FAULT_BAD_UTF8, "selectors[1].topic"},
        {BYTES("\x12\x08\x2a\x00\x2a\x04\x0a\x02\xff\xff"), FAULT_BAD_UTF8, "exclude[0].headers[1].name"},
        {BYTES("\x42\x02\x0b\x00"), FAULT_GROUP, "start.live"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(cases[i].bytes, subscribe, cases[i].reason, cases[i].field);
}

Test(decode, names_the_value_of_an_unknown_enum)
{
    ProtobufCMessage *message = NULL;
    struct fault fault;

    cr_assert_eq(decode(BYTES("\x50\x2a"), subscribe, &message, &fault), FAULT_UNKNOWN_ENUM);
    cr_expect_str_eq(fault.value, "42");
    cr_assert_eq(decode(BYTES("\x50\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), subscribe, &message, &fault),
                 FAULT_UNKNOWN_ENUM);
    cr_expect_str_eq(fault.value, "-1");
}

Test(decode, every_truncated_request_is_accepted_or_refused_cleanly)
{
    static const struct bytes whole = BYTES("\x0a\x07\x0a\x01*\x1a\x02"
                                            "ab\x22\x08\x08\x05\x1a\x04\x08\x01\x10\x02\x50\x01\x5a\x03"
                                            "abc\xa2\x06\x01x");

    for (size_t size = 0; size <= whole.size; size++) {
        uint8_t *exact = malloc(MAX_OF(size, 1u)); /* exact, so that the sanitizer sees an overrun */
        ProtobufCMessage *message = NULL;
        struct fault fault;

        memcpy(exact, whole.data, size);
        if (!decode((struct bytes){exact, size}, subscribe, &message, &fault))
            cr_expect_not_null(message);
        decoded_free(message);
        free(exact);
    }
}

Test(decode, accepts_unknown_fields_an_empty_message_and_a_scalar_that_comes_twice)
{
    ProtobufCMessage *message = NULL;
    struct fault fault;

    cr_assert_eq(decode((struct bytes){0}, subscribe, &message, &fault), FAULT_NONE);
    decoded_free(message);
    cr_assert_eq(decode(BYTES("\xa0\x06\x01\x30\x01\x30\x02"), subscribe, &message, &fault), FAULT_NONE);
    cr_expect_eq(((Tributary__V1__SubscribeRequest *)(void *)message)->max_batch_events, 2, "the last wins");
    decoded_free(message);
}

/* Other decoders merge the two; protobuf-c forgets the first. So both are refused. */
Test(decode, refuses_an_embedded_message_that_comes_twice)
{
    expect(BYTES("\x22\x02\x08\x05\x5a\x01n\x22\x02\x10\x07"), subscribe, FAULT_MALFORMED, "buffer");
    expect(BYTES("\x22\x08\x1a\x02\x08\x01\x1a\x02\x10\x01"), subscribe, FAULT_MALFORMED, "buffer.max_age");
}

Test(decode, repeated_scalars_may_be_packed_or_not)
{
    const ProtobufCMessageDescriptor *run = &tributary__v1__run__descriptor;
    ProtobufCMessage *message = NULL;
    struct fault fault;

    cr_assert_eq(decode(BYTES("\x3a\x10\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x39\x03\0\0\0\0\0\0\0"), run,
                        &message, &fault),
                 FAULT_NONE);
    cr_expect_eq(((Tributary__V1__Run *)(void *)message)->n_sequences, 3);
    cr_expect_eq(((Tributary__V1__Run *)(void *)message)->sequences[2], 3);
    decoded_free(message);
    expect(BYTES("\x3a\x09\x01\0\0\0\0\0\0\0\x02"), run, FAULT_BAD_LENGTH, "sequences[0]");
    expect(BYTES("\x38\x01"), run, FAULT_WRONG_WIRE_TYPE, "sequences[0]");
}

/* A message type that contains itself. The API has none. */
struct nest {
    ProtobufCMessage base;
    struct nest *inner;
};
static const ProtobufCMessageDescriptor nest_type;
static const ProtobufCFieldDescriptor nest_fields[] = {{.name = "inner",
                                                        .id = 1,
                                                        .label = PROTOBUF_C_LABEL_NONE,
                                                        .type = PROTOBUF_C_TYPE_MESSAGE,
                                                        .offset = offsetof(struct nest, inner),
                                                        .descriptor = &nest_type}};
static const unsigned nest_names[] = {0};
static const ProtobufCIntRange nest_ranges[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor nest_type = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Nest",
    .sizeof_message = sizeof(struct nest),
    .n_fields = 1,
    .fields = nest_fields,
    .fields_sorted_by_name = nest_names,
    .n_field_ranges = 1,
    .field_ranges = nest_ranges,
};

/* Writes a message of so many levels. Returns its size. */
static size_t write_nested(uint8_t *data, unsigned levels)
{
    size_t size = 0;

    for (unsigned i = 1; i < levels; i++, size += 2)
        memmove(data + 2, data, size), data[0] = 0x0a, data[1] = (uint8_t)size;
    return size;
}

Test(decode, accepts_32_levels_of_messages_and_no_more)
{
    uint8_t bytes[128];
    ProtobufCMessage *message = NULL;
    struct fault fault;

    cr_assert_eq(decode((struct bytes){bytes, write_nested(bytes, 32)}, &nest_type, &message, &fault),
                 FAULT_NONE);
    decoded_free(message);
    message = NULL;
    cr_assert_eq(decode((struct bytes){bytes, write_nested(bytes, 33)}, &nest_type, &message, &fault),
                 FAULT_TOO_DEEP);
    cr_expect(strncmp(fault.field, "inner.inner.inner.", 18) == 0);
    cr_expect_null(message);
}

Test(decode, refuses_small_fields_that_grow_beyond_the_budget)
{
    struct buf many = {0};
    ProtobufCMessage *message = NULL;
    struct fault fault;

    /* An empty selector has 2 bytes here, and over 100 once decoded. */
    for (int i = 0; i < 10000; i++)
        buf_bytes(&many, "\x0a\x00", 2);
    cr_assert_eq(decode((struct bytes){many.data, many.size}, subscribe, &message, &fault), FAULT_NONE,
                 "the first 3 MiB are always allowed");
    decoded_free(message);
    for (int i = 0; i < 100000; i++)
        buf_bytes(&many, "\x0a\x00", 2);
    message = NULL;
    cr_assert_eq(decode((struct bytes){many.data, many.size}, subscribe, &message, &fault), FAULT_TOO_MANY);
    cr_expect_null(message);
    cr_expect_str_eq(fault.field, "selectors");
    cr_expect_str_eq(fault.value, "110000");
    buf_fini(&many);
}

/* Appends a selector with `count` entries in each of its lists, as small as they can be. */
static void put_dense_selector(struct buf *request, uint32_t number, int count)
{
    OWNED(buf_fini) struct buf selector = {0};

    for (int i = 0; i < count; i++) {
        buf_bytes(&selector, "\x1a\x01k\x22\x01t", 6);
        buf_bytes(&selector, "\x2a\x06\x0a\x01h\x12\x01v", 8);
        buf_bytes(&selector, "\x32\x06\x0a\x01l\x12\x01v", 8);
    }
    put_field(request, number, (struct bytes){selector.data, selector.size});
}

/* Finding 24. */
Test(decode, accepts_the_densest_request_within_the_bounds)
{
    OWNED(buf_fini) struct buf request = {0};
    ProtobufCMessage *message = NULL;
    struct fault fault;

    for (int i = 0; i < 128; i++)
        put_dense_selector(&request, i < 64 ? 1 : 2, 64);
    cr_assert_eq(decode((struct bytes){request.data, request.size}, subscribe, &message, &fault), FAULT_NONE);
    decoded_free(message);
}

/* Finding 24. */
Test(decode, names_the_list_that_is_too_large)
{
    OWNED(buf_fini) struct buf request = {0};
    OWNED(buf_fini) struct buf selector = {0};
    ProtobufCMessage *message = NULL;
    struct fault fault;

    put_dense_selector(&request, 1, 64);
    for (int i = 0; i < 200000; i++)
        buf_bytes(&selector, "\x1a\x00", 2);
    put_field(&request, 1, (struct bytes){selector.data, selector.size});
    cr_assert_eq(decode((struct bytes){request.data, request.size}, subscribe, &message, &fault),
                 FAULT_TOO_MANY);
    cr_expect_str_eq(fault.field, "selectors[1].keys");
    cr_expect_str_eq(fault.value, "200000");
    cr_expect_str_eq(fault.bound, "a request may take 8 times its size + 3 MiB once it is decoded");
}

Test(decode, a_large_field_needs_no_more_than_the_budget)
{
    struct buf request = {0};
    ProtobufCMessage *message = NULL;
    struct fault fault;

    put_tag(&request, 3, WIRE_LEN);
    put_varint(&request, 1 << 20);
    memset(buf_extend(&request, 1 << 20), 'x', 1 << 20);
    cr_assert_eq(decode((struct bytes){request.data, request.size}, subscribe, &message, &fault), FAULT_NONE);
    decoded_free(message);
    buf_fini(&request);
}

/* What is accepted must survive packing and decoding again. The sanitizer finds lost memory. */
Test(decode, mutated_requests_are_accepted_or_refused_and_leak_nothing)
{
    static const struct bytes seed =
        BYTES("\x0a\x0f\x0a\x01*\x1a\x02"
              "ab\x2a\x06\x0a\x01n\x12\x01v\x12\x03\x12\x01t\x22\x10\x08\x05\x1a\x04\x08\x01\x10\x02\x20\x01"
              "\x30\x03\x10\x80\x01"
              "\x2a\x02\x08\x01\x42\x04\x32\x02rt\x4a\x02\x08\x0a\x50\x01\x5a\x03"
              "abc");
    struct dice dice = dice_new("decode");
    unsigned accepted = 0;

    for (int i = 0; i < 20000; i++) {
        struct buf bytes = {0};
        ProtobufCMessage *message = NULL;
        struct fault fault;

        buf_bytes(&bytes, seed.data, seed.size);
        mutate(&dice, &bytes);
        if (!decode((struct bytes){bytes.data, bytes.size}, subscribe, &message, &fault)) {
            struct buf again = {0};

            accepted++;
            encode(message, &again);
            decoded_free(message);
            message = NULL;
            cr_assert_eq(decode((struct bytes){again.data, again.size}, subscribe, &message, &fault),
                         FAULT_NONE);
            buf_fini(&again);
        }
        decoded_free(message);
        buf_fini(&bytes);
    }
    cr_expect_gt(accepted, 0);
}
