/* dial.h - the producers that the server dials: endpoints (endpoint.h), and sets of them
 * (address_set.h).
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_DIAL_H
#define TRIBUTARY_SERVER_DIAL_DIAL_H

#include "base/status.h"
#include "server/dial/endpoint.h"

struct catalog;
struct dial;
struct cq_thread;
struct loop;
struct tls_settings;
struct h2guard_limits;
struct producer_view;

/* Whether a pattern of --dial-allow holds for a place. Without a scheme (dns:, ipv4:, ipv6:, unix:,
 * unix-abstract:) it is a glob for HOST:PORT, and holds for no unix socket. Any thread. */
bool dial_allows(const char *pattern, const struct place *place);

/* `allow` is such a pattern, for the places that callers on other machines may name; NULL: none. It
 * must outlive the result. NULL: out of memory. */
struct dial *dial_new(struct loop *loop, struct hub *hub, const char *allow);
/* After the hub has ended all sessions. NULL is allowed. */
void dial_free(struct dial *dial);
OWNED_BY(dial_free, struct dial);

/* The calls of an endpoint live on one of these threads, by turns. Before the first dial_add(). */
MUST_CHECK enum err dial_add_thread(struct dial *dial, struct cq_thread *thread);

/* Endpoints may name these TLS settings, which must outlive the result. Once, before dial_add().
 * Without it they can name none. ERR_NO_MEMORY: they still can name none. */
MUST_CHECK enum err dial_use_tls(struct dial *dial, struct tls_settings *settings);

/* What the endpoints serve, for reflection of it. Valid as long as the dial. */
struct catalog *dial_catalog(struct dial *dial);

/* Dialled connections are watched (upstream_guard.h): those in plaintext get a guard with these
 * limits, which must live as long as a socket of gRPC core. Before dial_add(). */
void dial_use_guard(struct dial *dial, const struct h2guard_limits *limits);

/* Whether dial_add() would refuse this now, but for the memory that it takes. Nothing is added.
 * FAULT_NONE, or the faults of dial_add(). */
MUST_CHECK enum fault_reason dial_check(struct dial *dial, const struct endpoint_params *params, bool update,
                                        struct fault *fault);

/* Adds an endpoint, or a set of them. `update`: it takes the place of one of this name.
 *
 * FAULT_NONE, or what endpoint_check() and endpoint_add() say, or ADDRESS_NOT_ALLOWED, UNKNOWN_TLS
 * or TLS_NOT_READY; with `update` also PRODUCER_NOT_FOUND and NOT_AN_ENDPOINT; where an operator's
 * would replace one of another origin, DEFINED_ELSEWHERE. Then nothing was added. */
MUST_CHECK enum fault_reason dial_add(struct dial *dial, const struct endpoint_params *params, bool update,
                                      struct fault *fault);

/* The same for an owner, who hears when it is gone. *dialled_out is valid until then. */
MUST_CHECK enum fault_reason dial_hold(struct dial *dial, const struct endpoint_params *params,
                                       const struct dialled_owner *owner, struct dialled **dialled_out,
                                       struct fault *fault);

/* Whether no producer of any kind has the name. */
bool dial_name_is_free(const struct dial *dial, struct bytes name);

/* Removes what dial_hold() has made, unless another producer has the name. `drain_ns` 0: at
 * once. */
void dial_remove(struct dial *dial, struct bytes name, const struct dialled *dialled, int64_t drain_ns);

/* Whether an operator may remove a producer or put another one in its place. FAULT_NONE, or
 * DEFINED_ELSEWHERE: a file or a set defines it. `field`: where the name stands in the request. */
MUST_CHECK enum fault_reason dial_check_origin(struct dial *dial, const char *field, struct bytes name,
                                               struct fault *fault);

/* What an endpoint or a set shows. `view` is one of an endpoint, and view->port_ctx is not NULL. */
struct endpoint_view dial_view(const struct producer_view *view);

/* It is kept in another way than it was added. Does nothing where the producer is no endpoint. */
void dial_set_keeping(const struct producer_view *view, enum endpoint_keeping keeping);

#endif
