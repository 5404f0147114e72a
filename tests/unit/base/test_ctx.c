/* test_ctx.c - drain and cancel move a whole subtree, notify each context once, and allow callbacks
 * that end contexts. */
#include "base/ctx.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/counters.h"

#define NEVER INT64_MAX
#define MAX_NOTIFIED 64

/* A context, and what its changed() does besides recording the call. */
struct node {
    struct ctx ctx;
    int id;
    bool frees_itself;
    struct node *ends_too; /* ended and freed by the callback */
    struct ctx *cancels;   /* cancelled by the callback */
    struct node *begins;   /* made a child of this one by the callback */
};

static struct {
    int id;
    enum ctx_state state;
    enum fault_reason reason;
    int64_t deadline_ns;
    bool had_parent;
} notified[MAX_NOTIFIED]; /* the calls of changed(), in their order */
static int notified_count;

static void node_free(struct node *node);

static void changed(struct ctx *ctx)
{
    struct node *node = container_of(ctx, struct node, ctx);

    cr_assert_lt(notified_count, MAX_NOTIFIED);
    notified[notified_count].id = node->id;
    notified[notified_count].state = ctx->state;
    notified[notified_count].reason = ctx->reason;
    notified[notified_count].had_parent = !!ctx->parent;
    notified[notified_count++].deadline_ns = ctx->deadline_ns;
    if (node->begins)
        ctx_init(&node->begins->ctx, ctx, ctx->port, NEVER);
    if (node->cancels)
        ctx_cancel(node->cancels, FAULT_TOO_SLOW);
    if (node->ends_too)
        node_free(node->ends_too);
    if (node->frees_itself)
        node_free(node);
}

static const struct ctx_port port = {changed};

static struct node *node_new(struct node *parent, int id, int64_t deadline_ns)
{
    struct node *node = calloc(1, sizeof(*node));

    node->id = id;
    ctx_init(&node->ctx, parent ? &parent->ctx : NULL, &port, deadline_ns);
    return node;
}

static void node_free(struct node *node)
{
    ctx_fini(&node->ctx);
    free(node);
}

static int times_notified(int id)
{
    int times = 0;

    for (int i = 0; i < notified_count; i++)
        times += notified[i].id == id;
    return times;
}

static void check_notified(int call, int id, enum ctx_state state, enum fault_reason reason)
{
    cr_assert_gt(notified_count, call);
    cr_assert_eq(notified[call].id, id, "callback %d went to %d", call, notified[call].id);
    cr_assert_eq(notified[call].state, state);
    cr_assert_eq(notified[call].reason, reason);
}

/* 1 has the children 2 and 3; 2 has the child 4. */
struct tree {
    struct node *n1, *n2, *n3, *n4;
};

static struct tree tree_new(void)
{
    struct tree tree;

    tree.n1 = node_new(NULL, 1, NEVER);
    tree.n2 = node_new(tree.n1, 2, 1000);
    tree.n3 = node_new(tree.n1, 3, NEVER);
    tree.n4 = node_new(tree.n2, 4, NEVER);
    return tree;
}

static void tree_free(const struct tree *tree)
{
    node_free(tree->n4);
    node_free(tree->n3);
    node_free(tree->n2);
    node_free(tree->n1);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 0);
}

Test(ctx, a_deadline_is_never_later_than_the_parents)
{
    struct tree tree = tree_new();

    cr_assert_eq(tree.n1->ctx.deadline_ns, NEVER);
    cr_assert_eq(tree.n2->ctx.deadline_ns, 1000);
    cr_assert_eq(tree.n4->ctx.deadline_ns, 1000);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 4);
    tree_free(&tree);
    cr_assert_eq(notified_count, 0, "the end of a context without children notifies nobody");
}

Test(ctx, cancel_goes_down_parents_first_and_never_up)
{
    struct tree tree = tree_new();

    ctx_cancel(&tree.n2->ctx, FAULT_KICKED);
    cr_assert_eq(notified_count, 2);
    check_notified(0, 2, CTX_CANCELLED, FAULT_KICKED);
    check_notified(1, 4, CTX_CANCELLED, FAULT_KICKED);
    cr_assert_eq(tree.n1->ctx.state, CTX_LIVE);
    cr_assert_eq(tree.n3->ctx.state, CTX_LIVE);

    ctx_cancel(&tree.n1->ctx, FAULT_DRAINING);
    cr_assert_eq(notified_count, 4);
    check_notified(2, 1, CTX_CANCELLED, FAULT_DRAINING);
    check_notified(3, 3, CTX_CANCELLED, FAULT_DRAINING);
    cr_assert_eq(tree.n4->ctx.reason, FAULT_KICKED, "the first reason stays");
    tree_free(&tree);
}

