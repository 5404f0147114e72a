/* test_stored_model.c - random schedules of one stored topic and its consumers. Whatever the order
 * of commits, deliveries, steps, reads, selects, resumes, retention and deletion: no event that a
 * consumer wants is missing without a loss, and none comes twice.
 *
 * TRIBUTARY_SEED=N repeats one schedule; TRIBUTARY_SCHEDULES=N sets how many there are. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/chan_report.h"
#include "route/history.h"
#include "route/inlet.h"
#include "seam/fake_log.h"

#define MAX_EVENTS 2000u
#define CONSUMERS 3u
#define STEPS 400u

/* What a consumer wants: everything, or what one origin has published. */
enum want { WANT_ALL, WANT_WEB, WANT_APP, WANT_COUNT };

static const char *const patterns[] = {"*", "web", "app"};

struct member {
    struct consumer consumer;
    bool is_there;
    uint64_t position; /* everything that it wants up to here was delivered or reported as lost */
    /* The filters that events between `position` and the next one may have been routed by. */
    bool may_be[WANT_COUNT];
    enum want now, next;
    uint32_t revision; /* that makes it `next`; 0: none is under way */
    bool lost[MAX_EVENTS + 1];
};

struct topic_model {
    struct hub_fixture fixture;
    struct fake_log log;
    struct dice dice;
    uint64_t seed;
    bool is_app[MAX_EVENTS + 1];
    struct member members[CONSUMERS];
};

static bool is_wanted(const struct topic_model *model, enum want want, uint64_t sequence)
{
    return want == WANT_ALL || (want == WANT_APP) == model->is_app[sequence];
}

/* Nothing that every filter wanted which may have held is missing before `sequence`. */
static void check_skipped(const struct topic_model *model, const struct member *member, uint64_t sequence)
{
    for (uint64_t i = member->position + 1; i < sequence; i++) {
        bool must = !member->lost[i];

        for (unsigned want = 0; want < WANT_COUNT; want++)
            must = must && (!member->may_be[want] || is_wanted(model, (enum want)want, i));
        cr_assert(!must, "seed %llu: event %llu is missing", (unsigned long long)model->seed,
                  (unsigned long long)i);
    }
}

static void set_filter(struct member *member, enum want want)
{
    memset(member->may_be, 0, sizeof(member->may_be));
    member->may_be[want] = true;
    member->now = want;
}

static void check_event(struct topic_model *model, struct member *member, uint64_t sequence)
{
    cr_assert_gt(sequence, member->position, "seed %llu: event %llu comes again",
                 (unsigned long long)model->seed, (unsigned long long)sequence);
    cr_assert(is_wanted(model, member->now, sequence), "seed %llu: event %llu is not wanted",
              (unsigned long long)model->seed, (unsigned long long)sequence);
    check_skipped(model, member, sequence);
    member->position = sequence;
    set_filter(member, member->now);
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    struct member *member = ctx;

    cr_assert_eq(note->reason, LOSS_TRIMMED);
    for (uint64_t i = note->first_sequence; i <= note->last_sequence; i++)
        member->lost[i] = true;
}

static void on_mark(struct member *member, uint32_t mark)
{
    if (mark == 0)
        return;
    cr_assert_eq(mark, member->revision);
    member->revision = 0;
    member->now = member->next;
    member->may_be[member->now] = true;
}

static void read_some(struct topic_model *model, struct member *member, uint32_t max)
{
    struct chan *chan = member->consumer.chan;
    struct chan_batch batch = {0};

    on_mark(member, chan_marked(chan));
    chan_dequeue(chan, &batch, max, 1u << 20, clock_mono_ns());
    chan_losses(chan, 100, on_loss, member);
    for (uint32_t i = 0; i < batch.count; i++)
        for (uint32_t event = batch.entries[i].first; event < batch.entries[i].last; event++)
            check_event(model, member, chunk_sequence(batch.entries[i].chunk, event));
    chan_states(chan, 100, NULL, NULL);
    chan_delivered(chan, &batch);
    chan_batch_fini(&batch);
}

static void join(struct topic_model *model, struct member *member, const struct resume_point *point)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.overflow = OVERFLOW_BY_FEED;
    params.limits.max_events = 1 + (uint32_t)dice_roll(&model->dice, 12);
    filter_free(params.filter);
    params.filter = filter_of(patterns[member->now], NULL, NULL);
    params.resume = point;
    params.resume_count = point ? 1 : 0;
    member->position = model->log.topic->producer.inlet.last_sequence;
    if (point) {
        member->position = point->sequence;
    } else if (dice_roll(&model->dice, 2) == 0) {
        params.stored_start = STORED_EARLIEST;
        member->position = UINT64_MAX; /* the first step says where that is */
    }
    consumer_join(&member->consumer, &model->fixture, params);
    member->is_there = true;
    if (member->position == UINT64_MAX) {
        fake_log_settle(&model->log);
        member->position = 0;
        for (uint64_t i = 1; i < MAX_EVENTS && model->log.trimmed > 0; i++)
            member->lost[i] = i < fake_log_first(&model->log);
    }
}

