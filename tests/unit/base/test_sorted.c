/* test_sorted.c - objects in the order of their keys, against a plain array. */
#include "base/sorted.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 500
#define ROUNDS 20000

struct thing {
    struct sorted_node node;
    char name[16];
    bool in;
};

static struct thing things[NODES];
static struct sorted sorted;

static struct bytes key_of(const struct sorted_node *node)
{
    const struct thing *thing = container_of(node, const struct thing, node);

    return (struct bytes){(const uint8_t *)thing->name, strlen(thing->name)};
}

static struct bytes text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* The depth of the tree; checks that parents and ranks fit. */
static int depth(const struct sorted_node *node)
{
    if (!node)
        return 0;
    cr_assert(!node->left || (node->left->parent == node && node->left->rank <= node->rank));
    cr_assert(!node->right || (node->right->parent == node && node->right->rank <= node->rank));
    return 1 + MAX_OF(depth(node->left), depth(node->right));
}

static void check(void)
{
    struct sorted_node *node = sorted_first(&sorted);

    for (int i = 0; i < NODES; i++) {
        if (!things[i].in)
            continue;
        cr_assert_eq(node, &things[i].node);
        node = sorted_next(node);
    }
    cr_assert_null(node);
}

static struct sorted_node *first_in_after(int at)
{
    for (int i = at + 1; i < NODES; i++)
        if (things[i].in)
            return &things[i].node;
    return NULL;
}

Test(sorted, holds_the_order_whatever_comes_and_goes)
{
    sorted_init(&sorted, key_of);
    cr_assert_null(sorted_first(&sorted));
    for (int i = 0; i < NODES; i++)
        snprintf(things[i].name, sizeof(things[i].name), "%03d", i);
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        int at = rand() % NODES;

        if (things[at].in)
            sorted_remove(&sorted, &things[at].node);
        else
            sorted_add(&sorted, &things[at].node);
        things[at].in = !things[at].in;
        cr_assert_eq(sorted_after(&sorted, key_of(&things[at].node)), first_in_after(at));
        if (round % 500 == 0)
            check();
    }
    check();
    cr_assert_lt(depth(sorted.root), 40);
}

Test(sorted, stays_flat_where_keys_come_in_order)
{
    sorted_init(&sorted, key_of);
    for (int i = 0; i < NODES; i++) {
        snprintf(things[i].name, sizeof(things[i].name), "%03d", i);
        sorted_add(&sorted, &things[i].node);
    }
    cr_assert_lt(depth(sorted.root), 40);
}

Test(sorted, a_key_comes_before_one_that_begins_with_it)
{
    sorted_init(&sorted, key_of);
    snprintf(things[0].name, sizeof(things[0].name), "a");
    snprintf(things[1].name, sizeof(things[1].name), "a\x01");
    sorted_add(&sorted, &things[1].node);
    sorted_add(&sorted, &things[0].node);
    cr_assert_eq(sorted_first(&sorted), &things[0].node);
    cr_assert_eq(sorted_after(&sorted, text("a")), &things[1].node);
    cr_assert_eq(sorted_after(&sorted, text("")), &things[0].node);
    cr_assert_null(sorted_after(&sorted, text("b")));
}

Test(sorted, a_node_that_is_in_no_tree_may_be_removed)
{
    sorted_init(&sorted, key_of);
    sorted_remove(&sorted, &things[0].node);
    snprintf(things[0].name, sizeof(things[0].name), "a");
    sorted_add(&sorted, &things[0].node);
    sorted_remove(&sorted, &things[0].node);
    cr_assert_null(sorted_first(&sorted));
}
