/* test_taker.c - what the owner of a taker is given, in what order, how much at a time, and when it
 * is paused. The endings are in test_taker_ends.c. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan_stats.h"
#include "seam/taker_fixture.h"

static struct hub_fixture fixture;
static struct owner owner;

static struct totals dropped(enum loss reason)
{
    struct chan_stats stats;

    chan_stats(owner.chan, &stats);
    return stats.dropped[reason];
}

static uint64_t delivered(void)
{
    struct chan_stats stats;

    chan_stats(owner.chan, &stats);
    return stats.delivered.events;
}

Test(taker, gives_the_events_of_each_source_in_order_and_its_states)
{
    hub_fixture_open(&fixture);
    publish(&fixture, "web", 1, "t");
    owner_open(&owner, &fixture, taker_params_of(100));
    cr_assert_eq(owner.batches, 0, "the first port call comes in a later turn");
    cr_assert_str_eq(owner_read(&owner), "web is ACTIVE\n");
    publish(&fixture, "web", 2, "t");
    publish(&fixture, "api", 3, "t");
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(owner_read(&owner), "web 2-3, api 1-3, web 4-4, api is ACTIVE\n");
    cr_assert_eq(delivered(), 6);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, gives_nothing_while_a_batch_is_in_flight_and_keeps_what_the_batch_points_at)
{
    struct fault fault;
    struct producer_view view;

    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(100));
    publish(&fixture, "web", 2, "t");
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    publish(&fixture, "web", 3, "t");
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "", "one batch at a time");
    cr_assert_eq(delivered(), 0);
    owner_complete(&owner, true);
    cr_assert_eq(delivered(), 2);
    cr_assert_str_eq(owner_read(&owner), "web 3-5, web is REMOVED\n");
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

struct other_work {
    struct task task;
    unsigned runs;
    bool over;
};

static void count_run(struct task *task)
{
    struct other_work *work = container_of(task, struct other_work, task);

    work->runs++;
    if (!work->over)
        loop_post(fixture.loop, task);
}

Test(taker, gives_one_bounded_batch_in_each_turn_and_lets_others_work_between)
{
    struct other_work other = {.task.run = count_run};
    struct taker_params params = taker_params_of(100);

    params.subscription.limits.max_events = 5000;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, params);
    for (unsigned i = 0; i < 5; i++)
        publish(&fixture, "web", 1000, "t");
    loop_post(fixture.loop, &other.task);
    while (owner.events < 5000) {
        unsigned batches = owner.batches, runs = other.runs;

        loop_turn(fixture.loop);
        cr_assert_leq(owner.batches, batches + 1);
        cr_assert_eq(other.runs, runs + 1);
    }
    cr_assert_eq(owner.batches, 50);
    cr_assert_eq(owner.max_events, 100);
    other.over = true;
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, bounds_a_batch_in_bytes_and_gives_a_larger_event_alone)
{
    struct taker_params params = taker_params_of(100);
    struct putter putter;

    params.max_bytes = 1000;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, params);
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(20, "t", 100)), ERR_OK);
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 5000)), ERR_OK);
    putter_leave(&putter);
    (void)owner_read(&owner);
    cr_assert_eq(owner.events, 21);
    cr_assert_gt(owner.batches, 3);
    cr_assert_gt(owner.max_bytes, 5000);
    cr_assert_lt(owner.max_bytes, 6000, "alone");
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, that_is_paused_gives_no_events_and_the_overflow_policy_works)
{
    struct taker_params params = taker_params_of(100);

    params.subscription.limits.max_events = 4;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, params);
    (void)owner_read(&owner);
    taker_pause(owner.taker);
    taker_pause(owner.taker);
    publish(&fixture, "web", 3, "t");
    cr_assert_str_eq(owner_read(&owner), "web is ACTIVE\n", "states go on");
    publish(&fixture, "web", 4, "t");
    cr_assert_str_eq(owner_read(&owner), "lost web 3 1-3 1\n", "so do losses");
    cr_assert_eq(owner.events, 0);
    cr_assert_eq(dropped(LOSS_OVERFLOW_OLDEST).events, 3);
    taker_resume(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "web 4-7\n");
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(owner_read(&owner), "web 8-8\n");
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, may_be_paused_and_resumed_from_within_a_batch)
{
    hub_fixture_open(&fixture);
    owner.pauses_at_batch = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 5, "t");
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    owner.pauses_at_batch = false;
    taker_resume(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "web 3-4\nweb 5-5\n");
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

static bool unblocked(void *ctx)
{
    return ((struct putter *)ctx)->over > 0;
}

static struct taker_params blocking(int64_t block_timeout_ns)
{
    struct taker_params params = taker_params_of(100);

    params.subscription.limits.max_events = 2;
    params.subscription.limits.overflow = OVERFLOW_BLOCK;
    params.subscription.limits.block_timeout_ns = block_timeout_ns;
    return params;
}

Test(taker, that_is_paused_blocks_a_producer_until_it_is_resumed)
{
    struct putter putter;

    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, blocking(3600 * NS_PER_S));
    taker_pause(owner.taker);
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(5, "t", 8)), ERR_AGAIN);
    cr_assert_str_eq(owner_read(&owner), "web is ACTIVE\n");
    cr_assert_eq(putter.over, 0);
    taker_resume(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "web 1-2\nweb 3-4\nweb 5-5\n");
    cr_assert_eq(putter.over, 1);
    putter_leave(&putter);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, keeps_the_block_timeout_while_it_is_paused_and_while_a_batch_is_in_flight)
{
    struct putter putter;

    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, blocking(5 * NS_PER_MS));
    taker_pause(owner.taker);
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(5, "t", 8)), ERR_AGAIN);
    cr_assert(hub_fixture_until(&fixture, unblocked, &putter));
    cr_assert_str_eq(owner_read(&owner), "web is ACTIVE\nlost web 3 1-3 5\n");
    owner.holds = true;
    taker_resume(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "web 4-5\n");
    putter.over = 0;
    cr_assert_eq(putter_put(&putter, sample_chunk(5, "t", 8)), ERR_AGAIN);
    cr_assert(hub_fixture_until(&fixture, unblocked, &putter));
    owner_complete(&owner, true);
    owner.holds = false;
    cr_assert_str_eq(owner_read(&owner), "lost web 3 6-8 5, web 9-10\n");
    putter_leave(&putter);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

/* Where a loss, or the first event, of a source stands in the text; SIZE_MAX: nowhere. */
static size_t place_of(const char *text, const char *before, unsigned source)
{
    char pattern[32];

    snprintf(pattern, sizeof(pattern), "%sp%u ", before, source);
    for (const char *at = text; (at = strstr(at, pattern)); at++)
        if (at[strlen(pattern)] >= '0' && at[strlen(pattern)] <= '9')
            return (size_t)(at - text);
    return SIZE_MAX;
}

