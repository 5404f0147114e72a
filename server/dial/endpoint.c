/* endpoint.c - one endpoint. See endpoint.h.
 *
 * DESIGN. The hub calls the session's port on the loop, but set_paused() on any thread. So the
 * calls stand in a map by activation, under a lock that nothing else is done under. */
#include "server/dial/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/shared_bytes.h"
#include "flow/producer_state.h"
#include "hub/endpoint_rules.h"
#include "hub/session.h"
#include "server/dial/endpoint_internal.h"
#include "server/dial/lasting_call.h"

/* A line about a failure of an endpoint comes at most so often. */
#define LOG_EVERY_NS (10 * NS_PER_S)

/* ---- the end of the endpoint ---- */

static void endpoint_free(struct endpoint *endpoint)
{
    dial_turns_leave(endpoint->home.turns, &endpoint->turn);
    lasting_calls_free(endpoint);
    endpoint_schema_fini(&endpoint->schema);
    endpoint_cascade_fini(&endpoint->cascade);
    endpoint_plan_fini(&endpoint->plan);
    map_fini(&endpoint->by_activation);
    pthread_mutex_destroy(&endpoint->lock);
    dialled_fini(&endpoint->dialled);
    free(endpoint->name);
    free(endpoint);
}

/* Its last call has ended, and it may open no other one. */
static void leave_when_idle(struct endpoint *endpoint)
{
    if (!endpoint->closing || endpoint->call_count > 0 || endpoint->entered > 0)
        return;
    if (!endpoint_cascade_close(&endpoint->cascade) || !endpoint_schema_close(&endpoint->schema))
        return;
    count_add(COUNT_LIVE_ENDPOINTS, -1);
    hub_unregister(endpoint->session, endpoint->end_reason);
    endpoint->home.gone(endpoint->home.ctx, &endpoint->dialled);
    endpoint_free(endpoint);
}

/* No source is left, or what was being fetched is not wanted any more. */
static void emptied(void *ctx)
{
    leave_when_idle(ctx);
}

void endpoint_enter(struct endpoint *endpoint)
{
    endpoint->entered++;
}

void endpoint_leave(struct endpoint *endpoint)
{
    endpoint->entered--;
    leave_when_idle(endpoint);
}

/* ---- calls ---- */

/* The same failure again is no news. An upstream chooses its texts, and how often it fails. */
static void note_failure(struct endpoint *endpoint, const struct upstream_end *end)
{
    const int64_t now_ns = clock_mono_ns();
    const bool is_news = !endpoint->is_logged || end->code != endpoint->failure.code ||
                         strcmp(end->message, endpoint->failure.message) != 0;

    endpoint->failure = *end;
    endpoint->unlogged++;
    if (!is_news || (endpoint->logged_ns > 0 && now_ns - endpoint->logged_ns < LOG_EVERY_NS))
        return;
    log_write(LOG_WARN, "endpoint.failed", LOG_TEXT("producer", endpoint->name),
              LOG_TEXT("where", end->was_accepted ? "STREAM" : "DIAL"),
              LOG_TEXT("code", fault_code_name((enum fault_code)end->code)),
              LOG_TEXT("message", end->message), LOG_NUMBER("failures", endpoint->unlogged));
    endpoint->unlogged = 0;
    endpoint->logged_ns = now_ns;
    endpoint->is_logged = true;
}

/* Opens some of the calls that wait for it. Returns whether more of them do. */
static bool begin_waiting(struct endpoint *endpoint, uint32_t max)
{
    struct list *node;

    for (; max > 0 && (node = list_first(&endpoint->waiting)); max--) {
        list_remove(node);
        upstream_begin(upstream_of_waiting(node));
    }
    return !list_empty(&endpoint->waiting);
}

/* Calls that may share a connection are one dial. */
static bool turn_come(struct dial_turn *turn)
{
    return begin_waiting(container_of(turn, struct endpoint, turn), MAX_CONNECTION_CALLS);
}

