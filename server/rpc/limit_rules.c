/* limit_rules.c - what limits a consumer.
 *
 * DESIGN. The table `rules` is read from its top; the first condition that holds is the answer. Its
 * order follows the way of an event backwards. First comes what makes everything else unknown or
 * void: the end of the stream, a thread that does not answer. Then a consumer that stands still,
 * because what follows from that (a full buffer, producers held back, losses) is its doing. Then
 * what holds a consumer back that moves: the budget, its own policy, its own pace. Then its
 * producers. So the cause comes before its effects, and these are in `also`.
 *
 * A condition can also hold ASIDE: it is worth a word, and does not limit. */
#include "server/rpc/limit_rules.h"

#include <stddef.h>

#include "base/clock.h"
#include "server/rpc/limit_text.h"

/* For so long something must have stood still. */
#define STILL_NS NS_PER_S
/* Events that wait for longer are a backlog. */
#define BACKLOG_NS (200 * NS_PER_MS)
/* A thread that is busier, or answers later, is behind. */
#define BEHIND_PERCENT 90
#define BEHIND_NS (200 * NS_PER_MS)

enum held { NO, ASIDE, YES };

static enum held yes_if(bool holds)
{
    return holds ? YES : NO;
}

static bool still(int64_t age_ns)
{
    return age_ns >= STILL_NS;
}

static bool nothing_arrives(const struct limit_stats *at)
{
    return at->accepted == 0 && at->waiting.events == 0 && (at->last_sent_ns < 0 || still(at->last_sent_ns));
}

/* ---- the stream and the server ---- */

static enum held draining(const struct limit_stats *at)
{
    return yes_if(at->draining);
}

static enum held unanswered(const struct limit_stats *at)
{
    return yes_if(!at->answered);
}

static enum held starting(const struct limit_stats *at)
{
    return !at->binding ? NO : at->last_sent_ns < 0 ? YES : ASIDE;
}

static bool is_busy(const struct limit_stats *at)
{
    return at->busy_percent >= BEHIND_PERCENT || at->thread_delay_ns >= BEHIND_NS;
}

static enum held busy(const struct limit_stats *at)
{
    const bool moves = at->accepted > 0 || at->delivered > 0 || at->waiting.events > 0;

    return !is_busy(at) ? NO : moves ? YES : ASIDE;
}

/* ---- the consumer ---- */

static enum held takes_nothing(const struct limit_stats *at)
{
    return yes_if(still(at->write_ns) || still(at->unwritable_ns));
}

static enum held no_credit(const struct limit_stats *at)
{
    return yes_if(still(at->starved_ns));
}

static enum held quota(const struct limit_stats *at)
{
    const bool holds_early = at->blocked_ranges > 0 && at->waiting.events < at->limits.max_events &&
                             at->waiting.bytes < at->limits.max_bytes / 2;

    return yes_if(at->losses[LOSS_BUDGET] > 0 ||
                  (at->memory_short && (at->refused_batches > 0 || holds_early)));
}

static enum held blocking(const struct limit_stats *at)
{
    return yes_if(at->blocked_ranges > 0 || (at->was_blocked && !at->fallback_active));
}

static enum held paused(const struct limit_stats *at)
{
    return yes_if(at->producers.paused > 0 || at->was_paused);
}

static enum held losing(const struct limit_stats *at)
{
    return yes_if(at->fallback_active || limit_lost(at) > 0);
}

static enum held coalescing(const struct limit_stats *at)
{
    return yes_if(at->losses[LOSS_COALESCED] > 0);
}

static enum held credit_trickle(const struct limit_stats *at)
{
    return yes_if(at->has_credit && (at->starved_ns >= 0 || (at->was_starved && at->waiting.events > 0)));
}

static enum held slow_reader(const struct limit_stats *at)
{
    const bool stuck = at->write_ns >= 0 || at->unwritable_ns >= 0 || at->was_stuck;

    return yes_if(at->oldest_ns >= at->limits.sort.duration_ns + BACKLOG_NS && stuck);
}

/* ---- the producers ---- */

static enum held no_producer(const struct limit_stats *at)
{
    return yes_if(at->matched == 0 && at->waiting.events == 0);
}