static uint64_t token_position(const struct member *member)
{
    const char *text = strchr(consumer_positions(&member->consumer), '=');

    return text ? strtoull(text + 1, NULL, 10) : 0;
}

/* Comes back with the position that a token would have. */
static void resume(struct topic_model *model, struct member *member)
{
    struct resume_point point = {
        .source = text_of("@orders"), .epoch = FAKE_LOG_INCARNATION, .sequence = token_position(member)};

    if (member->revision > 0)
        return;
    cr_assert_geq(point.sequence, member->position, "seed %llu", (unsigned long long)model->seed);
    check_skipped(model, member, point.sequence + 1);
    consumer_leave(&member->consumer);
    set_filter(member, member->now);
    join(model, member, &point);
}

static void select_other(struct topic_model *model, struct member *member)
{
    if (member->revision > 0)
        return;
    member->next = (enum want)dice_roll(&model->dice, WANT_COUNT);
    member->revision = consumer_select(&member->consumer, patterns[member->next], NULL);
    cr_assert_gt(member->revision, 0);
}

static void commit(struct topic_model *model)
{
    const uint32_t count = 1 + (uint32_t)dice_roll(&model->dice, 5);
    const bool is_app = dice_roll(&model->dice, 2);

    if (model->log.next_seq + count >= MAX_EVENTS)
        return;
    for (uint32_t i = 0; i < count; i++)
        model->is_app[model->log.next_seq + i] = is_app;
    fake_log_commit(&model->log, count, is_app ? "app" : "web");
}

static void step_of_consumer(struct topic_model *model, struct member *member)
{
    if (!member->is_there) {
        if (dice_roll(&model->dice, 4) == 0) {
            set_filter(member, (enum want)dice_roll(&model->dice, WANT_COUNT));
            join(model, member, NULL);
        }
        return;
    }
    switch (dice_roll(&model->dice, 16)) {
    case 0:
        resume(model, member);
        break;
    case 1:
        select_other(model, member);
        break;
    default:
        read_some(model, member, 1 + (uint32_t)dice_roll(&model->dice, 6));
        break;
    }
}

static void step(struct topic_model *model)
{
    switch (dice_roll(&model->dice, 12)) {
    case 0:
    case 1:
    case 2:
        commit(model);
        break;
    case 3:
    case 4:
        fake_log_deliver(&model->log);
        break;
    case 5:
        if (dice_roll(&model->dice, 3) == 0)
            (void)fake_log_trim(&model->log);
        break;
    case 6:
        loop_turn(model->fixture.loop);
        break;
    case 7:
        (void)fake_log_query(&model->log);
        break;
    case 8:
        (void)fake_log_answer(&model->log);
        break;
    default:
        step_of_consumer(model, &model->members[dice_roll(&model->dice, CONSUMERS)]);
        break;
    }
}

/* Everything is delivered and read. */
static void finish(struct topic_model *model)
{
    const uint64_t last = model->log.next_seq - 1;
    const bool removes = dice_roll(&model->dice, 4) == 0;

    fake_log_deliver(&model->log);
    if (removes)
        fake_log_remove_topic(&model->log);
    for (unsigned i = 0; i < MAX_EVENTS; i++) {
        fake_log_settle(&model->log);
        for (unsigned c = 0; c < CONSUMERS; c++)
            if (model->members[c].is_there)
                read_some(model, &model->members[c], 16);
    }
    if (!removes)
        cr_assert_eq(live_topic_readers(model->log.topic).behind, 0, "seed %llu",
                     (unsigned long long)model->seed);
    for (unsigned c = 0; c < CONSUMERS; c++) {
        struct member *member = &model->members[c];

        if (!member->is_there)
            continue;
        check_skipped(model, member, last + 1);
        if (!removes)
            cr_assert_eq(token_position(member), last, "seed %llu", (unsigned long long)model->seed);
        consumer_leave(&member->consumer);
    }
}

static void run(uint64_t seed)
{
    const struct history_bounds few = {.events = 12, .bytes = 1u << 20}; /* it does not always reach */
    struct topic_model *model = calloc(1, sizeof(*model));

    cr_assert(model);
    model->seed = seed;
    model->dice = (struct dice){seed};
    hub_fixture_open(&model->fixture);
    fake_log_open(&model->log, &model->fixture);
    inlet_keep_history(&model->log.topic->producer.inlet, &few);
    for (unsigned i = 0; i < STEPS; i++)
        step(model);
    finish(model);
    fake_log_close(&model->log);
    hub_fixture_close(&model->fixture);
    free(model);
}

Test(stored_model, no_event_is_missing_and_none_comes_twice, .timeout = 300)
{
    const char *seed = getenv("TRIBUTARY_SEED"), *count = getenv("TRIBUTARY_SCHEDULES");

    if (seed) {
        run(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= (count ? strtoull(count, NULL, 10) : 200); i++)
        run(i);
}