static void accepted(void *ctx, struct upstream *upstream)
{
    struct endpoint *endpoint = ctx;

    endpoint_enter(endpoint);
    if (endpoint->is_logged)
        log_write(LOG_INFO, "endpoint.recovered", LOG_TEXT("producer", endpoint->name));
    endpoint->is_logged = false;
    if (endpoint->is_failing)
        dial_turns_succeeded(endpoint->home.turns);
    endpoint->is_failing = false;
    (void)begin_waiting(endpoint, UINT32_MAX);
    endpoint->failure = (struct upstream_end){.code = CODE_OK};
    if (endpoint->mode == SESSION_PER_CONSUMER)
        session_report(endpoint->session, *upstream_activation(upstream), PRODUCER_ACTIVE, 0, NULL);
    else
        lasting_call_accepted(endpoint, *upstream_activation(upstream));
    endpoint_leave(endpoint);
}

static void forget(struct endpoint *endpoint, struct upstream *upstream)
{
    pthread_mutex_lock(&endpoint->lock);
    map_remove(&endpoint->by_activation, &upstream_places(upstream)->by_activation);
    pthread_mutex_unlock(&endpoint->lock);
    list_remove(&upstream_places(upstream)->in_endpoint);
    endpoint->call_count--;
    upstream_forget(upstream);
}

static void ended(void *ctx, struct upstream *upstream, const struct upstream_end *end)
{
    static const enum session_end_rule rules[] = {[RESTART_ON_FAILURE] = SESSION_END_BY_CODE,
                                                  [RESTART_ALWAYS] = SESSION_END_RETRY,
                                                  [RESTART_NEVER] = SESSION_END_FINAL};
    struct endpoint *endpoint = ctx;
    const uint64_t activation = *upstream_activation(upstream);
    /* our own cancel, where no more was wanted, is a good end */
    const bool is_good =
        end->code == CODE_OK || (end->code == CODE_CANCELLED && upstream_is_stopped(upstream));

    /* What was refused would come again, to a client that has it already. Whether any other call of
     * a client may be made twice is the hub's to know (hub/called.h). */
    const bool is_final = upstream_is_served(upstream) && upstream_was_refused(upstream);
    const enum session_end_rule rule = end->has_expired ? SESSION_END_EXPIRED
                                       : is_final       ? SESSION_END_FINAL
                                                        : rules[endpoint->restart];

    endpoint_enter(endpoint);
    /* What a client asks for, or cancels, says nothing of the endpoint. */
    endpoint->is_failing = upstream_is_served(upstream) ? !end->was_accepted && !upstream_is_stopped(upstream)
                                                        : !is_good || !end->was_accepted;
    if (!is_good)
        note_failure(endpoint, end);
    forget(endpoint, upstream);
    if (endpoint->mode == SESSION_PER_CONSUMER)
        session_end(endpoint->session, activation, is_good ? CODE_OK : end->code,
                    is_good ? NULL : end->message, rule);
    else
        lasting_call_ended(endpoint, activation, end, is_good);
    endpoint_leave(endpoint);
}

static const struct upstream_port upstream_port = {.accepted = accepted, .ended = ended};

enum fault_reason endpoint_start_call(struct endpoint *endpoint, const struct activation_params *params,
                                      struct fault *fault)
{
    const struct upstream_target target = {.session = endpoint->session,
                                           .activation = params->activation,
                                           .is_shared = endpoint->mode != SESSION_PER_CONSUMER,
                                           .request = params->request,
                                           .subscription_id = params->subscription_id,
                                           .deadline_ns = params->deadline_ns,
                                           .called = params->called,
                                           .payer = params->payer,
                                           .via = params->via,
                                           .cascade = endpoint->cascade.cascade};
    struct upstream *upstream = upstream_new(&endpoint->plan.calls, &target, &upstream_port, endpoint, fault);
    bool is_added = false;

    if (!upstream)
        return fault->reason;
    struct map_node *node = &upstream_places(upstream)->by_activation;
    node->key = activation_key(upstream_activation(upstream));
    pthread_mutex_lock(&endpoint->lock);
    is_added = map_add(&endpoint->by_activation, node) == ERR_OK;
    pthread_mutex_unlock(&endpoint->lock);
    if (!is_added) {
        upstream_discard(upstream);
        return fault_set(fault, FAULT_MEMORY_BUDGET, "upstream call", "");
    }
    list_append(&endpoint->calls, &upstream_places(upstream)->in_endpoint);
    endpoint->call_count++;
    if (endpoint->is_failing) {
        list_append(&endpoint->waiting, &upstream_places(upstream)->waiting);
        dial_turns_wait(endpoint->home.turns, &endpoint->turn);
    } else {
        upstream_begin(upstream);
    }
    return FAULT_NONE;
}