Test(taker, gives_many_losses_and_none_later_than_the_next_event_of_its_source)
{
    struct taker_params params = taker_params_of(MAX_TAKER_EVENTS);
    unsigned both = 0;
    const char *read;

    hub_fixture_settings.max_producers = 200;
    params.subscription.limits.max_events = 200;
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, params);
    publish(&fixture, "first", 1, "t");
    cr_assert_str_eq(owner_read(&owner), "first 1-1, first is ACTIVE\n", "a batch is in flight");
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 150; i++) {
            char name[16];

            snprintf(name, sizeof(name), "p%u", i);
            publish(&fixture, name, 2, "t");
        }
    owner.holds = false;
    owner_complete(&owner, true);
    read = owner_read(&owner);
    for (unsigned i = 0; i < 150; i++) {
        size_t loss = place_of(read, "lost ", i), event = place_of(read, ", ", i);

        both += loss != SIZE_MAX && event != SIZE_MAX;
        cr_assert(loss == SIZE_MAX || loss < event, "source %u", i);
    }
    cr_assert_gt(both, 64, "more than the first capacity");
    cr_assert_eq(dropped(LOSS_OVERFLOW_OLDEST).events + owner.events, 601);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, more_states_than_fit_come_with_the_next_batches)
{
    unsigned states = 0;

    hub_fixture_settings.max_producers = 100;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    taker_pause(owner.taker);
    for (unsigned i = 0; i < 3 * MAX_TAKER_STATES; i++) {
        char name[16];

        snprintf(name, sizeof(name), "p%u", i);
        publish(&fixture, name, 1, "t");
    }
    for (const char *at = owner_read(&owner); (at = strstr(at, "is ACTIVE")); at++)
        states++;
    cr_assert_eq(states, 3 * MAX_TAKER_STATES);
    cr_assert_eq(owner.batches, 3);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, gives_the_mark_of_a_new_filter_between_the_old_events_and_the_new_ones)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    (void)owner_read(&owner);
    taker_pause(owner.taker);
    publish(&fixture, "web", 2, "old");
    cr_assert_eq(
        taker_select(owner.taker, filter_of("*", "new", NULL), &(struct fault){.reason = FAULT_NONE}), 1);
    publish(&fixture, "web", 1, "old");
    publish(&fixture, "web", 1, "new");
    cr_assert_str_eq(owner_read(&owner), "web is ACTIVE\n");
    taker_resume(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "web 1-2\nmark 1, web 4-4\n");
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker, gives_what_a_resumed_stream_missed_as_a_loss)
{
    struct taker_params params = taker_params_of(100);
    struct resume_point point;
    struct putter putter;

    hub_fixture_open(&fixture);
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(5, "t", 8)), ERR_OK);
    point = (struct resume_point){.source = text_of("web"), .epoch = putter.offer.epoch, .sequence = 2};
    params.subscription.resume = &point;
    params.subscription.resume_count = 1;
    owner_open(&owner, &fixture, params);
    cr_assert_str_eq(owner_read(&owner), "lost web 3 3-5 8, web is ACTIVE\n");
    putter_leave(&putter);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

static void *publish_much(void *ctx)
{
    struct putter *putter = ctx;

    for (unsigned i = 0; i < 500; i++)
        CHECK(putter_put(putter, sample_chunk(2, "t", 8)) == ERR_OK);
    return NULL;
}

static bool all_came(void *ctx)
{
    (void)ctx;
    return owner.events == 2000;
}

Test(taker, is_woken_by_producers_on_other_threads)
{
    struct putter putters[2];
    pthread_t threads[2];
    struct taker_params params = taker_params_of(7);

    params.subscription.limits.max_events = 4000;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, params);
    for (size_t i = 0; i < 2; i++) {
        putter_open(&putters[i], &fixture, i == 0 ? "a" : "b");
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_much, &putters[i]), 0);
    }
    cr_assert(hub_fixture_until(&fixture, all_came, NULL));
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        putter_leave(&putters[i]);
    }
    cr_assert_eq(owner.max_events, 7);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}
