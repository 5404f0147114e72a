/* test_filter_stored.c - what filters want of a stored topic: its name, the name of its source, and
 * who published each event. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "event/chunk_origin.h"
#include "event/matcher.h"
#include "lib/event_views.h"
#include "lib/events.h"
#include "lib/glob_match.h"

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static struct fault fault;

static struct filter *filter_of(const struct selector *selectors, size_t count,
                                const struct selector *excludes, size_t exclude_count)
{
    struct filter *filter = NULL;

    cr_assert_eq(filter_new(selectors, count, excludes, exclude_count, &filter, &fault), FAULT_NONE, "%s: %s",
                 fault.field, fault.bound);
    return filter;
}

/* What one selector leaves to ask of the topic "@orders". */
static enum filter_answer answer(struct selector selector)
{
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);

    return filter_stored(filter, text_of("@orders")).answer;
}

Test(filter_stored, names_of_topics_and_sources_are_decided_at_once)
{
    const struct pair label = {TEXT("zone"), TEXT("*")};

    cr_assert_eq(answer((struct selector){.producer = TEXT("*")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.producer = TEXT("@orders")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.producer = TEXT("@ord*")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.producer = TEXT("@*")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.producer = TEXT("@other")}), FILTER_NONE);
    cr_assert_eq(answer((struct selector){.producer_name = TEXT("@orders")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.producer_name = TEXT("@ord*")}), FILTER_NONE, "it is a name");
    cr_assert_eq(answer((struct selector){.producer = TEXT("web-*")}), FILTER_BY_EVENT);
    cr_assert_eq(answer((struct selector){.producer = TEXT("?orders")}), FILTER_BY_EVENT, "an origin");
    cr_assert_eq(answer((struct selector){.producer_name = TEXT("*")}), FILTER_BY_EVENT, "a name");
    cr_assert_eq(answer((struct selector){.topic = TEXT("orders")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.topic = TEXT("*")}), FILTER_ALL);
    cr_assert_eq(answer((struct selector){.topic = TEXT("@orders")}), FILTER_NONE);
    cr_assert_eq(answer((struct selector){.topic = TEXT("orders.*")}), FILTER_NONE);
    cr_assert_eq(answer((struct selector){.topic = TEXT("orders"), .producer = TEXT("web")}),
                 FILTER_BY_EVENT);
    cr_assert_eq(answer((struct selector){.topic = TEXT("other"), .producer = TEXT("web")}), FILTER_NONE);
    cr_assert_eq(answer((struct selector){.labels = &label, .label_count = 1}), FILTER_NONE);
    cr_assert_eq(answer((struct selector){.keys = &TEXT("k"), .key_count = 1}), FILTER_BY_EVENT);
}

Test(filter_stored, is_what_a_producer_gets_whose_name_begins_with_the_sign)
{
    const struct selector selector = {.topic = TEXT("orders")};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);
    const struct filter_part part = filter_producer(filter, text_of("@orders"), NULL, 0);

    cr_assert_eq(part.answer, FILTER_ALL);
    cr_assert(part.is_stored);
    cr_assert_eq(filter_producer(filter, text_of("orders"), NULL, 0).answer, FILTER_BY_EVENT);
    cr_assert_eq(filter_producer(filter, text_of("outer/@orders"), NULL, 0).answer, FILTER_BY_EVENT,
                 "another server's topic is a producer here");
}

Test(filter_stored, excludes_win_for_the_topic_and_for_origins)
{
    const struct selector all = {.producer = TEXT("*")};
    const struct selector excludes[] = {{.producer = TEXT("@audit")},
                                        {.topic = TEXT("tmp*")},
                                        {.producer = TEXT("web-2")},
                                        {.topic = TEXT("orders"), .producer = TEXT("db*")}};
    OWNED(filter_free) struct filter *filter = filter_of(&all, 1, excludes, ARRAY_LEN(excludes));
    struct filter_part part = filter_stored(filter, text_of("@orders"));

    cr_assert_eq(filter_stored(filter, text_of("@audit")).answer, FILTER_NONE);
    cr_assert_eq(filter_stored(filter, text_of("@tmp1")).answer, FILTER_NONE);
    cr_assert_eq(part.answer, FILTER_BY_EVENT);
    cr_assert_eq(part.excludes, 0xc);
    cr_assert(filter_event(filter, &part, &(struct event_view){.origin = TEXT("web-1")}));
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.origin = TEXT("web-2")}));
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.origin = TEXT("db-1")}));
    part = filter_stored(filter, text_of("@other"));
    cr_assert(filter_event(filter, &part, &(struct event_view){.origin = TEXT("db-1")}));
}

