/* test_match_work.c - the bounds on the work of matching, by counting its steps (event/work.h). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/matcher.h"
#include "event/work.h"
#include "lib/events.h"
#include "lib/glob_match.h"

#define ENTRIES 512

uint64_t work_done;

/* ---- globs ---- */

static uint8_t long_text[MAX_HEADER_TEXT];

/* A pattern that wants to be tried again and again, and its work on a text of 8192 bytes. */
static uint64_t work_of(const char *piece, const char *end)
{
    uint8_t pattern[MAX_PATTERN_BYTES];
    size_t size = 0;

    while (size + strlen(piece) + strlen(end) <= sizeof(pattern)) {
        memcpy(pattern + size, piece, strlen(piece));
        size += strlen(piece);
    }
    memcpy(pattern + size, end, strlen(end));
    work_done = 0;
    glob_match((struct bytes){pattern, size + strlen(end)}, (struct bytes){long_text, sizeof(long_text)});
    return work_done;
}

/* Finding 5: no pattern makes the time for an event grow beyond this. */
Test(match_work, of_a_glob_is_one_step_for_each_byte_and_64_tokens)
{
    static const char *const pieces[] = {"*a",      "*?", "a*", "*aa", "*a?", "?*a", "*aaaaaaaaaaaaaaa",
                                         "*a?a?a?a"};
    static const char *const ends[] = {"b", "b*", "*", "?", "*b*"};
    uint64_t max = 0;

    memset(long_text, 'a', sizeof(long_text));
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ends); j++) {
            uint64_t work = work_of(pieces[i], ends[j]);
            cr_expect_leq(work, sizeof(long_text) * (MAX_PATTERN_BYTES / 64 + 1), "%s...%s", pieces[i],
                          ends[j]);
            max = MAX_OF(max, work);
        }
    }
    cr_expect_geq(max, sizeof(long_text), "no pattern reads the whole text: these are too easy");
}

/* ---- one filter ---- */

struct match_fixture {
    struct matcher *matcher;
    struct filter *filters[ENTRIES];
    struct match_entry *entries[ENTRIES];
    uint32_t count;
};

static void fixture_open(struct match_fixture *fixture)
{
    *fixture = (struct match_fixture){.matcher = matcher_new()};
}

static void add(struct match_fixture *fixture, const struct selector *selectors, size_t count)
{
    struct filter **filter = &fixture->filters[fixture->count];
    struct match_entry **entry = &fixture->entries[fixture->count++];
    struct fault fault;

    cr_assert_eq(filter_new(selectors, count, NULL, 0, filter, &fault), FAULT_NONE, "%s", fault.bound);
    struct filter_part part = filter_producer(*filter, text_of("p"), NULL, 0);
    cr_assert_eq(part.answer, FILTER_BY_EVENT);
    *entry = match_entry_new(*filter, &part, NULL);
    matcher_add(fixture->matcher, *entry);
}

static void fixture_close(struct match_fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->count; i++) {
        matcher_remove(fixture->matcher, fixture->entries[i]);
        match_entry_free(fixture->entries[i]);
        filter_free(fixture->filters[i]);
    }
    matcher_free(fixture->matcher);
}

static uint64_t work_of_event(struct match_fixture *fixture, struct bytes event)
{
    work_done = 0;
    cr_expect_null(matcher_match(fixture->matcher, event));
    return work_done;
}

static uint64_t work_of_topic(struct match_fixture *fixture, const char *topic)
{
    OWNED(buf_fini) struct buf message = {0};

    put_event(&message, &(struct event_view){.topic = text_of(topic)}, NULL, 0);
    return work_of_event(fixture, (struct bytes){message.data, message.size});
}

static struct pair wanted[MAX_SELECTORS][MAX_SELECTORS];
static struct selector selectors[MAX_SELECTORS];

/* 64 selectors with 64 headers each; the last header of each does not match. */
static void fill_selectors(const char *name, const char *value, uint32_t count, uint32_t headers)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < headers; j++)
            wanted[i][j] = (struct pair){text_of(name), text_of(j + 1 < headers ? value : "never")};
        selectors[i] = (struct selector){.headers = wanted[i], .header_count = headers};
    }
}

/* An event with a header, and about `count` unknown fields of two bytes. */
static void put_tiny_fields(struct buf *message, const char *name, struct bytes value, uint32_t count)
{
    OWNED(buf_fini) struct buf entry = {0};
    OWNED(buf_fini) struct buf body = {0};

    put_field(&entry, 1, text_of(name));
    put_field(&entry, 2, value);
    put_field(&body, 6, (struct bytes){entry.data, entry.size});
    for (uint32_t i = 0; i < count; i++)
        buf_bytes(&body, "\x7a\x00", 2);
    put_field(message, 1, (struct bytes){body.data, body.size});
}

