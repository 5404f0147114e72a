/* test_framing.c - what the scan accepts, where it finds the events, and both sides of every
 * bound. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/varint.h"
#include "lib/events.h"

static struct framing_scan scan;
static struct buf message;
static struct buf body;
static struct fault fault;

static void end(void)
{
    framing_fini(&scan);
    buf_fini(&message);
    buf_fini(&body);
}

TestSuite(framing, .fini = end);
TestSuite(bounds, .fini = end);

static enum fault_reason scan_with(const struct framing_limits *limits)
{
    return framing_scan(&scan, (struct bytes){message.data, message.size}, limits, &fault);
}

static enum fault_reason scan_body(const struct framing_limits *limits)
{
    buf_clear(&message);
    put_field(&message, 1, (struct bytes){body.data, body.size});
    buf_clear(&body);
    return scan_with(limits);
}

static struct bytes filled(size_t size, int with)
{
    static uint8_t all[16384];

    memset(all, with, sizeof(all));
    return (struct bytes){all, size};
}

Test(framing, accepts_an_empty_message_without_events)
{
    cr_assert_eq(framing_scan(&scan, (struct bytes){NULL, 0}, &settings_defaults.framing, &fault),
                 FAULT_NONE);
    cr_assert_eq(scan.count, 0);
    cr_assert(scan.contiguous);
    cr_assert_eq(scan.offsets[0], 0);
}

Test(framing, records_where_each_event_begins_and_ends)
{
    size_t ends[300];

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        put_event(&message, &(struct event_view){.data = filled(i, 'd')}, NULL, 0);
        ends[i] = message.size;
    }
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert_eq(scan.count, ARRAY_LEN(ends));
    cr_assert(scan.contiguous);
    cr_assert_eq(scan.events_bytes, message.size);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        cr_assert_eq(scan.offsets[i], i == 0 ? 0 : ends[i - 1]);
        cr_assert_eq(scan.offsets[i + 1], ends[i]);
    }
}

Test(framing, records_the_ends_where_events_are_not_contiguous)
{
    for (uint32_t gap = 0; gap < 200; gap++) {
        size_t starts[200];
        size_t ends[200];
        buf_clear(&message);
        for (uint32_t i = 0; i < 200; i++) {
            if (i == gap)
                put_field(&message, 2, text_of("between"));
            starts[i] = message.size;
            put_event(&message, &(struct event_view){.data = filled(i % 5, 'd')}, NULL, 0);
            ends[i] = message.size;
        }
        cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
        cr_assert_eq(scan.contiguous, gap == 0, "a field before all events is no gap");
        cr_assert_eq(scan.count, 200);
        for (uint32_t i = 0; i < 200; i++) {
            cr_assert_eq(scan.offsets[i], starts[i]);
            cr_assert_eq(scan.contiguous ? scan.offsets[i + 1] : scan.ends[i], ends[i]);
        }
    }
}

Test(framing, does_not_count_a_field_behind_all_events_as_a_gap)
{
    put_event(&message, &(struct event_view){.data = text_of("a")}, NULL, 0);
    put_event(&message, &(struct event_view){.data = text_of("b")}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert(scan.contiguous);
    cr_assert_eq(scan.offsets[2], scan.events_bytes);
    cr_assert_lt(scan.events_bytes, message.size);
}

Test(framing, keeps_outer_fields_and_the_last_of_each_number)
{
    put_field(&message, 2, text_of("first"));
    put_field(&message, 2, text_of("second"));
    put_tag(&message, 3, WIRE_VARINT);
    put_varint(&message, UINT64_MAX);
    put_tag(&message, 14, WIRE_FIXED32);
    buf_bytes(&message, "\x01\x02\x03\x84", 4);
    put_tag(&message, 15, WIRE_FIXED64);
    buf_bytes(&message, "\x01\x02\x03\x04\x05\x06\x07\x88", 8);
    put_field(&message, 16, text_of("not kept"));
    put_tag(&message, (1u << 29) - 1, WIRE_VARINT);
    put_varint(&message, 1);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert(scan.fields[2].present);
    cr_assert_eq(scan.fields[2].type, WIRE_LEN);
    cr_assert_eq(scan.fields[2].bytes.size, 6);
    cr_assert_eq(memcmp(scan.fields[2].bytes.data, "second", 6), 0);
    cr_assert_eq(scan.fields[3].type, WIRE_VARINT);
    cr_assert_eq(scan.fields[3].number, UINT64_MAX);
    cr_assert_eq(scan.fields[14].number, 0x84030201u);
    cr_assert_eq(scan.fields[15].number, UINT64_C(0x8807060504030201));
    cr_assert_not(scan.fields[4].present);

    buf_clear(&message);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert_not(scan.fields[2].present, "the next scan begins without fields");
}

Test(framing, accepts_unknown_fields_of_all_four_wire_types)
{
    put_tag(&body, 11, WIRE_VARINT);
    put_padded(&body, 1, 10);
    put_tag(&body, 12, WIRE_FIXED64);
    buf_bytes(&body, "12345678", 8);
    put_field(&body, 13, (struct bytes){(const uint8_t *)"\xff\0\x0b", 3});
    put_tag(&body, (1u << 29) - 1, WIRE_FIXED32);
    buf_bytes(&body, "1234", 4);
    cr_assert_eq(scan_body(&settings_defaults.framing), FAULT_NONE);
    cr_assert_eq(scan.count, 1);
}

Test(framing, accepts_an_entry_with_an_unknown_field)
{
    struct buf entry = {0};

    put_field(&entry, 3, text_of("new"));
    put_field(&entry, 1, text_of("a"));
    put_tag(&entry, 4, WIRE_FIXED32);
    buf_bytes(&entry, "1234", 4);
    put_field(&body, 6, (struct bytes){entry.data, entry.size});
    cr_assert_eq(scan_body(&settings_defaults.framing), FAULT_NONE);
    buf_fini(&entry);
}

Test(framing, accepts_tags_of_up_to_five_bytes)
{
    for (size_t size = 1; size <= 5; size++) {
        buf_clear(&message);
        put_padded(&message, 1 << 3 | WIRE_LEN, size);
        put_padded(&message, size + 4, size);
        put_padded(&message, 2 << 3 | WIRE_LEN, size);
        put_varint(&message, 3);
        buf_text(&message, "abc");
        cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE, "%zu bytes", size);
        cr_assert_eq(scan.count, 1);
        struct event_view view;
        event_view((struct bytes){message.data, message.size}, &view);
        cr_assert_eq(view.topic.size, 3);
    }
}

Test(framing, accepts_control_characters_where_only_utf8_is_required)
{
    struct pair header = {text_of("k\n"), text_of("v\x7f")};
    struct event_view event = {
        .id = text_of("\x01"), .key = text_of("\n"), .content_type = text_of("\xc2\x80")};

    put_event(&message, &event, &header, 1);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
}

Test(framing, can_be_used_again_after_a_fault)
{
    put_event(&message, &(struct event_view){.topic = text_of("a\nb")}, NULL, 0);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_BAD_NAME);
    buf_clear(&message);
    put_event(&message, &(struct event_view){.topic = text_of("ab")}, NULL, 0);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert_eq(scan.count, 1);
}

static void expect_two_events(const struct framing_scan *moved)
{
    cr_assert_eq(moved->count, 2);
    cr_assert_eq(moved->offsets[0], 0);
    cr_assert_eq(message.data[moved->offsets[1]], 1 << 3 | WIRE_LEN, "the second event's tag");
    cr_assert(moved->fields[2].present);
    cr_assert_eq(moved->fields[2].bytes.size, 3);
}

Test(framing, a_result_that_was_moved_out_survives_the_next_scan)
{
    for (int contiguous = 0; contiguous <= 1; contiguous++) {
        struct framing_scan other = {0};

        buf_clear(&message);
        put_event(&message, &(struct event_view){.topic = text_of("a")}, NULL, 0);
        if (!contiguous)
            put_field(&message, 2, text_of("web"));
        put_event(&message, &(struct event_view){.topic = text_of("bc")}, NULL, 0);
        if (contiguous)
            put_field(&message, 2, text_of("web"));
        cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
        struct framing_scan moved = framing_move(&scan);
        cr_assert_eq(scan.count, 0);
        cr_assert_not(scan.fields[2].present);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(framing_scan(&scan, (struct bytes){NULL, 0}, &settings_defaults.framing, &fault),
                         FAULT_NONE);
            expect_two_events(&moved);
        }
        cr_assert_eq(moved.contiguous, contiguous);
        cr_assert_eq(moved.capacity, 3, "no more than the result needs");
        other = framing_move(&moved);
        framing_fini(&moved);
        expect_two_events(&other);
        framing_fini(&other);
    }
}

Test(framing, a_moved_result_and_the_scan_behind_it_may_scan_again)
{
    put_event(&message, &(struct event_view){.topic = text_of("a")}, NULL, 0);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    struct framing_scan moved = framing_move(&scan), none = framing_move(&scan);
    for (int i = 0; i < 300; i++)
        put_event(&message, &(struct event_view){.topic = text_of("b")}, NULL, 0);
    struct bytes bytes = {message.data, message.size};
    cr_assert_eq(framing_scan(&moved, bytes, &settings_defaults.framing, &fault), FAULT_NONE);
    cr_assert_eq(framing_scan(&none, bytes, &settings_defaults.framing, &fault), FAULT_NONE);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert_eq(moved.count, 301);
    cr_assert_eq(none.count, 301);
    cr_assert_eq(scan.count, 301);
    framing_fini(&moved);
    framing_fini(&none);
}

Test(bounds, of_one_event)
{
    struct framing_limits limits = settings_defaults.framing;

    limits.max_event_bytes = 100;
    put_field(&body, 8, filled(98, 'd'));
    cr_assert_eq(scan_body(&limits), FAULT_NONE, "exactly 100");
    put_field(&body, 8, filled(99, 'd'));
    cr_assert_eq(scan_body(&limits), FAULT_EVENT_TOO_LARGE);
    cr_assert_str_eq(fault.field, "events[0]");
    cr_assert_str_eq(fault.value, "101");
    cr_assert_str_eq(fault.bound, "at most 100 bytes");
}

Test(bounds, of_the_message)
{
    struct framing_limits limits = settings_defaults.framing;

    put_event(&message, &(struct event_view){.data = filled(100, 'd')}, NULL, 0);
    put_event(&message, &(struct event_view){.data = filled(100, 'd')}, NULL, 0);
    limits.max_batch_bytes = (uint32_t)message.size;
    cr_assert_eq(scan_with(&limits), FAULT_NONE);
    limits.max_batch_bytes--;
    cr_assert_eq(scan_with(&limits), FAULT_BATCH_TOO_LARGE);
    cr_assert_eq(scan.count, 0);
    cr_assert_str_eq(fault.value, "208");
    cr_assert_str_eq(fault.bound, "at most 207 bytes");
}

Test(bounds, finding_43_an_event_of_the_maximum_has_its_place_in_a_message)
{
    struct framing_limits limits = settings_defaults.framing;
    struct bytes name = filled(256, 'n');

    limits.max_event_bytes = limits.max_batch_bytes = 102;
    put_field(&message, 2, name);
    put_event(&message, &(struct event_view){.data = filled(100, 'd')}, NULL, 0);
    cr_assert_eq(scan_with(&limits), FAULT_NONE);
    cr_assert_eq(scan.count, 1);
    put_field(&message, 15, filled(FRAMING_ENVELOPE_BYTES + limits.max_batch_bytes - message.size - 3, 'x'));
    cr_assert_eq(scan_with(&limits), FAULT_NONE, "exactly the envelope more");
    put_field(&message, 15, filled(0, 'x'));
    cr_assert_eq(scan_with(&limits), FAULT_BATCH_TOO_LARGE);
    cr_assert_str_eq(fault.bound, "at most 102 bytes");
}

Test(bounds, of_the_number_of_events)
{
    for (uint32_t i = 0; i < settings_defaults.framing.max_batch_events; i++)
        put_field(&message, 1, (struct bytes){NULL, 0});
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    cr_assert_eq(scan.count, 65536);
    put_field(&message, 1, (struct bytes){NULL, 0});
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_TOO_MANY_EVENTS);
    cr_assert_str_eq(fault.field, "events");
    cr_assert_str_eq(fault.bound, "at most 65536 events");
}

Test(bounds, of_the_number_of_headers)
{
    struct pair headers[65];

    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        headers[i] = (struct pair){text_of("same"), text_of("")};
    put_event(&message, &(struct event_view){.data = {NULL, 0}}, headers, 64);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_NONE);
    buf_clear(&message);
    put_event(&message, &(struct event_view){.data = {NULL, 0}}, headers, 65);
    cr_assert_eq(scan_with(&settings_defaults.framing), FAULT_TOO_MANY_HEADERS);
    cr_assert_str_eq(fault.field, "events[0].headers");
    cr_assert_str_eq(fault.bound, "at most 64 entries");
}

Test(bounds, of_every_name)
{
    static const char *const fields[] = {"", "id", "topic", "key", "type", "content_type"};
    char path[64];

    for (uint32_t number = 1; number <= 5; number++) {
        put_field(&body, number, filled(256, 'n'));
        cr_assert_eq(scan_body(&settings_defaults.framing), FAULT_NONE, "%s", fields[number]);
        put_field(&body, number, filled(257, 'n'));
        cr_assert_eq(scan_body(&settings_defaults.framing), FAULT_TOO_LONG);
        snprintf(path, sizeof(path), "events[0].%s", fields[number]);
        cr_assert_str_eq(fault.field, path);
        cr_assert_str_eq(fault.bound, "at most 256 bytes");
        put_field(&body, number, filled(0, 'n'));
        cr_assert_eq(scan_body(&settings_defaults.framing), FAULT_NONE, "an empty %s is none",
                     fields[number]);
    }
}

Test(bounds, of_a_header)
{
    static const struct {
        size_t key, value;
        enum fault_reason reason;
        const char *field, *bound;
    } rows[] = {
        {1, 0, FAULT_NONE, "", ""},
        {256, 8192, FAULT_NONE, "", ""},
        {0, 1, FAULT_EMPTY, "events[0].headers", ""},
        {257, 1, FAULT_TOO_LONG, "events[0].headers", "at most 256 bytes"},
        {1, 8193, FAULT_TOO_LONG, "events[0].headers[\"n\"]", "at most 8192 bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair header = {filled(rows[i].key, 'n'), filled(rows[i].value, 'n')};
        buf_clear(&message);
        put_event(&message, &(struct event_view){.data = {NULL, 0}}, &header, 1);
        fault = (struct fault){.reason = FAULT_NONE};
        cr_assert_eq(scan_with(&settings_defaults.framing), rows[i].reason, "row %zu", i);
        cr_assert_str_eq(fault.field, rows[i].field);
        cr_assert_str_eq(fault.bound, rows[i].bound);
    }
}

Test(bounds, are_the_ones_of_the_api_by_default)
{
    cr_assert_eq(settings_defaults.framing.max_event_bytes, 1048576);
    cr_assert_eq(settings_defaults.framing.max_batch_bytes, 1048576);
    cr_assert_eq(settings_defaults.framing.max_batch_events, 65536);
    cr_assert_eq(settings_defaults.framing.max_headers, 64);
    cr_assert_eq(settings_defaults.framing.max_name_bytes, 256);
    cr_assert_eq(settings_defaults.framing.max_value_bytes, 8192);
}
