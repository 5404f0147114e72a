/* test_matcher.c - the matcher against its filters, evaluated one by one: it finds every entry that
 * wants an event, once, and no other. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/matcher.h"
#include "lib/event_views.h"
#include "lib/events.h"

#define CANDIDATES 48
#define MAX_LIST 3

void *__real_calloc(size_t count, size_t size);

static bool out_of_memory;

/* The linker puts this in front of calloc(). */
void *__wrap_calloc(size_t count, size_t size)
{
    return out_of_memory ? NULL : __real_calloc(count, size);
}

/* A filter and its entry. */
struct candidate {
    struct filter *filter;
    struct filter_part part;
    struct match_entry *entry;
    bool added;
    uint32_t found; /* how often the matcher found it for the last event */
};

struct matcher_fixture {
    struct matcher *matcher;
    struct candidate candidates[CANDIDATES];
};

static void fixture_open(struct matcher_fixture *fixture)
{
    *fixture = (struct matcher_fixture){.matcher = matcher_new()};
    cr_assert(fixture->matcher);
}

/* False: producer and labels decide alone, so the filter has no entry. */
static bool candidate_make(struct candidate *candidate, const struct selector *selectors, size_t count,
                           const struct selector *excludes, size_t exclude_count)
{
    struct fault fault;

    cr_assert_eq(filter_new(selectors, count, excludes, exclude_count, &candidate->filter, &fault),
                 FAULT_NONE);
    candidate->part = filter_producer(candidate->filter, text_of("p"), NULL, 0);
    if (candidate->part.answer == FILTER_BY_EVENT) {
        candidate->entry = match_entry_new(candidate->filter, &candidate->part, candidate);
        cr_assert(candidate->entry);
        return true;
    }
    filter_free(candidate->filter);
    candidate->filter = NULL;
    return false;
}

static void candidate_add(struct matcher_fixture *fixture, struct candidate *candidate)
{
    matcher_add(fixture->matcher, candidate->entry);
    candidate->added = true;
}

static void candidate_remove(struct matcher_fixture *fixture, struct candidate *candidate)
{
    matcher_remove(fixture->matcher, candidate->entry);
    candidate->added = false;
}

static void candidate_free(struct matcher_fixture *fixture, struct candidate *candidate)
{
    if (candidate->added)
        candidate_remove(fixture, candidate);
    match_entry_free(candidate->entry);
    filter_free(candidate->filter);
    *candidate = (struct candidate){.filter = NULL};
}

static void fixture_close(struct matcher_fixture *fixture)
{
    for (size_t i = 0; i < CANDIDATES; i++)
        candidate_free(fixture, &fixture->candidates[i]);
    matcher_free(fixture->matcher);
}

/* Matches an event with the matcher and with each filter. Returns how many want it. */
static uint32_t match(struct matcher_fixture *fixture, const struct event_view *event,
                      const struct pair *headers, size_t header_count)
{
    OWNED(buf_fini) struct buf message = {0};
    struct event_headers view_headers;
    struct event_view view;
    uint32_t wanted = 0;

    put_event(&message, event, headers, header_count);
    struct bytes bytes = {message.data, message.size};
    view_whole(bytes, &view, &view_headers);
    for (size_t i = 0; i < CANDIDATES; i++)
        fixture->candidates[i].found = 0;
    for (struct match_entry *hit = matcher_match(fixture->matcher, bytes); hit; hit = hit->next_hit) {
        struct list *node = &hit->alike;
        do {
            ((struct candidate *)container_of(node, struct match_entry, alike)->owner)->found++;
            node = node->next;
        } while (node != &hit->alike);
    }
    for (size_t i = 0; i < CANDIDATES; i++) {
        const struct candidate *candidate = &fixture->candidates[i];
        bool wants = candidate->added && filter_event(candidate->filter, &candidate->part, &view);
        cr_assert_eq(candidate->found, wants ? 1u : 0u, "candidate %zu was found %u times", i,
                     candidate->found);
        wanted += wants;
    }
    return wanted;
}

/* ---- random filters and events ---- */

static const char *const keys[] = {"k1",         "k2", "k3", "k1*", "k?", "*2", "long-key-of-a-customer",
                                   "long-key-*", "k*x"};
static const char *const topics[] = {"a",   "a.b",   "a.*", "a.b.*", "*",
                                     "*.b", "a.?.c", "b.*", "a.b.c", "orders.*.created"};
static const char *const types[] = {"t", "u", "t*", "?"};
static const char *const event_keys[] = {"",          "k1", "k2", "k3", "k1x", "long-key-of-a-customer",
                                         "long-key-", "kx"};
