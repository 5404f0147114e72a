/* test_filter.c - globs against a naive matcher, and what filters want. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "lib/event_views.h"
#include "lib/events.h"
#include "lib/glob_naive.h"
#include "lib/glob_match.h"

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static const struct {
    const char *pattern, *text;
    bool match;
} globs[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "", false},
    {"a", "a", true},
    {"a", "A", false},
    {"*", "", true},
    {"*", "anything", true},
    {"**", "", true},
    {"?", "", false},
    {"?", "a", true},
    {"?", "ab", false},
    {"?", "é", true},
    {"?", "😀", true},
    {"??", "é", false},
    {"a*", "a", true},
    {"a*", "abc", true},
    {"a*", "ba", false},
    {"*a", "ba", true},
    {"*a", "ab", false},
    {"*ab*", "xxabxx", true},
    {"*ab*", "xxaxb", false},
    {"a*b*c", "a1b2c", true},
    {"a*b*c", "a1c2b", false},
    {"a*b*c", "abcbc", true},
    {"orders.*", "orders.eu", true},
    {"orders.*", "orders", false},
    {"orders.?", "orders.eu", false},
    {"*?*", "", false},
    {"*?*", "é", true},
    {"é*", "éa", true},
    {"[a]", "a", false}, /* nothing but star and question mark is special */
    {"[a]", "[a]", true},
    {"\\*", "\\anything", true},
    {"*aab", "aaaaaaaaab", true},
    {"*ab?", "abab", false},
    {"*ab?", "ababc", true},
    {"a*a", "a", false}, /* beginning and end must not overlap */
    {"a*a", "aa", true},
    {"ab*ba", "aba", false},
    {"?*?", "é", false},
    {"?*?", "éa", true},
    {"é?é", "ébé", true},
    {"*é?", "aéaé😀", true},
    {"*é?", "aéaé", false},
    {"*b?d*f?h*", "abcdefgh", true},
    {"*b?d*f?h*", "abcdefgih", false},
};

Test(glob, matches_as_the_table_says)
{
    for (size_t i = 0; i < ARRAY_LEN(globs); i++)
        cr_assert_eq(glob_match(text_of(globs[i].pattern), text_of(globs[i].text)), globs[i].match,
                     "%s on %s", globs[i].pattern, globs[i].text);
}