Test(ctx, a_verb_that_changes_nothing_notifies_nobody)
{
    struct tree tree = tree_new();

    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 500);
    cr_assert_eq(notified_count, 4);
    ctx_drain(&tree.n1->ctx, FAULT_KICKED, 500);
    ctx_drain(&tree.n1->ctx, FAULT_KICKED, 900);
    cr_assert_eq(notified_count, 4);
    cr_assert_eq(tree.n1->ctx.reason, FAULT_DRAINING);
    ctx_cancel(&tree.n1->ctx, FAULT_DEADLINE);
    cr_assert_eq(notified_count, 8);
    ctx_cancel(&tree.n1->ctx, FAULT_KICKED);
    ctx_drain(&tree.n1->ctx, FAULT_KICKED, 1);
    cr_assert_eq(notified_count, 8);
    cr_assert_eq(tree.n1->ctx.deadline_ns, 500, "it was cancelled before");
    cr_assert_eq(tree.n1->ctx.reason, FAULT_DEADLINE);
    tree_free(&tree);
}

Test(ctx, a_drain_never_moves_a_deadline_back)
{
    struct tree tree = tree_new();

    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 2000);
    cr_assert_eq(tree.n1->ctx.deadline_ns, 2000);
    cr_assert_eq(tree.n2->ctx.deadline_ns, 1000);
    cr_assert_eq(tree.n3->ctx.deadline_ns, 2000);
    cr_assert_eq(notified_count, 4);

    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 1500);
    cr_assert_eq(notified_count, 6,
                 "1 and 3 have an earlier deadline and are notified again; 2 and 4 had one already");
    cr_assert_eq(notified[4].id, 1);
    cr_assert_eq(notified[4].deadline_ns, 1500);
    cr_assert_eq(notified[5].id, 3);
    cr_assert_eq(tree.n4->ctx.deadline_ns, 1000);
    tree_free(&tree);
}

Test(ctx, a_drain_of_the_parent_brings_the_deadline_of_a_draining_child_forward)
{
    struct tree tree = tree_new();

    ctx_drain(&tree.n3->ctx, FAULT_KICKED, 5000);
    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 3000);
    cr_assert_eq(tree.n3->ctx.deadline_ns, 3000);
    cr_assert_eq(tree.n3->ctx.reason, FAULT_KICKED);
    cr_assert_eq(times_notified(3), 2);
    tree_free(&tree);
}

Test(ctx, a_child_begins_in_its_parents_state_without_a_callback)
{
    struct tree tree = tree_new();
    struct node *late;

    ctx_drain(&tree.n2->ctx, FAULT_DRAINING, 700);
    late = node_new(tree.n2, 5, NEVER);
    cr_assert_eq(late->ctx.state, CTX_DRAINING);
    cr_assert_eq(late->ctx.reason, FAULT_DRAINING);
    cr_assert_eq(late->ctx.deadline_ns, 700);
    node_free(late);
    ctx_cancel(&tree.n2->ctx, FAULT_KICKED);
    late = node_new(tree.n2, 6, NEVER);
    cr_assert_eq(late->ctx.state, CTX_CANCELLED);
    cr_assert_eq(late->ctx.reason, FAULT_KICKED);
    node_free(late);
    cr_assert_eq(times_notified(5) + times_notified(6), 0);
    tree_free(&tree);
}

Test(ctx, ending_a_context_cancels_and_notifies_its_children)
{
    struct tree tree = tree_new();

    ctx_fini(&tree.n2->ctx);
    cr_assert_eq(notified_count, 1);
    check_notified(0, 4, CTX_CANCELLED, FAULT_CANCELLED);
    cr_assert_null(tree.n4->ctx.parent);
    ctx_fini(&tree.n2->ctx);
    ctx_cancel(&tree.n2->ctx, FAULT_KICKED);
    ctx_drain(&tree.n2->ctx, FAULT_KICKED, 1);
    ctx_cancel(&tree.n1->ctx, FAULT_KICKED);
    cr_assert_eq(times_notified(2), 0, "an ended context is not notified");
    tree_free(&tree);
}

