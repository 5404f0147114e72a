/* test_chan_sort_model.c - random schedules of a channel that sorts, compared after every step with
 * a plain model: single events in arrays, and the rules as docs/order.md has them.
 *
 * A failure names its seed; TRIBUTARY_SEED=<it> runs that one alone. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/chan_report.h"
#include "flow/feed.h"
#include "lib/events.h"
#include "timed.h"

#define SEEDS 2000
#define STEPS 150
#define FEEDS 6
#define MAX_HELD 4096
#define MAX_PUT 6

struct held {
    uint32_t feed, marks;
    uint64_t sequence;
    int64_t time_ms, came_ms; /* `time_ms` as it counts */
};

struct model {
    struct held held[MAX_HELD]; /* in the order in which they came */
    uint32_t count;
    uint32_t marks, mark;
    int64_t sent_ms;
    uint64_t late, full, refused;
    bool draining;
};

struct trial {
    uint64_t seed;
    struct dice dice;
    struct flow_fixture fixture;
    struct chan_limits limits;
    struct model model;
    int64_t now_ms;
    int64_t window_ms;
    char expected[8192];
};

static int64_t roll(struct trial *trial, int64_t sides)
{
    return (int64_t)dice_roll(&trial->dice, (uint64_t)sides);
}

/* ---- the model ---- */

static bool before(const struct held *a, const struct held *b)
{
    if (a->marks != b->marks)
        return a->marks < b->marks;
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->came_ms < b->came_ms;
}

/* The earliest of the first ones of all feeds. */
static uint32_t earliest(const struct model *model)
{
    uint32_t best = model->count;
    bool seen[FEEDS] = {false};

    for (uint32_t i = 0; i < model->count; i++) {
        const struct held *held = &model->held[i];

        if (seen[held->feed])
            continue;
        seen[held->feed] = true;
        if (best == model->count || before(held, &model->held[best]))
            best = i;
    }
    return best;
}

static bool flushed(const struct model *model)
{
    return model->draining || model->held[0].marks != model->marks;
}

static bool due(const struct trial *trial)
{
    return trial->now_ms >= trial->model.held[0].came_ms + trial->window_ms;
}

static bool full(const struct trial *trial)
{
    return trial->model.count > trial->limits.sort.max_events;
}

static bool may_go(const struct trial *trial, const struct held *next)
{
    return flushed(&trial->model) || due(trial) || full(trial) || next->time_ms <= trial->model.sent_ms;
}

/* One batch: it ends at a mark that is passed. */
static void model_dequeue(struct trial *trial, uint32_t max)
{
    struct model *model = &trial->model;

    trial->expected[0] = '\0';
    while (max-- > 0 && model->count > 0 && !(model->mark > 0 && model->held[0].marks == model->marks)) {
        const uint32_t at = earliest(model);
        const struct held next = model->held[at];
        const size_t used = strlen(trial->expected);

        if (!may_go(trial, &next))
            return;
        model->late += next.time_ms < model->sent_ms;
        model->full += full(trial) && !flushed(model) && !due(trial);
        if (next.time_ms > model->sent_ms)
            model->sent_ms = next.time_ms;
        memmove(&model->held[at], &model->held[at + 1], (model->count - at - 1) * sizeof(next));
        model->count--;
        snprintf(trial->expected + used, sizeof(trial->expected) - used, " %c%llu", (char)('a' + next.feed),
                 (unsigned long long)next.sequence);
    }
}

/* ---- the steps ---- */

/* Times are mostly a little before the arrival; some are missing, far off, or ahead. */
static int64_t draw_time(struct trial *trial)
{
    switch (roll(trial, 16)) {
    case 0:
        return NO_TIME;
    case 1:
        return INT64_MAX;
    case 2:
        return trial->now_ms + roll(trial, trial->window_ms + 2);
    case 3:
        return trial->now_ms - roll(trial, 5 * trial->window_ms + 1);
    default:
        return trial->now_ms - roll(trial, trial->window_ms + 1);
    }
}

static int64_t as_counted(const struct trial *trial, int64_t time_ms)
{
    return time_ms == NO_TIME || time_ms > trial->now_ms + trial->window_ms / 2 ? trial->now_ms : time_ms;
}

static void step_put(struct trial *trial)
{
    struct model *model = &trial->model;
    const uint32_t feed = (uint32_t)roll(trial, FEEDS), count = 1 + (uint32_t)roll(trial, MAX_PUT);
    const uint64_t first = trial->fixture.next[feed];
    int64_t times[MAX_PUT];
    struct chunk *chunk;

    trial->now_ms += 1; /* two chunks never come at once, so that no order is left to chance */
    for (uint32_t i = 0; i < count; i++)
        times[i] = draw_time(trial);
    chunk = chunk_timed(&trial->fixture, feed, trial->now_ms, count, times, 3);
    cr_assert_eq(chan_put(trial->fixture.chan, trial->fixture.feeds[feed], chunk, 0, count, NULL),
                 model->draining ? ERR_CLOSED : ERR_OK);
    chunk_release(chunk);
    for (uint32_t i = 0; i < count && !model->draining; i++) {
        if (model->count == trial->limits.max_events)
            model->refused++;
        else
            model->held[model->count++] =
                (struct held){feed, model->marks, first + i, as_counted(trial, times[i]), trial->now_ms};
    }
}

