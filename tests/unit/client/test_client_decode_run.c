/* test_client_decode_run.c - runs and events that are written by hand: unusual orders, lengths and
 * types. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/subscribe/decode.h"
#include "lib/events.h"

/* The events of one batch. */
struct seen {
    uint64_t sequences[16];
    char sources[16][16];
    char data[32];
    uint64_t events;
};

static void copy(char *to, size_t capacity, struct tributary_bytes text)
{
    snprintf(to, capacity, "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct seen *seen = ctx;

    if (seen->events < 16) {
        seen->sequences[seen->events] = delivery->sequence;
        copy(seen->sources[seen->events], 16, delivery->source);
    }
    copy(seen->data, sizeof(seen->data), delivery->event.data);
    seen->events++;
}

static const char *decode_buf(struct seen *seen, const struct buf *message)
{
    const struct tributary_subscriber_callbacks callbacks = {.event = on_event, .ctx = seen};
    struct decoder decoder = {0};
    const char *fault = decode_batch(&decoder, (struct bytes){message->data, message->size}, &callbacks);

    decoder_fini(&decoder);
    return fault;
}

/* A batch with one run: field 1, with this content. */
static struct buf run_of(const struct buf *content)
{
    struct buf message = {0};

    put_field(&message, 1, (struct bytes){content->data, content->size});
    return message;
}

Test(client_decode_run, header_fields_of_a_run_may_stand_behind_its_events)
{
    struct buf content = {0};
    struct seen seen = {0};

    put_field(&content, 1, text_of(""));
    put_field(&content, 2, text_of("late"));
    put_tag(&content, 4, 1);
    buf_bytes(&content, "\x05\0\0\0\0\0\0\0", 8);

    struct buf message = run_of(&content);

    cr_assert_null(decode_buf(&seen, &message));
    cr_assert_str_eq(seen.sources[0], "late");
    cr_assert_eq(seen.sequences[0], 5);
    buf_fini(&content);
    buf_fini(&message);
}

Test(client_decode_run, sequences_may_be_unpacked_and_must_be_as_many_as_events)
{
    struct buf content = {0};
    struct seen seen = {0};

    for (int i = 0; i < 2; i++) {
        put_field(&content, 1, text_of(""));
        put_tag(&content, 7, 1);
        buf_bytes(&content, i == 0 ? "\x07\0\0\0\0\0\0\0" : "\x09\0\0\0\0\0\0\0", 8);
    }

    struct buf message = run_of(&content);

    cr_assert_null(decode_buf(&seen, &message));
    cr_assert_eq(seen.sequences[0], 7);
    cr_assert_eq(seen.sequences[1], 9);
    buf_fini(&message);
    put_field(&content, 1, text_of(""));
    message = run_of(&content);
    cr_assert_str_eq(decode_buf(&seen, &message), "a malformed run");
    buf_fini(&content);
    buf_fini(&message);
}

static void note_size(void *ctx, const struct tributary_delivery *delivery)
{
    size_t *sizes = ctx;

    sizes[delivery->sequence] = delivery->event.data.size;
}

/* The decoder reads lengths of one, two and three bytes in different ways, and the end of a message
 * in another one. A field of the run stands between the events and does not count as their
 * bytes. */
Test(client_decode_run, events_of_every_size_are_read_and_counted)
{
    static const size_t expected[] = {0,   1,     2,     123,   124,   125,   126,   127, 128,
                                      129, 16379, 16380, 16381, 16383, 16384, 70000, 0};
    const struct bytes zeroes = {calloc(1, 70000), 70000};
    size_t sizes[ARRAY_LEN(expected)];
    struct buf content = {0};
    uint64_t bytes = 0;

    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const size_t before = content.size;
        struct buf event = {0};

        memset(sizes, 0xff, sizeof(sizes));
        if (expected[i] > 0)
            put_field(&event, 8, (struct bytes){zeroes.data, expected[i]});
        put_field(&content, 1, (struct bytes){event.data, event.size});
        bytes += content.size - before;

        struct buf message = run_of(&content);
        struct decoder decoder = {0};
        const struct tributary_subscriber_callbacks callbacks = {.event = note_size, .ctx = sizes};

        cr_assert_null(decode_batch(&decoder, (struct bytes){message.data, message.size}, &callbacks));
        cr_assert_arr_eq(sizes, expected, (i + 1) * sizeof(sizes[0]));
        cr_assert_eq(decoder.events, i + 1);
        cr_assert_eq(decoder.bytes, bytes);
        put_field(&content, 2, text_of("p"));
        buf_fini(&message);
        buf_fini(&event);
    }
    buf_fini(&content);
    free((void *)(uintptr_t)zeroes.data);
}

Test(client_decode_run, a_known_field_of_a_wrong_type_is_refused_and_an_unknown_field_is_skipped)
{
    struct buf event = {0};
    struct buf content = {0};
    struct buf message = {0};
    struct seen seen = {0};

    put_tag(&event, 900, 0);
    put_varint(&event, 1);
    put_field(&event, 8, text_of("d"));
    put_field(&content, 1, (struct bytes){event.data, event.size});
    message = run_of(&content);
    cr_assert_null(decode_buf(&seen, &message));
    cr_assert_str_eq(seen.data, "d");
    buf_fini(&message);
    buf_clear(&content);
    put_tag(&event, 8, 0);
    put_varint(&event, 1);
    put_field(&content, 1, (struct bytes){event.data, event.size});
    message = run_of(&content);
    cr_assert_str_eq(decode_buf(&seen, &message), "a malformed event");
    buf_fini(&event);
    buf_fini(&content);
    buf_fini(&message);
}

Test(client_decode_run, the_headers_of_an_event_have_a_bound)
{
    struct buf event = {0};
    struct buf content = {0};
    struct seen seen = {0};

    for (size_t i = 0; i < MAX_DECODE_HEADERS; i++)
        put_field(&event, 6,
                  text_of("\x0a\x01"
                          "a"));
    put_field(&content, 1, (struct bytes){event.data, event.size});

    struct buf message = run_of(&content);

    cr_assert_null(decode_buf(&seen, &message));
    buf_fini(&message);
    buf_clear(&content);
    put_field(&event, 6,
              text_of("\x0a\x01"
                      "a"));
    put_field(&content, 1, (struct bytes){event.data, event.size});
    message = run_of(&content);
    cr_assert_not_null(decode_buf(&seen, &message));
    buf_fini(&event);
    buf_fini(&content);
    buf_fini(&message);
}
