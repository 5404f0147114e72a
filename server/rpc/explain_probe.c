/* explain_probe.c - looks at a consumer twice, and says what limits it.
 *
 *   first look --the window passes--> second look --> done
 *
 * A look begins on the loop, goes to the thread of the consumer's call, and comes back. It waits
 * for that thread at most MAX_WAIT_NS. A task that comes back later finds the probe done, or its
 * owner gone. So a probe has two references: one of its owner, one of a task that is on its way.
 *
 * The looks of many probes may be due together, so each is a step of a slice.
 *
 * Threads: the loop, but for on_wire(). */
#include "server/rpc/explain_probe.h"

#include <stdlib.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "hub/hub.h"
#include "hub/walk_name.h"
#include "proto/field_numbers.h"
#include "server/rpc/explain_answer.h"
#include "server/rpc/explain_sample.h"
#include "server/rpc/limit_rules.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/subscriber.h"
#include "tributary/v1/admin.pb-c.h"

/* So long the thread of the consumer's call may need for its part. */
#define MAX_WAIT_NS NS_PER_S
/* A server that drains does not wait for the window. */
#define TICK_NS (50 * NS_PER_MS)

struct explain_probe {
    struct loop *loop;
    struct hub *hub;
    int64_t window_ns;
    void (*done)(void *ctx, struct explain_probe *probe); /* NULL: it was called, or will not be */
    void *ctx;
    bool owned;
    struct fault fault;
    int64_t waited_ns; /* for the thread at the last look */
    struct timer timer;
    struct slice slice;
    struct sample samples[2];
    struct sample *sample; /* at hand; NULL: none yet */
    /* On its way to the thread of the call and back. */
    bool on_the_road;
    struct task task;
    struct subscriber *subscriber; /* valid there: the task that ends it is posted later */
    struct sender_view seen;       /* what it brings back */
    int64_t seen_at_ns;
    struct walk_name id;
};

/* With the figures while the answer is written. */
_Static_assert(sizeof(struct explain_probe) <= EXPLAIN_PROBE_BYTES, "EXPLAIN_PROBE_BYTES has all of it");

_Static_assert(LIMIT_SORT_WINDOW == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__SORT_WINDOW &&
                   LIMIT_SLOW_READER == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__SLOW_READER &&
                   LIMIT_HEALTHY == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__HEALTHY &&
                   LIMIT_ENDED == (int)TRIBUTARY__V1__EXPLANATION__LIMIT__ENDED,
               "the numbers are those of the API");

static void release(struct explain_probe *probe)
{
    if (!probe->owned && !probe->on_the_road)
        free(probe);
}

/* It may be gone afterwards. */
static void finish(struct explain_probe *probe)
{
    void (*done)(void *ctx, struct explain_probe *probe) = probe->done;

    timer_stop(&probe->timer);
    probe->done = NULL;
    done(probe->ctx, probe);
}

