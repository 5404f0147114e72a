/* test_producer_limits.c - X4: what limits a producer, decided by plain figures. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "server/rpc/producer_limits.h"

/* An endpoint that sends to 4 consumers. */
static const struct producer_stats healthy = {
    .name = "web",
    .window_ns = 500 * NS_PER_MS,
    .published = 50,
    .state = PRODUCER_ACTIVE,
    .is_endpoint = true,
    .has_calls = true,
    .subscriptions = 4,
    .activations = 4,
    .last_event_ns = 10 * NS_PER_MS,
    .retry_in_ns = NOT_SO,
    .memory_used = 1000,
    .memory_limit = 10000,
};

/* Each changes the healthy figures. */
static void make_draining(struct producer_stats *at)
{
    at->state = PRODUCER_DRAINING;
}

static void make_ended(struct producer_stats *at)
{
    at->state = PRODUCER_ENDED;
}

static void make_refused(struct producer_stats *at)
{
    at->memory_short = true;
    at->refused_batches = 2;
}

static void make_no_memory_to_dial(struct producer_stats *at)
{
    at->memory_short = true;
    at->state = PRODUCER_UNAVAILABLE;
    at->failure_code = CODE_RESOURCE_EXHAUSTED;
    at->failed_in_dial = true;
}

static void make_waiting_for_a_turn(struct producer_stats *at)
{
    at->state = PRODUCER_CONNECTING;
    at->waits_turn = true;
}

static void make_unavailable(struct producer_stats *at)
{
    at->state = PRODUCER_UNAVAILABLE;
    at->failure_code = CODE_UNAVAILABLE;
    at->retry_in_ns = 1500 * NS_PER_MS;
    snprintf(at->failure_text, sizeof(at->failure_text), "reset");
}

static void make_unknown_addresses(struct producer_stats *at)
{
    at->is_set = true;
    make_unavailable(at);
}

static void make_partly_unavailable(struct producer_stats *at)
{
    at->failure_code = CODE_UNAVAILABLE;
}

static void make_connecting(struct producer_stats *at)
{
    at->state = PRODUCER_CONNECTING;
}

static void make_blocked(struct producer_stats *at)
{
    at->blocked_calls = 1;
    snprintf(at->blocking_id, sizeof(at->blocking_id), "s0001");
}

static void make_blocked_before(struct producer_stats *at)
{
    at->was_blocked = true;
}

static void make_failed_for_all(struct producer_stats *at)
{
    at->is_endpoint = false;
    at->activations = 0;
    at->waiting = 3;
}

static void make_failed_for_one(struct producer_stats *at)
{
    at->is_endpoint = false;
    at->waiting = 1;
}

static void make_paused(struct producer_stats *at)
{
    at->paused = 4;
    snprintf(at->paused_id, sizeof(at->paused_id), "s0002");
}

static void make_paused_for_one(struct producer_stats *at)
{
    at->paused = 1;
}

static void make_unwanted(struct producer_stats *at)
{
    at->subscriptions = at->activations = 0;
}

static void make_unwanted_publisher(struct producer_stats *at)
{
    make_unwanted(at);
    at->is_endpoint = at->has_calls = false;
}

static void make_silent(struct producer_stats *at)
{
    at->published = 0;
    at->last_event_ns = NS_PER_S;
}

static void make_away(struct producer_stats *at)
{
    make_silent(at);
    at->is_away = true;
    at->last_event_ns = NOT_SO;
}

static void make_set(struct producer_stats *at)
{
    at->is_set = true;
    at->published = 0;
    at->subscriptions = 0;
    at->last_event_ns = NOT_SO;
}

static void make_nothing(struct producer_stats *at)
{
    (void)at;
}

