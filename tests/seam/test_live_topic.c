/* test_live_topic.c - a stored topic as a producer of the hub. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "hub/session.h"
#include "seam/fake_session.h"
#include "seam/hub_fixture.h"
#include "topic/live_topic.h"
#include "topic/read_turns.h"

#define INCARNATION UINT64_C(7)

static const struct topic_port no_port = {0}; /* nobody is behind */

static struct live_topic *topic_add(struct hub_fixture *fixture, const char *name, uint64_t next_seq)
{
    struct read_turns *turns = read_turns_new(fixture->loop, &no_port);
    const struct topic_info info = {
        .id = 3, .incarnation = INCARNATION, .name = text_of(name), .first_seq = 1, .next_seq = next_seq};
    struct live_topic *topic;

    cr_assert(turns);
    cr_assert_eq(live_topic_add(fixture->hub, &no_port, turns, &info, &topic), ERR_OK);
    read_turns_release(turns);
    return topic;
}

static void free_committed(struct committed *committed)
{
    free(committed);
}

/* What the publisher's done() and its thread do. */
static void add(struct live_topic *topic, uint32_t count, uint32_t duplicates, uint64_t first_seq)
{
    struct committed *committed = calloc(1, sizeof(*committed));

    cr_assert(committed);
    *committed = (struct committed){.chunk = sample_chunk(count, "a", 1),
                                    .first = duplicates,
                                    .first_seq = first_seq,
                                    .over = free_committed};
    topic_tail_add(&topic->tail, committed);
}

static void commit(struct live_topic *topic, uint32_t count, uint32_t duplicates, uint64_t first_seq)
{
    add(topic, count, duplicates, first_seq);
    cr_assert(!live_topic_deliver(topic));
}

Test(live_topic, its_sequences_are_those_of_the_log_and_its_epoch_is_the_incarnation)
{
    struct hub_fixture fixture;
    struct consumer before, after;
    struct producer_view view;
    struct live_topic *topic;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&before, &fixture, subscription_params_of(NULL));
    topic = topic_add(&fixture, "orders", 101);
    consumer_join(&after, &fixture, subscription_params_of("orders"));
    commit(topic, 2, 0, 101);
    commit(topic, 3, 2, 103);
    cr_assert_str_eq(consumer_read(&before), "@orders 101-102, @orders 103-103, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&after), "@orders 101-102, @orders 103-103, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&before), "@orders=103");

    cr_assert_eq(hub_producer(fixture.hub, text_of("@orders"), hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert(view.is_topic);
    cr_assert_eq(view.epoch, INCARNATION);
    cr_assert_eq(view.last_sequence, 103);
    cr_assert_eq(view.subscriptions, 2);
    cr_assert_eq(live_topic_incarnation(topic), INCARNATION);

    live_topic_remove(topic, 104);
    cr_assert_str_eq(consumer_read(&before), "@orders is REMOVED\n");
    cr_assert_eq(hub_producer(fixture.hub, text_of("@orders"), hub_fixture_copy_view, &view, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    consumer_leave(&before);
    consumer_leave(&after);
    hub_fixture_close(&fixture);
}

/* Only DeleteTopic deletes what is stored. */
Test(live_topic, it_is_not_removed_as_a_producer)
{
    struct hub_fixture fixture;
    struct producer_view view;
    struct live_topic *topic;
    struct fault fault;

    hub_fixture_open(&fixture);
    topic = topic_add(&fixture, "orders", 1);
    cr_assert_eq(hub_remove(fixture.hub, text_of("@orders"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_PRODUCER_STAYS);
    cr_assert_eq(hub_producer(fixture.hub, text_of("@orders"), hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    live_topic_remove(topic, 1);
    hub_fixture_close(&fixture);
}

/* A publisher that has found it may hold it for longer than the hub has it. What was confirmed to
 * it is reported. */
Test(live_topic, what_is_delivered_after_its_removal_reaches_nobody_and_is_trimmed_for_all)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct live_topic *topic;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    topic = live_topic_retain(topic_add(&fixture, "orders", 1));
    commit(topic, 1, 0, 1);
    add(topic, 3, 0, 2);
    live_topic_remove(topic, 5);
    cr_assert(!live_topic_deliver(topic));
    cr_assert_str_eq(consumer_read(&consumer),
                     "lost @orders 3 2-4 TRIMMED, @orders 1-1, @orders is REMOVED\n");
    live_topic_release(topic);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(live_topic, a_hub_that_ends_first_leaves_the_reference_to_its_owner)
{
    struct hub_fixture fixture;
    struct live_topic *topic;

    hub_fixture_open(&fixture);
    topic = topic_add(&fixture, "orders", 1);
    hub_fixture_close(&fixture);
    cr_assert(!topic->producer.named);
    live_topic_remove(topic, 1);
}
