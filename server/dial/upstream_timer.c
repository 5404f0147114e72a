/* upstream_timer.c - how long the upstream of a call may take. Its wire thread. */
#include <stdio.h>

#include "base/clock.h"
#include "base/counters.h"
#include "loop/loop.h"
#include "server/dial/upstream_internal.h"

static int64_t write_timeout_ns(const struct upstream *upstream)
{
    return loop_settings(upstream->plan->loop)->write_timeout_ns;
}

/* Until when it has to read what a client has sent. Only there does somebody wait for that. */
static int64_t read_due_ns(const struct upstream *upstream)
{
    if (!upstream_is_served(upstream) || !upstream->accepted || !upstream->call.base.sending)
        return INT64_MAX;
    return clock_add_ns(upstream->sends_since_ns, write_timeout_ns(upstream));
}

/* What else the upstream has to do, and until when. INT64_MAX: it may take its time. */
static int64_t answer_due_ns(const struct upstream *upstream)
{
    const struct upstream_plan *plan = upstream->plan;
    int64_t limit_ns = upstream->got_message ? plan->idle_timeout_ns : plan->first_message_timeout_ns;

    if (upstream->stopping)
        return upstream->stop_deadline_ns;
    if (!upstream->accepted)
        return upstream->waits_since_ns + plan->connect_timeout_ns;
    if (limit_ns == 0 || !upstream->call.base.reading)
        return INT64_MAX;
    return upstream->waits_since_ns + limit_ns;
}

static int64_t due_ns(const struct upstream *upstream)
{
    return MIN_OF(answer_due_ns(upstream), read_due_ns(upstream));
}

void upstream_set_timer(struct upstream *upstream)
{
    cq_timer_set(cq_of(upstream), &upstream->timer, due_ns(upstream));
}

static void give_up(struct upstream *upstream, const char *what, int64_t limit_ns)
{
    char text[128];

    snprintf(text, sizeof(text), "%s within %lld ms", what, (long long)(limit_ns / NS_PER_MS));
    client_call_cancel(&upstream->call, GRPC_STATUS_UNAVAILABLE, text);
}

static void end_not_reading(struct upstream *upstream)
{
    struct fault fault;
    char text[PEER_WORDS_BYTES];

    fault_not_reading(&fault, "request", write_timeout_ns(upstream));
    (void)fault_message(&fault, text, sizeof(text));
    count_add(COUNT_UPSTREAM_NOT_READING, 1);
    client_call_cancel(&upstream->call, (grpc_status_code)fault_code(fault.reason), text);
}

static void yield(struct connection_call *call, int64_t ran_ns)
{
    give_up(container_of(call, struct upstream, in_connection), "others wait, and it was not connected",
            ran_ns);
}

/* A message or a pause may have moved what is due: they do not move the timer. */
static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    struct upstream *upstream = container_of(timer, struct upstream, timer);
    const struct upstream_plan *plan = upstream->plan;

    if (due_ns(upstream) > now_ns) {
        upstream_set_timer(upstream);
        return;
    }
    if (upstream->stopping) {
        upstream->end.has_expired = true;
        client_call_cancel(&upstream->call, GRPC_STATUS_CANCELLED, "it did not stop in time");
    } else if (read_due_ns(upstream) <= now_ns) {
        end_not_reading(upstream);
    } else if (!upstream->accepted && connection_is_ready(upstream->connection)) {
        connection_is_full(plan->connections, upstream->connection);
        give_up(upstream, "connected, but the call was not accepted", plan->connect_timeout_ns);
    } else if (!upstream->accepted)
        give_up(upstream, "not connected", plan->connect_timeout_ns);
    else if (upstream->got_message)
        give_up(upstream, "no message", plan->idle_timeout_ns);
    else
        give_up(upstream, "no first message", plan->first_message_timeout_ns);
}

void upstream_timer_init(struct upstream *upstream)
{
    upstream->timer.fired = on_timer;
    upstream->in_connection.yield = yield;
}