static void fail(struct explain_probe *probe)
{
    fault_set(&probe->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    finish(probe);
}

static void set_timer(struct explain_probe *probe, int64_t ns, void (*fired)(struct timer *timer))
{
    probe->timer.fired = fired;
    if (timer_start(probe->loop, &probe->timer, ns) != ERR_OK)
        fail(probe);
}

static void on_tick(struct timer *timer)
{
    struct explain_probe *probe = container_of(timer, struct explain_probe, timer);
    const int64_t left_ns = probe->samples[0].at_ns + probe->window_ns - clock_mono_ns();

    if (left_ns > 0 && !hub_draining(probe->hub))
        set_timer(probe, MIN_OF(left_ns, TICK_NS), on_tick);
    else
        loop_slice_later(probe->loop, &probe->slice);
}

static void sampled(struct explain_probe *probe)
{
    timer_stop(&probe->timer);
    if (probe->sample == &probe->samples[0]) {
        on_tick(&probe->timer);
        return;
    }
    probe->waited_ns = probe->sample->sender_at_ns - probe->sample->at_ns;
    finish(probe);
}

/* The thread of the consumer's call does not answer. */
static void on_late(struct timer *timer)
{
    struct explain_probe *probe = container_of(timer, struct explain_probe, timer);

    probe->waited_ns = MAX_WAIT_NS;
    finish(probe);
}

static void on_returned(struct task *task)
{
    struct explain_probe *probe = container_of(task, struct explain_probe, task);

    probe->on_the_road = false;
    if (!probe->done) {
        release(probe);
        return;
    }
    probe->sample->sender = probe->seen;
    probe->sample->sender_at_ns = probe->seen_at_ns;
    sampled(probe);
}

/* On the thread of the consumer's call. */
static void on_wire(struct task *task)
{
    struct explain_probe *probe = container_of(task, struct explain_probe, task);

    if (probe->subscriber->sender)
        probe->seen = sender_view(probe->subscriber->sender);
    probe->seen_at_ns = clock_mono_ns();
    task->run = on_returned;
    loop_post(probe->loop, task);
}

/* The next look. */
static bool step(struct slice *slice)
{
    struct explain_probe *probe = container_of(slice, struct explain_probe, slice);
    struct sample *at = probe->sample ? &probe->samples[1] : &probe->samples[0];

    probe->sample = at;
    if (sample_read(probe->hub, walk_name_get(&probe->id), at, &probe->subscriber, &probe->fault)) {
        finish(probe);
        return false;
    }
    if (!probe->subscriber) {
        at->sender_at_ns = at->at_ns;
        sampled(probe);
        return false;
    }
    probe->on_the_road = true;
    probe->task.run = on_wire;
    cq_post(call_cq(probe->subscriber->call), &probe->task);
    set_timer(probe, MAX_WAIT_NS, on_late);
    return false;
}

static void on_begin(struct timer *timer)
{
    struct explain_probe *probe = container_of(timer, struct explain_probe, timer);

    loop_slice_later(probe->loop, &probe->slice);
}

struct explain_probe *explain_probe_new(struct rpc *rpc, struct bytes id, int64_t window_ns,
                                        void (*done)(void *ctx, struct explain_probe *probe), void *ctx)
{
    struct explain_probe *probe = calloc(1, sizeof(*probe));

    if (!probe)
        return NULL;
    probe->loop = rpc->loop;
    probe->hub = rpc->hub;
    probe->window_ns = window_ns;
    probe->done = done;
    probe->ctx = ctx;
    probe->owned = true;
    slice_init(&probe->slice, step);
    walk_name_set(&probe->id, id);
    probe->timer.fired = on_begin;
    if (timer_start(probe->loop, &probe->timer, 0) == ERR_OK)
        return probe;
    free(probe);
    return NULL;
}

void explain_probe_free(struct explain_probe *probe)
{
    if (!probe)
        return;
    timer_stop(&probe->timer);
    slice_stop(&probe->slice);
    probe->done = NULL;
    probe->owned = false;
    release(probe);
}

/* ---- the answer ---- */

const struct fault *explain_probe_fault(const struct explain_probe *probe)
{
    return probe->fault.reason ? &probe->fault : NULL;
}

void explain_probe_write(const struct explain_probe *probe, struct buf *answer)
{
    OWNED(buf_fini) struct buf sentence = {0};
    SCRATCH struct limit_stats stats;

    samples_compare(&probe->samples[0], probe->sample, probe->waited_ns, &stats);
    const struct limit_verdict verdict = limit_decide(&stats, &sentence);

    field_bytes(answer, PB_EXPLANATION_SUBSCRIPTION_ID, walk_name_get(&probe->id));
    field_text(answer, PB_EXPLANATION_SUBSCRIPTION_NAME, probe->sample->name);
    field_text(answer, PB_EXPLANATION_PEER, probe->sample->peer);
    limit_each(&stats, explain_write_stat, answer);
    explain_write_verdict(&verdict, (struct bytes){sentence.data, sentence.size},
                          verdict.limit == LIMIT_PRODUCER_BLOCKED ? stats.producers.blocking_id : "", answer);
    answer->broken |= sentence.broken;
}
