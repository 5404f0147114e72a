/* health.c - the health service, for load balancers and orchestrators. All services of this process
 * share one state.
 *
 * A watcher has at most one write in flight. When it completes, the watcher gets the latest state:
 * it may miss a state, but never the last one. Check and List are answered on the loop, so an
 * answer also proves that the loop is alive. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "event/field_write.h"
#include "health/v1/health.pb-c.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"

enum serving {
    SERVING_UNREPORTED = 0,
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    SERVING_NOT = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    SERVING_UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

struct health {
    struct rpc *rpc;
    _Atomic bool not_serving;
    pthread_mutex_t lock;
    /* Any thread, under lock. */
    struct list watchers;
};

struct watcher {
    struct health *health;
    _Atomic uint32_t refs; /* one of the call, and one of the task while that is posted */
    struct task task;
    /* Any thread, under health->lock. */
    struct list link;
    struct cq_thread *thread;
    /* Wire thread only. */
    struct call *call; /* NULL once it is closed */
    bool requested;    /* the request has arrived */
    bool known;        /* its service is served here */
    bool sending;
    bool draining;
    enum serving reported;
};

static enum serving state(const struct rpc *rpc)
{
    return atomic_load(&rpc->health->not_serving) ? SERVING_NOT : SERVING;
}

static bool known(const struct rpc *rpc, struct bytes service)
{
    return service.size == 0 || rpc_serves(rpc, service);
}

static void write_state(struct buf *answer, enum serving state)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state;
    encode(&response.base, answer);
}

static void check(struct unary_call *unary)
{
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)(void *)unary->request;
    struct bytes service = text_bytes(request->service);

    if (known(unary->rpc, service))
        write_state(&unary->answer, state(unary->rpc));
    else
        fault_bytes(&unary->fault, FAULT_SERVICE_NOT_FOUND, "service", service, "");
}

static void list_entry(struct buf *answer, struct bytes name, enum serving state)
{
    struct buf entry = {0};
    struct buf value = {0};

    write_state(&value, state);
    field_bytes(&entry, PB_HEALTH_HEALTH_LIST_RESPONSE_STATUSES_ENTRY_KEY, name);
    field_message(&entry, PB_HEALTH_HEALTH_LIST_RESPONSE_STATUSES_ENTRY_VALUE, &value);
    field_message(answer, PB_HEALTH_HEALTH_LIST_RESPONSE_STATUSES, &entry);
}

static void list(struct unary_call *unary)
{
    struct bytes name = {0};
    size_t position = 0;

    do
        list_entry(&unary->answer, name, state(unary->rpc));
    while (rpc_service_next(unary->rpc, &position, &name));
}

static void finish(struct call *call, enum fault_reason reason)
{
    struct fault fault;

    fault_set(&fault, reason, "", "");
    call_finish(call, &fault);
}

static void watcher_release(struct watcher *watcher)
{
    if (atomic_fetch_sub(&watcher->refs, 1) == 1)
        free(watcher);
}

/* Wire thread. Sends a state that is new. A stream that is draining ends when there is none. */
static void report(struct watcher *watcher)
{
    enum serving now;
    struct buf answer = {0};

    if (!watcher->call || !watcher->requested || watcher->sending)
        return;
    now = !watcher->known ? SERVING_UNKNOWN : watcher->draining ? SERVING_NOT : state(watcher->health->rpc);
    if (now != watcher->reported) {
        write_state(&answer, now);
        if (answer.broken) {
            finish(watcher->call, FAULT_MEMORY_BUDGET);
        } else {
            watcher->reported = now;
            watcher->sending = call_send(watcher->call, &answer);
        }
        buf_fini(&answer);
    } else if (watcher->draining) {
        finish(watcher->call, FAULT_DRAINING);
    }
}

/* Wire thread. The state has changed. */
static void on_change(struct task *task)
{
    struct watcher *watcher = container_of(task, struct watcher, task);

    report(watcher);
    watcher_release(watcher);
}

static void opened(struct call *call, void *ctx)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));

    if (!watcher) {
        finish(call, FAULT_MEMORY_BUDGET);
        return;
    }
    watcher->health = ctx;
    watcher->refs = 1;
    watcher->task.run = on_change;
    watcher->thread = call_cq(call);
    watcher->call = call;
    list_init(&watcher->link);
    call_own(call, watcher);
    call_read(call);
}

/* Joins the list first and reads the state afterwards. So a change in between is not missed, and
 * report() does not send the same state twice. */
static void message(struct call *call, struct message *message)
{
    struct watcher *watcher = call_owned(call);
    struct health *health = watcher->health;
    ProtobufCMessage *request = NULL;
    struct fault fault;

    if (decode_message(message, &grpc__health__v1__health_check_request__descriptor, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    watcher->requested = true;
    watcher->known =
        known(health->rpc, text_bytes(((Grpc__Health__V1__HealthCheckRequest *)(void *)request)->service));
    decoded_free(request);
    pthread_mutex_lock(&health->lock);
    list_append(&health->watchers, &watcher->link);
    pthread_mutex_unlock(&health->lock);
    report(watcher);
}

static void half_closed(struct call *call)
{
    finish(call, FAULT_NO_MESSAGE);
}

static void sent(struct call *call, bool ok)
{
    struct watcher *watcher = call_owned(call);

    watcher->sending = false;
    if (ok)
        report(watcher);
}

static void draining(struct call *call)
{
    struct watcher *watcher = call_owned(call);

    if (!watcher)
        return;
    watcher->draining = true;
    if (watcher->requested)
        report(watcher);
    else
        finish(call, FAULT_DRAINING);
}

static void closed(struct call *call, bool ok)
{
    struct watcher *watcher = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!watcher)
        return;
    pthread_mutex_lock(&watcher->health->lock);
    list_remove(&watcher->link);
    pthread_mutex_unlock(&watcher->health->lock);
    watcher->call = NULL;
    watcher_release(watcher);
}

static const struct call_port watch_port = {.opened = opened,
                                            .message = message,
                                            .half_closed = half_closed,
                                            .sent = sent,
                                            .draining = draining,
                                            .closed = closed};

/* The state changes only once, so the task of each watcher is posted only once. */
void rpc_not_serving(struct rpc *rpc)
{
    struct health *health = rpc->health;

    if (atomic_exchange(&health->not_serving, true))
        return;
    pthread_mutex_lock(&health->lock);
    list_each(link, safe, &health->watchers) {
        struct watcher *watcher = container_of(link, struct watcher, link);

        atomic_fetch_add(&watcher->refs, 1);
        cq_post(watcher->thread, &watcher->task);
    }
    pthread_mutex_unlock(&health->lock);
}

enum err health_serve(struct rpc *rpc)
{
    struct health *health = calloc(1, sizeof(*health));
    enum err err;

    if (!health)
        return ERR_NO_MEMORY;
    health->rpc = rpc;
    pthread_mutex_init(&health->lock, NULL);
    list_init(&health->watchers);
    rpc->health = health;
    err = rpc_add_unary(rpc, "/grpc.health.v1.Health/Check",
                        &grpc__health__v1__health_check_request__descriptor, check);
    if (!err)
        err = rpc_add_unary(rpc, "/grpc.health.v1.Health/List",
                            &grpc__health__v1__health_list_request__descriptor, list);
    if (!err)
        err = rpc_add_method(rpc, "/grpc.health.v1.Health/Watch", &watch_port, health);
    return err;
}

void health_free(struct rpc *rpc)
{
    if (!rpc->health)
        return;
    pthread_mutex_destroy(&rpc->health->lock);
    free(rpc->health);
    rpc->health = NULL;
}
