/* test_limit_rules.c - X4: what limits a consumer, decided by plain figures. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/rpc/limit_rules.h"

/* A consumer that gets everything. */
static const struct limit_stats healthy = {
    .window_ns = 500 * NS_PER_MS,
    .accepted = 50,
    .delivered = 50,
    .limits = {.max_events = 100, .max_bytes = 10000, .overflow = OVERFLOW_BY_FEED},
    .blocked_ns = NOT_SO,
    .oldest_ns = NOT_SO,
    .drain_left_ns = NOT_SO,
    .matched = 2,
    .memory_used = 1000,
    .memory_limit = 10000,
    .answered = true,
    .has_sender = true,
    .write_ns = NOT_SO,
    .unwritable_ns = NOT_SO,
    .events_left = UINT64_MAX,
    .bytes_left = UINT64_MAX,
    .starved_ns = NOT_SO,
    .last_sent_ns = 10 * NS_PER_MS,
    .thread_delay_ns = NS_PER_MS,
    .busy_percent = 5,
    .producers = {.looked_at = 2,
                  .active = 2,
                  .last_event_wall_ns = 1,
                  .names = {.latest = "late"},
                  .retry_in_ns = NOT_SO},
    .last_event_ns = 10 * NS_PER_MS,
    .filtered_age_ns = NOT_SO,
};

struct outcome {
    struct limit_verdict verdict;
    char sentence[1024];
};

static struct outcome decide(const struct limit_stats *stats)
{
    struct outcome outcome;
    struct buf sentence = {0};

    outcome.verdict = limit_decide(stats, &sentence);
    cr_assert(sentence.size > 1 && sentence.size < sizeof(outcome.sentence));
    memcpy(outcome.sentence, sentence.data, sentence.size);
    outcome.sentence[sentence.size] = '\0';
    cr_expect_eq(outcome.sentence[sentence.size - 1], '.');
    buf_fini(&sentence);
    return outcome;
}

static bool is_also(const struct outcome *outcome, enum limit limit)
{
    for (uint32_t i = 0; i < outcome->verdict.also_count; i++)
        if (outcome->verdict.also[i] == limit)
            return true;
    return false;
}

/* Each changes the healthy figures, so that one thing limits. Some have several variants. */
static void make_draining(unsigned variant, struct limit_stats *stats)
{
    (void)variant;
    stats->draining = true;
    stats->drain_left_ns = 2500 * NS_PER_MS;
}

static void make_server_behind(unsigned variant, struct limit_stats *stats)
{
    stats->answered = variant > 0;
    stats->busy_percent = variant == 1 ? 90 : 5;
    stats->thread_delay_ns = variant == 1 ? NS_PER_MS : NS_PER_S;
}

static void make_starting(unsigned variant, struct limit_stats *stats)
{
    (void)variant;
    stats->binding = true;
    stats->last_sent_ns = NOT_SO;
}

static void make_slow_network(unsigned variant, struct limit_stats *stats)
{
    *(variant == 0 ? &stats->write_ns : &stats->unwritable_ns) = NS_PER_S;
    stats->waiting = (struct totals){1, 10};
}

static void make_no_credit(unsigned variant, struct limit_stats *stats)
{
    (void)variant;
    stats->has_credit = true;
    stats->starved_ns = NS_PER_S;
    stats->waiting = (struct totals){7, 70};
}

static void make_quota(unsigned variant, struct limit_stats *stats)
{
    stats->memory_short = true;
    if (variant == 0)
        stats->losses[LOSS_BUDGET] = 3;
    else if (variant == 1)
        stats->refused_batches = 1;
    else
        stats->blocked_ranges = 1;
    stats->waiting = (struct totals){20, 2000};
}

static void make_blocking(unsigned variant, struct limit_stats *stats)
{
    stats->blocked_ranges = variant == 0 ? 2 : 0;
    stats->blocked_ns = variant == 0 ? 80 * NS_PER_MS : NOT_SO;
    stats->was_blocked = variant == 1;
    stats->waiting = (struct totals){100, 5000};
}

static void make_paused(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    producers->paused = variant == 0 ? 3 : 0;
    stats->was_paused = variant == 1;
    snprintf(producers->names.paused, sizeof(producers->names.paused), "calm");
}

