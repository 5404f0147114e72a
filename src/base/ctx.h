/* ctx.h - the context tree: cancellation, deadline and reason travel from a parent to its children,
 * never back.
 *
 * Threads: the loop only. A context is embedded in what it governs; its parent outlives it. */
#ifndef TRIBUTARY_BASE_CTX_H
#define TRIBUTARY_BASE_CTX_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/list.h"

/*   LIVE --drain--> DRAINING --cancel--> CANCELLED
 *     |                                      ^
 *     +---------------cancel-----------------+        */
enum ctx_state { CTX_LIVE, CTX_DRAINING, CTX_CANCELLED, CTX_STATE_COUNT };

struct ctx;

struct ctx_port {
    /* The state moved on; ctx->state, ->reason and ->deadline_ns say how. Parents before children.
     * May end `ctx` (ctx_fini) and any child of it, nothing else of the tree. */
    void (*changed)(struct ctx *ctx);
};

struct ctx {
    struct ctx *parent;
    struct list children;
    struct list sibling;
    struct list unnotified; /* moved, and changed() is still to be called */
    const struct ctx_port *port;
    enum ctx_state state;
    enum fault_reason reason; /* FAULT_NONE while live */
    int64_t deadline_ns;      /* clock_mono_ns(); INT64_MAX: none. Never later than the parent's. */
};

/* `parent` NULL: a root. A child of a context that is draining or cancelled begins in that state,
 * without a callback. */
void ctx_init(struct ctx *ctx, struct ctx *parent, const struct ctx_port *port, int64_t deadline_ns);

/* Children that are still there become cancelled first, for its reason or FAULT_CANCELLED, and are
 * told; then they have no parent. `ctx` itself is not told. Harmless on a context that is all zero
 * or already ended. */
void ctx_fini(struct ctx *ctx);

/* Both are idempotent: a second call, or one after a stronger verb, changes nothing and tells
 * nobody. A drain only ever brings the deadline nearer; where it does so on a context that drains
 * already, that one is told again. All of the subtree has moved before the first callback; a
 * context that moves further before it was told is told once. */
void ctx_drain(struct ctx *ctx, enum fault_reason reason, int64_t deadline_ns);
void ctx_cancel(struct ctx *ctx, enum fault_reason reason);

#endif
