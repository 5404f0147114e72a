/* endpoints.c - AddProducer, UpdateProducer and RemoveProducer. On the loop. */
#include "base/clock.h"
#include "event/text.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"

#define MAX_NAME_BYTES 256u

static const struct duration_rule deadline = {"deadline", 5 * NS_PER_S, 1, 3600 * NS_PER_S, true};

static void set_result(struct unary_call *unary, const struct edit_result *result)
{
    unary->fault = result->fault;
    unary->answer = result->answer;
}

static void answered(void *ctx, const struct edit_result *result)
{
    struct unary_call *unary = ctx;

    set_result(unary, result);
    rpc_unary_finish(unary);
}

/* The request becomes the edit's. */
static void begin(struct unary_call *unary, struct edit_request *edit)
{
    struct edit_result result;

    edit->peer = call_peer_key(unary->call);
    edit->message = unary->request;
    unary->request = NULL;
    if (endpoint_edits_begin(unary->rpc->edits, edit, answered, unary, &result))
        set_result(unary, &result);
    else
        unary->waits = true;
}

static void add_producer(struct unary_call *unary)
{
    const Tributary__V1__AddProducerRequest *request =
        (const Tributary__V1__AddProducerRequest *)(const void *)unary->request;
    struct edit_request edit = {.verb = EDIT_ADD,
                                .endpoint = request->endpoint,
                                .replace = request->on_duplicate ==
                                           TRIBUTARY__V1__ADD_PRODUCER_REQUEST__ON_DUPLICATE__REPLACE};

    begin(unary, &edit);
}

static void update_producer(struct unary_call *unary)
{
    const Tributary__V1__UpdateProducerRequest *request =
        (const Tributary__V1__UpdateProducerRequest *)(const void *)unary->request;
    struct edit_request edit = {.verb = EDIT_UPDATE, .endpoint = request->endpoint};

    begin(unary, &edit);
}

/* A producer of any kind; only that of an endpoint may have to be removed from the disk. */
static void remove_producer(struct unary_call *unary)
{
    const Tributary__V1__RemoveProducerRequest *request =
        (const Tributary__V1__RemoveProducerRequest *)(const void *)unary->request;
    struct edit_request edit = {.verb = EDIT_REMOVE, .name = text_bytes(request->name)};

    if (name_check(edit.name, "name", MAX_NAME_BYTES, &unary->fault) ||
        decode_duration((const ProtobufCMessage *)request->deadline, &deadline, &edit.drain_ns,
                        &unary->fault))
        return;
    if (request->mode == TRIBUTARY__V1__REMOVE_PRODUCER_REQUEST__MODE__CANCEL)
        edit.drain_ns = 0;
    begin(unary, &edit);
}

enum err endpoints_serve(struct rpc *rpc)
{
    static const struct {
        const char *path;
        const ProtobufCMessageDescriptor *type;
        void (*on_loop)(struct unary_call *unary);
    } methods[] = {
        {"/tributary.v1.Admin/AddProducer", &tributary__v1__add_producer_request__descriptor, add_producer},
        {"/tributary.v1.Admin/UpdateProducer", &tributary__v1__update_producer_request__descriptor,
         update_producer},
        {"/tributary.v1.Admin/RemoveProducer", &tributary__v1__remove_producer_request__descriptor,
         remove_producer},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        enum err err = rpc_add_unary(rpc, methods[i].path, methods[i].type, methods[i].on_loop);

        if (err)
            return err;
    }
    return ERR_OK;
}
