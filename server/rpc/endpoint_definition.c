/* endpoint_definition.c - see endpoint_definition.h. */
#include "server/rpc/endpoint_definition.h"

#include <stdlib.h>

#include "base/place.h"
#include "server/dial/endpoint_check.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_request.h"

struct endpoint_definition {
    ProtobufCMessage *message;
    struct endpoint_request request;
};

static enum fault_reason check(const struct endpoint_params *params, struct fault *fault)
{
    struct place place;

    if (endpoint_check(params, fault) || endpoint_place(params->address, &place, fault))
        return fault->reason;
    return endpoint_check_set(params, &place, fault);
}

static enum fault_reason read(struct bytes message, struct endpoint_definition *definition,
                              struct fault *fault)
{
    if (decode(message, &tributary__v1__endpoint__descriptor, &definition->message, fault)) {
        fault_within(fault, "endpoint.");
        return fault->reason;
    }
    Tributary__V1__Endpoint *endpoint = (Tributary__V1__Endpoint *)(void *)definition->message;
    OWNED(schema_release) struct schema *schema = NULL;

    if (endpoint_schema_read(endpoint, &schema, fault) ||
        endpoint_request_read(endpoint, schema, &definition->request, fault))
        return fault->reason;
    return check(&definition->request.params, fault);
}

enum fault_reason endpoint_definition_read(struct bytes message, struct endpoint_definition **definition_out,
                                           struct fault *fault)
{
    struct endpoint_definition *definition = calloc(1, sizeof(*definition));

    if (!definition)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (read(message, definition, fault)) {
        endpoint_definition_free(definition);
        return fault->reason;
    }
    *definition_out = definition;
    return FAULT_NONE;
}

void endpoint_definition_free(struct endpoint_definition *definition)
{
    if (!definition)
        return;
    endpoint_request_fini(&definition->request);
    decoded_free(definition->message);
    free(definition);
}

struct endpoint_params *endpoint_definition_params(struct endpoint_definition *definition)
{
    return &definition->request.params;
}