static const struct {
    void (*make)(struct producer_stats *at);
    enum limit limit, also; /* also 0: nothing */
    const char *part;
} rows[] = {
    {make_draining, LIMIT_DRAINING, 0, "4 calls of it are still there."},
    {make_ended, LIMIT_ENDED, 0, "is not called again."},
    {make_refused, LIMIT_QUOTA, 0, "2 batches were refused in the last 500 ms."},
    {make_no_memory_to_dial, LIMIT_QUOTA, LIMIT_UNAVAILABLE, "there is none for its connection."},
    {make_waiting_for_a_turn, LIMIT_DIAL_TURN, LIMIT_CONNECTING, " turns a second, all of them together"},
    {make_unavailable, LIMIT_UNAVAILABLE, 0,
     "cannot reach it: its stream (STREAM) failed with UNAVAILABLE \"reset\"; it is tried again in 1.5 s."},
    {make_unknown_addresses, LIMIT_UNAVAILABLE, 0, "Its addresses are not known: \"reset\""},
    {make_partly_unavailable, LIMIT_HEALTHY, LIMIT_UNAVAILABLE, "Nothing limits it"},
    {make_connecting, LIMIT_CONNECTING, 0, "no answer yet."},
    {make_blocked, LIMIT_PRODUCER_BLOCKED, 0, "holds it back: subscription s0001."},
    {make_blocked_before, LIMIT_PRODUCER_BLOCKED, 0, "holds it back."},
    {make_failed_for_all, LIMIT_BACKOFF, 0, "for 3 of 3 consumers ended with an error"},
    {make_failed_for_one, LIMIT_HEALTHY, LIMIT_BACKOFF, "Nothing limits it"},
    {make_paused, LIMIT_PAUSED, 0, "4 of 4 consumers have asked it to pause"},
    {make_paused_for_one, LIMIT_HEALTHY, LIMIT_PAUSED, "Nothing limits it"},
    {make_unwanted, LIMIT_NO_CONSUMER, 0, "so it is not called."},
    {make_unwanted_publisher, LIMIT_NO_CONSUMER, 0, "reaches nobody."},
    {make_silent, LIMIT_SILENT, 0, "its last event came 1.0 s ago."},
    {make_away, LIMIT_SILENT, 0, "It has no open call, and is silent: it has sent no event so far."},
    {make_set, LIMIT_HEALTHY, 0, "a producer for each address."},
    {make_nothing, LIMIT_HEALTHY, 0, "it sent 50 events in the last 500 ms, and has 4 consumers."},
};

struct outcome {
    struct limit_verdict verdict;
    char sentence[1024];
};

static struct outcome decide(const struct producer_stats *at)
{
    struct outcome outcome;
    struct buf sentence = {0};

    outcome.verdict = producer_limit_decide(at, &sentence);
    cr_assert(sentence.size > 1 && sentence.size < sizeof(outcome.sentence));
    memcpy(outcome.sentence, sentence.data, sentence.size);
    outcome.sentence[sentence.size] = '\0';
    buf_fini(&sentence);
    return outcome;
}

Test(producer_limits, X4_each_figure_alone)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct producer_stats at = healthy;

        rows[i].make(&at);
        const struct outcome outcome = decide(&at);
        cr_expect_eq(outcome.verdict.limit, rows[i].limit, "row %zu: %d %s", i, outcome.verdict.limit,
                     outcome.sentence);
        cr_expect_eq(outcome.verdict.also_count, rows[i].also ? 1u : 0u, "row %zu", i);
        cr_expect(!rows[i].also || outcome.verdict.also[0] == rows[i].also, "row %zu", i);
        cr_expect(strstr(outcome.sentence, rows[i].part), "row %zu: %s", i, outcome.sentence);
        cr_expect_str_eq(outcome.verdict.producer, "web");
    }
}

Test(producer_limits, X4_the_cause_comes_before_what_follows_from_it)
{
    struct producer_stats at = healthy;
    static const enum limit expected[] = {LIMIT_UNAVAILABLE, LIMIT_PRODUCER_BLOCKED, LIMIT_PAUSED,
                                          LIMIT_SILENT};

    make_silent(&at);
    make_paused(&at);
    make_blocked(&at);
    make_unavailable(&at);
    struct outcome outcome = decide(&at);
    cr_assert_eq(outcome.verdict.limit, expected[0]);
    cr_assert_eq(outcome.verdict.also_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_eq(outcome.verdict.also[i], expected[i + 1]);
}

static void note(void *ctx, const char *name, int64_t value, const char *unit)
{
    (void)value;
    snprintf((char *)ctx + strlen(ctx), 512 - strlen(ctx), "%s%s ", name, unit);
}

Test(producer_limits, figures_that_do_not_hold_are_left_out)
{
    char names[512] = "";
    struct producer_stats at = healthy;

    at.last_event_ns = NOT_SO;
    producer_limit_each(&at, note, names);
    cr_assert_str_eq(names, "windowms publishedevents subscriptions activations memory_usedbytes "
                            "memory_limitbytes ");
}
