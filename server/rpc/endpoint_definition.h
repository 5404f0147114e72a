/* endpoint_definition.h - an encoded Endpoint as parameters. For rooms above this one.
 *
 * Threads: any; a definition belongs to one at a time. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_DEFINITION_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_DEFINITION_H

#include "base/fault.h"
#include "server/dial/endpoint_params.h"

struct endpoint_definition;

/* Decodes and checks a message as AddProducer does, but for what needs the server: names in use,
 * and TLS settings. FAULT_NONE: the caller owns *definition_out. */
MUST_CHECK enum fault_reason endpoint_definition_read(struct bytes message,
                                                      struct endpoint_definition **definition_out,
                                                      struct fault *fault);
void endpoint_definition_free(struct endpoint_definition *definition); /* NULL is allowed */
OWNED_BY(endpoint_definition_free, struct endpoint_definition);

/* Valid as long as the definition. The caller may set what no message says: origin, peer_key. */
struct endpoint_params *endpoint_definition_params(struct endpoint_definition *definition);

#endif
