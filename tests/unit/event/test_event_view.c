/* test_event_view.c - what is read from one event that the scan accepted. */
#include <criterion/criterion.h>
#include <string.h>

#include "lib/event_views.h"
#include "lib/events.h"

static bool equals(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

static void must_scan(struct bytes message)
{
    struct framing_scan scan = {0};
    struct fault fault;

    cr_assert_eq(framing_scan(&scan, message, &settings_defaults.framing, &fault), FAULT_NONE);
    framing_fini(&scan);
}

Test(event_view, has_every_field)
{
    struct event_view in = {.id = text_of("id-1"),
                            .topic = text_of("orders"),
                            .key = text_of("k"),
                            .type = text_of("order.created"),
                            .content_type = text_of("text/plain"),
                            .data = text_of("hello"),
                            .time_unix_nano = 1,
                            .expires_unix_nano = UINT64_MAX,
                            .deliver_after_unix_nano = UINT64_C(0x0102030405060708)};
    struct event_view out;
    struct event_headers headers;
    struct buf message = {0};

    put_event(&message, &in, NULL, 0);
    must_scan((struct bytes){message.data, message.size});
    view_whole((struct bytes){message.data, message.size}, &out, &headers);
    cr_assert(equals(out.id, "id-1"));
    cr_assert(equals(out.topic, "orders"));
    cr_assert(equals(out.key, "k"));
    cr_assert(equals(out.type, "order.created"));
    cr_assert(equals(out.content_type, "text/plain"));
    cr_assert(equals(out.data, "hello"));
    cr_assert_eq(out.time_unix_nano, 1);
    cr_assert_eq(out.expires_unix_nano, UINT64_MAX);
    cr_assert_eq(out.deliver_after_unix_nano, UINT64_C(0x0102030405060708));
    buf_fini(&message);
}

Test(event_view, of_an_empty_event_is_empty)
{
    static const uint8_t message[] = {0x0a, 0x00};
    struct event_view view = {.time_unix_nano = 7};
    struct event_headers headers;
    struct bytes value;

    view_whole((struct bytes){message, sizeof(message)}, &view, &headers);
    cr_assert_eq(view.topic.size + view.data.size, 0);
    cr_assert_eq(view.time_unix_nano, 0);
    cr_assert_not(view_header(&view, text_of("a"), &value));
}

Test(event_view, has_the_last_of_a_repeated_field_even_if_it_is_empty)
{
    struct buf body = {0};
    struct buf message = {0};
    struct event_view view;
    struct event_headers headers;

    put_field(&body, 2, text_of("first"));
    put_field(&body, 2, text_of("last"));
    put_field(&body, 3, text_of("first"));
    put_field(&body, 3, text_of(""));
    put_field(&message, 1, (struct bytes){body.data, body.size});
    must_scan((struct bytes){message.data, message.size});
    view_whole((struct bytes){message.data, message.size}, &view, &headers);
    cr_assert(equals(view.topic, "last"));
    cr_assert_eq(view.key.size, 0);
    buf_fini(&body);
    buf_fini(&message);
}

Test(event_view, finds_headers_and_of_one_name_the_last)
{
    const struct pair carried[] = {{text_of("a"), text_of("1")},
                                   {text_of("b"), text_of("2")},
                                   {text_of("a"), text_of("3")},
                                   {text_of("empty"), text_of("")}};
    struct buf message = {0};
    struct event_view view;
    struct event_headers headers;
    struct bytes value = text_of("unchanged");

    put_event(&message, &(struct event_view){.data = text_of("d")}, carried, ARRAY_LEN(carried));
    must_scan((struct bytes){message.data, message.size});
    view_whole((struct bytes){message.data, message.size}, &view, &headers);
    cr_assert_not(view_header(&view, text_of("A"), &value), "names are exact");
    cr_assert_not(view_header(&view, text_of("aa"), &value));
    cr_assert_not(view_header(&view, text_of(""), &value));
    cr_assert(equals(value, "unchanged"));
    cr_assert(view_header(&view, text_of("a"), &value));
    cr_assert(equals(value, "3"));
    cr_assert(view_header(&view, text_of("b"), &value));
    cr_assert(equals(value, "2"));
    cr_assert(view_header(&view, text_of("empty"), &value));
    cr_assert_eq(value.size, 0);
    buf_fini(&message);
}

Test(event_view, has_the_last_key_and_the_last_value_of_one_entry)
{
    struct buf entry = {0};
    struct buf body = {0};
    struct buf message = {0};
    struct event_view view;
    struct event_headers headers;
    struct bytes value;

    put_field(&entry, 2, text_of("old"));
    put_field(&entry, 1, text_of("first"));
    put_field(&entry, 2, text_of("new"));
    put_field(&entry, 1, text_of("second"));
    put_field(&body, 6, (struct bytes){entry.data, entry.size});
    put_field(&message, 1, (struct bytes){body.data, body.size});
    must_scan((struct bytes){message.data, message.size});
    view_whole((struct bytes){message.data, message.size}, &view, &headers);
    cr_assert_not(view_header(&view, text_of("first"), &value));
    cr_assert(view_header(&view, text_of("second"), &value));
    cr_assert(equals(value, "new"));
    buf_fini(&entry);
    buf_fini(&body);
    buf_fini(&message);
}
