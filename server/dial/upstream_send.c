/* upstream_send.c - what an upstream call sends. */
#include "grpc/slices.h"
#include "server/dial/cascade.h"
#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_served.h"
#include "server/dial/upstream_request.h"

static void send(struct upstream *upstream, grpc_slice message)
{
    client_call_send(&upstream->call, message);
    grpc_slice_unref(message);
}

static grpc_slice request_message(const struct upstream *upstream, struct bytes request)
{
    const struct upstream_plan *plan = upstream->plan;

    if (plan->is_native)
        return upstream_start(request, upstream->subscription_id, upstream->deadline_ns);
    if (upstream->cascade && upstream->next_request == 0)
        return cascade_request(upstream->cascade, request);
    return slice_copy_of(request);
}

void upstream_send_next(struct upstream *upstream)
{
    const struct upstream_plan *plan = upstream->plan;
    const size_t count = MAX_OF(plan->request_count, (size_t)1);

    if (is_served(upstream)) {
        upstream_served_send_next(upstream);
        return;
    }
    if (upstream->call.base.sending || upstream->call.state != CLIENT_CALL_OPEN || upstream->half_closed)
        return;
    if (upstream->next_request < count) {
        struct bytes request = shared_bytes_view(
            plan->request_count > 0 ? plan->requests[upstream->next_request] : upstream->request);

        send(upstream, request_message(upstream, request));
        upstream->next_request++;
    } else if (plan->is_native && upstream->stopping && !upstream->stop_sent) {
        upstream->stop_sent = true;
        send(upstream, upstream_stop_message(upstream->stop_reason, upstream->stop_deadline_ns));
    } else if (plan->is_native ? upstream->stop_sent : !plan->keep_open) {
        upstream->half_closed = true;
        client_call_half_close(&upstream->call);
    }
}
