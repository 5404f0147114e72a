/* lasting_call.c - see lasting_call.h. */
#include "server/dial/lasting_call.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/retry_wait.h"
#include "flow/producer_state.h"
#include "flow/source_state.h"
#include "hub/endpoint_rules.h"
#include "hub/session.h"
#include "loop/loop.h"
#include "server/dial/endpoint_internal.h"

struct lasting_call {
    struct endpoint *endpoint;
    uint64_t number;
    struct map_node by_number; /* in endpoint->lasting */
    struct shared_bytes *request, *via;
    struct peer_key payer;
    struct timer retry;
    int64_t retry_at_ns; /* INT64_MAX: `retry` is not armed */
    uint32_t failures;   /* in a row */
    int64_t accepted_ns;
    bool stopped;
};

static const struct upstream_end no_memory = {.code = CODE_RESOURCE_EXHAUSTED, .message = "out of memory"};

static struct lasting_call *find(const struct endpoint *endpoint, uint64_t number)
{
    struct map_node *node = map_find(&endpoint->lasting, activation_key(&number));

    return node ? container_of(node, struct lasting_call, by_number) : NULL;
}

/* It must be out of the map. */
static void call_free(struct lasting_call *call)
{
    timer_stop(&call->retry);
    shared_bytes_release(call->request);
    shared_bytes_release(call->via);
    free(call);
}

/* The inner sources of a cascade have the state of its one call. */
static void report(struct endpoint *endpoint, uint64_t number, enum producer_state state, uint32_t code,
                   const char *message)
{
    if (number == 0)
        endpoint_cascade_ended(&endpoint->cascade, &(struct source_state){state, code, message});
    session_report(endpoint->session, number, state, code, message);
}

/* Nothing follows. The hub hears it, unless it has taken the call back itself. */
static void be_over(struct lasting_call *call, uint32_t code, const char *message, bool has_expired)
{
    struct endpoint *endpoint = call->endpoint;
    const uint64_t number = call->number;

    map_remove(&endpoint->lasting, &call->by_number);
    if (number > 0)
        session_end(endpoint->session, number, code, message,
                    has_expired ? SESSION_END_EXPIRED : SESSION_END_FINAL);
    else if (!endpoint->closing)
        report(endpoint, 0, PRODUCER_ENDED, code, message);
    call_free(call);
}

static void open_call(struct lasting_call *call);

static void on_retry(struct timer *timer)
{
    struct lasting_call *call = container_of(timer, struct lasting_call, retry);
    struct endpoint *endpoint = call->endpoint;

    endpoint_enter(endpoint);
    open_call(call);
    endpoint_leave(endpoint);
}

static void retry_later(struct lasting_call *call, const struct upstream_end *end)
{
    struct endpoint *endpoint = call->endpoint;
    const bool was_long = end->was_accepted && clock_mono_ns() - call->accepted_ns >= RETRY_FORGIVEN_NS;

    if (was_long || end->code == CODE_OK)
        call->failures = 0;
    if (call->failures < UINT32_MAX)
        call->failures++;
    const uint32_t failures = endpoint_is_refused(end->code) ? UINT32_MAX : call->failures;
    const int64_t wait_ns =
        retry_wait_ns(endpoint->backoff_ns, endpoint->max_backoff_ns, failures, &endpoint->random);
    call->retry_at_ns = clock_from_now_ns(wait_ns);
    if (timer_start(endpoint->home.loop, &call->retry, wait_ns) != ERR_OK)
        log_write(LOG_ERROR, "endpoint.not_retried", LOG_TEXT("producer", endpoint->name),
                  LOG_TEXT("reason", "out of memory"));
}

static bool restarts(const struct endpoint *endpoint, uint32_t code)
{
    return endpoint->restart == RESTART_ALWAYS ||
           (endpoint->restart == RESTART_ON_FAILURE && code != CODE_OK);
}

