/* fuzz_filter.c - any selectors. A filter that filter_new() accepts wants the same events as a
 * naive reading of its selectors, the matcher agrees with it, and the glob agrees with the naive
 * one.
 *
 * The input is a list of texts. In front of each is a byte with its size (low five bits) and a
 * choice (high three). The first eight texts make the producer, its label and an event. The others
 * make selectors: the choice says which field a text becomes. */
#include <string.h>

#include "event/matcher.h"
#include "event/text.h"
#include "lib/event_views.h"
#include "lib/events.h"
#include "lib/glob_naive.h"
#include "lib/glob_match.h"

#define MAX_LIST 4u

enum choice {
    CHOICE_PRODUCER,
    CHOICE_TOPIC,
    CHOICE_KEY,
    CHOICE_TYPE,
    CHOICE_HEADER,
    CHOICE_LABEL,
    CHOICE_NEXT,
    CHOICE_EXCLUDE
};

struct chosen {
    struct bytes text;
    enum choice choice;
};

/* A selector and its lists. */
struct selector_lists {
    struct selector selector;
    struct bytes keys[MAX_LIST], types[MAX_LIST];
    struct pair headers[MAX_LIST], labels[MAX_LIST];
};

static struct chosen next(struct bytes *input)
{
    struct chosen piece = {.choice = CHOICE_NEXT};
    size_t size;

    if (input->size == 0)
        return piece;
    piece.choice = (enum choice)(input->data[0] >> 5);
    size = input->data[0] & 31u;
    *input = glob_rest(*input, 1);
    size = MIN_OF(size, input->size);
    piece.text = (struct bytes){input->data, size};
    *input = glob_rest(*input, size);
    return piece;
}

static struct pair pair_of(struct bytes name, struct bytes *input)
{
    return (struct pair){name, next(input).text};
}

static void add(struct selector_lists *lists, const struct chosen *piece, struct bytes *input)
{
    struct selector *selector = &lists->selector;

    switch (piece->choice) {
    case CHOICE_PRODUCER:
        selector->producer = piece->text;
        break;
    case CHOICE_TOPIC:
        selector->topic = piece->text;
        break;
    case CHOICE_KEY:
        if (selector->key_count < MAX_LIST)
            lists->keys[selector->key_count++] = piece->text;
        break;
    case CHOICE_TYPE:
        if (selector->type_count < MAX_LIST)
            lists->types[selector->type_count++] = piece->text;
        break;
    case CHOICE_HEADER:
        if (selector->header_count < MAX_LIST)
            lists->headers[selector->header_count++] = pair_of(piece->text, input);
        break;
    case CHOICE_LABEL:
        if (selector->label_count < MAX_LIST)
            lists->labels[selector->label_count++] = pair_of(piece->text, input);
        break;
    case CHOICE_NEXT:
    case CHOICE_EXCLUDE:
        break;
    }
}

static bool unset_or_matches(struct bytes pattern, struct bytes text)
{
    return pattern.size == 0 || glob_match(pattern, text);
}

static bool one_of(const struct bytes *patterns, uint32_t count, struct bytes text)
{
    bool any = count == 0;

    for (uint32_t i = 0; i < count; i++)
        any = any || glob_match(patterns[i], text);
    return any;
}

/* Whether every wanted pair matches. Of two pairs with one name in `carried` the last one
 * counts. */
static bool every(const struct pair *wanted, uint32_t count, const struct pair *carried, size_t carried_count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < carried_count; j++) {
            if (carried[j].name.size == wanted[i].name.size &&
                memcmp(carried[j].name.data, wanted[i].name.data, wanted[i].name.size) == 0)
                found = glob_match(wanted[i].value, carried[j].value);
        }
        if (!found)
            return false;
    }
    return true;
}

struct situation {
    struct bytes producer;
    struct pair labels[1];
    struct pair headers[1];
    struct event_view event;
};

/* A naive reading of the selectors: whether one of them matches. */
static bool naive(const struct selector *selectors, size_t count, const struct situation *now)
{
    for (size_t i = 0; i < count; i++) {
        const struct selector *selector = &selectors[i];
        if (unset_or_matches(selector->producer, now->producer) &&
            unset_or_matches(selector->topic, now->event.topic) &&
            one_of(selector->keys, selector->key_count, now->event.key) &&
            one_of(selector->types, selector->type_count, now->event.type) &&
            every(selector->headers, selector->header_count, now->headers, 1) &&
            every(selector->labels, selector->label_count, now->labels, 1))
            return true;
    }
    return false;
}

static void globs_agree(struct bytes pattern, struct bytes text)
{
    bool match = glob_match(pattern, text);

    if (utf8_valid(pattern) && utf8_valid(text))
        CHECK(match == glob_naive(pattern, text));
}

/* How many entries want the event: the hits and their rings. */
static size_t count_hits(struct matcher *matcher, struct bytes event)
{
    size_t count = 0;

    for (struct match_entry *hit = matcher_match(matcher, event); hit; hit = hit->next_hit) {
        count++;
        for (struct list *node = hit->alike.next; node != &hit->alike; node = node->next)
            count++;
    }
    return count;
}