Test(ctx, ending_a_draining_context_gives_its_reason_to_its_children)
{
    struct node *parent = node_new(NULL, 1, NEVER);
    struct node *child = node_new(parent, 2, NEVER);

    ctx_drain(&parent->ctx, FAULT_DRAINING, 10);
    notified_count = 0;
    node_free(parent);
    cr_assert_eq(notified_count, 1);
    check_notified(0, 2, CTX_CANCELLED, FAULT_DRAINING);
    node_free(child);
}

Test(ctx, a_zeroed_context_may_end)
{
    struct ctx zero = {0};

    ctx_fini(&zero);
    ctx_cancel(&zero, FAULT_KICKED);
    ctx_drain(&zero, FAULT_KICKED, 1);
    cr_assert_eq(zero.state, CTX_LIVE);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 0);
}

Test(ctx, a_callback_may_free_the_context_that_it_is_called_for)
{
    struct tree tree = tree_new();

    tree.n1->frees_itself = tree.n2->frees_itself = tree.n3->frees_itself = tree.n4->frees_itself = true;
    ctx_cancel(&tree.n1->ctx, FAULT_DRAINING);
    cr_assert_eq(notified_count, 4);
    check_notified(0, 1, CTX_CANCELLED, FAULT_DRAINING);
    for (int id = 2; id <= 4; id++)
        cr_assert_eq(times_notified(id), 1);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 0);
}

Test(ctx, a_callback_may_free_its_context_and_a_child_that_was_not_notified_yet)
{
    struct tree tree = tree_new();

    tree.n2->ends_too = tree.n4;
    tree.n2->frees_itself = true;
    ctx_cancel(&tree.n1->ctx, FAULT_DRAINING);
    cr_assert_eq(times_notified(4), 0, "it ended before its notification");
    cr_assert_eq(times_notified(3), 1, "the others are still notified");
    node_free(tree.n3);
    node_free(tree.n1);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 0);
}

Test(ctx, a_context_that_ends_during_a_drain_notifies_its_children_once_and_as_cancelled)
{
    struct tree tree = tree_new();

    tree.n2->frees_itself = true;
    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 500);
    cr_assert_eq(times_notified(4), 1);
    for (int i = 0; i < notified_count; i++)
        if (notified[i].id == 4)
            cr_assert_eq(notified[i].state, CTX_CANCELLED);
    cr_assert_eq(tree.n3->ctx.state, CTX_DRAINING);
    cr_assert_eq(times_notified(3), 1);
    node_free(tree.n4);
    node_free(tree.n3);
    node_free(tree.n1);
    cr_assert_eq(count_get(COUNT_LIVE_CONTEXTS), 0);
}

Test(ctx, children_are_notified_before_the_end_of_their_parent_returns)
{
    struct tree tree = tree_new();

    tree.n2->frees_itself = true;
    ctx_cancel(&tree.n1->ctx, FAULT_KICKED);
    cr_assert_eq(times_notified(4), 1);
    check_notified(2, 4, CTX_CANCELLED, FAULT_KICKED);
    cr_assert(notified[2].had_parent, "2 had not ended when 4 was notified");
    cr_assert_null(tree.n4->ctx.parent);
    node_free(tree.n4);
    node_free(tree.n3);
    node_free(tree.n1);
}

Test(ctx, a_verb_within_a_callback_notifies_the_contexts_that_it_moves_further)
{
    struct tree tree = tree_new();

    tree.n1->cancels = &tree.n2->ctx;
    ctx_drain(&tree.n1->ctx, FAULT_DRAINING, 500);
    cr_assert_eq(notified_count, 4);
    check_notified(0, 1, CTX_DRAINING, FAULT_DRAINING);
    check_notified(1, 2, CTX_CANCELLED, FAULT_TOO_SLOW);
    check_notified(2, 4, CTX_CANCELLED, FAULT_TOO_SLOW);
    check_notified(3, 3, CTX_DRAINING, FAULT_DRAINING);
    tree_free(&tree);
}

Test(ctx, a_child_that_a_callback_begins_has_the_state_and_is_not_notified)
{
    struct tree tree = tree_new();
    struct node *late = calloc(1, sizeof(*late));

    late->id = 5;
    tree.n2->begins = late;
    ctx_cancel(&tree.n1->ctx, FAULT_KICKED);
    cr_assert_eq(late->ctx.state, CTX_CANCELLED);
    cr_assert_eq(times_notified(5), 0);
    node_free(late);
    tree_free(&tree);
}