/* A report may lead to a stop: the call is looked up again. */
static void go_on(struct lasting_call *call, const struct upstream_end *end)
{
    struct endpoint *endpoint = call->endpoint;
    const uint64_t number = call->number;

    report(endpoint, number, PRODUCER_UNAVAILABLE, end->code, end->message);
    call = find(endpoint, number);
    if (call && !endpoint->closing)
        retry_later(call, end);
}

static void open_call(struct lasting_call *call)
{
    struct endpoint *endpoint = call->endpoint;
    const uint64_t number = call->number;
    struct fault fault;

    call->retry_at_ns = INT64_MAX;
    session_report(endpoint->session, number, PRODUCER_CONNECTING, 0, NULL);
    call = find(endpoint, number);
    if (!call || endpoint->closing)
        return;
    const struct activation_params params = {.activation = number,
                                             .request = call->request,
                                             .deadline_ns = INT64_MAX,
                                             .subscription_id = "",
                                             .payer = call->payer,
                                             .via = call->via};
    if (endpoint_start_call(endpoint, &params, &fault)) {
        struct upstream_end end = {.code = (uint32_t)fault_code(fault.reason)};

        (void)fault_message(&fault, end.message, sizeof(end.message));
        go_on(call, &end);
    }
}

void lasting_call_begin(struct endpoint *endpoint, const struct activation_params *params)
{
    struct lasting_call *call = calloc(1, sizeof(*call));
    const uint64_t number = params->activation;

    if (call) {
        call->endpoint = endpoint;
        call->number = number;
        call->by_number.key = activation_key(&call->number);
        call->request = shared_bytes_retain(params->request);
        call->via = shared_bytes_retain(params->via);
        call->payer = params->payer;
        call->retry.fired = on_retry;
    }
    if (call && map_add(&endpoint->lasting, &call->by_number) == ERR_OK) {
        open_call(call);
        return;
    }
    if (call)
        call_free(call);
    if (number > 0)
        session_end(endpoint->session, number, no_memory.code, no_memory.message, SESSION_END_FINAL);
    else
        session_report(endpoint->session, 0, PRODUCER_ENDED, no_memory.code, no_memory.message);
}

void lasting_call_accepted(struct endpoint *endpoint, uint64_t number)
{
    struct lasting_call *call = find(endpoint, number);

    if (!call || call->stopped || endpoint->closing)
        return;
    call->accepted_ns = clock_mono_ns();
    session_report(endpoint->session, number, PRODUCER_ACTIVE, 0, NULL);
}

void lasting_call_ended(struct endpoint *endpoint, uint64_t number, const struct upstream_end *end,
                        bool is_good)
{
    struct lasting_call *call = find(endpoint, number);

    if (!call)
        return;
    if (call->stopped || endpoint->closing)
        be_over(call, is_good ? CODE_OK : end->code, is_good ? NULL : end->message, end->has_expired);
    else if (!restarts(endpoint, end->code))
        be_over(call, end->code, end->message, false);
    else
        go_on(call, end);
}

void lasting_call_stop(struct endpoint *endpoint, uint64_t number, enum fault_reason reason,
                       int64_t deadline_ns)
{
    struct lasting_call *call = find(endpoint, number);
    struct upstream *upstream = endpoint_find_call(endpoint, number);

    if (!call)
        return;
    call->stopped = true;
    timer_stop(&call->retry);
    if (!upstream)
        be_over(call, CODE_OK, NULL, false);
    else
        endpoint_stop_call(upstream, reason, deadline_ns);
}

int64_t lasting_call_retry_at(const struct endpoint *endpoint, uint64_t number)
{
    const struct lasting_call *call = find(endpoint, number);

    return call ? call->retry_at_ns : INT64_MAX;
}

void lasting_calls_rest(struct endpoint *endpoint)
{
    map_each(node, following, &endpoint->lasting)
        timer_stop(&container_of(node, struct lasting_call, by_number)->retry);
}

void lasting_calls_free(struct endpoint *endpoint)
{
    map_each(node, following, &endpoint->lasting)
        call_free(container_of(node, struct lasting_call, by_number));
    map_fini(&endpoint->lasting);
}
