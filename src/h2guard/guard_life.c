/* guard_life.c - makes and frees a guard; turns, portions and time limits. */
#include <stdlib.h>

#include "h2guard/guard_verdict.h"
#include "h2guard/guard_window.h"

#define MICROSECONDS 1000000
#define MAX_REFILL_US (100 * MICROSECONDS)
#define DENSITY_ONE 256u
#define PROBATION_WASTE 16 /* of the burst of waste a new connection gets so much less */
/* While a frame is held back: the core nearly always makes room at once, and that ends the wait. */
#define HELD_WAIT_NS INT64_C(100000000)

_Static_assert(sizeof(struct h2guard) <= MAX_H2GUARD_BYTES, "h2guard.h says what a guard takes");

struct h2guard *h2guard_new(enum h2guard_role role, const struct h2guard_limits *limits,
                            struct h2guard_counters *counters, int64_t now_ns)
{
    struct h2guard *guard = calloc(1, sizeof(*guard));

    CHECK(!h2guard_limits_wrong(limits));
    if (!guard)
        return NULL;
    guard->limits = limits;
    guard->counters = counters;
    guard->role = role;
    if (role == H2GUARD_SERVER)
        guard->in.preface_left = PREFACE_BYTES;
    else
        guard->out.preface_left = PREFACE_BYTES;
    stream_table_init(&guard->streams, limits->max_streams);
    guard_window_init(&guard->window);
    guard->block.is_off = limits->allow_compressed; /* nobody asks what a stream named */
    guard->budget.level = limits->second_cost;
    guard->waste.level = limits->waste_burst;
    guard->density = MAX_OF((uint64_t)limits->turn_cost * DENSITY_ONE / limits->first_read_bytes, 1);
    guard->now_ns = guard->made_ns = guard->refilled_ns = now_ns;
    return guard;
}

void h2guard_free(struct h2guard *guard)
{
    if (!guard)
        return;
    header_block_fini(&guard->block);
    stream_table_fini(&guard->streams);
    free(guard);
}

static void refill(struct bucket *bucket, int64_t elapsed_us, int64_t per_second, int64_t max)
{
    int64_t gained = elapsed_us * per_second + bucket->rest;

    bucket->level = MIN_OF(bucket->level + gained / MICROSECONDS, max);
    bucket->rest = gained % MICROSECONDS;
}

static void refill_all(struct h2guard *guard)
{
    const struct h2guard_limits *limits = guard->limits;
    int64_t elapsed_us = (guard->now_ns - guard->refilled_ns) / 1000;

    if (elapsed_us <= 0)
        return;
    guard->refilled_ns += elapsed_us * 1000;
    elapsed_us = MIN_OF(elapsed_us, MAX_REFILL_US);
    refill(&guard->budget, elapsed_us, limits->second_cost, limits->second_cost);
    refill(&guard->waste, elapsed_us, limits->second_waste, limits->waste_burst);
}

/* What a byte cost in the turn that is over. It falls to half at most, so that the portion only
 * doubles. */
static void update_density(struct h2guard *guard)
{
    const struct h2guard_stats *stats = &guard->stats;
    uint64_t bytes = stats->total.bytes - stats->at_turn.bytes;
    uint64_t cost = stats->total.cost - stats->at_turn.cost;

    if (bytes > 0)
        guard->density = MAX_OF(cost * DENSITY_ONE / bytes, MAX_OF(guard->density / 2, 1));
}

void h2guard_begin_probation(struct h2guard *guard, int64_t delay_ns)
{
    const struct h2guard_limits *limits = guard->limits;

    guard->budget.level = limits->turn_cost - delay_ns / 1000 * limits->second_cost / MICROSECONDS;
    guard->waste.level = limits->waste_burst / PROBATION_WASTE;
}

void h2guard_turn(struct h2guard *guard, int64_t now_ns)
{
    h2guard_short_turn(guard, now_ns, guard->limits->turn_cost);
}

void h2guard_short_turn(struct h2guard *guard, int64_t now_ns, int64_t max_cost)
{
    const struct h2guard_limits *limits = guard->limits;

    guard->now_ns = now_ns;
    if (guard->reason != H2GUARD_NO_REASON)
        return;
    guard_window_turn(&guard->window, now_ns);
    guard_add_up(guard);
    update_density(guard);
    refill_all(guard);
    guard->turn_left = MIN_OF(limits->turn_cost, max_cost) + MIN_OF(guard->turn_left, 0);
    guard->second_is_short = guard->budget.level < guard->turn_left;
    guard->left = MIN_OF(guard->turn_left, guard->budget.level);
    guard->given = guard->left;
    guard->stats.at_turn = (struct h2guard_at_turn){guard->stats.total.bytes, guard->stats.total.cost};
}

