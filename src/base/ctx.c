/* ctx.c - moves along the tree.
 *
 * DESIGN: a verb first moves the whole subtree, parents before children, and links what moved into
 * a ring on its own stack; then it takes one context after the other out of that ring and tells it.
 * A callback may therefore end contexts (they take themselves out of the ring) or begin another
 * verb (which takes over those it moves further) without the walk holding a pointer to anything
 * that may be gone. */
#include "base/ctx.h"

#include "base/counters.h"

static const unsigned allowed[CTX_STATE_COUNT] = {
    [CTX_LIVE] = BIT(CTX_DRAINING) | BIT(CTX_CANCELLED),
    [CTX_DRAINING] = BIT(CTX_CANCELLED),
    [CTX_CANCELLED] = 0,
};

static bool linked(const struct ctx *ctx)
{
    return ctx->children.next != NULL;
}

static void enlist(struct ctx *ctx, struct list *unnotified)
{
    list_remove(&ctx->unnotified);
    list_append(unnotified, &ctx->unnotified);
}

static void move(struct ctx *ctx, enum ctx_state state, enum fault_reason reason)
{
    CHECK(allowed[ctx->state] & BIT(state));
    ctx->state = state;
    ctx->reason = reason;
}

static void notify(struct list *unnotified)
{
    struct list *node;

    while ((node = list_first(unnotified))) {
        struct ctx *ctx = container_of(node, struct ctx, unnotified);

        list_remove(node);
        if (ctx->port)
            ctx->port->changed(ctx);
    }
}

/* Below a cancelled context everything is cancelled; what was not told yet is told by whoever moved
 * it. */
static void cancel(struct ctx *ctx, enum fault_reason reason, struct list *unnotified)
{
    if (ctx->state == CTX_CANCELLED)
        return;
    move(ctx, CTX_CANCELLED, reason);
    enlist(ctx, unnotified);
    list_each(node, safe, &ctx->children)
        cancel(container_of(node, struct ctx, sibling), reason, unnotified);
}

static void drain(struct ctx *ctx, enum fault_reason reason, int64_t deadline_ns, struct list *unnotified)
{
    bool nearer = deadline_ns < ctx->deadline_ns;

    if (ctx->state == CTX_CANCELLED || (ctx->state == CTX_DRAINING && !nearer))
        return;
    if (ctx->state == CTX_LIVE)
        move(ctx, CTX_DRAINING, reason);
    if (nearer)
        ctx->deadline_ns = deadline_ns;
    enlist(ctx, unnotified);
    list_each(node, safe, &ctx->children)
        drain(container_of(node, struct ctx, sibling), reason, ctx->deadline_ns, unnotified);
}

/* Takes what an outer walk has not told yet below `ctx` over into `unnotified`. */
static void take_over(struct ctx *ctx, struct list *unnotified)
{
    list_each(node, safe, &ctx->children) {
        struct ctx *child = container_of(node, struct ctx, sibling);

        if (!list_empty(&child->unnotified))
            enlist(child, unnotified);
        take_over(child, unnotified);
    }
}

void ctx_init(struct ctx *ctx, struct ctx *parent, const struct ctx_port *port, int64_t deadline_ns)
{
    *ctx = (struct ctx){
        .parent = parent, .port = port, .state = CTX_LIVE, .reason = FAULT_NONE, .deadline_ns = deadline_ns};
    list_init(&ctx->children);
    list_init(&ctx->sibling);
    list_init(&ctx->unnotified);
    if (parent) {
        CHECK(linked(parent));
        list_append(&parent->children, &ctx->sibling);
        ctx->state = parent->state;
        ctx->reason = parent->reason;
        ctx->deadline_ns = MIN_OF(deadline_ns, parent->deadline_ns);
    }
    count_add(COUNT_LIVE_CONTEXTS, 1);
}

void ctx_fini(struct ctx *ctx)
{
    struct list unnotified, *node;

    if (!linked(ctx))
        return;
    list_init(&unnotified);
    /* It ends without a callback of its own. Cancelled from here on, so that a child begun by a
     * child's callback is cancelled as well. */
    list_remove(&ctx->unnotified);
    if (ctx->state != CTX_CANCELLED)
        move(ctx, CTX_CANCELLED, ctx->reason != FAULT_NONE ? ctx->reason : FAULT_CANCELLED);
    list_each(child, safe, &ctx->children)
        cancel(container_of(child, struct ctx, sibling), ctx->reason, &unnotified);
    take_over(ctx, &unnotified);
    notify(&unnotified);
    while ((node = list_first(&ctx->children))) {
        container_of(node, struct ctx, sibling)->parent = NULL;
        list_remove(node);
    }
    list_remove(&ctx->sibling);
    ctx->parent = NULL;
    ctx->children = (struct list){NULL, NULL};
    count_add(COUNT_LIVE_CONTEXTS, -1);
}

void ctx_drain(struct ctx *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct list unnotified;

    if (!linked(ctx))
        return;
    list_init(&unnotified);
    drain(ctx, reason, deadline_ns, &unnotified);
    notify(&unnotified);
}

void ctx_cancel(struct ctx *ctx, enum fault_reason reason)
{
    struct list unnotified;

    if (!linked(ctx))
        return;
    list_init(&unnotified);
    cancel(ctx, reason, &unnotified);
    notify(&unnotified);
}