static size_t random_piece(struct dice *dice, uint8_t *at, size_t max, const char *const *pieces,
                           size_t count)
{
    size_t size = 0;

    for (uint64_t left = dice_roll(dice, 12); left > 0; left--) {
        const char *piece = pieces[dice_roll(dice, count)];
        if (size + strlen(piece) > max)
            break;
        memcpy(at + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return size;
}

Test(glob, agrees_with_a_naive_matcher)
{
    static const char *const in_pattern[] = {"a", "b", "é", "*", "*", "?", "ab"};
    static const char *const in_text[] = {"a", "b", "é", "😀", "ab", "ba"};
    struct dice dice = dice_new("glob agrees_with_a_naive_matcher");
    int matched = 0;

    for (int i = 0; i < 200000; i++) {
        uint8_t pattern[32];
        uint8_t text[48];
        struct bytes p = {pattern,
                          random_piece(&dice, pattern, sizeof(pattern), in_pattern, ARRAY_LEN(in_pattern))};
        struct bytes t = {text, random_piece(&dice, text, sizeof(text), in_text, ARRAY_LEN(in_text))};
        bool expected = glob_naive(p, t);
        cr_assert_eq(glob_match(p, t), expected, "%.*s on %.*s", (int)p.size, pattern, (int)t.size, text);
        matched += expected;
    }
    cr_assert_gt(matched, 10000, "too few matches to mean anything");
}

/* Patterns of up to 256 bytes, which take up to four words of bits. The text is made from the
 * pattern: each wildcard becomes some characters, and often one byte is changed. */
static bool long_round(struct dice *dice)
{
    static const char *const in_pattern[] = {"abababababababab", "aaaaaaaaaaaaaaaa", "b", "é", "*", "?"};
    uint8_t pattern[MAX_PATTERN_BYTES];
    uint8_t text[4096];
    size_t size = 0, stars = 0;
    struct bytes p = {pattern, 0};

    while (p.size + 16 < sizeof(pattern) && dice_roll(dice, 24) > 0) {
        const char *piece = in_pattern[dice_roll(dice, ARRAY_LEN(in_pattern))];
        if (*piece == '*' && stars++ == 3)
            continue;
        memcpy(pattern + p.size, piece, strlen(piece));
        p.size += strlen(piece);
    }
    for (size_t i = 0; i < p.size; i++) {
        uint64_t left = pattern[i] == '*' ? dice_roll(dice, 40) : pattern[i] == '?';
        if (left == 0 && pattern[i] != '*')
            text[size++] = pattern[i];
        for (; left > 0; left--) {
            const char *piece = dice_roll(dice, 8) == 0 ? "é" : dice_roll(dice, 2) == 0 ? "a" : "b";
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
    }
    if (size > 0 && dice_roll(dice, 2) == 0 && text[size / 2] < 0x80)
        text[size / 2] = 'b';
    struct bytes t = {text, size};
    bool expected = glob_naive(p, t);
    cr_assert_eq(glob_match(p, t), expected, "%.*s on %.*s", (int)p.size, pattern, (int)size, text);
    return expected;
}

Test(glob, agrees_with_a_naive_matcher_on_long_patterns)
{
    struct dice dice = dice_new("glob agrees_with_a_naive_matcher_on_long_patterns");
    int matched = 0;

    for (int i = 0; i < 20000; i++)
        matched += long_round(&dice);
    cr_assert_gt(matched, 5000, "too few matches to mean anything");
    cr_assert_lt(matched, 19000, "too few refusals to mean anything");
}

Test(glob, may_read_bytes_that_are_not_valid_utf8)
{
    static const char *const patterns[] = {"?", "*?", "?*", "a?\x80", "*\xff*", "\xc3?", "*\x80?b"};
    struct dice dice = dice_new("glob may_read_bytes_that_are_not_valid_utf8");

    for (int i = 0; i < 20000; i++) {
        uint8_t text[16];
        size_t size = dice_roll(&dice, sizeof(text) + 1);
        for (size_t j = 0; j < size; j++)
            text[j] = (uint8_t)dice_roll(&dice, 256);
        for (size_t j = 0; j < ARRAY_LEN(patterns); j++)
            glob_match(text_of(patterns[j]), (struct bytes){text, size});
    }
}

static struct fault fault;

static struct filter *filter_of(const struct selector *selectors, size_t count,
                                const struct selector *excludes, size_t exclude_count)
{
    struct filter *filter = NULL;

    cr_assert_eq(filter_new(selectors, count, excludes, exclude_count, &filter, &fault), FAULT_NONE, "%s: %s",
                 fault.field, fault.bound);
    return filter;
}

static enum filter_answer answer(const struct filter *filter, const char *producer)
{
    return filter_producer(filter, text_of(producer), NULL, 0).answer;
}

Test(filter, decides_what_the_producer_alone_decides)
{
    const struct selector web = {.producer = TEXT("web-*")};
    const struct selector orders = {.producer = TEXT("db"), .topic = TEXT("orders")};
    const struct selector any_topic = {.producer = TEXT("any"), .topic = TEXT("*")};
    const struct selector not_one = {.producer = TEXT("web-1")};
    const struct selector not_noise = {.producer = TEXT("web-2"), .topic = TEXT("noise")};
    const struct selector selectors[] = {web, orders, any_topic};
    const struct selector excludes[] = {not_one, not_noise};
    OWNED(filter_free) struct filter *filter = filter_of(selectors, 3, excludes, 2);

    cr_assert_eq(answer(filter, "web-3"), FILTER_ALL);
    cr_assert_eq(answer(filter, "web-1"), FILTER_NONE, "excluded as a whole");
    cr_assert_eq(answer(filter, "web-2"), FILTER_BY_EVENT, "an exclude may still match");
    cr_assert_eq(answer(filter, "db"), FILTER_BY_EVENT);
    cr_assert_eq(answer(filter, "any"), FILTER_ALL, "a star matches every topic");
    cr_assert_eq(answer(filter, "other"), FILTER_NONE);
    filter_free(NULL);
}

Test(filter, a_name_is_no_pattern)
{
    const struct selector selectors[] = {{.producer_name = TEXT("a*")},
                                         {.producer_name = TEXT("?"), .topic = TEXT("x*")},
                                         {.producer = TEXT("b*")}};
    const struct selector excludes[] = {{.producer_name = TEXT("b*")}};
    OWNED(filter_free) struct filter *filter = filter_of(selectors, 3, excludes, 1);

    cr_assert_eq(answer(filter, "a*"), FILTER_ALL);
    cr_assert_eq(answer(filter, "ab"), FILTER_NONE);
    cr_assert_eq(answer(filter, "?"), FILTER_BY_EVENT);
    cr_assert_eq(answer(filter, "x"), FILTER_NONE);
    cr_assert_eq(answer(filter, "b*"), FILTER_NONE, "excluded");
    cr_assert_eq(answer(filter, "b**"), FILTER_ALL);
}

Test(filter, narrows_to_the_selectors_that_can_still_match)
{
    const struct selector selectors[] = {{.producer = TEXT("a"), .topic = TEXT("x")},
                                         {.producer = TEXT("b"), .topic = TEXT("y")},
                                         {.topic = TEXT("z")}};
    const struct selector excludes[] = {{.producer = TEXT("b"), .topic = TEXT("q")},
                                        {.types = &TEXT("t"), .type_count = 1}};
    OWNED(filter_free) struct filter *filter = filter_of(selectors, 3, excludes, 2);
    struct filter_part part = filter_producer(filter, TEXT("a"), NULL, 0);

    cr_assert_eq(part.selectors, 5);
    cr_assert_eq(part.excludes, 2);
    cr_assert(filter_event(filter, &part, &(struct event_view){.topic = TEXT("x")}));
    cr_assert(filter_event(filter, &part, &(struct event_view){.topic = TEXT("z")}));
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.topic = TEXT("y")}),
                  "that one is for producer b");
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.topic = TEXT("x"), .type = TEXT("t")}),
                  "excludes win");
}

