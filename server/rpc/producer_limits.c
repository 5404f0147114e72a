/* producer_limits.c - what limits a producer.
 *
 * DESIGN. As limit_rules.c: the table is read from its top, and the first condition that holds is
 * the answer. First comes its own end; then what keeps the server from reaching it; then the memory
 * of the server; then consumers that hold it back; then that nobody wants it, or that it is
 * silent. */
#include "server/rpc/producer_limits.h"

#include "base/clock.h"
#include "base/fault.h"
#include "server/rpc/stat_list.h"

/* For so long it must have sent nothing. */
#define STILL_NS NS_PER_S

enum held { NO, ASIDE, YES };

static enum held yes_if(bool holds)
{
    return holds ? YES : NO;
}

/* Some of its calls, or all of them. */
static enum held of_calls(const struct producer_stats *at, uint32_t count)
{
    return count == 0 ? NO : count >= at->activations + at->waiting ? YES : ASIDE;
}

static enum held draining(const struct producer_stats *at)
{
    return yes_if(at->state == PRODUCER_DRAINING);
}

static enum held ended(const struct producer_stats *at)
{
    return yes_if(at->state == PRODUCER_ENDED || at->state == PRODUCER_REMOVED);
}

static bool is_refused_here(const struct producer_stats *at)
{
    return at->failure_code == CODE_RESOURCE_EXHAUSTED && at->failed_in_dial;
}

static enum held quota(const struct producer_stats *at)
{
    return yes_if(at->memory_short && (at->refused_batches > 0 || is_refused_here(at)));
}

static bool is_reached(const struct producer_stats *at)
{
    return at->state != PRODUCER_UNAVAILABLE && at->state != PRODUCER_CONNECTING;
}

static enum held waits_turn(const struct producer_stats *at)
{
    return !at->waits_turn ? NO : is_reached(at) ? ASIDE : YES;
}

static enum held unavailable(const struct producer_stats *at)
{
    const bool failed = at->failure_code != CODE_OK;

    return at->state == PRODUCER_UNAVAILABLE || (failed && !is_reached(at)) ? YES : failed ? ASIDE : NO;
}

static enum held connecting(const struct producer_stats *at)
{
    return yes_if(at->state == PRODUCER_CONNECTING);
}

static enum held blocked(const struct producer_stats *at)
{
    return yes_if(at->blocked_calls > 0 || at->was_blocked);
}

static enum held backoff(const struct producer_stats *at)
{
    return at->is_endpoint ? NO : of_calls(at, at->waiting);
}

static enum held paused(const struct producer_stats *at)
{
    return at->was_paused && at->paused == 0 ? ASIDE : of_calls(at, at->paused);
}

static enum held no_consumer(const struct producer_stats *at)
{
    return yes_if(at->subscriptions == 0 && at->waiting == 0 && !at->is_set);
}

static enum held silent(const struct producer_stats *at)
{
    return yes_if(!at->is_set && at->published == 0 &&
                  (at->last_event_ns < 0 || at->last_event_ns >= STILL_NS));
}

static const struct {
    enum limit limit;
    enum held (*holds)(const struct producer_stats *at);
} rules[] = {
    {LIMIT_DRAINING, draining},
    {LIMIT_ENDED, ended},
    {LIMIT_QUOTA, quota},
    {LIMIT_DIAL_TURN, waits_turn},
    {LIMIT_UNAVAILABLE, unavailable},
    {LIMIT_CONNECTING, connecting},
    {LIMIT_PRODUCER_BLOCKED, blocked},
    {LIMIT_BACKOFF, backoff},
    {LIMIT_PAUSED, paused},
    {LIMIT_NO_CONSUMER, no_consumer},
    {LIMIT_SILENT, silent},
};

struct limit_verdict producer_limit_decide(const struct producer_stats *at, struct buf *sentence)
{
    struct limit_verdict verdict = {.limit = LIMIT_HEALTHY, .producer = at->name};

    for (size_t i = 0; i < ARRAY_LEN(rules) && verdict.limit == LIMIT_HEALTHY; i++)
        if (rules[i].holds(at) == YES)
            verdict.limit = rules[i].limit;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].limit != verdict.limit && rules[i].holds(at) != NO)
            verdict.also[verdict.also_count++] = rules[i].limit;
    producer_limit_write(verdict.limit, at, sentence);
    return verdict;
}

/* ---- the figures ---- */

void producer_limit_each(const struct producer_stats *at,
                         void (*each)(void *ctx, const char *name, int64_t value, const char *unit),
                         void *ctx)
{
    const struct stat_list list = {each, ctx};

    stat_add_age(&list, "window", at->window_ns);
    stat_add(&list, "published", at->published, "events");
    stat_add_age(&list, "last_event", at->last_event_ns);
    stat_add(&list, "subscriptions", at->subscriptions, "");
    stat_add_some(&list, "activations", at->activations, "");
    stat_add_some(&list, "paused_activations", at->paused, "");
    stat_add_some(&list, "waiting_activations", at->waiting, "");
    stat_add_some(&list, "blocked_calls", at->blocked_calls, "");
    stat_add_age(&list, "retry_in", at->retry_in_ns);
    stat_add_some(&list, "batches_refused", at->refused_batches, "");
    stat_add(&list, "memory_used", at->memory_used, "bytes");
    stat_add_some(&list, "memory_limit", at->memory_limit, "bytes");
}