static void make_losing(unsigned variant, struct limit_stats *stats)
{
    stats->losses[variant == 0   ? LOSS_OVERFLOW_OLDEST
                  : variant == 1 ? LOSS_OVERFLOW_NEWEST
                  : variant == 2 ? LOSS_EXPIRED
                                 : LOSS_BLOCK_TIMEOUT] = variant < 4 ? 12 : 0;
    stats->fallback_active = variant == 4;
}

static void make_coalescing(unsigned variant, struct limit_stats *stats)
{
    (void)variant;
    stats->losses[LOSS_COALESCED] = 1;
}

static void make_credit_trickle(unsigned variant, struct limit_stats *stats)
{
    stats->has_credit = true;
    stats->starved_ns = variant == 0 ? 20 * NS_PER_MS : NOT_SO;
    stats->was_starved = variant == 1;
    stats->waiting = (struct totals){4, 40};
}

static void make_slow_reader(unsigned variant, struct limit_stats *stats)
{
    (void)variant;
    stats->oldest_ns = 200 * NS_PER_MS;
    stats->was_stuck = true;
    stats->waiting = (struct totals){4, 40};
}

static void make_no_producer(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    (void)variant;
    stats->matched = 0;
    producers->looked_at = producers->active = 0;
}

static void make_producer_blocked(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    producers->blocked = variant == 0 ? 1 : 0;
    stats->was_blocked_by_other = variant == 1;
    snprintf(producers->names.blocked, sizeof(producers->names.blocked), "held");
    snprintf(producers->blocking_id, sizeof(producers->blocking_id), variant == 0 ? "s1" : "");
}

static void make_unavailable(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    producers->active = 0;
    producers->unavailable = 2;
    producers->failure_code = 14;
    producers->failed_in_dial = variant == 0;
    producers->failed_in_stream = variant == 1;
    producers->retry_in_ns = 1200 * NS_PER_MS;
    snprintf(producers->failure_text, sizeof(producers->failure_text), "refused");
    snprintf(producers->names.unavailable, sizeof(producers->names.unavailable), "far");
}

static void make_connecting(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    (void)variant;
    producers->active = 0;
    producers->connecting = 1;
    snprintf(producers->names.connecting, sizeof(producers->names.connecting), "far");
}

static void make_backoff(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    (void)variant;
    producers->active = 0;
    producers->backoff = 1;
    producers->retry_in_ns = 0;
    snprintf(producers->names.backoff, sizeof(producers->names.backoff), "weak");
}

static void make_filtered(unsigned variant, struct limit_stats *stats)
{
    stats->accepted = stats->delivered = 0;
    stats->last_sent_ns = variant == 0 ? NOT_SO : 2 * NS_PER_S;
    stats->filtered_age_ns = 100 * NS_PER_MS;
}

static void make_silent(unsigned variant, struct limit_stats *stats)
{
    struct limit_producers *producers = &stats->producers;

    stats->accepted = stats->delivered = 0;
    stats->last_sent_ns = variant == 0 ? NS_PER_S : NOT_SO;
    stats->last_event_ns = 12300 * NS_PER_MS;
    producers->last_event_wall_ns = variant == 0 ? 1 : 0;
    stats->matched = variant == 0 ? 2 : 4000;
}

static void make_sort_window(unsigned variant, struct limit_stats *stats)
{
    stats->limits.sort = (struct sort_window){.duration_ns = 300 * NS_PER_MS, .max_events = 50};
    stats->waiting = (struct totals){4, 40};
    stats->oldest_ns = 300 * NS_PER_MS;
    stats->was_stuck = variant == 1;
    stats->sorted_late = variant == 1 ? 3 : 0;
    stats->sort_full = variant == 1 ? 1 : 0;
}

static void (*const makers[LIMIT_COUNT])(unsigned variant, struct limit_stats *stats) = {
    [LIMIT_DRAINING] = make_draining,
    [LIMIT_SERVER_BEHIND] = make_server_behind,
    [LIMIT_STARTING] = make_starting,
    [LIMIT_SLOW_NETWORK] = make_slow_network,
    [LIMIT_NO_CREDIT] = make_no_credit,
    [LIMIT_QUOTA] = make_quota,
    [LIMIT_BLOCKING] = make_blocking,
    [LIMIT_PAUSED] = make_paused,
    [LIMIT_LOSING] = make_losing,
    [LIMIT_COALESCING] = make_coalescing,
    [LIMIT_CREDIT_TRICKLE] = make_credit_trickle,
    [LIMIT_SLOW_READER] = make_slow_reader,
    [LIMIT_NO_PRODUCER] = make_no_producer,
    [LIMIT_PRODUCER_BLOCKED] = make_producer_blocked,
    [LIMIT_UNAVAILABLE] = make_unavailable,
    [LIMIT_CONNECTING] = make_connecting,
    [LIMIT_BACKOFF] = make_backoff,
    [LIMIT_FILTERED] = make_filtered,
    [LIMIT_SILENT] = make_silent,
    [LIMIT_SORT_WINDOW] = make_sort_window,
};

