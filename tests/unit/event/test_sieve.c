/* test_sieve.c - the matcher beside its filters, asked one by one: whoever wants an event is found,
 * once, and nobody else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/matcher.h"
#include "lib/events.h"

#define SEATS 48
#define MAX_LIST 3

void *__real_calloc(size_t count, size_t size);

static bool exhausted;

/* The linker puts it in front of the allocator. */
void *__wrap_calloc(size_t count, size_t size)
{
    return exhausted ? NULL : __real_calloc(count, size);
}

/* One who asks. */
struct guest {
    struct filter *filter;
    struct filter_part part;
    struct match_entry *seat;
    bool sits;
    uint32_t found; /* times, for one event */
};

struct house {
    struct matcher *matcher;
    struct guest guests[SEATS];
};

static void open_house(struct house *house)
{
    *house = (struct house){.matcher = matcher_new()};
    cr_assert(house->matcher);
}

/* False: producer and labels settle this filter, so it asks nothing. */
static bool invite(struct guest *guest, const struct selector *selectors, size_t count,
                   const struct selector *excludes, size_t exclude_count)
{
    struct fault fault;

    cr_assert_eq(filter_new(selectors, count, excludes, exclude_count, &guest->filter, &fault), FAULT_NONE);
    guest->part = filter_producer(guest->filter, text_of("p"), NULL, 0);
    if (guest->part.answer == FILTER_BY_EVENT) {
        guest->seat = match_entry_new(guest->filter, &guest->part, guest);
        cr_assert(guest->seat);
        return true;
    }
    filter_free(guest->filter);
    guest->filter = NULL;
    return false;
}

static void sit(struct house *house, struct guest *guest)
{
    matcher_add(house->matcher, guest->seat);
    guest->sits = true;
}

static void rise(struct house *house, struct guest *guest)
{
    matcher_remove(house->matcher, guest->seat);
    guest->sits = false;
}

static void leave(struct house *house, struct guest *guest)
{
    if (guest->sits)
        rise(house, guest);
    match_entry_free(guest->seat);
    filter_free(guest->filter);
    *guest = (struct guest){.filter = NULL};
}

static void close_house(struct house *house)
{
    for (size_t i = 0; i < SEATS; i++)
        leave(house, &house->guests[i]);
    matcher_free(house->matcher);
}