static const char *const event_topics[] = {
    "", "a", "a.b", "a.b.c", "a.x.c", "b.", "b.b", "orders.eu.created", "ab"};
static const char *const event_types[] = {"", "t", "u", "tu"};

#define ONE_OF(dice, list) text_of((list)[dice_roll((dice), ARRAY_LEN(list))])

static const char *const names[] = {"h", "g", "a-header"};
static const char *const values[] = {"v", "w", "v*", "*", "*w", "?", "v*w"};
static const char *const event_values[] = {"", "v", "w", "vw", "value"};

struct selector_lists {
    struct bytes keys[MAX_LIST], types[MAX_LIST];
    struct pair headers[MAX_LIST];
};

static struct selector random_selector(struct dice *dice, struct selector_lists *lists)
{
    struct selector selector = {
        .producer = text_of("*"), .keys = lists->keys, .types = lists->types, .headers = lists->headers};

    if (dice_roll(dice, 2) == 0)
        selector.topic = ONE_OF(dice, topics);
    while (selector.key_count < MAX_LIST && dice_roll(dice, 3) == 0)
        lists->keys[selector.key_count++] = ONE_OF(dice, keys);
    while (selector.type_count < MAX_LIST && dice_roll(dice, 4) == 0)
        lists->types[selector.type_count++] = ONE_OF(dice, types);
    while (selector.header_count < MAX_LIST && dice_roll(dice, 3) == 0)
        lists->headers[selector.header_count++] = (struct pair){ONE_OF(dice, names), ONE_OF(dice, values)};
    return selector;
}

static void candidate_make_random(struct matcher_fixture *fixture, struct dice *dice,
                                  struct candidate *candidate)
{
    struct selector_lists lists[4];
    struct selector selectors[2], exclude;
    size_t count = 1 + dice_roll(dice, 2), excludes = dice_roll(dice, 4) == 0;

    for (size_t i = 0; i < count; i++)
        selectors[i] = random_selector(dice, &lists[i]);
    exclude = random_selector(dice, &lists[3]);
    if (candidate_make(candidate, selectors, count, &exclude, excludes))
        candidate_add(fixture, candidate);
}

static uint32_t random_step(struct matcher_fixture *fixture, struct dice *dice)
{
    struct pair headers[MAX_LIST];
    struct candidate *candidate = &fixture->candidates[dice_roll(dice, CANDIDATES)];

    if (!candidate->filter)
        candidate_make_random(fixture, dice, candidate);
    else if (dice_roll(dice, 3) == 0)
        candidate_free(fixture, candidate);
    else if (candidate->added)
        candidate_remove(fixture, candidate);
    else
        candidate_add(fixture, candidate);
    for (size_t i = 0; i < MAX_LIST; i++) /* two may have one name */
        headers[i] = (struct pair){ONE_OF(dice, names), ONE_OF(dice, event_values)};
    return match(fixture,
                 &(struct event_view){.topic = ONE_OF(dice, event_topics),
                                      .key = ONE_OF(dice, event_keys),
                                      .type = ONE_OF(dice, event_types),
                                      .data = text_of("data")},
                 headers, dice_roll(dice, MAX_LIST + 1));
}

Test(matcher, agrees_with_the_filters_while_entries_come_and_go)
{
    struct dice dice = dice_new("matcher agrees_with_the_filters_while_entries_come_and_go");
    struct matcher_fixture fixture;
    uint32_t wanted = 0;

    for (int times = 0; times < 20; times++) {
        fixture_open(&fixture);
        for (int round = 0; round < 2000; round++)
            wanted += random_step(&fixture, &dice);
        fixture_close(&fixture);
    }
    cr_assert_gt(wanted, 20000, "too few matches to mean anything");
}

/* ---- cases ---- */

static void candidate_make_for_topic(struct candidate *candidate, const char *topic)
{
    cr_assert(candidate_make(candidate, &(struct selector){.topic = text_of(topic)}, 1, NULL, 0));
}

Test(matcher, finds_beginnings_of_many_lengths)
{
    struct matcher_fixture fixture;
    char text[CANDIDATES + 2];

    fixture_open(&fixture);
    for (size_t i = 0; i < CANDIDATES; i++) {
        memset(text, 'x', sizeof(text));
        memcpy(text + i + 1, "*", 2);
        candidate_make_for_topic(&fixture.candidates[i], text);
        candidate_add(&fixture, &fixture.candidates[i]);
    }
    memset(text, 'x', sizeof(text));
    for (size_t size = 0; size < sizeof(text); size++)
        cr_assert_eq(match(&fixture, &(struct event_view){.topic = {(const uint8_t *)text, size}}, NULL, 0),
                     MIN_OF(size, (size_t)CANDIDATES));
    for (size_t i = 0; i < CANDIDATES; i += 2)
        candidate_remove(&fixture, &fixture.candidates[i]);
    cr_assert_eq(match(&fixture, &(struct event_view){.topic = {(const uint8_t *)text, CANDIDATES}}, NULL, 0),
                 CANDIDATES / 2);
    fixture_close(&fixture);
}

