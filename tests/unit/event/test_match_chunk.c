/* test_match_chunk.c - the events of a chunk, matched all at once: the same as one by one; and a
 * single field of an event, read alone: the same as all of them. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/settings.h"
#include "event/matcher.h"
#include "lib/event_views.h"
#include "lib/events.h"

#define FILTERS 12u
#define MAX_MATCHES 4096u

static struct chunk *chunk_of_message(const struct buf *message)
{
    const struct bytes bytes = {message->data, message->size};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct fault fault;

    cr_assert_eq(framing_scan(&scan, bytes, &settings_defaults.framing, &fault), FAULT_NONE);
    if (scan.count > 0)
        cr_assert_eq(chunk_of(bytes, &scan, &chunk), ERR_OK);
    framing_fini(&scan);
    return chunk;
}

static void check_field(struct bytes event, uint8_t number, struct bytes expected)
{
    struct bytes found = event_peek_field(event, (uint8_t)WIRE_TAG(number, WIRE_LEN));

    cr_assert_eq(found.size, expected.size, "field %u", (unsigned)number);
    cr_assert(found.size == 0 || memcmp(found.data, expected.data, found.size) == 0);
}

static void check_fields(struct bytes event)
{
    SCRATCH struct event_headers headers;
    struct event_view view;

    event_peek(event, &view, &headers);
    check_field(event, PB_EVENT_TOPIC, view.topic);
    check_field(event, PB_EVENT_KEY, view.key);
    check_field(event, PB_EVENT_TYPE, view.type);
}

Test(match_chunk, a_field_is_read_alone_as_it_is_with_the_others)
{
    struct dice dice = dice_new("match_chunk a_field_is_read_alone_as_it_is_with_the_others");

    for (int i = 0; i < 2000; i++) {
        OWNED(buf_fini) struct buf message = {0};
        OWNED(chunk_release) struct chunk *chunk = NULL;

        random_message(&dice, &message);
        chunk = chunk_of_message(&message);
        for (uint32_t event = 0; chunk && event < chunk->count; event++)
            check_fields(chunk_range(chunk, event, event + 1));
    }
}

/* Appends an event with these fields. */
static void put_as_event(struct buf *message, const struct buf *fields)
{
    put_field(message, PB_PUBLISH_REQUEST_EVENTS, (struct bytes){fields->data, fields->size});
}

Test(match_chunk, a_field_is_found_behind_lengths_of_any_form_and_its_last_value_counts)
{
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384};
    static uint8_t data[16384];

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t padding = 1; padding <= 4; padding++) {
            OWNED(buf_fini) struct buf fields = {0}, message = {0};
            OWNED(chunk_release) struct chunk *chunk = NULL;

            put_field(&fields, PB_EVENT_KEY, text_of("first"));
            put_field(&fields, PB_EVENT_DATA, (struct bytes){data, sizes[i]});
            put_tag(&fields, PB_EVENT_TIME_UNIX_NANO, WIRE_FIXED64);
            buf_bytes(&fields, data, 8);
            put_tag(&fields, PB_EVENT_KEY, WIRE_LEN);
            put_padded(&fields, 4, padding);
            buf_text(&fields, "last");
            put_tag(&fields, 1000, WIRE_VARINT);
            put_varint(&fields, 77);
            put_field(&fields, PB_EVENT_CONTENT_TYPE, (struct bytes){NULL, 0});
            put_as_event(&message, &fields);
            chunk = chunk_of_message(&message);
            check_fields(chunk_range(chunk, 0, 1));
            check_field(chunk_range(chunk, 0, 1), PB_EVENT_KEY, text_of("last"));
            check_field(chunk_range(chunk, 0, 1), PB_EVENT_TOPIC, (struct bytes){NULL, 0});
        }
    }
}

/* ---- matching ---- */

static struct matcher *matcher;
static struct filter *filters[FILTERS];
static struct match_entry *entries[FILTERS];
static uint32_t filter_count;