/* Finding 5. */
Test(match_work, reads_the_headers_of_an_event_once)
{
    const uint32_t fields = 100000;
    OWNED(buf_fini) struct buf message = {0};
    struct match_fixture fixture;

    put_tiny_fields(&message, "h", text_of("v"), fields);
    fixture_open(&fixture);
    for (int i = 0; i < 8; i++) {
        fill_selectors("h", "v", 64, 64 - (uint32_t)i); /* each filter is another one */
        add(&fixture, selectors, 64);
    }
    uint64_t work = work_of_event(&fixture, (struct bytes){message.data, message.size});
    cr_expect_geq(work, fields);
    cr_expect_leq(work, fields + 8 * 64 * (64 + 1) + 10, "the fields count once, the headers for each rule");
    fixture_close(&fixture);
}

/* Finding 5. */
Test(match_work, of_one_filter_is_at_most_its_cost)
{
    OWNED(buf_fini) struct buf message = {0};
    struct match_fixture fixture;

    memset(long_text, 'a', sizeof(long_text));
    put_tiny_fields(&message, "h", (struct bytes){long_text, sizeof(long_text)}, 0);
    fixture_open(&fixture);
    fill_selectors("h", "*aaaaaaa*aaaaaaa*b*", 63, 1);
    for (uint32_t i = 0; i < 63; i++)
        wanted[i][0].value = text_of("*aaaaaaa*aaaaaaa*b*");
    add(&fixture, selectors, 63);
    uint64_t work = work_of_event(&fixture, (struct bytes){message.data, message.size});
    cr_expect_leq(work, MAX_FILTER_COST);
    cr_expect_geq(work, MAX_FILTER_COST * 9 / 10, "this is as bad as a filter can be");
    fixture_close(&fixture);
}

Test(match_work, of_equal_filters_is_done_once_however_large_they_are)
{
    OWNED(buf_fini) struct buf message = {0};
    struct match_fixture fixture;

    put_tiny_fields(&message, "h", text_of("v"), 0);
    fill_selectors("h", "v", 64, 64);
    fixture_open(&fixture);
    add(&fixture, selectors, 64);
    uint64_t of_one = work_of_event(&fixture, (struct bytes){message.data, message.size});
    for (int i = 0; i < 30; i++)
        add(&fixture, selectors, 64);
    cr_expect_eq(work_of_event(&fixture, (struct bytes){message.data, message.size}), of_one);
    fixture_close(&fixture);
}

/* ---- many filters ---- */

/* One selector for the topic. */
static void add_topic(struct match_fixture *fixture, const char *topic)
{
    const struct selector selector = {.topic = text_of(topic)};

    add(fixture, &selector, 1);
}

static void add_victims(struct match_fixture *fixture)
{
    char topic[32];

    for (int i = 0; i < 200; i++) {
        snprintf(topic, sizeof(topic), "topic-%d", i);
        add_topic(fixture, topic);
        snprintf(topic, sizeof(topic), "group-%d.*", i);
        add_topic(fixture, topic);
    }
}

/* Beginnings of every length, which no event here has. The second half differs from the topic of
 * an event at one byte after the other. */
static void add_hostile(struct match_fixture *fixture, const char *topic)
{
    char text[64];

    for (size_t i = 1; i <= 40; i++) {
        memset(text, 'q', i);
        strcpy(text + i, "*");
        add_topic(fixture, text);
    }
    for (size_t i = 0; topic[i]; i++) {
        memcpy(text, topic, i);
        strcpy(text + i, "~*");
        add_topic(fixture, text);
    }
}

/* Finding 6: whoever came first. */
Test(match_work, of_an_event_does_not_depend_on_beginnings_that_it_does_not_have)
{
    static const char *const topics[] = {"none", "topic-none", "group-17", "group-1700.x"};
    struct match_fixture alone, after, before;

    fixture_open(&alone);
    add_victims(&alone);
    fixture_open(&before);
    add_hostile(&before, "group-1700.x");
    add_victims(&before);
    fixture_open(&after);
    add_victims(&after);
    add_hostile(&after, "group-1700.x");
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        uint64_t at_most = work_of_topic(&alone, topics[i]) + strlen(topics[i]);
        cr_expect_leq(work_of_topic(&before, topics[i]), at_most, "%s: the hostile came first", topics[i]);
        cr_expect_leq(work_of_topic(&after, topics[i]), at_most, "%s: the hostile came last", topics[i]);
        cr_expect_leq(at_most, 1 + 2 * strlen(topics[i]) + 1, "%s", topics[i]);
    }
    fixture_close(&alone);
    fixture_close(&before);
    fixture_close(&after);
}

