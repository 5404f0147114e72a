/* test_event_time.c - the time of an event: its own, or one inside its data. */
#include <criterion/criterion.h>

#include "event/event_time.h"
#include "event/field_path.h"
#include "event/field_write.h"
#include "event/framing.h"
#include "lib/events.h"
#include "proto/field_numbers.h"

static const struct framing_limits limits = {.max_event_bytes = 1 << 20,
                                             .max_batch_bytes = 1 << 20,
                                             .max_batch_events = 4096,
                                             .max_headers = 64,
                                             .max_name_bytes = 256,
                                             .max_value_bytes = 8192};
static const struct field_path no_path;

/* The time of the one event of the message; frees `message`. The scan must accept it. */
static int64_t time_in(struct buf *message, const struct field_path *path)
{
    const struct bytes bytes = {message->data, message->size};
    struct framing_scan scan = {0};
    struct fault fault;
    int64_t time_ns;

    cr_assert_eq(framing_scan(&scan, bytes, &limits, &fault), FAULT_NONE, "%s: %s", fault.field, fault.bound);
    cr_assert_eq(scan.count, 1);
    time_ns = event_time(bytes, path);
    framing_fini(&scan);
    buf_fini(message);
    return time_ns;
}

/* An event with these fields, in this order; consumes `fields`. */
static int64_t time_of(struct buf *fields, const struct field_path *path)
{
    struct buf message = {0};

    field_message(&message, 1, fields);
    buf_fini(fields);
    return time_in(&message, path);
}

Test(event_time, of_a_message_without_an_event)
{
    OWNED(buf_fini) struct buf message = {0};
    struct field_path first, second;

    cr_assert(field_path_parse("1", &first) && field_path_parse("2", &second));
    field_fixed64(&message, 1, 1234567890123456789u);
    const struct bytes bytes = {message.data, message.size};
    cr_assert_eq(message_time(bytes, &first), 1234567890123456789);
    cr_assert_eq(message_time(bytes, &second), 0);
    cr_assert_eq(message_time((struct bytes){message.data, 5}, &first), 0);
    cr_assert_eq(message_time((struct bytes){NULL, 0}, &first), 0);
}

Test(event_time, is_the_events_own)
{
    const struct pair header = {text_of("k"), text_of("v")};
    const struct event_view view = {.id = text_of("id"),
                                    .topic = text_of("t"),
                                    .key = text_of("k"),
                                    .time_unix_nano = 1234567890123456789u,
                                    .data = text_of("payload"),
                                    .expires_unix_nano = 1,
                                    .deliver_after_unix_nano = 2};
    struct buf message = {0};

    put_event(&message, &view, &header, 1);
    cr_assert_eq(time_in(&message, &no_path), 1234567890123456789);
}

Test(event_time, is_0_where_there_is_none_or_one_that_is_too_large)
{
    struct buf fields = {0};

    field_text(&fields, PB_EVENT_TOPIC, "t");
    cr_assert_eq(time_of(&fields, &no_path), 0);
    fields = (struct buf){0};
    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, UINT64_C(1) << 63);
    cr_assert_eq(time_of(&fields, &no_path), 0);
    fields = (struct buf){0};
    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, INT64_MAX);
    cr_assert_eq(time_of(&fields, &no_path), INT64_MAX);
}

Test(event_time, the_last_of_several_counts_and_unknown_fields_do_not)
{
    struct buf fields = {0};

    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, 5);
    field_fixed64(&fields, 15, 99);
    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, 7);
    field_varint(&fields, 500, 1);
    field_fixed64(&fields, 1 << 20, 98);
    field_varint(&fields, 12, 300);
    cr_assert_eq(time_of(&fields, &no_path), 7);
}

/* Data with `value` as field `number`, of the kind of the three. */
enum kind { FIXED64, VARINT, STAMP };

static struct buf data_with(enum kind kind, uint32_t number, uint64_t value)
{
    struct buf data = {0}, stamp = {0}, fields = {0};

    if (kind == FIXED64)
        field_fixed64(&data, number, value);
    else if (kind == VARINT)
        field_varint(&data, number, value);
    field_varint(&stamp, 1, value / 1000000000);
    field_varint(&stamp, 2, value % 1000000000);
    if (kind == STAMP)
        field_message(&data, number, &stamp);
    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, 11);
    field_message(&fields, PB_EVENT_DATA, &data);
    buf_fini(&data);
    buf_fini(&stamp);
    return fields;
}

Test(event_time, is_that_of_a_field_inside_the_data)
{
    struct field_path path;

    cr_assert(field_path_parse("3", &path));
    for (int kind = FIXED64; kind <= STAMP; kind++) {
        struct buf fields = data_with((enum kind)kind, 3, 1234567890987654321);

        cr_assert_eq(time_of(&fields, &path), 1234567890987654321, "kind %d", kind);
    }
}

Test(event_time, is_the_events_own_where_the_data_has_no_such_time)
{
    struct field_path path;
    struct buf fields = data_with(FIXED64, 4, 22);

    cr_assert(field_path_parse("3", &path));
    cr_assert_eq(time_of(&fields, &path), 11, "another field");
    fields = data_with(FIXED64, 3, UINT64_MAX);
    cr_assert_eq(time_of(&fields, &path), 11, "too large");
    fields = (struct buf){0};
    field_text(&fields, PB_EVENT_DATA, "\xff\xff\xff");
    cr_assert_eq(time_of(&fields, &path), 0, "no protobuf, and no time");
    fields = (struct buf){0};
    field_fixed64(&fields, PB_EVENT_TIME_UNIX_NANO, 11);
    cr_assert_eq(time_of(&fields, &path), 11, "no data");
}

/* Random messages that the scan accepts: the answer is that of event_view(). */
Test(event_time, agrees_with_the_view_on_random_events)
{
    struct dice dice = dice_new("event_time");

    for (int round = 0; round < 20000; round++) {
        struct framing_scan scan = {0};
        struct buf buf = {0};
        struct fault fault;

        random_message(&dice, &buf);
        if (framing_scan(&scan, (struct bytes){buf.data, buf.size}, &limits, &fault) == FAULT_NONE &&
            scan.contiguous)
            for (uint32_t i = 0; i < scan.count; i++) {
                const struct bytes event = {buf.data + scan.offsets[i],
                                            scan.offsets[i + 1] - scan.offsets[i]};
                struct event_view view;

                event_view(event, &view);
                cr_assert_eq(event_time(event, &no_path),
                             view.time_unix_nano <= INT64_MAX ? (int64_t)view.time_unix_nano : 0);
            }
        framing_fini(&scan);
        buf_fini(&buf);
    }
}
