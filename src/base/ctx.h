/* ctx.h - the context tree: cancellation, deadline and reason travel from a parent to its children,
 * and never back.
 *
 * A context is embedded in the object whose life it governs: the hub, a subscription, an
 * activation. Nothing is allocated. A parent must outlive its children, or end before them with
 * ctx_fini(), which detaches them.
 *
 *   LIVE --drain--> DRAINING --cancel--> CANCELLED
 *     |                                      ^
 *     +---------------cancel-----------------+
 *
 * Threads: the loop thread only. */
#ifndef TRIBUTARY_BASE_CTX_H
#define TRIBUTARY_BASE_CTX_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/list.h"

enum ctx_state { CTX_LIVE, CTX_DRAINING, CTX_CANCELLED };

struct ctx;

struct ctx_port {
    /* The context moved on: ctx->state, ->reason and ->deadline_ns say how. Parents are called
     * before their children. The callback may end `ctx` (ctx_fini()) and any child of it, but no
     * other context of the tree. It may call ctx_drain() and ctx_cancel(). */
    void (*changed)(struct ctx *ctx);
};

/* Read-only outside of ctx.c. */
struct ctx {
    struct ctx *parent; /* NULL: a root, or detached */
    struct list children;
    struct list sibling;
    struct list unnotified;      /* linked while changed() is still to be called */
    const struct ctx_port *port; /* NULL: nobody is notified */
    enum ctx_state state;
    enum fault_reason reason; /* why it drains or was cancelled; FAULT_NONE while live */
    int64_t deadline_ns;      /* clock_mono_ns(); INT64_MAX: none. Never later than the parent's. */
};

/* Begins a context below `parent`; NULL begins a root. The deadline is the earlier one of
 * `deadline_ns` and the parent's. A child of a context that drains or is cancelled begins in that
 * state and with that reason, and changed() is not called for it. */
void ctx_init(struct ctx *ctx, struct ctx *parent, const struct ctx_port *port, int64_t deadline_ns);

/* Ends a context. Its remaining children are cancelled first, for its reason or, if it was live,
 * for FAULT_CANCELLED, and changed() is called for them. Then they are detached: they have no
 * parent. changed() is not called for `ctx` itself. Does nothing on a context that is all zero or
 * has ended. */
void ctx_fini(struct ctx *ctx);

/* Moves the context and everything below it to DRAINING or to CANCELLED. The whole subtree has
 * moved before the first changed() is called.
 *
 * Both are idempotent: a context that has reached the state, or a later one, does not change, and
 * nobody is notified. One exception: a drain with an earlier deadline brings the deadline of a
 * draining context forward, and notifies again. A deadline never moves back; the first reason of a
 * drain stays. A context that moves twice before it was notified is notified once.
 *
 * Do nothing on a context that is all zero or has ended. */
void ctx_drain(struct ctx *ctx, enum fault_reason reason, int64_t deadline_ns);
void ctx_cancel(struct ctx *ctx, enum fault_reason reason);

#endif
