/* endpoints.c - AddProducer and UpdateProducer. On the loop. */
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"

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
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        enum err err = rpc_add_unary(rpc, methods[i].path, methods[i].type, methods[i].on_loop);

        if (err)
            return err;
    }
    return ERR_OK;
}
