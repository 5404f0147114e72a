/* explain.c - Admin.Explain: reads the request, and answers for one subscription. explain_page.c
 * answers for all of them, explain_producer.c for a producer. All of it is on the loop. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/text.h"
#include "server/rpc/decode.h"
#include "server/rpc/explain_probe.h"
#include "server/rpc/explain_page.h"
#include "server/rpc/explain_producer.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/unary.h"
#include "tributary/v1/admin.pb-c.h"

#define MAX_NAME_BYTES 256u

static const struct duration_rule window_rule = {
    .field = "window", .default_ns = 500 * NS_PER_MS, .min_ns = 10 * NS_PER_MS, .max_ns = 5 * NS_PER_S};

static void on_done(void *ctx, struct explain_probe *probe)
{
    struct unary_call *unary = ctx;
    const struct fault *fault = explain_probe_fault(probe);

    if (fault)
        unary->fault = *fault;
    else
        explain_probe_write(probe, &unary->answer);
    explain_probe_free(probe);
    rpc_unary_finish(unary);
}

/* Which of the three is asked for. FAULT_NONE, or it is none or several. */
static enum fault_reason check_what(const Tributary__V1__ExplainRequest *request, struct fault *fault)
{
    const struct bytes id = text_bytes(request->subscription_id), producer = text_bytes(request->producer);

    if ((id.size > 0) + (producer.size > 0) + (request->all ? 1 : 0) > 1)
        return fault_set(fault, FAULT_UNSUPPORTED, request->all ? "all" : "producer",
                         "one of subscription_id, producer and all");
    if (request->all)
        return FAULT_NONE;
    return producer.size > 0 ? name_check(producer, "producer", MAX_NAME_BYTES, fault)
                             : name_check(id, "subscription_id", MAX_NAME_BYTES, fault);
}

/* Each answers in a later turn: rpc_unary_finish() may not come before this returns. */
static void explain_on_loop(struct unary_call *unary)
{
    const Tributary__V1__ExplainRequest *request =
        (const Tributary__V1__ExplainRequest *)(const void *)unary->request;
    const struct bytes producer = text_bytes(request->producer);
    int64_t window_ns;

    if (check_what(request, &unary->fault) ||
        decode_duration((const ProtobufCMessage *)request->window, &window_rule, &window_ns, &unary->fault))
        return;
    if (request->all) {
        explain_page(unary, request->all->page_size, request->all->page_token, window_ns);
    } else if (producer.size > 0) {
        explain_producer(unary, producer, window_ns);
    } else {
        unary->waits =
            explain_probe_new(unary->rpc, text_bytes(request->subscription_id), window_ns, on_done, unary);
        if (!unary->waits)
            fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
}

enum err explain_serve(struct rpc *rpc)
{
    return rpc_add_unary(rpc, "/tributary.v1.Admin/Explain", &tributary__v1__explain_request__descriptor,
                         explain_on_loop);
}
