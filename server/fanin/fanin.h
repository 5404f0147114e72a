/* fanin.h - transparent fan-in: a call to any method is answered by the endpoints that serve it
 * (docs/fan-in.md).
 *
 * Threads: see each function. */
#ifndef TRIBUTARY_SERVER_FANIN_FANIN_H
#define TRIBUTARY_SERVER_FANIN_FANIN_H

#include "base/fault.h"
#include "base/peer_charge.h"
#include "server/wire/call.h"

struct catalog;
struct hub;
struct loop;

/* What the calls need. It must outlive them. */
struct fanin {
    struct loop *loop;
    struct hub *hub;
    struct catalog *catalog;
    struct peer_charges messages; /* of clients, which wait for the upstreams */
    struct peer_charges answers;  /* of reflection, which leave */
};

/* On the thread that makes the server. `loop`, `hub` and `catalog` must outlive it. */
void fanin_init(struct fanin *fanin, struct loop *loop, struct hub *hub, struct catalog *catalog);
void fanin_fini(struct fanin *fanin); /* no call is left */

/* The port of the method that serves every call of --fan-in. Its ctx is a struct fanin. */
extern const struct call_port fanin_port;

/* Whether the caller may call this path. FAULT_NONE; or the fault with which the call ends. The one
 * place that decides it. The call's wire thread. */
MUST_CHECK enum fault_reason fanin_may_call(const struct call *call, struct bytes path, struct fault *fault);

#endif
