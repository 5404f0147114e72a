/* test_change_over.c - a channel changes over from one route or wildcard of a source to another one
 * while a chunk goes through both. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "event/filter.h"
#include "flow/chan.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "lib/events.h"
#include "route/inlet.h"
#include "route/inlet_report.h"
#include "route/offer.h"
#include "route/route.h"
#include "route/wildcard.h"

#define BEFORE 1u /* generations */
#define NEXT 2u
#define MARK 7u
#define MAX_EVENTS 2000u

/* Which events one side wants: letters are topics, NULL is everything; a wildcard has no route. */
struct side {
    const char *topic;
    bool wildcard;
};

/* Where another channel gets the chunk: the change comes from within its readable(). */
enum place { FIRST, LAST, BY_EVENT, WILDCARD_BEFORE, WILDCARD_AFTER, SECOND, PLACES };

struct taken {
    uint32_t count;
    uint64_t events[MAX_EVENTS];
};

static struct inlet inlet;
static struct wildcard_set set;
static struct wildcard other_wildcard, own_wildcard;
static struct chan *chan, *other;
static struct route before, next, other_route;
static struct filter *filters[3];
static bool changes;

static void ignore_readable(void *ctx)
{
    (void)ctx;
}

static void change_over(void *ctx)
{
    (void)ctx;
    if (changes)
        chan_change_over(chan, NEXT, false, MARK);
    changes = false;
}

static void ignore_reported(struct inlet *reported)
{
    (void)reported;
}

static void ignore_left(void *ctx, struct inlet *left)
{
    (void)ctx, (void)left;
}

static bool joins(const struct inlet *any)
{
    (void)any;
    return true;
}

static struct chan *channel(void (*readable)(void *ctx))
{
    const struct chan_limits limits = {
        .max_events = 100000, .max_bytes = 1 << 30, .overflow = OVERFLOW_DROP_OLDEST, .no_states = true};
    const struct chan_callbacks callbacks = {.readable = readable};

    return chan_new(&limits, &callbacks);
}

static void link_route(struct route *route, struct chan *to, const char *topic, uint32_t generation,
                       bool second)
{
    struct selector selector = {.producer = text_of("*"), .topic = text_of(topic ? topic : "")};
    struct filter **filter = &filters[route == &before ? 0 : route == &next ? 1 : 2];
    struct filter_part part;
    struct fault fault;

    cr_assert_eq(filter_new(&selector, 1, NULL, 0, filter, &fault), FAULT_NONE);
    part = filter_producer(*filter, text_of("p"), NULL, 0);
    cr_assert_eq(part.answer, topic ? FILTER_BY_EVENT : FILTER_ALL);
    cr_assert_eq(inlet_reserve(&inlet), ERR_OK);
    cr_assert_eq(route_init(route, &inlet, to, *filter, &part, NULL), ERR_OK);
    route->generation = generation;
    route->second = second;
    pthread_mutex_lock(&inlet.lock);
    route_link(route);
    pthread_mutex_unlock(&inlet.lock);
}

static void unlink_route(struct route *route)
{
    if (!route->inlet)
        return;
    route_leave(route);
    route_fini(route);
    *route = (struct route){0};
}

static void add_wildcard(struct wildcard *wildcard, struct chan *to)
{
    pthread_mutex_lock(&set.lock);
    cr_assert_eq(wildcard_add(&set, wildcard, to, joins), ERR_OK);
    pthread_mutex_unlock(&set.lock);
}

static void remove_wildcard(struct wildcard *wildcard)
{
    pthread_mutex_lock(&set.lock);
    wildcard_remove(&set, wildcard, false, ignore_left, NULL);
    pthread_mutex_unlock(&set.lock);
}

/* The other channel's route has the generation that it puts. */
static void link_other(enum place place, enum place now)
{
    if (place == now)
        link_route(&other_route, other, place == BY_EVENT ? "?" : NULL, BEFORE, place == SECOND);
}

static void begin(const struct side *side_before, const struct side *side_next, enum place place)
{
    cr_assert_eq(inlet_init(&inlet, &(struct inlet_start){.name = text_of("p"), .epoch = 1}), ERR_OK);
    wildcard_set_init(&set, ignore_reported);
    wildcard_set_add_inlet(&set, &inlet);
    chan = channel(ignore_readable);
    other = channel(change_over);
    chan_change_over(chan, BEFORE, side_before->wildcard, 0);
    chan_change_over(other, BEFORE, true, 0);
    if (place == WILDCARD_BEFORE)
        add_wildcard(&other_wildcard, other);
    if (side_before->wildcard)
        add_wildcard(&own_wildcard, chan);
    if (place == WILDCARD_AFTER)
        add_wildcard(&other_wildcard, other);
    link_other(place, FIRST);
    link_other(place, SECOND);
    if (!side_before->wildcard)
        link_route(&before, chan, side_before->topic, BEFORE, false);
    link_other(place, BY_EVENT);
    link_route(&next, chan, side_next->topic, NEXT, true);
    link_other(place, LAST);
}