Test(filter, uses_all_sixty_four_of_each_kind)
{
    struct selector selectors[64];
    struct selector excludes[64];
    const struct bytes no = TEXT("no");
    char topics[64][16];

    for (size_t i = 0; i < 64; i++) {
        snprintf(topics[i], sizeof(topics)[i], "topic-%zu", i);
        selectors[i] = (struct selector){.topic = text_of(topics[i])};
        excludes[i] = (struct selector){.topic = text_of(topics[i]), .keys = &no, .key_count = 1};
    }
    OWNED(filter_free) struct filter *filter = filter_of(selectors, 64, excludes, 64);
    struct filter_part part = filter_producer(filter, TEXT("any"), NULL, 0);
    cr_assert_eq(part.selectors, UINT64_MAX);
    cr_assert_eq(part.excludes, UINT64_MAX);
    cr_assert(filter_event(filter, &part, &(struct event_view){.topic = TEXT("topic-63")}));
    cr_assert_not(
        filter_event(filter, &part, &(struct event_view){.topic = TEXT("topic-63"), .key = TEXT("no")}));
    cr_assert_not(filter_event(filter, &part, &(struct event_view){.topic = TEXT("topic-64")}));
}

Test(filter, wants_every_label_and_the_last_of_a_name)
{
    const struct pair wanted[] = {{TEXT("zone"), TEXT("eu-*")}, {TEXT("tier"), TEXT("*")}};
    const struct selector selector = {.labels = wanted, .label_count = 2};
    const struct pair labels[] = {
        {TEXT("zone"), TEXT("us")}, {TEXT("tier"), TEXT("")}, {TEXT("zone"), TEXT("eu-1")}};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);

    cr_assert_eq(filter_producer(filter, TEXT("p"), labels, 3).answer, FILTER_ALL);
    cr_assert_eq(filter_producer(filter, TEXT("p"), labels, 2).answer, FILTER_NONE, "the zone is us");
    cr_assert_eq(filter_producer(filter, TEXT("p"), labels + 2, 1).answer, FILTER_NONE, "no tier");
    cr_assert_eq(filter_producer(filter, TEXT("p"), NULL, 0).answer, FILTER_NONE);
}

Test(filter, wants_one_of_the_keys_one_of_the_types_and_every_header)
{
    const struct bytes keys[] = {TEXT("k1"), TEXT("k2*")};
    const struct bytes types[] = {TEXT("created"), TEXT("removed")};
    const struct pair headers[] = {{TEXT("zone"), TEXT("eu-?")}, {TEXT("trace"), TEXT("*")}};
    const struct selector selector = {
        .keys = keys, .types = types, .headers = headers, .key_count = 2, .type_count = 2, .header_count = 2};
    const struct pair carried[] = {{TEXT("zone"), TEXT("eu-1")}, {TEXT("trace"), TEXT("")}};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);
    struct filter_part part = filter_producer(filter, TEXT("p"), NULL, 0);
    struct buf message = {0};
    struct event_headers carried_headers;
    struct event_view view;

    cr_assert_eq(part.answer, FILTER_BY_EVENT);
    put_event(&message, &(struct event_view){.key = TEXT("k22"), .type = TEXT("removed")}, carried, 2);
    view_whole((struct bytes){message.data, message.size}, &view, &carried_headers);
    cr_assert(filter_event(filter, &part, &view));
    view.key = TEXT("k3");
    cr_assert_not(filter_event(filter, &part, &view));
    view.key = TEXT("k1");
    view.type = TEXT("changed");
    cr_assert_not(filter_event(filter, &part, &view));
    buf_clear(&message);
    put_event(&message, &(struct event_view){.key = TEXT("k1"), .type = TEXT("created")}, carried, 1);
    view_whole((struct bytes){message.data, message.size}, &view, &carried_headers);
    cr_assert_not(filter_event(filter, &part, &view), "no trace");
    buf_fini(&message);
}