/* A call that was not opened ends at once. */
void endpoint_stop_call(struct upstream *upstream, enum fault_reason reason, int64_t deadline_ns)
{
    struct list *waiting = &upstream_places(upstream)->waiting;

    if (deadline_ns > 0)
        upstream_stop(upstream, reason, deadline_ns);
    else
        upstream_cancel(upstream);
    if (list_empty(waiting))
        return;
    list_remove(waiting);
    upstream_begin(upstream);
}

/* Only the loop changes the map; another thread needs the lock. */
struct upstream *endpoint_find_call(struct endpoint *endpoint, uint64_t activation)
{
    struct map_node *node = map_find(&endpoint->by_activation, activation_key(&activation));

    return node ? upstream_of_map(node) : NULL;
}

/* ---- the session's port ---- */

static void welcome(void *ctx, uint64_t epoch)
{
    struct endpoint *endpoint = ctx;

    (void)epoch;
    endpoint_cascade_begin(&endpoint->cascade, endpoint->session);
    if (endpoint->mode == SESSION_SHARED)
        lasting_call_begin(endpoint, &(struct activation_params){.activation = 0});
}

/* It is tried again: there may be space then. */
static void start(void *ctx, const struct activation_params *params)
{
    struct endpoint *endpoint = ctx;
    struct fault fault;
    char text[PEER_WORDS_BYTES];

    if (endpoint->mode == SESSION_BY_REQUEST) {
        lasting_call_begin(endpoint, params);
    } else if (endpoint_start_call(endpoint, params, &fault)) {
        (void)fault_message(&fault, text, sizeof(text));
        session_end(endpoint->session, params->activation, (uint32_t)fault_code(fault.reason), text,
                    SESSION_END_BY_CODE);
    }
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct endpoint *endpoint = ctx;

    if (endpoint->mode == SESSION_BY_REQUEST) {
        lasting_call_stop(endpoint, activation, reason, deadline_ns);
        return;
    }
    struct upstream *upstream = endpoint_find_call(endpoint, activation);
    if (upstream)
        endpoint_stop_call(upstream, reason, deadline_ns);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct endpoint *endpoint = ctx;

    pthread_mutex_lock(&endpoint->lock);
    struct upstream *upstream = endpoint_find_call(endpoint, activation);
    if (upstream)
        upstream_set_paused(upstream, pause);
    pthread_mutex_unlock(&endpoint->lock);
}

/* The hub stops activations and shared calls one by one. Of a SHARED endpoint the call is stopped
 * here. */
static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct endpoint *endpoint = ctx;

    if (endpoint->mode != SESSION_SHARED)
        return;
    endpoint->closing = true;
    endpoint->end_reason = FAULT_NONE;
    lasting_calls_rest(endpoint);
    list_each(node, safe, &endpoint->calls)
        endpoint_stop_call(upstream_of_list(node), reason, deadline_ns);
    leave_when_idle(endpoint);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct endpoint *endpoint = ctx;

    endpoint->closing = true;
    endpoint->end_reason = fault->reason;
    lasting_calls_rest(endpoint);
    (void)endpoint_schema_close(&endpoint->schema);
    list_each(node, safe, &endpoint->calls)
        endpoint_stop_call(upstream_of_list(node), fault->reason, 0);
    leave_when_idle(endpoint);
}

static struct session_failure failure(void *ctx)
{
    const struct endpoint *endpoint = ctx;

    return (struct session_failure){.code = endpoint->failure.code,
                                    .message = endpoint->failure.message,
                                    .was_accepted = endpoint->failure.was_accepted,
                                    .wall_ns =
                                        endpoint->failure.code != CODE_OK ? endpoint->failure.wall_ns : 0};
}

static const struct session_port session_port = {.welcome = welcome,
                                                 .start = start,
                                                 .stop = stop,
                                                 .set_paused = set_paused,
                                                 .closing = closing,
                                                 .abort_call = abort_call,
                                                 .failure = failure};

/* ---- the beginning ---- */