size_t h2guard_portion(const struct h2guard *guard)
{
    const struct h2guard_limits *limits = guard->limits;
    bool is_first = guard->stats.total.bytes == guard->stats.at_turn.bytes;

    if (guard->left <= 0 || guard->window.held > 0)
        return 0;
    uint64_t portion = (uint64_t)guard->left * DENSITY_ONE / guard->density;
    if (portion < limits->min_read_bytes)
        return is_first ? limits->min_read_bytes : 0; /* so little is not worth a system call */
    /* Nearly all that is beyond the core's window would have to wait. */
    if (guard->window.lent > 0)
        portion = MIN_OF(
            portion, (uint64_t)MAX_OF(guard_window_core(&guard->window), (int64_t)limits->min_read_bytes));
    return MIN_OF(portion, limits->max_read_bytes);
}

int64_t h2guard_wait_ns(const struct h2guard *guard)
{
    const struct h2guard_limits *limits = guard->limits;
    int64_t level = guard->budget.level - (guard->given - guard->left);

    if (guard->reason != H2GUARD_NO_REASON)
        return 0;
    if (guard->window.held > 0)
        return HELD_WAIT_NS;
    if (!guard->second_is_short || level >= limits->turn_cost)
        return 0;
    return ((limits->turn_cost - level) * MICROSECONDS / limits->second_cost + 1) * 1000;
}

static bool is_over(const struct h2guard *guard, int64_t since_ns, int64_t timeout_ns)
{
    return timeout_ns > 0 && guard->now_ns - since_ns > timeout_ns;
}

/* Whether the peer's preface and SETTINGS have arrived, whole. */
static bool is_open(const struct h2guard *guard)
{
    return guard->had_settings && (guard->stats.frames_in > 1 || frame_reader_is_whole(&guard->in));
}

static enum h2guard_reason overdue(struct h2guard *guard)
{
    const struct h2guard_limits *limits = guard->limits;

    if (!is_open(guard) && is_over(guard, guard->made_ns, limits->open_timeout_ns))
        return H2GUARD_OPEN_TIMEOUT;
    if (guard->block_stream != 0 && is_over(guard, guard->block_ns, limits->header_timeout_ns))
        return H2GUARD_HEADER_TIMEOUT;
    if (!frame_reader_is_whole(&guard->in) && is_over(guard, guard->partial_ns, limits->frame_timeout_ns))
        return H2GUARD_FRAME_TIMEOUT;
    if (guard->stats.settings_unacked == 0)
        return H2GUARD_NO_REASON;
    if (guard->settings_ns == 0)
        guard->settings_ns = guard->now_ns;
    return is_over(guard, guard->settings_ns, limits->settings_timeout_ns) ? H2GUARD_SETTINGS_TIMEOUT
                                                                           : H2GUARD_NO_REASON;
}

struct h2guard_verdict h2guard_check(struct h2guard *guard, int64_t now_ns)
{
    guard->now_ns = now_ns;
    if (guard->reason == H2GUARD_NO_REASON) {
        enum h2guard_reason reason = overdue(guard);
        if (reason != H2GUARD_NO_REASON)
            guard_end(guard, reason, guard->block_stream, 0, 0);
    }
    return (struct h2guard_verdict){
        .decision = guard->reason == H2GUARD_NO_REASON ? H2GUARD_PASS : H2GUARD_END, .reason = guard->reason};
}

uint64_t h2guard_kept(const struct h2guard *guard)
{
    const struct h2guard_stats *stats = &guard->stats;
    /* A frame is counted when its header came. The rest of it is not here yet. */
    uint64_t to_come = guard->in.frame.type == FRAME_DATA ? guard->in.payload_left : 0;
    uint64_t unread = stats->unread_bytes - MIN_OF(to_come, stats->unread_bytes);

    if (guard->reason != H2GUARD_NO_REASON)
        return 0;
    return MAX_OF(stats->unfinished_bytes, unread) +
           (uint64_t)stats->streams_open * guard->limits->stream_bytes;
}

void h2guard_end(struct h2guard *guard, enum h2guard_reason reason, uint64_t value, uint64_t bound)
{
    guard_end(guard, reason, 0, value, bound);
}

const struct h2guard_stats *h2guard_stats(struct h2guard *guard)
{
    guard_add_up(guard);
    return &guard->stats;
}

size_t h2guard_memory(const struct h2guard *guard)
{
    return sizeof(*guard) + stream_table_memory(&guard->streams);
}