Test(filter, matches_everything_with_a_list_that_has_a_star)
{
    const struct bytes keys[] = {TEXT("k1"), TEXT("**")};
    const struct selector selector = {.keys = keys, .key_count = 2};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);

    cr_assert_eq(answer(filter, "p"), FILTER_ALL);
}

Test(filter, does_not_use_its_selectors_after_it_was_made)
{
    char producer[] = "web";
    struct selector selector = {.producer = text_of(producer)};
    OWNED(filter_free) struct filter *filter = filter_of(&selector, 1, NULL, 0);

    memset(producer, 'x', 3);
    memset(&selector, 0xff, sizeof(selector));
    cr_assert_eq(answer(filter, "web"), FILTER_ALL);
}

static uint8_t long_text[MAX_PATTERN_BYTES + 1];
static struct bytes many[MAX_SELECTORS + 1];
static struct pair pairs[MAX_SELECTORS + 1];

static void refuse(const struct selector *selector, enum fault_reason reason, const char *field)
{
    const struct selector good = {.producer = TEXT("*")};
    const struct selector both[] = {good, *selector};
    struct filter *filter = (struct filter *)&fault;
    char path[64];

    cr_assert_eq(filter_new(both, 2, NULL, 0, &filter, &fault), reason, "%s", field);
    snprintf(path, sizeof(path), "selectors[1]%s", field);
    cr_assert_str_eq(fault.field, path);
    cr_assert_eq(filter_new(&good, 1, both, 2, &filter, &fault), reason);
    snprintf(path, sizeof(path), "exclude[1]%s", field);
    cr_assert_str_eq(fault.field, path);
    cr_assert_eq((void *)filter, (void *)&fault, "a refusal leaves the result unchanged");
}

Test(filter, refuses_a_wrong_selector_and_names_the_field)
{
    const struct bytes empty[] = {TEXT("a"), TEXT("")};
    const struct pair nameless = {TEXT(""), TEXT("*")};
    const struct pair valueless = {TEXT("a"), TEXT("")};
    const struct pair bad = {TEXT("a\xff"), TEXT("*")};

    memset(long_text, 'a', sizeof(long_text));
    for (size_t i = 0; i <= MAX_SELECTORS; i++) {
        many[i] = TEXT("a");
        pairs[i] = (struct pair){TEXT("a"), TEXT("b")};
    }
    refuse(&(struct selector){.key_count = 0}, FAULT_EMPTY, "");
    cr_assert_str_eq(fault.bound, "set producer: \"*\" for everything");
    refuse(&(struct selector){.producer = {long_text, sizeof(long_text)}}, FAULT_TOO_LONG, ".producer");
    refuse(&(struct selector){.topic = {long_text, sizeof(long_text)}}, FAULT_TOO_LONG, ".topic");
    refuse(&(struct selector){.producer_name = {long_text, sizeof(long_text)}}, FAULT_TOO_LONG,
           ".producer_name");
    refuse(&(struct selector){.producer = TEXT("a"), .producer_name = TEXT("a")}, FAULT_OUT_OF_BOUNDS,
           ".producer_name");
    refuse(&(struct selector){.producer = TEXT("\xc0\x80")}, FAULT_BAD_UTF8, ".producer");
    refuse(&(struct selector){.topic = TEXT("a\0")}, FAULT_BAD_UTF8, ".topic");
    refuse(&(struct selector){.keys = empty, .key_count = 2}, FAULT_EMPTY, ".keys[1]");
    refuse(&(struct selector){.types = empty, .type_count = 2}, FAULT_EMPTY, ".types[1]");
    refuse(&(struct selector){.keys = many, .key_count = 65}, FAULT_TOO_MANY, ".keys");
    refuse(&(struct selector){.types = many, .type_count = 65}, FAULT_TOO_MANY, ".types");
    refuse(&(struct selector){.headers = pairs, .header_count = 65}, FAULT_TOO_MANY, ".headers");
    refuse(&(struct selector){.labels = pairs, .label_count = 65}, FAULT_TOO_MANY, ".labels");
    refuse(&(struct selector){.headers = &nameless, .header_count = 1}, FAULT_EMPTY, ".headers[0].name");
    refuse(&(struct selector){.labels = &valueless, .label_count = 1}, FAULT_EMPTY, ".labels[0].value");
    refuse(&(struct selector){.headers = &bad, .header_count = 1}, FAULT_BAD_UTF8, ".headers[0].name");
}