/* A text of up to 8 letters, each one of two: many are beginnings of others. */
static size_t random_letters(struct dice *dice, char text[10])
{
    size_t size = dice_roll(dice, 9);

    for (size_t i = 0; i < size; i++)
        text[i] = dice_roll(dice, 2) == 0 ? 'a' : '\x7f';
    text[size] = '\0';
    return size;
}

Test(matcher, finds_random_beginnings_while_they_come_and_go)
{
    struct dice dice = dice_new("matcher finds_random_beginnings_while_they_come_and_go");
    struct matcher_fixture fixture;
    uint32_t wanted = 0;
    char text[10];

    fixture_open(&fixture);
    for (int round = 0; round < 20000; round++) {
        struct candidate *candidate = &fixture.candidates[dice_roll(&dice, CANDIDATES)];
        size_t size = random_letters(&dice, text);

        if (candidate->filter) {
            candidate_free(&fixture, candidate);
        } else if (size > 0) {
            strcpy(text + size, dice_roll(&dice, 4) == 0 ? "" : "*");
            candidate_make_for_topic(candidate, text);
            out_of_memory = dice_roll(&dice, 8) == 0;
            candidate_add(&fixture, candidate);
            out_of_memory = false;
        }
        random_letters(&dice, text);
        wanted += match(&fixture, &(struct event_view){.topic = text_of(text)}, NULL, 0);
    }
    fixture_close(&fixture);
    cr_assert_gt(wanted, 20000, "too few matches to mean anything");
}

Test(matcher, finds_equal_filters_whichever_of_them_is_removed)
{
    struct event_view event = {.topic = text_of("t"), .key = text_of("k")};
    struct matcher_fixture fixture;

    fixture_open(&fixture);
    for (size_t i = 0; i < CANDIDATES; i++) {
        candidate_make_for_topic(&fixture.candidates[i], i % 3 == 0 ? "?" : i % 3 == 1 ? "t" : "t*");
        candidate_add(&fixture, &fixture.candidates[i]);
    }
    for (uint32_t left = CANDIDATES; left > 0; left--) {
        cr_assert_eq(match(&fixture, &event, NULL, 0), left);
        candidate_free(&fixture, &fixture.candidates[(left * 29) % CANDIDATES]); /* each of them once */
    }
    cr_assert_eq(match(&fixture, &event, NULL, 0), 0);
    fixture_close(&fixture);
}

/* What a filter of one selector costs. */
static uint32_t cost_of(const struct selector *selector)
{
    OWNED(filter_free) struct filter *filter = NULL;
    struct fault fault;

    cr_assert_eq(filter_new(selector, 1, NULL, 0, &filter, &fault), FAULT_NONE);
    return match_entry_cost(filter, false);
}

static uint32_t cost_of_topic(const char *topic)
{
    return cost_of(&(struct selector){.topic = text_of(topic)});
}

static uint32_t cost_of_header(const char *topic, const char *value)
{
    const struct pair header = {text_of("h"), text_of(value)};

    return cost_of(&(struct selector){.topic = text_of(topic), .headers = &header, .header_count = 1});
}

Test(match_entry, costs_nothing_where_an_index_decides)
{
    const struct bytes both[] = {text_of("k"), text_of("k*")};

    cr_assert_eq(cost_of(&(struct selector){.producer = text_of("*a?b*")}), 0);
    cr_assert_eq(cost_of_topic("a"), 0);
    cr_assert_eq(cost_of_topic("a*"), 0);
    cr_assert_eq(cost_of(&(struct selector){.producer = text_of("?"), .keys = both, .key_count = 2}), 0);
    cr_assert_eq(cost_of_header("", "v"), 0);
    cr_assert_eq(cost_of_header("", "*"), 0);
}