static struct endpoint *endpoint_new(const struct endpoint_home *home, const struct endpoint_params *params,
                                     const struct place *place, const struct dialled_owner *owner)
{
    struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint)
        return NULL;
    endpoint->home = *home;
    endpoint->mode = params->mode;
    endpoint->restart = params->restart;
    endpoint->backoff_ns = params->backoff_ns;
    endpoint->max_backoff_ns = MAX_OF(params->max_backoff_ns, params->backoff_ns);
    endpoint->random = (uint64_t)clock_mono_ns();
    endpoint->plan.calls.thread = home->thread;
    endpoint->plan.calls.loop = home->loop;
    endpoint->plan.calls.costs = home->costs;
    endpoint->cascade.emptied = endpoint->schema.emptied = emptied;
    endpoint->cascade.ctx = endpoint->schema.ctx = endpoint;
    list_init(&endpoint->calls);
    list_init(&endpoint->waiting);
    dial_turn_init(&endpoint->turn, params->peer_key, turn_come);
    CHECK(pthread_mutex_init(&endpoint->lock, NULL) == 0);
    endpoint->name = strndup((const char *)params->name.data, params->name.size);
    if (!endpoint->name || dialled_init(&endpoint->dialled, DIALLED_ENDPOINT, params, owner) != ERR_OK ||
        endpoint_plan_init(&endpoint->plan, params, place) != ERR_OK ||
        endpoint_cascade_init(&endpoint->cascade, &endpoint->plan.calls, params, home->hub) != ERR_OK) {
        endpoint_free(endpoint);
        return NULL;
    }
    endpoint->plan.connections.adder = params->peer_key;
    endpoint->plan.connections.costs = home->costs;
    endpoint->plan.connections.tls = home->tls;
    endpoint->plan.connections.guard = home->guard;
    endpoint->plan.connections.turns = &home->thread->turns;
    endpoint->plan.connections.slots = &home->thread->slots;
    return endpoint;
}

enum fault_reason endpoint_add(const struct endpoint_home *home, const struct endpoint_params *params,
                               const struct place *place, const struct dialled_owner *owner,
                               struct dialled **dialled_out, struct fault *fault)
{
    struct endpoint *endpoint = endpoint_new(home, params, place, owner);

    if (!endpoint)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (endpoint_schema_init(&endpoint->schema, home->catalog, &endpoint->plan.calls, params, fault)) {
        endpoint_free(endpoint);
        return fault->reason;
    }
    const struct endpoint_rules rules = {.first_retry_ns = endpoint->backoff_ns,
                                         .max_retry_ns = endpoint->max_backoff_ns};
    const struct session_params session = {.name = params->name,
                                           .labels = params->labels,
                                           .label_count = params->label_count,
                                           .serve = params->serve,
                                           .serve_count = params->serve_count,
                                           .serves_only = params->method[0] == '\0',
                                           .mode = params->mode,
                                           .same_request = params->request_count > 0,
                                           .history = params->history,
                                           .reject_duplicate = !params->replace,
                                           .peer = params->address,
                                           .peer_key = params->peer_key,
                                           .endpoint = &rules,
                                           .port = &session_port,
                                           .ctx = endpoint};
    if (hub_register(home->hub, &session, &endpoint->session, fault) != FAULT_NONE) {
        endpoint_free(endpoint);
        if (fault->reason == FAULT_NAME_TAKEN)
            fault_bytes(fault, FAULT_NAME_TAKEN, "endpoint.name", params->name, NULL);
        return fault->reason;
    }
    count_add(COUNT_LIVE_ENDPOINTS, 1);
    *dialled_out = &endpoint->dialled;
    return FAULT_NONE;
}

/* Not of a set, which is another structure. */
static const struct endpoint *endpoint_of(const struct dialled *dialled)
{
    CHECK(dialled->kind == DIALLED_ENDPOINT);
    return container_of(dialled, struct endpoint, dialled);
}

struct endpoint_view endpoint_view(const struct dialled *dialled)
{
    const struct endpoint *endpoint = endpoint_of(dialled);

    return (struct endpoint_view){.definition = shared_bytes_view(dialled->definition),
                                  .keeping = dialled->keeping,
                                  .origin = dialled->origin,
                                  .origin_text = dialled->origin_text,
                                  .upstream_calls = endpoint->call_count,
                                  .inner_sources = endpoint_cascade_sources(&endpoint->cascade)};
}

int64_t endpoint_retry_at(const struct dialled *dialled, uint64_t number)
{
    if (dialled->kind != DIALLED_ENDPOINT)
        return INT64_MAX;
    return lasting_call_retry_at(endpoint_of(dialled), number);
}

bool endpoint_waits_turn(const struct dialled *dialled)
{
    return !list_empty(&endpoint_of(dialled)->waiting);
}