static void make(enum limit which, unsigned variant, struct limit_stats *stats)
{
    if (makers[which])
        makers[which](variant, stats);
}

static const struct {
    enum limit limit;
    unsigned variant;
    const char *part;
} rows[] = {
    {LIMIT_HEALTHY, 0, "Nothing limits it: 50 events were delivered in the last 500 ms."},
    {LIMIT_DRAINING, 0, "it has 2.5 s left"},
    {LIMIT_SERVER_BEHIND, 0, "has not answered for 1.0 s"},
    {LIMIT_SERVER_BEHIND, 1, "busy for 90 % of the time"},
    {LIMIT_SERVER_BEHIND, 2, "answered after 1.0 s"},
    {LIMIT_STARTING, 0, "2 so far"},
    {LIMIT_SLOW_NETWORK, 0, "on its way for 1.0 s; 1 event waits."},
    {LIMIT_SLOW_NETWORK, 1, "has been full for 1.0 s"},
    {LIMIT_NO_CREDIT, 0, "no event for 1.0 s; 7 events wait."},
    {LIMIT_QUOTA, 0, "1000 of 10000 bytes are used): 3 events for this consumer gave way"},
    {LIMIT_QUOTA, 1, "1 batch was refused"},
    {LIMIT_QUOTA, 2, "before its buffer is full"},
    {LIMIT_BLOCKING, 0, "100 of 100 events and 5000 of 10000 bytes, and its policy BLOCK"},
    {LIMIT_BLOCKING, 0, "for 80 ms so far"},
    {LIMIT_BLOCKING, 1, "holds back producers"},
    {LIMIT_PAUSED, 0, "producer \"calm\" and 2 more"},
    {LIMIT_PAUSED, 1, "producer \"calm\" that"},
    {LIMIT_LOSING, 0, "12 events in the last 500 ms, because its buffer is full and the oldest"},
    {LIMIT_LOSING, 1, "new ones find no space"},
    {LIMIT_LOSING, 2, "older than it allows"},
    {LIMIT_LOSING, 3, "12 events in the last 500 ms, because it held producers back"},
    {LIMIT_LOSING, 4, "0 events in the last 500 ms, because it held producers back"},
    {LIMIT_COALESCING, 0, "replaced 1 waiting event by"},
    {LIMIT_CREDIT_TRICKLE, 0, "got 50 events in the last 500 ms; 4 events wait"},
    {LIMIT_CREDIT_TRICKLE, 1, "bit by bit"},
    {LIMIT_SLOW_READER, 0, "4 events wait, the oldest for 200 ms"},
    {LIMIT_NO_PRODUCER, 0, "No producer matches its selectors."},
    {LIMIT_PRODUCER_BLOCKED, 0, "producer \"held\": subscription s1."},
    {LIMIT_PRODUCER_BLOCKED, 1, "holds back producer \"held\"."},
    {LIMIT_UNAVAILABLE, 0,
     "producer \"far\" and 1 more: its connection (DIAL) failed with UNAVAILABLE \"refused\""},
    {LIMIT_UNAVAILABLE, 1,
     "its stream (STREAM) failed with UNAVAILABLE \"refused\"; it is tried again in 1.2 s."},
    {LIMIT_UNAVAILABLE, 2, "its call failed with UNAVAILABLE"},
    {LIMIT_CONNECTING, 0, "producer \"far\", and has no answer yet"},
    {LIMIT_BACKOFF, 0, "tried again in 0 ms"},
    {LIMIT_FILTERED, 0, "100 ms ago from producer \"late\""},
    {LIMIT_FILTERED, 1, "nothing of it matches"},
    {LIMIT_SILENT, 0, "its 2 producers are silent: the last event came 12.3 s ago from producer \"late\"."},
    {LIMIT_SORT_WINDOW, 0, "so each is held for 300 ms; 4 events wait."},
    {LIMIT_SORT_WINDOW, 1, "3 events came too late for that in the last 500 ms; 1 event went before that"},
    {LIMIT_SORT_WINDOW, 1, "because it holds no more than 50 events."},
    {LIMIT_SILENT, 1, "its 4000 producers are silent: none has sent an event so far (of the first 2)."},
};

