/* endpoint_load.c - the endpoints of the store, when the server starts; and how a peer is kept with
 * them. */
#include <endian.h>
#include <string.h>

#include "base/log.h"
#include "server/dial/dial.h"
#include "server/rpc/decode.h"
#include "server/rpc/endpoint_edits_internal.h"

/* These numbers are on the disk. */
_Static_assert(PEER_NONE == 0 && PEER_UNKNOWN == 1 && PEER_UNIX == 2 && PEER_IPV4 == 3 && PEER_IPV6 == 4 &&
                   PEER_IPV6_LOOPBACK == 5,
               "enum peer_kind must not change");

void owner_write(struct peer_key peer, uint8_t owner[OWNER_BYTES])
{
    const uint64_t numbers[] = {htole64(peer.kind), htole64(peer.value)};

    _Static_assert(sizeof(numbers) == OWNER_BYTES, "two numbers");
    memcpy(owner, numbers, sizeof(numbers));
}

struct peer_key owner_read(struct bytes owner)
{
    uint64_t numbers[2];

    if (owner.size != sizeof(numbers))
        return (struct peer_key){PEER_UNKNOWN, 0};
    memcpy(numbers, owner.data, sizeof(numbers));
    const struct peer_key peer = {le64toh(numbers[0]), le64toh(numbers[1])};
    return peer.kind > PEER_NONE && peer.kind <= PEER_IPV6_LOOPBACK ? peer
                                                                    : (struct peer_key){PEER_UNKNOWN, 0};
}

/* The same checks as of a request, of the peer that asked for it. */
static enum fault_reason add(struct endpoint_edits *edits, const struct store_record *record,
                             Tributary__V1__Endpoint *endpoint, struct fault *fault)
{
    OWNED(schema_release) struct schema *schema = NULL;
    struct endpoint_request request;

    if (endpoint_schema_read(endpoint, &schema, fault))
        return fault->reason;
    if (!endpoint_request_read(endpoint, schema, &request, fault)) {
        request.params.keeping = ENDPOINT_KEPT;
        request.params.peer_key = owner_read(record->owner);
        if (!bytes_same(request.params.name, record->name))
            fault_bytes(fault, FAULT_BAD_NAME, "endpoint.name", request.params.name,
                        "the name of its record");
        else
            (void)!dial_add(edits->dial, &request.params, false, fault);
    }
    endpoint_request_fini(&request);
    return fault->reason;
}

static void note_refused(struct endpoint_edits *edits, struct endpoint_name *name, const struct fault *fault)
{
    char message[512];

    fault_message(fault, message, sizeof(message));
    endpoint_name_set_cause(&edits->names, name, message);
    log_write(LOG_ERROR, "endpoint.not_loaded", LOG_BYTES("producer", name->node.key),
              LOG_TEXT("reason", fault_reason_name(fault->reason)), LOG_TEXT("message", message));
}

static bool load(void *ctx, const struct store_record *record)
{
    struct endpoint_edits *edits = ctx;
    struct endpoint_name *name = endpoint_names_get(&edits->names, record->name);
    ProtobufCMessage *message = NULL;
    struct fault fault = {.reason = FAULT_NONE};

    if (!name)
        return false;
    name->is_recorded = true;
    if (decode(record->value, &tributary__v1__endpoint__descriptor, &message, &fault) ||
        add(edits, record, (Tributary__V1__Endpoint *)(void *)message, &fault))
        note_refused(edits, name, &fault);
    decoded_free(message);
    return true;
}

enum err endpoint_edits_load(struct endpoint_edits *edits, struct refusal *refusal)
{
    enum err err = ERR_OK;

    if (edits->store)
        err = store_read(edits->store, ENDPOINT_KIND, load, edits, refusal);
    if (edits->store && err == ERR_OK)
        log_write(LOG_INFO, "endpoints.loaded", LOG_NUMBER("endpoints", edits->names.by_name.count));
    return err;
}