/* Each wants one header, which no other does: a value of "user", or a name. */
static void add_header_victims(struct match_fixture *fixture)
{
    char value[32], name[32];
    struct pair header;
    const struct selector selector = {.headers = &header, .header_count = 1};

    for (int i = 0; i < 200; i++) {
        snprintf(value, sizeof(value), "user-%d", i);
        header = (struct pair){text_of("user"), text_of(value)};
        add(fixture, &selector, 1);
        snprintf(name, sizeof(name), "name-%d", i);
        header = (struct pair){text_of(name), text_of("*a?b*")};
        add(fixture, &selector, 1);
    }
}

Test(match_work, of_an_event_does_not_depend_on_headers_that_it_does_not_have)
{
    OWNED(buf_fini) struct buf message = {0};
    struct match_fixture fixture;

    put_tiny_fields(&message, "user", text_of("user-none"), 0);
    fixture_open(&fixture);
    add_header_victims(&fixture);
    cr_expect_leq(work_of_event(&fixture, (struct bytes){message.data, message.size}), 10);
    fixture_close(&fixture);
}

/* An event with 64 headers "h0" to "h63", and with the topic, key and type "t", whose values are as
 * long as they may be. */
static void put_worst_event(struct buf *message)
{
    static const struct bytes name = {long_text, MAX_NAME_TEXT};
    const struct event_view view = {.topic = name, .key = name, .type = name};
    static char names[MAX_PAIRS][8];
    struct pair headers[MAX_PAIRS];

    memset(long_text, 'a', sizeof(long_text));
    for (uint32_t i = 0; i < MAX_PAIRS; i++) {
        snprintf(names[i], sizeof(names[i]), "h%u", i);
        headers[i] = (struct pair){text_of(names[i]), {long_text, sizeof(long_text)}};
    }
    put_event(message, &view, headers, MAX_PAIRS);
}

/* A filter of 1 to 64 selectors, each with one header and some texts. No two are alike. */
static void add_worst(struct match_fixture *fixture, struct dice *dice)
{
    static const struct {
        const char *before, *behind; /* of the number */
    } patterns[] = {{"*a?", "b*"}, {"a*?", ""}, {"", ""}, {"a*", ""}, {"*", ""}, {"a*a?*", "*"}};
    static char texts[MAX_SELECTORS][4][32];
    static struct bytes lists[MAX_SELECTORS][2];
    static char names[MAX_SELECTORS][8];
    uint32_t count = 1 + (uint32_t)dice_roll(dice, 60);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < 4; j++) {
            size_t k = dice_roll(dice, ARRAY_LEN(patterns));

            snprintf(texts[i][j], sizeof(texts[i][j]), "%s%u%s", patterns[k].before, fixture->count * 64 + i,
                     patterns[k].behind);
        }
        snprintf(names[i], sizeof(names[i]), "h%u", (uint32_t)dice_roll(dice, MAX_PAIRS));
        wanted[i][0] = (struct pair){text_of(names[i]), text_of(texts[i][0])};
        lists[i][0] = text_of(texts[i][1]);
        lists[i][1] = text_of(texts[i][2]);
        selectors[i] = (struct selector){.topic = text_of(dice_roll(dice, 2) == 0 ? texts[i][3] : ""),
                                         .keys = &lists[i][0],
                                         .key_count = dice_roll(dice, 2) == 0,
                                         .types = &lists[i][1],
                                         .type_count = dice_roll(dice, 2) == 0,
                                         .headers = wanted[i],
                                         .header_count = 1};
    }
    add(fixture, selectors, count);
}

Test(match_work, of_many_filters_is_at_most_the_sum_of_their_costs)
{
    struct dice dice = dice_new("match_work of_many_filters_is_at_most_the_sum_of_their_costs");
    OWNED(buf_fini) struct buf message = {0};
    struct match_fixture fixture;
    uint64_t cost = 0, alone;

    put_worst_event(&message);
    fixture_open(&fixture);
    work_done = 0;
    matcher_match(fixture.matcher, (struct bytes){message.data, message.size});
    alone = work_done + 3 * MAX_PAIRS; /* of the index of the headers */
    for (uint32_t i = 0; i < 200; i++) {
        add_worst(&fixture, &dice);
        cost += match_entry_cost(fixture.filters[i], false);
    }
    work_done = 0;
    matcher_match(fixture.matcher, (struct bytes){message.data, message.size});
    cr_expect_leq(work_done, alone + cost);
    cr_expect_geq(work_done, cost / 20, "this is not nearly as bad as it can be");
    fixture_close(&fixture);
}