static enum held producer_blocked(const struct limit_stats *at)
{
    return yes_if(at->producers.blocked > 0 || at->was_blocked_by_other);
}

/* None can be reached, or some cannot. */
static enum held of_producers(const struct limit_stats *at, uint32_t count)
{
    return count == 0 ? NO : at->producers.active == 0 ? YES : ASIDE;
}

static enum held unavailable(const struct limit_stats *at)
{
    return of_producers(at, at->producers.unavailable);
}

static enum held connecting(const struct limit_stats *at)
{
    return of_producers(at, at->producers.connecting);
}

static enum held backoff(const struct limit_stats *at)
{
    return of_producers(at, at->producers.backoff);
}

static enum held filtered(const struct limit_stats *at)
{
    return yes_if(nothing_arrives(at) && at->filtered_age_ns >= 0 && !still(at->filtered_age_ns));
}

static enum held silent(const struct limit_stats *at)
{
    return yes_if(nothing_arrives(at));
}

static enum held resume_gap(const struct limit_stats *at)
{
    return at->gaps > 0 ? ASIDE : NO;
}

/* What is held to be sorted waits because its consumer has asked for that, so everything else comes
 * first. */
static enum held sort_window(const struct limit_stats *at)
{
    return yes_if(at->limits.sort.duration_ns > 0 && at->waiting.events > 0);
}

/* ---- the table ---- */

struct rule {
    enum limit limit;
    enum held (*holds)(const struct limit_stats *at);
    size_t producer; /* the offset of the name in its sentence; 0: none */
};

#define NAME(which) offsetof(struct limit_stats, producers.names.which)

static const struct rule rules[] = {
    {LIMIT_DRAINING, draining, 0},
    {LIMIT_SERVER_BEHIND, unanswered, 0},
    {LIMIT_STARTING, starting, 0},
    {LIMIT_SLOW_NETWORK, takes_nothing, 0},
    {LIMIT_NO_CREDIT, no_credit, 0},
    {LIMIT_QUOTA, quota, 0},
    {LIMIT_BLOCKING, blocking, 0},
    {LIMIT_PAUSED, paused, NAME(paused)},
    {LIMIT_LOSING, losing, 0},
    {LIMIT_COALESCING, coalescing, 0},
    {LIMIT_CREDIT_TRICKLE, credit_trickle, 0},
    {LIMIT_SLOW_READER, slow_reader, 0},
    {LIMIT_NO_PRODUCER, no_producer, 0},
    {LIMIT_PRODUCER_BLOCKED, producer_blocked, NAME(blocked)},
    {LIMIT_UNAVAILABLE, unavailable, NAME(unavailable)},
    {LIMIT_CONNECTING, connecting, NAME(connecting)},
    {LIMIT_BACKOFF, backoff, NAME(backoff)},
    {LIMIT_SERVER_BEHIND, busy, 0},
    {LIMIT_FILTERED, filtered, NAME(latest)},
    {LIMIT_SILENT, silent, NAME(latest)},
    {LIMIT_RESUME_GAP, resume_gap, 0},
    {LIMIT_SORT_WINDOW, sort_window, 0},
};

static void add_also(struct limit_verdict *verdict, enum limit limit)
{
    for (uint32_t i = 0; i < verdict->also_count; i++)
        if (verdict->also[i] == limit)
            return;
    if (limit != verdict->limit)
        verdict->also[verdict->also_count++] = limit;
}

struct limit_verdict limit_decide(const struct limit_stats *at, struct buf *sentence)
{
    static const struct rule healthy = {LIMIT_HEALTHY, NULL, 0};
    const struct rule *first = &healthy;
    struct limit_verdict verdict = {.producer = ""};

    for (size_t i = 0; i < ARRAY_LEN(rules) && first == &healthy; i++)
        if (rules[i].holds(at) == YES)
            first = &rules[i];
    verdict.limit = first->limit;
    if (first->producer > 0)
        verdict.producer = (const char *)at + first->producer;
    limit_write(first->limit, at, sentence);
    /* Of a thread that does not answer nothing else is known. */
    for (size_t i = 0; i < ARRAY_LEN(rules) && at->answered; i++)
        if (rules[i].holds(at) != NO)
            add_also(&verdict, rules[i].limit);
    return verdict;
}