/* Asks the matcher, then each filter. Returns how many want it. */
static uint32_t serve(struct house *house, const struct event_view *event, const struct pair *headers,
                      size_t header_count)
{
    OWNED(buf_fini) struct buf message = {0};
    struct event_view view;
    uint32_t wanted = 0;

    put_event(&message, event, headers, header_count);
    struct bytes bytes = {message.data, message.size};
    event_view(bytes, &view);
    for (size_t i = 0; i < SEATS; i++)
        house->guests[i].found = 0;
    for (struct match_entry *hit = matcher_match(house->matcher, bytes); hit; hit = hit->next_hit) {
        struct list *node = &hit->alike;
        do {
            ((struct guest *)container_of(node, struct match_entry, alike)->owner)->found++;
            node = node->next;
        } while (node != &hit->alike);
    }
    for (size_t i = 0; i < SEATS; i++) {
        const struct guest *guest = &house->guests[i];
        bool wants = guest->sits && filter_event(guest->filter, &guest->part, &view);
        cr_assert_eq(guest->found, wants ? 1u : 0u, "guest %zu was found %u times", i, guest->found);
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
static const char *const seen_keys[] = {"",          "k1", "k2", "k3", "k1x", "long-key-of-a-customer",
                                        "long-key-", "kx"};
static const char *const seen_topics[] = {"",  "a", "a.b", "a.b.c", "a.x.c", "b.", "b.b", "orders.eu.created",
                                          "ab"};
static const char *const seen_types[] = {"", "t", "u", "tu"};

#define ONE_OF(dice, list) text_of((list)[dice_roll((dice), ARRAY_LEN(list))])

struct draft {
    struct bytes keys[MAX_LIST], types[MAX_LIST];
    struct pair header;
};

static struct selector draw(struct dice *dice, struct draft *draft)
{
    struct selector selector = {
        .producer = text_of("*"), .keys = draft->keys, .types = draft->types, .headers = &draft->header};

    if (dice_roll(dice, 2) == 0)
        selector.topic = ONE_OF(dice, topics);
    while (selector.key_count < MAX_LIST && dice_roll(dice, 3) == 0)
        draft->keys[selector.key_count++] = ONE_OF(dice, keys);
    while (selector.type_count < MAX_LIST && dice_roll(dice, 4) == 0)
        draft->types[selector.type_count++] = ONE_OF(dice, types);
    selector.header_count = dice_roll(dice, 6) == 0;
    draft->header = (struct pair){text_of("h"), text_of(dice_roll(dice, 2) == 0 ? "v" : "*")};
    return selector;
}

static void come(struct house *house, struct dice *dice, struct guest *guest)
{
    struct draft drafts[4];
    struct selector selectors[2], exclude;
    size_t count = 1 + dice_roll(dice, 2), excludes = dice_roll(dice, 4) == 0;

    for (size_t i = 0; i < count; i++)
        selectors[i] = draw(dice, &drafts[i]);
    exclude = draw(dice, &drafts[3]);
    if (invite(guest, selectors, count, &exclude, excludes))
        sit(house, guest);
}

static uint32_t one_round(struct house *house, struct dice *dice)
{
    const struct pair header = {text_of("h"), text_of(dice_roll(dice, 2) == 0 ? "v" : "w")};
    struct guest *guest = &house->guests[dice_roll(dice, SEATS)];

    if (!guest->filter)
        come(house, dice, guest);
    else if (dice_roll(dice, 3) == 0)
        leave(house, guest);
    else if (guest->sits)
        rise(house, guest);
    else
        sit(house, guest);
    return serve(house,
                 &(struct event_view){.topic = ONE_OF(dice, seen_topics),
                                      .key = ONE_OF(dice, seen_keys),
                                      .type = ONE_OF(dice, seen_types),
                                      .data = text_of("data")},
                 &header, dice_roll(dice, 2));
}

Test(matcher, finds_whom_the_filters_find_while_they_come_and_go)
{
    struct dice dice = dice_new("sieve finds_whom_the_filters_find_while_they_come_and_go");
    struct house house;
    uint32_t wanted = 0;

    for (int times = 0; times < 20; times++) {
        open_house(&house);
        for (int round = 0; round < 2000; round++)
            wanted += one_round(&house, &dice);
        close_house(&house);
    }
    cr_assert_gt(wanted, 20000, "too few matches to mean anything");
}

/* ---- cases ---- */

static void ask_topic(struct guest *guest, const char *topic)
{
    cr_assert(invite(guest, &(struct selector){.topic = text_of(topic)}, 1, NULL, 0));
}

Test(matcher, finds_beginnings_of_more_lengths_than_it_looks_for)
{
    struct house house;
    char text[SEATS + 2];

    open_house(&house);
    for (size_t i = 0; i < SEATS; i++) {
        memset(text, 'x', sizeof text);
        memcpy(text + i + 1, "*", 2);
        ask_topic(&house.guests[i], text);
        sit(&house, &house.guests[i]);
    }
    memset(text, 'x', sizeof text);
    for (size_t size = 0; size < sizeof text; size++)
        cr_assert_eq(serve(&house, &(struct event_view){.topic = {(const uint8_t *)text, size}}, NULL, 0),
                     MIN_OF(size, (size_t)SEATS));
    for (size_t i = 0; i < SEATS; i += 2)
        rise(&house, &house.guests[i]);
    cr_assert_eq(serve(&house, &(struct event_view){.topic = {(const uint8_t *)text, SEATS}}, NULL, 0),
                 SEATS / 2);
    close_house(&house);
}

Test(matcher, finds_those_who_ask_the_same_whoever_of_them_leaves)
{
    struct event_view event = {.topic = text_of("t"), .key = text_of("k")};
    struct house house;

    open_house(&house);
    for (size_t i = 0; i < SEATS; i++) {
        ask_topic(&house.guests[i], i % 3 == 0 ? "?" : i % 3 == 1 ? "t" : "t*");
        sit(&house, &house.guests[i]);
    }
    for (uint32_t left = SEATS; left > 0; left--) {
        cr_assert_eq(serve(&house, &event, NULL, 0), left);
        leave(&house, &house.guests[(left * 29) % SEATS]); /* each of them once */
    }
    cr_assert_eq(serve(&house, &event, NULL, 0), 0);
    close_house(&house);
}

Test(matcher, finds_who_asks_for_more_than_it_looks_for)
{
    struct bytes many[MAX_SELECTORS];
    char texts[MAX_SELECTORS][8];
    struct house house;

    for (size_t i = 0; i < MAX_SELECTORS; i++) {
        snprintf(texts[i], sizeof texts[i], "k%zu", i);
        many[i] = text_of(texts[i]);
    }
    const struct selector large = {.topic = text_of("t*"), .keys = many, .key_count = MAX_SELECTORS};
    const struct selector both[] = {large, large};
    open_house(&house);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(invite(&house.guests[i], both, 1 + i % 2, NULL, 0));
        sit(&house, &house.guests[i]);
    }
    cr_assert_eq(serve(&house, &(struct event_view){.topic = text_of("tt"), .key = many[63]}, NULL, 0), 4);
    cr_assert_eq(serve(&house, &(struct event_view){.topic = text_of("tt"), .key = text_of("k64")}, NULL, 0),
                 0);
    leave(&house, &house.guests[0]);
    cr_assert_eq(serve(&house, &(struct event_view){.topic = text_of("tt"), .key = many[0]}, NULL, 0), 3);
    close_house(&house);
}

Test(matcher, does_without_a_larger_table)
{
    struct house house;
    char text[8];

    open_house(&house);
    for (size_t i = 0; i < SEATS; i++) {
        snprintf(text, sizeof text, "t%zu", i);
        ask_topic(&house.guests[i], text);
    }
    exhausted = true;
    for (size_t i = 0; i < SEATS; i++)
        sit(&house, &house.guests[i]);
    exhausted = false;
    for (size_t i = 0; i <= SEATS; i++) {
        snprintf(text, sizeof text, "t%zu", i);
        cr_assert_eq(serve(&house, &(struct event_view){.topic = text_of(text)}, NULL, 0), i < SEATS);
    }
    close_house(&house);
}

Test(matcher, is_not_made_without_memory)
{
    struct guest guest = {.filter = NULL};

    ask_topic(&guest, "t");
    exhausted = true;
    cr_assert_null(matcher_new());
    cr_assert_null(match_entry_new(guest.filter, &guest.part, &guest));
    exhausted = false;
    match_entry_free(guest.seat);
    match_entry_free(NULL);
    matcher_free(NULL);
    filter_free(guest.filter);
}