static void end(void)
{
    unlink_route(&before);
    unlink_route(&next);
    unlink_route(&other_route);
    remove_wildcard(&own_wildcard);
    remove_wildcard(&other_wildcard);
    cr_assert_eq(inlet.second_count, 0);
    wildcard_set_remove_inlet(&set, &inlet, &(struct source_state){0});
    while (inlet_reports_step(&set))
        continue;
    wildcard_set_fini(&set);
    inlet_fini(&inlet);
    chan_release(chan);
    chan_release(other);
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        filter_free(filters[i]);
        filters[i] = NULL;
    }
}

static void dequeue_all(struct taken *before_mark, struct taken *after_mark)
{
    struct taken *taken = before_mark;
    struct chan_batch batch = {0};
    bool more = true;

    while (more) {
        if (chan_marked(chan) == MARK)
            taken = after_mark;
        more = chan_dequeue(chan, &batch, 100000, 1 << 30, 1);
        for (uint32_t i = 0; i < batch.count; i++)
            for (uint32_t event = batch.entries[i].first; event < batch.entries[i].last; event++)
                taken->events[taken->count++] = chunk_sequence(batch.entries[i].chunk, event);
        more |= batch.count > 0;
        chan_delivered(chan, &batch);
    }
    chan_batch_fini(&batch);
}

static bool wants(const struct side *side, char topic)
{
    return !side->topic || *side->topic == '?' || *side->topic == topic;
}

/* Whether the events before the mark are those that one side wants up to `last`, and the events
 * behind it those that the other side wants after that. */
static bool fits(const struct side *side_before, const struct side *side_next, const char *topics,
                 uint64_t last, const struct taken *before_mark, const struct taken *after_mark)
{
    uint32_t found_before = 0, found_after = 0;

    for (uint64_t sequence = 1; topics[sequence - 1]; sequence++) {
        const struct taken *taken = sequence <= last ? before_mark : after_mark;
        uint32_t *found = sequence <= last ? &found_before : &found_after;

        if (!wants(sequence <= last ? side_before : side_next, topics[sequence - 1]))
            continue;
        if (*found == taken->count || taken->events[(*found)++] != sequence)
            return false;
    }
    return found_before == before_mark->count && found_after == after_mark->count;
}

static struct chunk *chunk_of_letters(const char *topics)
{
    OWNED(buf_fini) struct buf buf = {0};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct fault fault;

    for (; *topics; topics++) {
        struct event_view event = {.topic = {(const uint8_t *)topics, 1}};

        put_event(&buf, &event, NULL, 0);
    }
    cr_assert_eq(framing_scan(&scan, (struct bytes){buf.data, buf.size}, &settings_defaults.framing, &fault),
                 FAULT_NONE);
    cr_assert_eq(chunk_of((struct bytes){buf.data, buf.size}, &scan, &chunk), ERR_OK);
    framing_fini(&scan);
    return chunk;
}

static void check(const struct side *side_before, const struct side *side_next, enum place place,
                  const char *topics)
{
    static struct taken before_mark, after_mark;
    OWNED(chunk_release) struct chunk *chunk = chunk_of_letters(topics);
    struct offer offer;
    bool fitting = false;

    before_mark.count = after_mark.count = 0;
    begin(side_before, side_next, place);
    changes = true;
    cr_assert_eq(inlet_offer(&inlet, chunk, NULL, &offer), ERR_OK);
    cr_assert_not(changes, "the change came while the chunk was routed");
    dequeue_all(&before_mark, &after_mark);
    for (uint64_t last = 0; last <= strlen(topics) && !fitting; last++)
        fitting = fits(side_before, side_next, topics, last, &before_mark, &after_mark);
    cr_expect(fitting, "place %d, before %s%s, next %s, %zu events: %u before the mark, %u after it",
              (int)place, side_before->wildcard ? "wildcard" : "",
              side_before->topic ? side_before->topic : "*", side_next->topic ? side_next->topic : "*",
              strlen(topics), before_mark.count, after_mark.count);
    end();
}

static void check_all(const char *topics)
{
    static const struct side befores[] = {{NULL, true}, {NULL, false}, {"?", false}, {"a", false}};
    static const struct side nexts[] = {{NULL, false}, {"?", false}, {"a", false}, {"b", false}};

    for (size_t i = 0; i < ARRAY_LEN(befores); i++)
        for (size_t j = 0; j < ARRAY_LEN(nexts); j++)
            for (enum place place = FIRST; place < PLACES; place++)
                check(&befores[i], &nexts[j], place, topics);
}

Test(change_over, one_of_two_routes_puts_each_event_of_a_chunk)
{
    check_all("a");
    check_all("abbaabab");
}

/* There are more runs than are kept at a time, so they are put in several portions, and the change
 * comes between these. */
Test(change_over, one_of_two_routes_puts_each_event_of_a_chunk_of_many_runs)
{
    static char topics[MAX_EVENTS];

    for (size_t i = 0; i < sizeof(topics) - 1; i++)
        topics[i] = i % 2 == 0 ? 'a' : 'b';
    check_all(topics);
}
