/* finish.c - Subscriber.Finish: ends a subscription gently, from beside its stream. */
#include <string.h>

#include "base/clock.h"
#include "hub/subscription.h"
#include "server/rpc/decode.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/subscriber.h"
#include "server/rpc/unary.h"
#include "tributary/v1/subscriber.pb-c.h"

static const struct duration_rule drain_rule = {.field = "drain",
                                                .default_ns = DEFAULT_DRAIN_NS,
                                                .min_ns = NS_PER_MS,
                                                .max_ns = MAX_DRAIN_NS,
                                                .zero = true};

static void finish_on_loop(struct unary_call *unary)
{
    const Tributary__V1__FinishRequest *request =
        (const Tributary__V1__FinishRequest *)(const void *)unary->request;
    struct bytes id = {(const uint8_t *)request->subscription_id, strlen(request->subscription_id)};
    int64_t drain_ns;

    if (decode_duration(request->drain ? &request->drain->base : NULL, &drain_rule, &drain_ns, &unary->fault))
        return;
    if (hub_finish(unary->rpc->hub, id, CLOSING_FINISHED, drain_ns, &unary->fault))
        return;
    Tributary__V1__FinishResponse response = TRIBUTARY__V1__FINISH_RESPONSE__INIT;
    encode(&response.base, &unary->answer);
}

enum err finish_serve(struct rpc *rpc)
{
    return rpc_add_unary(rpc, "/tributary.v1.Subscriber/Finish", &tributary__v1__finish_request__descriptor,
                         finish_on_loop);
}
