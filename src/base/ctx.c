/* ctx.c - the moves of the context tree, and their notifications.
 *
 * DESIGN: A verb works in two steps. First it moves the whole subtree, parents before children, and
 * links every context that moved into a list of its own, on its stack. Then it takes one context
 * after the other out of that list and calls changed().
 *
 * So a callback may end contexts: ctx_fini() unlinks them from the list. It may also begin another
 * verb: that verb relinks the contexts that it moves further into its own list, and notifies them.
 * Between two callbacks the outer verb holds no pointer to a context, so none can dangle. */
#include "base/ctx.h"

#include "base/counters.h"
#include "base/fsm.h"

static const struct fsm machine = {
    .name = "context",
    .states = {[CTX_LIVE] = {"LIVE", BIT(CTX_DRAINING) | BIT(CTX_CANCELLED)},
               [CTX_DRAINING] = {"DRAINING", BIT(CTX_CANCELLED)},
               [CTX_CANCELLED] = {"CANCELLED", 0}},
};

/* False before ctx_init(), if all is zero, and after ctx_fini(). */
static bool is_active(const struct ctx *ctx)
{
    return ctx->children.next;
}

static void queue_notification(struct ctx *ctx, struct list *unnotified)
{
    list_remove(&ctx->unnotified);
    list_append(unnotified, &ctx->unnotified);
}

static void change_state(struct ctx *ctx, enum ctx_state state, enum fault_reason reason)
{
    fsm_move(&machine, ctx, state);
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

/* Everything below a cancelled context is cancelled already. Where such a context still waits for
 * its notification, the verb that moved it notifies it. */
static void cancel(struct ctx *ctx, enum fault_reason reason, struct list *unnotified)
{
    if (ctx->state == CTX_CANCELLED)
        return;
    change_state(ctx, CTX_CANCELLED, reason);
    queue_notification(ctx, unnotified);
    list_each(node, safe, &ctx->children)
        cancel(container_of(node, struct ctx, sibling), reason, unnotified);
}

static void drain(struct ctx *ctx, enum fault_reason reason, int64_t deadline_ns, struct list *unnotified)
{
    bool nearer = deadline_ns < ctx->deadline_ns;

    if (ctx->state == CTX_CANCELLED || (ctx->state == CTX_DRAINING && !nearer))
        return;
    if (ctx->state == CTX_LIVE)
        change_state(ctx, CTX_DRAINING, reason);
    if (nearer)
        ctx->deadline_ns = deadline_ns;
    queue_notification(ctx, unnotified);
    list_each(node, safe, &ctx->children)
        drain(container_of(node, struct ctx, sibling), reason, ctx->deadline_ns, unnotified);
}

/* Moves the contexts below `ctx` that still wait for a notification of an outer verb into
 * `unnotified`. */
static void take_over(struct ctx *ctx, struct list *unnotified)
{
    list_each(node, safe, &ctx->children) {
        struct ctx *child = container_of(node, struct ctx, sibling);

        if (!list_empty(&child->unnotified))
            queue_notification(child, unnotified);
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
        CHECK(is_active(parent));
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

    if (!is_active(ctx))
        return;
    list_init(&unnotified);
    /* `ctx` itself is not notified. It is cancelled from here on, so that a child that a callback
     * begins is cancelled too. */
    list_remove(&ctx->unnotified);
    if (ctx->state != CTX_CANCELLED)
        change_state(ctx, CTX_CANCELLED, ctx->reason != FAULT_NONE ? ctx->reason : FAULT_CANCELLED);
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

    if (!is_active(ctx))
        return;
    list_init(&unnotified);
    drain(ctx, reason, deadline_ns, &unnotified);
    notify(&unnotified);
}

void ctx_cancel(struct ctx *ctx, enum fault_reason reason)
{
    struct list unnotified;

    if (!is_active(ctx))
        return;
    list_init(&unnotified);
    cancel(ctx, reason, &unnotified);
    notify(&unnotified);
}
