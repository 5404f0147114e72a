/* explain_producer.c - Admin.Explain of a producer: looks at it twice, and says what limits it. All
 * of it is on the loop. */
#include "server/rpc/explain_producer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "hub/hub.h"
#include "server/rpc/explain_answer.h"
#include "server/rpc/producer_sample.h"
#include "server/rpc/rpc_internal.h"

/* A server that drains does not wait for the window. */
#define TICK_NS (50 * NS_PER_MS)

struct explain_producer {
    struct unary_call *unary;
    struct bytes name; /* in the request */
    int64_t window_ns;
    struct timer timer;
    bool has_first;
    struct producer_sample first, second;
};

static void finish(struct explain_producer *explain)
{
    struct unary_call *unary = explain->unary;

    free(explain);
    rpc_unary_finish(unary);
}

static void decide(struct explain_producer *explain)
{
    struct buf *answer = &explain->unary->answer;
    const struct producer_stats *at = &explain->second.stats;
    OWNED(buf_fini) struct buf sentence = {0};

    producer_samples_compare(&explain->first, &explain->second);
    const struct limit_verdict verdict = producer_limit_decide(at, &sentence);
    producer_limit_each(at, explain_write_stat, answer);
    explain_write_verdict(&verdict, (struct bytes){sentence.data, sentence.size},
                          verdict.limit == LIMIT_PRODUCER_BLOCKED ? at->blocking_id
                          : verdict.limit == LIMIT_PAUSED         ? at->paused_id
                                                                  : "",
                          answer);
    answer->broken |= sentence.broken;
    finish(explain);
}

static void wait_for(struct explain_producer *explain, int64_t ns);

static void on_timer(struct timer *timer)
{
    struct explain_producer *explain = container_of(timer, struct explain_producer, timer);
    struct hub *hub = explain->unary->rpc->hub;
    const int64_t left_ns =
        explain->has_first ? explain->first.at_ns + explain->window_ns - clock_mono_ns() : 0;

    if (left_ns > 0 && !hub_draining(hub)) {
        wait_for(explain, MIN_OF(left_ns, TICK_NS));
        return;
    }
    if (producer_sample_read(hub, explain->name, explain->has_first ? &explain->second : &explain->first,
                             &explain->unary->fault)) {
        fault_bytes(&explain->unary->fault, FAULT_PRODUCER_NOT_FOUND, "producer", explain->name, NULL);
        finish(explain);
    } else if (explain->has_first) {
        decide(explain);
    } else {
        explain->has_first = true;
        wait_for(explain, MIN_OF(explain->window_ns, TICK_NS));
    }
}

static void wait_for(struct explain_producer *explain, int64_t ns)
{
    if (timer_start(explain->unary->rpc->loop, &explain->timer, ns) == ERR_OK)
        return;
    fault_set(&explain->unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    finish(explain);
}

/* The first look is taken in the next turn: rpc_unary_finish() may not come before this returns. */
void explain_producer(struct unary_call *unary, struct bytes name, int64_t window_ns)
{
    struct explain_producer *explain = calloc(1, sizeof(*explain));

    if (explain) {
        explain->unary = unary;
        explain->name = name;
        explain->window_ns = window_ns;
        explain->timer.fired = on_timer;
        unary->waits = timer_start(unary->rpc->loop, &explain->timer, 0) == ERR_OK;
    }
    if (unary->waits)
        return;
    free(explain);
    fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}
