/* endpoint_view.c - what Producer says of an endpoint. */
#include "server/rpc/endpoint_view.h"

#include "event/field_write.h"
#include "hub/hub_query.h"
#include "hub/session_port.h"
#include "proto/field_numbers.h"
#include "server/dial/endpoint.h"
#include "tributary/v1/admin.pb-c.h"

void endpoint_write_failure(const struct session_failure *failure, struct buf *bytes)
{
    struct buf message = {0};

    field_varint(&message, PB_PRODUCER_FAILURE_CODE, failure->code);
    field_text(&message, PB_PRODUCER_FAILURE_MESSAGE, failure->message);
    field_varint(&message, PB_PRODUCER_FAILURE_WHERE,
                 failure->was_accepted ? TRIBUTARY__V1__PRODUCER__FAILURE__WHERE__STREAM
                                       : TRIBUTARY__V1__PRODUCER__FAILURE__WHERE__DIAL);
    field_fixed64(&message, PB_PRODUCER_FAILURE_TIME_UNIX_NANO, (uint64_t)failure->wall_ns);
    field_message(bytes, PB_PRODUCER_FAILURE, &message);
}

void endpoint_write(const struct producer_view *view, struct buf *bytes)
{
    if (!view->port_ctx) /* it is gone, but for its name */
        return;
    const struct endpoint_view endpoint = endpoint_view(view->port_ctx);
    field_bytes(bytes, PB_PRODUCER_ENDPOINT, endpoint.definition);
    field_varint(bytes, PB_PRODUCER_UPSTREAM_CALLS, endpoint.upstream_calls);
    if (view->port->failure) {
        const struct session_failure failure = view->port->failure(view->port_ctx);

        if (failure.code != CODE_OK)
            endpoint_write_failure(&failure, bytes);
    }
}
