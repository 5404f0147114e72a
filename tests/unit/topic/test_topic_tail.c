/* test_topic_tail.c - what was committed reaches the topic's inlet: in order, once, by one thread
 * at a time, and no more in one call than is due. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "route/inlet.h"
#include "route/offer.h"
#include "topic/topic_tail.h"

/* What was offered: "5+2" is two events from sequence 5 on. */
static char offered[512];
static unsigned over_count;
static struct inlet inlet;
static struct topic_tail tail;
/* Called while something is offered; NULL: nothing is. */
static void (*during_offer)(void);

enum err __real_inlet_offer(struct inlet *at, struct chunk *chunk, struct put_waiter *waiter,
                            struct offer *offer_out);
enum err __wrap_inlet_offer(struct inlet *at, struct chunk *chunk, struct put_waiter *waiter,
                            struct offer *offer_out);

enum err __wrap_inlet_offer(struct inlet *at, struct chunk *chunk, struct put_waiter *waiter,
                            struct offer *offer_out)
{
    const size_t length = strlen(offered);

    snprintf(offered + length, sizeof(offered) - length, "%s%llu+%u", length > 0 ? " " : "",
             (unsigned long long)chunk->first_sequence, chunk->count);
    cr_expect_null(waiter, "nobody waits for the channels of a topic");
    if (during_offer)
        during_offer();
    return __real_inlet_offer(at, chunk, waiter, offer_out);
}

static void count_over(struct committed *committed)
{
    cr_expect_null(committed->chunk);
    over_count++;
}

/* A chunk whose events have the lengths 1, 2, 3 and so on. */
static struct chunk *chunk_rising(uint32_t count)
{
    struct chunk *chunk = chunk_begin(count, 1024);
    uint8_t *data = (uint8_t *)(uintptr_t)chunk->data;

    for (uint32_t i = 0; i < count; i++) {
        memset(data + chunk->offsets[i], (int)i, i + 1);
        chunk->offsets[i + 1] = chunk->offsets[i] + i + 1;
    }
    chunk->count = count;
    return chunk_end(chunk);
}

static void add(struct committed *committed, uint32_t count, uint32_t first, uint64_t first_seq)
{
    *committed = (struct committed){
        .chunk = chunk_rising(count), .first = first, .first_seq = first_seq, .over = count_over};
    topic_tail_add(&tail, committed);
}

static void open_topic(uint64_t last_sequence)
{
    const struct inlet_start start = {.name = {(const uint8_t *)"@orders", 7},
                                      .epoch = 3,
                                      .last_sequence = last_sequence,
                                      .state = INLET_OPEN};

    offered[0] = '\0';
    over_count = 0;
    during_offer = NULL;
    cr_assert_eq(inlet_init(&inlet, &start), ERR_OK);
    topic_tail_init(&tail);
}

static void close_topic(void)
{
    topic_tail_fini(&tail);
    inlet_fini(&inlet);
}

Test(topic_tail, delivers_in_the_order_of_the_commits_with_the_sequences_of_the_log)
{
    struct committed commits[3];

    open_topic(4);
    add(&commits[0], 2, 0, 5);
    add(&commits[1], 1, 0, 7);
    cr_expect_str_empty(offered, "adding delivers nothing");
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    add(&commits[2], 3, 0, 8);
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    cr_expect(!topic_tail_deliver(&tail, &inlet), "there is nothing");
    cr_expect_str_eq(offered, "5+2 7+1 8+3");
    cr_expect_eq(over_count, 3);
    cr_expect_eq(inlet.last_sequence, 10);
    close_topic();
}

static struct chunk *seen;

Test(topic_tail, leaves_out_what_was_stored_before)
{
    struct committed commit;

    open_topic(0);
    add(&commit, 4, 3, 1);
    seen = chunk_retain(commit.chunk);
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    cr_expect_str_eq(offered, "1+1");
    const struct bytes event = chunk_range(seen, 0, 1);
    cr_assert_eq(event.size, 4);
    cr_expect_arr_eq(event.data, "\3\3\3\3", 4);
    cr_expect_eq(chunk_sequence(seen, 0), 1);
    chunk_release(seen);
    close_topic();
}

static struct committed second;

/* As another thread does that has committed meanwhile. */
static void add_and_deliver(void)
{
    during_offer = NULL;
    add(&second, 1, 0, 2);
    cr_expect(!topic_tail_deliver(&tail, &inlet), "somebody delivers already");
    cr_expect_str_eq(offered, "1+1");
}

Test(topic_tail, who_delivers_also_delivers_what_comes_meanwhile)
{
    struct committed first;

    open_topic(0);
    add(&first, 1, 0, 1);
    during_offer = add_and_deliver;
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    cr_expect_str_eq(offered, "1+1 2+1");
    close_topic();
}

static struct committed many[4];

Test(topic_tail, one_call_does_not_deliver_without_end)
{
    open_topic(0);
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++) {
        add(&many[i], 40, 0, 1 + i * (uint64_t)TAIL_EVENTS_AT_ONCE);
        many[i].chunk->count = 1; /* a small one */
    }
    /* the third reaches the bound */
    struct chunk *large = chunk_begin(TAIL_EVENTS_AT_ONCE, 0);
    large->count = TAIL_EVENTS_AT_ONCE;
    memset(large->offsets, 0, (TAIL_EVENTS_AT_ONCE + 1) * sizeof(uint32_t));
    chunk_release(many[2].chunk);
    many[2].chunk = large;
    cr_expect(topic_tail_deliver(&tail, &inlet), "the last one waits");
    cr_expect_eq(over_count, 3);
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    cr_expect_eq(over_count, 4);
    close_topic();
}

Test(topic_tail, what_a_topic_had_is_over_when_it_is_gone)
{
    struct committed commits[2];

    open_topic(0);
    add(&commits[0], 1, 0, 1);
    inlet_set_state(&inlet, INLET_REMOVED);
    cr_expect(!topic_tail_deliver(&tail, &inlet));
    add(&commits[1], 1, 0, 2);
    close_topic();
    cr_expect_eq(over_count, 2, "both are over");
    cr_expect_eq(count_get(COUNT_LIVE_CHUNKS), 0);
}
