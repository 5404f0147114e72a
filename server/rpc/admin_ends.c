/* admin_ends.c - what an operator ends: RemoveProducer and Drain. On the loop. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "event/text.h"
#include "hub/removal.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "tributary/v1/admin.pb-c.h"

#define MAX_NAME_BYTES 256u

/* ---- RemoveProducer ---- */

static const struct duration_rule remove_deadline = {"deadline", 5 * NS_PER_S, 1, 3600 * NS_PER_S, true};

/* The state of its call. */
struct removing {
    struct removal removal;
    struct unary_call *unary;
    bool waits;       /* the caller wants to know what became of the calls */
    unsigned pending; /* what is to come: the result of the edit, and the end of the producer */
};

static void complete(struct removing *removing)
{
    struct unary_call *unary = removing->unary;
    const struct removal *removal = &removing->removal;

    if (--removing->pending > 0)
        return;
    if (removing->waits && unary->fault.reason == FAULT_NONE) {
        field_varint(&unary->answer, PB_PRODUCER_ENDED_CALLS, removal->ended);
        field_varint(&unary->answer, PB_PRODUCER_ABORTED_CALLS, removal->aborted);
        for (uint32_t i = 0; i < removal->id_count; i++)
            field_text(&unary->answer, PB_PRODUCER_ABORTED_SUBSCRIPTIONS, removal->ids[i]);
    }
    rpc_unary_finish(unary);
}

static void on_over(struct task *task)
{
    struct removal *removal = container_of(task, struct removal, over);

    complete(container_of(removal, struct removing, removal));
}

static void set_result(struct removing *removing, const struct edit_result *result)
{
    removing->unary->fault = result->fault;
    removing->unary->answer = result->answer;
    removing->pending += removing->removal.is_begun;
}

static void answered(void *ctx, const struct edit_result *result)
{
    struct removing *removing = ctx;

    set_result(removing, result);
    complete(removing);
}

/* The request becomes the edit's. */
static void begin(struct removing *removing, struct edit_request *edit)
{
    struct unary_call *unary = removing->unary;
    struct edit_result result;

    removing->removal.over.run = on_over;
    edit->removal = removing->waits ? &removing->removal : NULL;
    edit->peer = call_peer_key(unary->call);
    edit->message = unary->request;
    unary->request = NULL;
    removing->pending = 1;
    if (endpoint_edits_begin(unary->rpc->edits, edit, answered, removing, &result)) {
        removing->pending = 0;
        set_result(removing, &result);
    }
    unary->waits = removing->pending > 0;
}

/* A producer of any kind; only that of an endpoint may have to be removed from the disk. */
static void remove_producer(struct unary_call *unary)
{
    const Tributary__V1__RemoveProducerRequest *request =
        (const Tributary__V1__RemoveProducerRequest *)(const void *)unary->request;
    struct edit_request edit = {.verb = EDIT_REMOVE, .name = text_bytes(request->name)};
    struct removing *removing = NULL;

    if (name_check(edit.name, "name", MAX_NAME_BYTES, &unary->fault) ||
        decode_duration((const ProtobufCMessage *)request->deadline, &remove_deadline, &edit.drain_ns,
                        &unary->fault))
        return;
    if (request->mode == TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__CANCEL)
        edit.drain_ns = 0;
    unary->state = removing = calloc(1, sizeof(*removing));
    if (!removing) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    removing->unary = unary;
    removing->waits = request->wait;
    begin(removing, &edit);
}

/* ---- Drain ---- */

/* Who may log in to this machine could send a signal. Others may not stop the service. */
static enum fault_reason check_caller(const struct unary_call *unary, struct fault *fault)
{
    if (unary->rpc->params.remote_drain || peer_is_local(call_peer_key(unary->call)))
        return FAULT_NONE;
    return fault_set(fault, FAULT_NOT_LOCAL, NULL, "callers on other machines need --remote-drain");
}

static void drain(struct unary_call *unary)
{
    const struct rpc_params *params = &unary->rpc->params;
    const Tributary__V1__DrainRequest *request =
        (const Tributary__V1__DrainRequest *)(const void *)unary->request;
    const struct duration_rule rule = {"deadline", loop_settings(unary->rpc->loop)->drain_timeout_ns,
                                       NS_PER_MS, 3600 * NS_PER_S, false};
    int64_t timeout_ns;

    if (check_caller(unary, &unary->fault) ||
        decode_duration((const ProtobufCMessage *)request->deadline, &rule, &timeout_ns, &unary->fault))
        return;
    const int64_t left_ns = params->drain(params->drain_ctx, timeout_ns) - clock_mono_ns();

    field_fixed64(&unary->answer, PB_DRAIN_RESPONSE_DEADLINE_UNIX_NANO,
                  (uint64_t)(clock_wall_ns() + MAX_OF(left_ns, 0)));
    field_varint(&unary->answer, PB_DRAIN_RESPONSE_PRODUCERS, (uint64_t)count_get(COUNT_LIVE_PRODUCERS));
    field_varint(&unary->answer, PB_DRAIN_RESPONSE_SUBSCRIPTIONS,
                 (uint64_t)count_get(COUNT_LIVE_SUBSCRIPTIONS));
}

enum err admin_ends_serve(struct rpc *rpc)
{
    enum err err = rpc_add_unary(rpc, "/tributary.v1.Admin/RemoveProducer",
                                 &tributary__v1__remove_producer_request__descriptor, remove_producer);

    if (err)
        return err;
    return rpc_add_unary(rpc, "/tributary.v1.Admin/Drain", &tributary__v1__drain_request__descriptor, drain);
}
