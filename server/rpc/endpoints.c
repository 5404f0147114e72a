/* endpoints.c - AddProducer and UpdateProducer. On the loop. */
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/endpoint_request.h"
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
    edit->schema = unary->prepared;
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

/* Wire thread. */
static void prepare(struct unary_call *unary, const Tributary__V1__Endpoint *endpoint)
{
    struct schema *schema;

    if (!endpoint_schema_read(endpoint, &schema, &unary->fault))
        unary->prepared = schema;
}

static void prepare_add(struct unary_call *unary)
{
    prepare(unary, ((const Tributary__V1__AddProducerRequest *)(const void *)unary->request)->endpoint);
}

static void prepare_update(struct unary_call *unary)
{
    prepare(unary, ((const Tributary__V1__UpdateProducerRequest *)(const void *)unary->request)->endpoint);
}

static void discard(void *prepared)
{
    schema_release(prepared);
}

enum err endpoints_serve(struct rpc *rpc)
{
    const struct unary_method add = {.type = &tributary__v1__add_producer_request__descriptor,
                                     .on_loop = add_producer,
                                     .prepare = prepare_add,
                                     .discard = discard};
    const struct unary_method update = {.type = &tributary__v1__update_producer_request__descriptor,
                                        .on_loop = update_producer,
                                        .prepare = prepare_update,
                                        .discard = discard};
    const enum err err = rpc_add_unary_method(rpc, "/tributary.v1.Admin/AddProducer", &add);

    return err ? err : rpc_add_unary_method(rpc, "/tributary.v1.Admin/UpdateProducer", &update);
}