Test(filter_stored, the_topic_in_the_event_does_not_count)
{
    const struct selector selector = {.topic = TEXT("orders.dlq"), .keys = &TEXT("k"), .key_count = 1};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);
    const struct filter_part part = filter_stored(filter, text_of("@orders.dlq"));

    cr_assert(filter_event(filter, &part, &(struct event_view){.topic = TEXT("orders"), .key = TEXT("k")}));
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.topic = TEXT("orders")}));
    cr_assert_eq(filter_stored(filter, text_of("@orders")).answer, FILTER_NONE);
}

/* ---- the matcher against a naive reading ---- */

static const char *const origins[] = {"web-1", "web-2", "db", "*", ""};
static const char *const keys[] = {"", "a", "ab"};
static const char *const producers[] = {"",   "*",  "@orders", "@*",    "@other", "web-1",
                                        "db", "w*", "*-2",     "?eb-?", "w*2",    "web-1*"};
static const char *const topics[] = {"", "*", "orders", "ord*", "other"};
static const char *const key_patterns[] = {"a", "a*", "*b", "ab"};

struct selection {
    const char *producer, *topic, *key; /* `key` NULL: any */
    bool is_name;
};

static const char *one_of(struct dice *dice, const char *const *list, size_t count)
{
    return list[dice_roll(dice, count)];
}

static struct selection random_selection(struct dice *dice)
{
    struct selection selection = {.producer = one_of(dice, producers, ARRAY_LEN(producers)),
                                  .topic = one_of(dice, topics, ARRAY_LEN(topics)),
                                  .is_name = dice_roll(dice, 4) == 0};

    if (dice_roll(dice, 2) == 0)
        selection.key = one_of(dice, key_patterns, ARRAY_LEN(key_patterns));
    if (selection.producer[0] == '\0' && selection.topic[0] == '\0' && !selection.key)
        selection.topic = "*";
    return selection;
}

static bool matches(const char *pattern, const char *text)
{
    return glob_match(text_of(pattern), text_of(text));
}

static bool producer_matches(const struct selection *selection, const char *text)
{
    if (selection->producer[0] == '\0')
        return true;
    return selection->is_name ? strcmp(selection->producer, text) == 0 : matches(selection->producer, text);
}

static bool is_selected(const struct selection *selection, const char *origin, const char *key)
{
    const bool is_everything = !selection->is_name && strcmp(selection->producer, "*") == 0;
    const char *producer = selection->producer[0] == '@' ? "@orders" : origin;

    return (is_everything || producer_matches(selection, producer)) &&
           (selection->topic[0] == '\0' || matches(selection->topic, "orders")) &&
           (!selection->key || matches(selection->key, key));
}

static struct selector selector_of(const struct selection *selection, struct bytes *key)
{
    struct selector selector = {.topic = text_of(selection->topic)};

    if (selection->is_name)
        selector.producer_name = text_of(selection->producer);
    else
        selector.producer = text_of(selection->producer);
    if (selection->key) {
        *key = text_of(selection->key);
        selector.keys = key;
        selector.key_count = 1;
    }
    return selector;
}

#define CONSUMERS 12u
#define MAX_SELECTIONS 3u

struct consumer {
    struct selection selections[MAX_SELECTIONS], excludes[MAX_SELECTIONS];
    uint32_t count, exclude_count;
    struct filter *filter;
    struct filter_part part;
    struct match_entry *entry; /* NULL: the producer decides */
};

static void consumer_init(struct consumer *consumer, struct dice *dice)
{
    struct selector selectors[MAX_SELECTIONS], excludes[MAX_SELECTIONS];
    struct bytes texts[MAX_SELECTIONS], exclude_texts[MAX_SELECTIONS];

    consumer->count = 1 + (uint32_t)dice_roll(dice, MAX_SELECTIONS);
    consumer->exclude_count = (uint32_t)dice_roll(dice, MAX_SELECTIONS) / 2 * 2;
    for (uint32_t i = 0; i < consumer->count; i++) {
        consumer->selections[i] = random_selection(dice);
        selectors[i] = selector_of(&consumer->selections[i], &texts[i]);
    }
    for (uint32_t i = 0; i < consumer->exclude_count; i++) {
        consumer->excludes[i] = random_selection(dice);
        excludes[i] = selector_of(&consumer->excludes[i], &exclude_texts[i]);
    }
    consumer->filter = filter_of(selectors, consumer->count, excludes, consumer->exclude_count);
    consumer->part = filter_stored(consumer->filter, text_of("@orders"));
    consumer->entry = NULL;
}

static bool is_wanted(const struct consumer *consumer, const char *origin, const char *key)
{
    bool wanted = false;

    for (uint32_t i = 0; i < consumer->count; i++)
        wanted = wanted || is_selected(&consumer->selections[i], origin, key);
    for (uint32_t i = 0; i < consumer->exclude_count; i++)
        wanted = wanted && !is_selected(&consumer->excludes[i], origin, key);
    return wanted;
}

/* A chunk of one event of each key. */
static struct chunk *chunk_of_keys(const char *origin)
{
    OWNED(buf_fini) struct buf message = {0};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;

