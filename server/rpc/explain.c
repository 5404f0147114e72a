/* explain.c - Admin.Explain: looks at a consumer twice, and says what limits it.
 *
 *   first look --the window passes--> second look --> decide, answer
 *
 * A look begins on the loop, goes to the thread of the consumer's call, and comes back. The answer
 * waits for that thread at max MAX_WAIT_NS. A task that comes back later finds the call answered.
 * So `struct explain` has two references: one of the call, one of a task that is on its way.
 *
 * Threads: the loop, but for on_wire(). */
#include <stdlib.h>

#include "base/clock.h"
#include "event/text.h"
#include "event/field_write.h"
#include "hub/hub.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/explain_answer.h"
#include "server/rpc/explain_producer.h"
#include "server/rpc/explain_sample.h"
#include "server/rpc/limit_rules.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/subscriber.h"
#include "server/rpc/unary.h"
#include "tributary/v1/admin.pb-c.h"

#define MAX_NAME_BYTES 256u
/* So long the thread of the consumer's call may need for its part. */
#define MAX_WAIT_NS NS_PER_S
/* A server that drains does not wait for the window. */
#define TICK_NS (50 * NS_PER_MS)

static const struct duration_rule window_rule = {
    .field = "window", .default_ns = 500 * NS_PER_MS, .min_ns = 10 * NS_PER_MS, .max_ns = 5 * NS_PER_S};

struct explain {
    struct unary_call *unary; /* NULL: it was answered */
    struct loop *loop;
    struct hub *hub;
    struct bytes id; /* in the request */
    int64_t window_ns;
    struct timer timer;
    struct sample samples[2];
    struct sample *sample;
    /* On its way to the thread of the call and back. */
    bool on_the_road;
    struct task task;
    struct subscriber *subscriber; /* valid there: the task that ends it is posted later */
    struct sender_view seen;       /* what it brings back */
    int64_t seen_at_ns;
};

_Static_assert(LIMIT_SORT_WINDOW == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__SORT_WINDOW &&
                   LIMIT_SLOW_READER == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__SLOW_READER &&
                   LIMIT_HEALTHY == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__HEALTHY &&
                   LIMIT_ENDED == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__ENDED,
               "the numbers are those of the API");

/* ---- the answer ---- */

static void write_explanation(const struct explain *explain, const struct limit_stats *stats,
                              struct buf *answer)
{
    OWNED(buf_fini) struct buf sentence = {0};
    const struct limit_verdict verdict = limit_decide(stats, &sentence);

    field_bytes(answer, PB_EXPLANATION_SUBSCRIPTION_ID, explain->id);
    limit_each(stats, explain_write_stat, answer);
    explain_write_verdict(&verdict, (struct bytes){sentence.data, sentence.size},
                          verdict.limit == LIMIT_PRODUCER_BLOCKED ? stats->producers.blocking_id : "",
                          answer);
    answer->broken |= sentence.broken;
}

static void explain_free(struct explain *explain)
{
    if (!explain->unary && !explain->on_the_road)
        free(explain);
}

/* Answers the call: with what unary->fault or unary->answer says. */
static void finish(struct explain *explain)
{
    struct unary_call *unary = explain->unary;

    timer_stop(&explain->timer);
    explain->unary = NULL;
    explain_free(explain);
    rpc_unary_finish(unary);
}