static void add(const struct selector *selector)
{
    const uint32_t at = filter_count++;
    struct filter_part part;
    struct fault fault;

    cr_assert_lt(at, FILTERS);
    cr_assert_eq(filter_new(selector, 1, NULL, 0, &filters[at], &fault), FAULT_NONE);
    part = filter_producer(filters[at], text_of("web"), NULL, 0);
    entries[at] = match_entry_new(filters[at], &part, NULL);
    matcher_add(matcher, entries[at]);
}

static void add_key(const char *key)
{
    const struct bytes keys[] = {text_of(key)};

    add(&(struct selector){.keys = keys, .key_count = 1});
}

static void remove_all(void)
{
    for (uint32_t i = 0; i < filter_count; i++) {
        matcher_remove(matcher, entries[i]);
        match_entry_free(entries[i]);
        filter_free(filters[i]);
    }
    filter_count = 0;
    matcher_free(matcher);
}

static struct chunk *keyed_chunk(void)
{
    static const char *const keys[] = {"", "a", "ab", "abc", "b", "abcdefghijk"};
    OWNED(buf_fini) struct buf message = {0};

    for (uint32_t i = 0; i < 60; i++)
        put_event(&message,
                  &(struct event_view){.key = text_of(keys[i % ARRAY_LEN(keys)]),
                                       .topic = text_of(i % 7 == 0 ? "odd" : "even"),
                                       .data = text_of("some bytes")},
                  NULL, 0);
    return chunk_of_message(&message);
}

/* Matches a chunk with so many hits at a time, and compares with its events one by one. Returns the
 * number of hits. */
static uint32_t check_chunk(const struct chunk *chunk, uint32_t max)
{
    static struct match_hit all[MAX_MATCHES];
    struct match_pass pass = {0};
    uint32_t count = 0, at = 0;

    while (!match_pass_is_over(&pass, chunk)) {
        uint32_t got = matcher_match_chunk(matcher, chunk, &pass, all + count, max);

        cr_assert_leq(got, max);
        count += got;
        cr_assert_lt(count + max, MAX_MATCHES);
    }
    for (uint32_t event = 0; event < chunk->count; event++) {
        struct match_entry *hit = matcher_match(matcher, chunk_range(chunk, event, event + 1));

        for (; hit; hit = hit->next_hit, at++) {
            cr_assert_lt(at, count);
            cr_assert_eq(all[at].event, event);
            cr_assert_eq(all[at].entry, hit);
        }
    }
    cr_assert_eq(at, count);
    return count;
}

static uint32_t check_all(void)
{
    OWNED(chunk_release) struct chunk *chunk = keyed_chunk();
    uint32_t count = check_chunk(chunk, 1);

    for (uint32_t max = 2; max <= 64; max++)
        cr_assert_eq(check_chunk(chunk, max), count);
    return count;
}

Test(match_chunk, gives_each_hit_once_however_many_are_asked_for_at_once)
{
    const struct bytes topic = text_of("odd");

    matcher = matcher_new();
    cr_assert_eq(check_all(), 0, "there is no filter");
    add_key("a");
    add_key("ab*");
    add_key("a*");
    add_key("abcdefghijk");
    cr_assert_eq(check_all(), 10 + 30 + 40 + 10, "one field finds them all");
    add_key("*b");
    cr_assert_eq(check_all(), 90 + 20, "and one is evaluated for every event");
    add(&(struct selector){.topic = topic});
    cr_assert_eq(check_all(), 110 + 9, "two fields");
    remove_all();
}

Test(match_chunk, evaluates_what_the_only_field_does_not_decide)
{
    const struct bytes keys[] = {text_of("ab")};

    matcher = matcher_new();
    add(&(struct selector){.keys = keys, .key_count = 1, .topic = text_of("odd*")});
    add_key("ab");
    cr_assert_eq(check_all(), 10 + 2, "events 14 and 56 have the topic too");
    remove_all();
}
