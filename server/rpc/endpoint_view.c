/* endpoint_view.c - what Producer says of an endpoint. */
#include "server/rpc/endpoint_view.h"

#include "event/field_write.h"
#include "hub/hub_query.h"
#include "proto/field_numbers.h"
#include "server/dial/endpoint.h"
#include "tributary/v1/admin.pb-c.h"

void endpoint_write(const struct producer_view *view, struct buf *bytes)
{
    struct buf failure = {0};

    if (!view->port_ctx) /* it is gone, but for its name */
        return;
    const struct endpoint_view endpoint = endpoint_view(view->port_ctx);
    field_bytes(bytes, PB_PRODUCER_ENDPOINT, endpoint.definition);
    field_varint(bytes, PB_PRODUCER_UPSTREAM_CALLS, endpoint.upstream_calls);
    if (!endpoint.failure.is_there)
        return;
    field_varint(&failure, PB_PRODUCER_FAILURE_CODE, endpoint.failure.code);
    field_text(&failure, PB_PRODUCER_FAILURE_MESSAGE, endpoint.failure.message);
    field_varint(&failure, PB_PRODUCER_FAILURE_WHERE,
                 endpoint.failure.was_accepted ? TRIBUTARY__V1__PRODUCER__FAILURE__WHERE__STREAM
                                               : TRIBUTARY__V1__PRODUCER__FAILURE__WHERE__DIAL);
    field_fixed64(&failure, PB_PRODUCER_FAILURE_TIME_UNIX_NANO, (uint64_t)endpoint.failure.wall_ns);
    field_message(bytes, PB_PRODUCER_FAILURE, &failure);
}
