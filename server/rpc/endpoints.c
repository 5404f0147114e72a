/* endpoints.c - AddProducer and UpdateProducer. On the loop. */
#include "hub/hub_query.h"
#include "server/dial/dial.h"
#include "server/rpc/endpoint_request.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"
#include "server/rpc/views.h"

static void answer(void *ctx, const struct producer_view *view)
{
    producer_write(view, ctx);
}

static void add(struct unary_call *unary, Tributary__V1__Endpoint *endpoint, bool replace, bool update)
{
    struct endpoint_request request;

    if (!endpoint_request_read(endpoint, &request, &unary->fault)) {
        request.params.replace = replace;
        request.params.peer_key = call_peer_key(unary->call);
        if (!dial_add(unary->rpc->params.dial, &request.params, update, &unary->fault))
            (void)!hub_producer(unary->rpc->hub, request.params.name, answer, &unary->answer, &unary->fault);
    }
    endpoint_request_fini(&request);
}

static void add_producer(struct unary_call *unary)
{
    const Tributary__V1__AddProducerRequest *request =
        (const Tributary__V1__AddProducerRequest *)(const void *)unary->request;

    add(unary, request->endpoint,
        request->on_duplicate == TRIBUTARY__V1__ADD_PRODUCER_REQUEST__ON_DUPLICATE__REPLACE, false);
}

static void update_producer(struct unary_call *unary)
{
    const Tributary__V1__UpdateProducerRequest *request =
        (const Tributary__V1__UpdateProducerRequest *)(const void *)unary->request;

    add(unary, request->endpoint, true, true);
}

enum err endpoints_serve(struct rpc *rpc)
{
    enum err err = rpc_add_unary(rpc, "/tributary.v1.Admin/AddProducer",
                                 &tributary__v1__add_producer_request__descriptor, add_producer);

    if (err)
        return err;
    return rpc_add_unary(rpc, "/tributary.v1.Admin/UpdateProducer",
                         &tributary__v1__update_producer_request__descriptor, update_producer);
}