Test(filter, refuses_too_many_selectors)
{
    struct selector selectors[MAX_SELECTORS + 1];
    struct filter *filter = NULL;

    for (size_t i = 0; i <= MAX_SELECTORS; i++)
        selectors[i] = (struct selector){.topic = TEXT("t")};
    cr_assert_eq(filter_new(selectors, 0, NULL, 0, &filter, &fault), FAULT_EMPTY);
    cr_assert_str_eq(fault.field, "selectors");
    cr_assert_eq(filter_new(selectors, 65, NULL, 0, &filter, &fault), FAULT_TOO_MANY);
    cr_assert_str_eq(fault.field, "selectors");
    cr_assert_eq(filter_new(selectors, 64, selectors, 65, &filter, &fault), FAULT_TOO_MANY);
    cr_assert_str_eq(fault.field, "exclude");
}

/* 64 selectors whose lists are full of this text. */
static void fill(struct selector *selectors, struct bytes text, uint32_t count)
{
    for (size_t i = 0; i < MAX_SELECTORS; i++) {
        many[i] = text;
        pairs[i] = (struct pair){TEXT("n"), text};
        selectors[i] = (struct selector){.producer = text,
                                         .topic = text,
                                         .keys = many,
                                         .types = many,
                                         .headers = pairs,
                                         .labels = pairs,
                                         .key_count = count,
                                         .type_count = count,
                                         .header_count = count,
                                         .label_count = count};
    }
}

/* Finding 24. */
Test(filter, accepts_lists_that_are_full_of_short_texts)
{
    struct selector selectors[MAX_SELECTORS];
    struct filter *filter = NULL;

    fill(selectors, TEXT("short*"), 64);
    cr_assert_eq(filter_new(selectors, 64, NULL, 0, &filter, &fault), FAULT_NONE, "%s", fault.bound);
    filter_free(filter);
}

Test(filter, accepts_texts_up_to_the_cost_and_not_one_more)
{
    struct selector selectors[MAX_SELECTORS];
    struct filter *filter = NULL;
    /* Each pattern with its bytes, and each name with its one byte. */
    const uint32_t of_one = 2 * (PATTERN_COST + MAX_PATTERN_BYTES) +
                            15 * 4 * (PATTERN_COST + MAX_PATTERN_BYTES) + 15 * 2 * (PATTERN_COST + 1);
    const uint32_t fit = MAX_FILTER_COST / of_one;

    memset(long_text, 'a', sizeof(long_text));
    fill(selectors, (struct bytes){long_text, MAX_PATTERN_BYTES}, 15);
    cr_assert_eq(filter_new(selectors, fit, NULL, 0, &filter, &fault), FAULT_NONE, "%s", fault.bound);
    filter_free(filter);
    cr_assert_eq(filter_new(selectors, fit / 2, selectors, fit - fit / 2 + 1, &filter, &fault),
                 FAULT_FILTER_COST, "both lists count");
    cr_assert_eq(strncmp(fault.field, "exclude[", 8), 0, "%s", fault.field);
}

Test(filter, names_the_text_that_makes_it_cost_too_much)
{
    struct pair searched[MAX_SELECTORS];
    struct selector selectors[3];
    struct filter *filter = NULL;

    for (size_t i = 0; i < MAX_SELECTORS; i++)
        searched[i] = (struct pair){TEXT("h"), TEXT("*needle*")};
    for (size_t i = 0; i < 3; i++)
        selectors[i] = (struct selector){.headers = searched, .header_count = 21};
    cr_assert_eq(filter_new(selectors, 3, NULL, 0, &filter, &fault), FAULT_NONE);
    filter_free(filter);
    for (size_t i = 0; i < 3; i++)
        selectors[i].header_count = MAX_SELECTORS / 2;
    cr_assert_eq(filter_new(selectors, 3, NULL, 0, &filter, &fault), FAULT_FILTER_COST);
    cr_assert_str_eq(fault.field, "selectors[1].headers[31].value");
    cr_assert_str_eq(fault.value, "\"*needle*\"");
    cr_assert_str_eq(fault.bound, "a cost of at most 524288; up to here it is 525888");
    for (size_t i = 0; i < MAX_SELECTORS; i++)
        searched[i].value = TEXT("begins*ends");
    cr_assert_eq(filter_new(selectors, 3, NULL, 0, &filter, &fault), FAULT_NONE,
                 "a beginning and an end need no search");
    filter_free(filter);
}