Test(limit_rules, X4_each_situation_has_its_limit_and_its_sentence)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct limit_stats stats = healthy;

        make(rows[i].limit, rows[i].variant, &stats);
        const struct outcome outcome = decide(&stats);
        cr_expect_eq(outcome.verdict.limit, rows[i].limit, "row %zu is %d: %s", i, outcome.verdict.limit,
                     outcome.sentence);
        cr_expect(strstr(outcome.sentence, rows[i].part), "row %zu: %s", i, outcome.sentence);
        cr_expect(!is_also(&outcome, outcome.verdict.limit), "row %zu", i);
    }
}

Test(limit_rules, just_below_its_threshold_nothing_limits)
{
    struct limit_stats stats = healthy;

    stats.write_ns = NS_PER_S - 1;
    stats.oldest_ns = 200 * NS_PER_MS - 1;
    stats.busy_percent = 89;
    stats.thread_delay_ns = 200 * NS_PER_MS - 1;
    stats.memory_short = true;
    cr_expect_eq(decide(&stats).verdict.limit, LIMIT_HEALTHY);
    stats = healthy;
    stats.accepted = 0;
    stats.last_sent_ns = NS_PER_S - 1;
    cr_expect_eq(decide(&stats).verdict.limit, LIMIT_HEALTHY);
}

/* All situations at once, two by two: the one that stands earlier in this list is the answer, and
 * the other one is beside it. */
Test(limit_rules, the_cause_comes_before_what_follows_from_it)
{
    static const enum limit order[] = {LIMIT_DRAINING,    LIMIT_SLOW_NETWORK,    LIMIT_NO_CREDIT,
                                       LIMIT_QUOTA,       LIMIT_BLOCKING,        LIMIT_PAUSED,
                                       LIMIT_LOSING,      LIMIT_COALESCING,      LIMIT_CREDIT_TRICKLE,
                                       LIMIT_SLOW_READER, LIMIT_PRODUCER_BLOCKED};

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t j = i + 1; j < ARRAY_LEN(order); j++) {
            struct limit_stats stats = healthy;

            make(order[j], 0, &stats);
            make(order[i], 0, &stats);
            const struct outcome outcome = decide(&stats);
            cr_expect_eq(outcome.verdict.limit, order[i], "%d and %d: %s", order[i], order[j],
                         outcome.sentence);
            cr_expect(is_also(&outcome, order[j]), "%d and %d: %s", order[i], order[j], outcome.sentence);
        }
}

Test(limit_rules, what_does_not_limit_is_beside)
{
    struct limit_stats stats = healthy;
    struct outcome outcome;

    make(LIMIT_UNAVAILABLE, 0, &stats);
    stats.producers.active = 1;
    stats.gaps = 2;
    outcome = decide(&stats);
    cr_expect_eq(outcome.verdict.limit, LIMIT_HEALTHY);
    cr_expect_eq(outcome.verdict.also_count, 2);
    cr_expect(is_also(&outcome, LIMIT_UNAVAILABLE) && is_also(&outcome, LIMIT_RESUME_GAP));
}

Test(limit_rules, names_the_producer_of_the_sentence)
{
    struct limit_stats stats = healthy;

    make(LIMIT_UNAVAILABLE, 0, &stats);
    cr_expect_str_eq(decide(&stats).verdict.producer, "far");
    cr_expect_str_eq(decide(&healthy).verdict.producer, "");
}

static void count(void *ctx, const char *name, int64_t value, const char *unit)
{
    cr_expect(name[0] != '\0' && unit);
    cr_expect(value >= 0, "%s", name);
    ++*(unsigned *)ctx;
}

Test(limit_rules, lists_what_holds_and_leaves_out_what_does_not)
{
    struct limit_stats stats = healthy;
    unsigned few = 0, many = 0;

    limit_each(&healthy, count, &few);
    for (enum limit limit = LIMIT_HEALTHY; limit < LIMIT_COUNT; limit++)
        make(limit, 1, &stats);
    limit_each(&stats, count, &many);
    cr_expect(few >= 15 && many > few + 5, "%u, %u", few, many);
}
