/* endpoint_view.c - what Producer says of an endpoint. */
#include "server/rpc/endpoint_view.h"

#include "event/field.h"
#include "event/field_write.h"
#include "hub/hub_query.h"
#include "hub/session_port.h"
#include "proto/field_numbers.h"
#include "server/dial/address_set.h"
#include "server/dial/dial.h"
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

/* Whether a child has another value there than its set. */
static bool is_of_set(uint32_t number)
{
    return number == PB_ENDPOINT_NAME || number == PB_ENDPOINT_ADDRESS ||
           number == PB_ENDPOINT_EACH_ADDRESS || number == PB_ENDPOINT_RESOLVE_PERIOD;
}

/* The definition of a child is that of its set, but for name and address. */
static void child_write(const struct producer_view *view, struct bytes of_set, struct buf *bytes)
{
    const uint8_t *at = of_set.data, *end = of_set.data + of_set.size;
    struct buf definition = {0};
    struct field field = {0};

    field_bytes(&definition, PB_ENDPOINT_NAME, view->name);
    field_text(&definition, PB_ENDPOINT_ADDRESS, view->peer);
    while (at < end) {
        const uint8_t *from = at;

        if (field_read(&at, end, &field))
            break;
        if (!is_of_set(field.number))
            buf_bytes(&definition, from, (size_t)(at - from));
    }
    field_message(bytes, PB_PRODUCER_ENDPOINT, &definition);
}

static void name_write(void *ctx, const char *name)
{
    field_text(ctx, PB_PRODUCER_CHILDREN, name);
}

_Static_assert((int)ORIGIN_OPERATOR == TRIBUTARY__V1__PRODUCER__ORIGIN__OPERATOR &&
                   (int)ORIGIN_FILE == TRIBUTARY__V1__PRODUCER__ORIGIN__FILE &&
                   (int)ORIGIN_DNS == TRIBUTARY__V1__PRODUCER__ORIGIN__DNS,
               "the numbers are the same");

static void definition_write(const struct producer_view *view, const struct endpoint_view *endpoint,
                             struct buf *bytes)
{
    if (endpoint->origin == ORIGIN_DNS)
        child_write(view, endpoint->definition, bytes);
    else
        field_bytes(bytes, PB_PRODUCER_ENDPOINT, endpoint->definition);
    field_varint(bytes, PB_PRODUCER_ORIGIN, endpoint->origin);
    field_text(bytes, PB_PRODUCER_ORIGIN_TEXT, endpoint->origin_text);
    if (endpoint->set)
        address_set_each(endpoint->set, name_write, bytes);
}

uint32_t endpoint_open_calls(const struct producer_view *view)
{
    return view->port_ctx ? dial_view(view).upstream_calls : 0;
}

static Tributary__V1__Producer__NotKept not_kept_reason(enum endpoint_keeping keeping)
{
    switch (keeping) {
    case ENDPOINT_KEPT:
        return TRIBUTARY__V1__PRODUCER__NOT_KEPT__NOT_KEPT_UNSPECIFIED;
    case ENDPOINT_NO_STATE_DIR:
        return TRIBUTARY__V1__PRODUCER__NOT_KEPT__NOT_KEPT_NO_STATE_DIR;
    case ENDPOINT_STORE_FAILED:
        return TRIBUTARY__V1__PRODUCER__NOT_KEPT__NOT_KEPT_STORE_FAILED;
    case ENDPOINT_NOT_ASKED:
        break;
    }
    return TRIBUTARY__V1__PRODUCER__NOT_KEPT__NOT_KEPT_NOT_ASKED;
}

void endpoint_write(const struct producer_view *view, struct buf *bytes)
{
    if (!view->port_ctx) /* it is gone, but for its name */
        return;
    const struct endpoint_view endpoint = dial_view(view);

    definition_write(view, &endpoint, bytes);
    field_varint(bytes, PB_PRODUCER_UPSTREAM_CALLS, endpoint.upstream_calls);
    field_varint(bytes, PB_PRODUCER_KEPT, endpoint.keeping == ENDPOINT_KEPT);
    field_varint(bytes, PB_PRODUCER_NOT_KEPT_REASON, not_kept_reason(endpoint.keeping));
    field_varint(bytes, PB_PRODUCER_INNER_SOURCES, endpoint.inner_sources);
    if (view->port->failure) {
        const struct session_failure failure = view->port->failure(view->port_ctx);

        if (failure.code != CODE_OK)
            endpoint_write_failure(&failure, bytes);
    }
}