    for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
        put_event(&message, &(struct event_view){.topic = text_of("elsewhere"), .key = text_of(keys[i])},
                  NULL, 0);
    cr_assert_eq(
        framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing, &fault),
        FAULT_NONE);
    cr_assert_eq(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk), ERR_OK);
    framing_fini(&scan);
    chunk->source = source_new(text_of("@orders"), 7);
    chunk->origin = source_new(text_of(origin), 0);
    return chunk;
}

/* Which events of the chunk the matcher gives to each consumer, as bits. */
static void match(struct matcher *matcher, const struct chunk *chunk, const struct consumer *consumers,
                  uint32_t given[CONSUMERS])
{
    struct match_pass pass = {0};
    struct match_hit hits[4];

    while (!match_pass_is_over(&pass, chunk)) {
        const uint32_t count = matcher_match_chunk(matcher, chunk, &pass, hits, ARRAY_LEN(hits));

        for (uint32_t i = 0; i < count; i++) {
            struct list *node = &hits[i].entry->alike;

            do { /* the whole ring */
                const struct consumer *consumer = container_of(node, struct match_entry, alike)->owner;
                const uint32_t bit = BIT(hits[i].event);

                cr_assert_eq(given[consumer - consumers] & bit, 0, "each event once");
                given[consumer - consumers] |= bit;
                node = node->next;
            } while (node != &hits[i].entry->alike);
        }
    }
}

static void check_origin(struct matcher *matcher, const struct consumer *consumers, const char *origin)
{
    OWNED(chunk_release) struct chunk *chunk = chunk_of_keys(origin);
    uint32_t given[CONSUMERS] = {0};

    match(matcher, chunk, consumers, given);
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        for (uint32_t event = 0; event < chunk->count; event++) {
            const struct consumer *consumer = &consumers[i];
            const bool wanted = is_wanted(consumer, origin, keys[event]);
            struct event_view view = {.origin = chunk_origin(chunk), .key = text_of(keys[event])};

            if (consumer->part.answer != FILTER_BY_EVENT) {
                cr_assert_eq(consumer->part.answer == FILTER_ALL, wanted);
                continue;
            }
            cr_assert_eq(filter_event(consumer->filter, &consumer->part, &view), wanted);
            cr_assert_eq((given[i] >> event & 1) == 1, wanted);
        }
    }
}

Test(filter_stored, the_matcher_finds_what_a_naive_reading_wants)
{
    struct dice dice = dice_new("filter_stored the_matcher_finds_what_a_naive_reading_wants");

    for (int trial = 0; trial < 2000; trial++) {
        struct matcher *matcher = matcher_new();
        struct consumer consumers[CONSUMERS];

        for (uint32_t i = 0; i < CONSUMERS; i++) {
            struct consumer *consumer = &consumers[i];

            consumer_init(consumer, &dice);
            if (consumer->part.answer != FILTER_BY_EVENT)
                continue;
            consumer->entry = match_entry_new(consumer->filter, &consumer->part, consumer);
            matcher_add(matcher, consumer->entry);
        }
        for (uint32_t i = 0; i < ARRAY_LEN(origins); i++)
            check_origin(matcher, consumers, origins[i]);
        for (uint32_t i = 0; i < CONSUMERS; i++) {
            if (consumers[i].entry)
                matcher_remove(matcher, consumers[i].entry);
            match_entry_free(consumers[i].entry);
            filter_free(consumers[i].filter);
        }
        matcher_free(matcher);
    }
}

/* ---- what it costs ---- */

static uint32_t cost(struct selector selector, bool has_topics)
{
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);

    return match_entry_cost(filter, has_topics);
}

Test(filter_stored, an_origin_costs_only_where_there_are_topics_and_the_index_cannot_decide)
{
    const struct selector searched = {.producer = TEXT("*-1")};
    const struct selector both = {.producer = TEXT("web-1"), .keys = &TEXT("k"), .key_count = 1};

    cr_assert_eq(cost((struct selector){.producer = TEXT("web-1")}, true), 0);
    cr_assert_eq(cost((struct selector){.producer = TEXT("web-*")}, true), 0);
    cr_assert_eq(cost((struct selector){.producer_name = TEXT("web-*")}, true), 0);
    cr_assert_eq(cost((struct selector){.producer = TEXT("*")}, true), 0);
    cr_assert_eq(cost((struct selector){.producer = TEXT("@*s")}, true), 0, "decided at once");
    cr_assert_eq(cost((struct selector){.producer = TEXT("web-1"), .topic = TEXT("t")}, true), 0);
    cr_assert_eq(cost(searched, false), 0);
    cr_assert_eq(cost(searched, true), 2 * MATCH_COST);
    cr_assert_eq(cost(both, false), 0);
    cr_assert_eq(cost(both, true), 2 * MATCH_COST);
}