Test(match_entry, costs_what_its_filter_asks_of_an_event)
{
    const struct pair label = {text_of("l"), text_of("?")};
    const struct selector of_producer = {
        .producer = text_of("?"), .topic = text_of("?"), .labels = &label, .label_count = 1};

    cr_assert_eq(cost_of_topic("*a"), 2 * MATCH_COST);
    cr_assert_eq(cost_of_topic("a?"), MATCH_COST + PATTERN_COST + 2 + MAX_NAME_TEXT);
    cr_assert_eq(cost_of_header("", "v*"), 2 * MATCH_COST, "only the name is indexed");
    cr_assert_eq(cost_of_header("a", "v"), 2 * MATCH_COST);
    cr_assert_eq(cost_of_header("", "?"), MATCH_COST + 2 * PATTERN_COST + 2 + MAX_HEADER_TEXT);
    cr_assert_eq(cost_of(&of_producer), MATCH_COST + PATTERN_COST + 1 + MAX_NAME_TEXT,
                 "producer and labels are decided before");
}

Test(match_entry, costs_something_if_it_excludes_events_or_has_too_many_terms)
{
    const struct selector topic = {.topic = text_of("t")}, producer = {.producer = text_of("p")};
    struct bytes list[MAX_TERMS];
    struct filter *filter = NULL;
    struct fault fault;

    for (size_t i = 0; i < MAX_TERMS; i++)
        list[i] = text_of("k");
    const struct selector full[] = {{.keys = list, .key_count = MAX_TERMS}, topic};
    cr_assert_eq(filter_new(&topic, 1, &topic, 1, &filter, &fault), FAULT_NONE);
    cr_assert_eq(match_entry_cost(filter, false), 3 * MATCH_COST);
    filter_free(filter);
    cr_assert_eq(filter_new(&topic, 1, &producer, 1, &filter, &fault), FAULT_NONE);
    cr_assert_eq(match_entry_cost(filter, false), 0);
    filter_free(filter);
    cr_assert_eq(filter_new(full, 1, NULL, 0, &filter, &fault), FAULT_NONE);
    cr_assert_eq(match_entry_cost(filter, false), 0);
    filter_free(filter);
    cr_assert_eq(filter_new(full, 2, NULL, 0, &filter, &fault), FAULT_NONE);
    cr_assert_eq(match_entry_cost(filter, false), (PATTERN_COST + 1) * MAX_TERMS + 2 * MATCH_COST);
    filter_free(filter);
}

Test(matcher, finds_filters_with_too_many_patterns_to_index)
{
    struct bytes many[MAX_SELECTORS];
    char texts[MAX_SELECTORS][8];
    struct matcher_fixture fixture;

    for (size_t i = 0; i < MAX_SELECTORS; i++) {
        snprintf(texts[i], sizeof(texts)[i], "k%zu", i);
        many[i] = text_of(texts[i]);
    }
    const struct selector large = {.topic = text_of("t*"), .keys = many, .key_count = MAX_SELECTORS};
    const struct selector both[] = {large, large};
    fixture_open(&fixture);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(candidate_make(&fixture.candidates[i], both, 1 + i % 2, NULL, 0));
        candidate_add(&fixture, &fixture.candidates[i]);
    }
    cr_assert_eq(match(&fixture, &(struct event_view){.topic = text_of("tt"), .key = many[63]}, NULL, 0), 4);
    cr_assert_eq(
        match(&fixture, &(struct event_view){.topic = text_of("tt"), .key = text_of("k64")}, NULL, 0), 0);
    candidate_free(&fixture, &fixture.candidates[0]);
    cr_assert_eq(match(&fixture, &(struct event_view){.topic = text_of("tt"), .key = many[0]}, NULL, 0), 3);
    fixture_close(&fixture);
}

Test(matcher, works_without_memory_for_a_larger_table)
{
    struct matcher_fixture fixture;
    char text[8];

    fixture_open(&fixture);
    for (size_t i = 0; i < CANDIDATES; i++) {
        snprintf(text, sizeof(text), "t%zu", i);
        candidate_make_for_topic(&fixture.candidates[i], text);
    }
    out_of_memory = true;
    for (size_t i = 0; i < CANDIDATES; i++)
        candidate_add(&fixture, &fixture.candidates[i]);
    out_of_memory = false;
    for (size_t i = 0; i <= CANDIDATES; i++) {
        snprintf(text, sizeof(text), "t%zu", i);
        cr_assert_eq(match(&fixture, &(struct event_view){.topic = text_of(text)}, NULL, 0), i < CANDIDATES);
    }
    fixture_close(&fixture);
}

Test(matcher, is_null_without_memory)
{
    struct candidate candidate = {.filter = NULL};

    candidate_make_for_topic(&candidate, "t");
    out_of_memory = true;
    cr_assert_null(matcher_new());
    cr_assert_null(match_entry_new(candidate.filter, &candidate.part, &candidate));
    out_of_memory = false;
    match_entry_free(candidate.entry);
    match_entry_free(NULL);
    matcher_free(NULL);
    filter_free(candidate.filter);
}
