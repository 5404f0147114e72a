/* dialled.h - what an endpoint and a set of endpoints have in common. It is the first member of
 * both, and the ctx of their session's port.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_DIALLED_H
#define TRIBUTARY_SERVER_DIAL_DIALLED_H

#include "server/dial/endpoint_params.h"

struct hub;
struct shared_bytes;

enum dialled_kind { DIALLED_ENDPOINT, DIALLED_SET };

/* Who wants to know when it is gone. `gone` NULL: nobody. */
struct dialled_owner {
    void (*gone)(void *ctx); /* its session has ended, and nothing uses the owner any more */
    void *ctx;
};

struct dialled {
    enum dialled_kind kind;
    enum endpoint_origin origin;
    enum endpoint_keeping keeping;
    char *origin_text;
    struct shared_bytes *definition;
    struct dialled_owner owner;
};

/* Copies what it needs. ERR_NO_MEMORY: dialled_fini() must follow all the same. */
MUST_CHECK enum err dialled_init(struct dialled *dialled, enum dialled_kind kind,
                                 const struct endpoint_params *params, const struct dialled_owner *owner);
void dialled_fini(struct dialled *dialled); /* a zeroed one is allowed */

/* What the server dials under this name. NULL: nothing, or its session has ended. */
const struct dialled *dialled_find(struct hub *hub, struct bytes name);

/* Removes it, unless its name is no longer its own. It ends within `drain_ns`; 0: at once. */
void dialled_remove(struct hub *hub, struct bytes name, const struct dialled *dialled, int64_t drain_ns);

#endif