/* A filter in a matcher, and whether it wants the event. */
struct added {
    struct filter *filter; /* NULL: it has no entry */
    struct match_entry *entry;
    bool wants;
};

/* Adds a filter of one selector to the matcher, unless no event can be asked about it. */
static struct added add_one(struct matcher *matcher, const struct selector *selector,
                            const struct situation *now, const struct event_view *view)
{
    struct added added = {.filter = NULL};
    struct fault fault;

    if (filter_new(selector, 1, NULL, 0, &added.filter, &fault) != FAULT_NONE)
        return added;
    struct filter_part part = filter_producer(added.filter, now->producer, now->labels, 1);
    if (part.answer == FILTER_BY_EVENT) {
        added.entry = match_entry_new(added.filter, &part, NULL);
        added.wants = filter_event(added.filter, &part, view);
        matcher_add(matcher, added.entry);
        return added;
    }
    filter_free(added.filter);
    return (struct added){.filter = NULL};
}

/* Adds two entries of the same filter to a matcher, and one for each selector, and removes them. */
static void check_matcher(const struct filter *filter, const struct filter_part *part,
                          const struct selector *selectors, size_t selector_count,
                          const struct situation *now, const struct event_view *view, struct bytes event)
{
    bool answer = filter_event(filter, part, view);
    struct matcher *matcher = matcher_new();
    struct match_entry *entries[2];
    struct added added[MAX_LIST];
    size_t wanted = 0;

    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        entries[i] = match_entry_new(filter, part, NULL);
        matcher_add(matcher, entries[i]);
        wanted += answer;
    }
    for (size_t i = 0; i < selector_count; i++) {
        added[i] = add_one(matcher, &selectors[i], now, view);
        wanted += added[i].wants;
    }
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        CHECK(count_hits(matcher, event) == wanted);
        matcher_remove(matcher, entries[i]);
        match_entry_free(entries[i]);
        wanted -= answer;
    }
    for (size_t i = 0; i < selector_count; i++) {
        CHECK(count_hits(matcher, event) == wanted);
        if (!added[i].filter)
            continue;
        matcher_remove(matcher, added[i].entry);
        match_entry_free(added[i].entry);
        filter_free(added[i].filter);
        wanted -= added[i].wants;
    }
    CHECK(count_hits(matcher, event) == 0);
    matcher_free(matcher);
}

static void check_filter(const struct filter *filter, const struct selector *lists[2], const size_t counts[2],
                         const struct situation *now)
{
    struct filter_part part = filter_producer(filter, now->producer, now->labels, 1);
    struct buf message = {0};
    struct event_headers headers;
    struct event_view view;
    bool answer;

    put_event(&message, &now->event, now->headers, 1);
    view_whole((struct bytes){message.data, message.size}, &view, &headers);
    answer =
        part.answer == FILTER_ALL || (part.answer == FILTER_BY_EVENT && filter_event(filter, &part, &view));
    CHECK(answer == (naive(lists[0], counts[0], now) && !naive(lists[1], counts[1], now)));
    if (part.answer == FILTER_BY_EVENT)
        check_matcher(filter, &part, lists[0], counts[0], now, &view,
                      (struct bytes){message.data, message.size});
    buf_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    struct selector_lists lists_of[2][MAX_LIST] = {{{.keys = {{NULL, 0}}}}};
    struct selector selectors[2][MAX_LIST];
    const struct selector *lists[2] = {selectors[0], selectors[1]};
    size_t counts[2] = {1, 0};
    struct situation now = {.producer = next(&input).text};
    struct filter *filter = NULL;
    struct fault fault;
    size_t list = 0;

    now.labels[0] = pair_of(next(&input).text, &input);
    now.headers[0] = pair_of(next(&input).text, &input);
    now.event.topic = next(&input).text;
    now.event.key = next(&input).text;
    now.event.type = next(&input).text;
    globs_agree(now.labels[0].name, now.labels[0].value);
    while (input.size > 0) {
        struct chosen piece = next(&input);
        if (piece.choice >= CHOICE_NEXT) {
            list = piece.choice == CHOICE_EXCLUDE ? 1 : 0;
            counts[list] += counts[list] < MAX_LIST;
            continue;
        }
        globs_agree(piece.text, now.event.topic);
        add(&lists_of[list][counts[list] - 1], &piece, &input);
    }
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < counts[i]; j++) {
            selectors[i][j] = lists_of[i][j].selector;
            selectors[i][j].keys = lists_of[i][j].keys;
            selectors[i][j].types = lists_of[i][j].types;
            selectors[i][j].headers = lists_of[i][j].headers;
            selectors[i][j].labels = lists_of[i][j].labels;
        }
    }
    if (now.producer.size > 0 && now.producer.data[0] == '@')
        return 0; /* the name of a stored topic, which filter_stored() decides */
    if (filter_new(selectors[0], counts[0], selectors[1], counts[1], &filter, &fault) == FAULT_NONE)
        check_filter(filter, lists, counts, &now);
    filter_free(filter);
    return 0;
}