/* What is in flight, event by event. */
static void list_batch(const struct chan_batch *batch, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < batch->count; i++)
        for (uint32_t at = batch->entries[i].first; at < batch->entries[i].last; at++)
            used +=
                (size_t)snprintf(text + used, size - used, " %s%llu", batch->entries[i].chunk->source->name,
                                 (unsigned long long)chunk_sequence(batch->entries[i].chunk, at));
}

static void step_dequeue(struct trial *trial)
{
    struct flow_fixture *fixture = &trial->fixture;
    const uint32_t max = 1 + (uint32_t)roll(trial, 40);
    char got[8192];
    bool more;

    (void)chan_marked(fixture->chan);
    if (trial->model.mark > 0 &&
        (trial->model.count == 0 || trial->model.held[0].marks == trial->model.marks))
        trial->model.mark = 0; /* it was passed, and that is reported now */
    more = chan_dequeue(fixture->chan, &fixture->batch, max, UINT64_MAX,
                        fixture->observed_ns + trial->now_ms * MS);
    list_batch(&fixture->batch, got, sizeof(got));
    chan_delivered(fixture->chan, &fixture->batch);
    model_dequeue(trial, max);
    cr_assert_str_eq(got, trial->expected, "seed %llu", (unsigned long long)trial->seed);
    if (trial->model.count > 0 && may_go(trial, &trial->model.held[earliest(&trial->model)]))
        cr_assert(more, "seed %llu: more may go", (unsigned long long)trial->seed);
}

static void step(struct trial *trial)
{
    switch (roll(trial, 40)) {
    case 0:
        trial->model.marks++;
        trial->model.mark = trial->model.marks;
        chan_mark(trial->fixture.chan, trial->model.mark);
        break;
    case 1:
        trial->now_ms += roll(trial, 2 * trial->window_ms);
        break;
    case 2 ... 12:
        step_dequeue(trial);
        break;
    case 13 ... 18:
        trial->now_ms += roll(trial, trial->window_ms / 4 + 1);
        break;
    default:
        step_put(trial);
    }
}

static void compare(struct trial *trial)
{
    const struct chan_stats stats = flow_fixture_balance(&trial->fixture);
    const struct model *model = &trial->model;
    const int64_t due_ms = timed_due_ms(&trial->fixture);

    cr_assert_eq(stats.queued.events, model->count, "seed %llu", (unsigned long long)trial->seed);
    cr_assert_eq(stats.sorted_late, model->late, "seed %llu", (unsigned long long)trial->seed);
    cr_assert_eq(stats.sort_full, model->full, "seed %llu", (unsigned long long)trial->seed);
    cr_assert_eq(stats.dropped[LOSS_OVERFLOW_NEWEST].events, model->refused);
    cr_assert_leq(stats.queued.events, trial->limits.max_events);
    if (model->count > 0 && due_ms >= 0)
        cr_assert_eq(due_ms, model->held[0].came_ms + trial->window_ms);
}

static void run_trial(uint64_t seed)
{
    struct trial trial = {.seed = seed, .dice = {seed}, .model = {.sent_ms = INT64_MIN}};

    trial.window_ms = 2 + roll(&trial, 60);
    trial.limits = (struct chan_limits){.max_events = 2 + (uint32_t)roll(&trial, roll(&trial, 3) ? 400 : 12),
                                        .max_bytes = 1 << 20,
                                        .overflow = OVERFLOW_DROP_NEWEST};
    trial.limits.sort.duration_ns = trial.window_ms * MS;
    trial.limits.sort.max_events = 1 + (uint32_t)roll(&trial, trial.limits.max_events / 2);
    flow_fixture_open(&trial.fixture, &trial.limits, FEEDS);
    for (unsigned at = 0; at < STEPS; at++) {
        step(&trial);
        compare(&trial);
    }
    chan_drain(trial.fixture.chan);
    trial.model.draining = true;
    while (trial.model.count > 0)
        step_dequeue(&trial);
    compare(&trial);
    flow_fixture_losses(&trial.fixture, 99);
    flow_fixture_close(&trial.fixture);
}

Test(chan_sort_model, random_schedules_agree_with_a_plain_model)
{
    const char *given = getenv("TRIBUTARY_SEED");

    if (given) {
        run_trial(strtoull(given, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_trial(seed);
}
