/* dial.h - the producers that the server dials: endpoints. See endpoint.h.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_DIAL_H
#define TRIBUTARY_SERVER_DIAL_DIAL_H

#include "base/status.h"
#include "server/dial/endpoint.h"

struct dial;
struct cq_thread;
struct loop;
struct tls_settings;

/* `allow` is a glob for the addresses that callers on other machines may name; NULL: none. It must
 * outlive the result. NULL: out of memory. */
struct dial *dial_new(struct loop *loop, struct hub *hub, const char *allow);
/* After the hub has ended all sessions. NULL is allowed. */
void dial_free(struct dial *dial);
OWNED_BY(dial_free, struct dial);

/* The calls of an endpoint live on one of these threads, by turns. Before the first dial_add(). */
MUST_CHECK enum err dial_add_thread(struct dial *dial, struct cq_thread *thread);

/* Endpoints may name these TLS settings, which must outlive the result. Once, before dial_add().
 * Without it they can name none. ERR_NO_MEMORY: they still can name none. */
MUST_CHECK enum err dial_use_tls(struct dial *dial, struct tls_settings *settings);

/* Adds an endpoint. `update`: it takes the place of one of this name.
 *
 * FAULT_NONE, or what endpoint_check() and endpoint_add() say, or ADDRESS_NOT_ALLOWED, UNKNOWN_TLS
 * or TLS_NOT_READY; with `update` also PRODUCER_NOT_FOUND and NOT_AN_ENDPOINT. Then nothing was
 * added. */
MUST_CHECK enum fault_reason dial_add(struct dial *dial, const struct endpoint_params *params, bool update,
                                      struct fault *fault);

#endif