static void decide(struct explain *explain, int64_t waited_ns)
{
    struct limit_stats *stats = malloc(sizeof(*stats));

    if (stats) {
        samples_compare(&explain->samples[0], explain->sample, waited_ns, stats);
        write_explanation(explain, stats, &explain->unary->answer);
    } else {
        fault_set(&explain->unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    free(stats);
    finish(explain);
}

/* ---- looks ---- */

static void begin_sample(struct explain *explain, struct sample *at);

static void set_timer(struct explain *explain, int64_t ns, void (*fired)(struct timer *timer))
{
    explain->timer.fired = fired;
    if (timer_start(explain->loop, &explain->timer, ns) == ERR_OK)
        return;
    fault_set(&explain->unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    finish(explain);
}

static void on_tick(struct timer *timer)
{
    struct explain *explain = container_of(timer, struct explain, timer);
    const int64_t left_ns = explain->samples[0].at_ns + explain->window_ns - clock_mono_ns();

    if (left_ns > 0 && !hub_draining(explain->hub))
        set_timer(explain, MIN_OF(left_ns, TICK_NS), on_tick);
    else
        begin_sample(explain, &explain->samples[1]);
}

static void sampled(struct explain *explain)
{
    timer_stop(&explain->timer);
    if (explain->sample == &explain->samples[0])
        on_tick(&explain->timer);
    else
        decide(explain, explain->sample->sender_at_ns - explain->sample->at_ns);
}

/* The thread of the consumer's call does not answer. */
static void on_late(struct timer *timer)
{
    decide(container_of(timer, struct explain, timer), MAX_WAIT_NS);
}

static void on_returned(struct task *task)
{
    struct explain *explain = container_of(task, struct explain, task);

    explain->on_the_road = false;
    if (!explain->unary) {
        explain_free(explain);
        return;
    }
    explain->sample->sender = explain->seen;
    explain->sample->sender_at_ns = explain->seen_at_ns;
    sampled(explain);
}

/* On the thread of the consumer's call. */
static void on_wire(struct task *task)
{
    struct explain *explain = container_of(task, struct explain, task);

    if (explain->subscriber->sender)
        explain->seen = sender_view(explain->subscriber->sender);
    explain->seen_at_ns = clock_mono_ns();
    task->run = on_returned;
    loop_post(explain->loop, task);
}

static void begin_sample(struct explain *explain, struct sample *at)
{
    explain->sample = at;
    if (sample_read(explain->hub, explain->id, at, &explain->subscriber, &explain->unary->fault)) {
        finish(explain);
        return;
    }
    if (!explain->subscriber) {
        at->sender_at_ns = at->at_ns;
        sampled(explain);
        return;
    }
    explain->on_the_road = true;
    explain->task.run = on_wire;
    set_timer(explain, MAX_WAIT_NS, on_late);
    cq_post(call_cq(explain->subscriber->call), &explain->task);
}

static void on_begin(struct timer *timer)
{
    struct explain *explain = container_of(timer, struct explain, timer);

    begin_sample(explain, &explain->samples[0]);
}

/* The first look is taken in the next turn: rpc_unary_finish() may not come before this returns. */
static void explain_on_loop(struct unary_call *unary)
{
    const Tributary__V1__ExplainRequest *request =
        (const Tributary__V1__ExplainRequest *)(const void *)unary->request;
    const struct bytes id = text_bytes(request->subscription_id), producer = text_bytes(request->producer);
    struct explain *explain;
    int64_t window_ns;

    if (id.size > 0 && producer.size > 0) {
        fault_set(&unary->fault, FAULT_UNSUPPORTED, "producer", "a subscription_id or a producer");
        return;
    }
    if (name_check(producer.size > 0 ? producer : id, producer.size > 0 ? "producer" : "subscription_id",
                   MAX_NAME_BYTES, &unary->fault) ||
        decode_duration((const ProtobufCMessage *)request->window, &window_rule, &window_ns, &unary->fault))
        return;
    if (producer.size > 0) {
        explain_producer(unary, producer, window_ns);
        return;
    }
    explain = calloc(1, sizeof(*explain));
    if (!explain) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    explain->unary = unary;
    explain->loop = unary->rpc->loop;
    explain->hub = unary->rpc->hub;
    explain->id = id;
    explain->window_ns = window_ns;
    explain->timer.fired = on_begin;
    unary->waits = timer_start(explain->loop, &explain->timer, 0) == ERR_OK;
    if (unary->waits)
        return;
    fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    free(explain);
}

enum err explain_serve(struct rpc *rpc)
{
    return rpc_add_unary(rpc, "/tributary.v1.Admin/Explain", &tributary__v1__explain_request__descriptor,
                         explain_on_loop);
}
