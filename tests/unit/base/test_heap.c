/* test_heap.c - the smallest is first; a plain search agrees on random operations. */
#include "base/heap.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NODES 300

static void well_formed(const struct heap *heap)
{
    for (size_t place = 1; place <= heap->count; place++) {
        cr_assert_eq(heap->nodes[place - 1]->place, place);
        if (place > 1)
            cr_assert_leq(heap->nodes[place / 2 - 1]->key, heap->nodes[place - 1]->key);
    }
}

Test(heap, an_empty_heap_has_no_first)
{
    struct heap heap = {0};
    struct heap_node node = {0};

    cr_assert_null(heap_first(&heap));
    heap_remove(&heap, &node);
    heap_fini(&heap);
}

Test(heap, returns_nodes_in_the_order_of_their_keys)
{
    struct heap heap = {0};
    struct heap_node nodes[5] = {0};
    static const int64_t keys[5] = {3, INT64_MIN, 7, INT64_MAX, 3};
    int64_t before = INT64_MIN;

    for (int i = 0; i < 5; i++)
        cr_assert_eq(heap_set(&heap, &nodes[i], keys[i]), ERR_OK);
    cr_assert_eq(heap_first(&heap), &nodes[1]);
    for (int i = 0; i < 5; i++) {
        struct heap_node *first = heap_first(&heap);

        cr_assert_geq(first->key, before);
        before = first->key;
        heap_remove(&heap, first);
        cr_assert_not(heap_holds(first));
    }
    cr_assert_eq(heap.count, 0u);
    heap_fini(&heap);
}

Test(heap, setting_a_new_key_moves_the_node_up_or_down)
{
    struct heap heap = {0};
    struct heap_node nodes[3] = {0};

    for (int i = 0; i < 3; i++)
        cr_assert_eq(heap_set(&heap, &nodes[i], i), ERR_OK);
    cr_assert_eq(heap_set(&heap, &nodes[2], -1), ERR_OK);
    cr_assert_eq(heap_first(&heap), &nodes[2]);
    cr_assert_eq(heap_set(&heap, &nodes[2], 9), ERR_OK);
    cr_assert_eq(heap_first(&heap), &nodes[0]);
    cr_assert_eq(heap.count, 3u);
    heap_fini(&heap);
    cr_assert_not(heap_holds(&nodes[1]), "heap_fini() takes every node out");
}

static bool no_memory;

void *__real_reallocarray(void *array, size_t count, size_t size);
void *__wrap_reallocarray(void *array, size_t count, size_t size);

void *__wrap_reallocarray(void *array, size_t count, size_t size)
{
    return no_memory ? NULL : __real_reallocarray(array, count, size);
}

Test(heap, what_was_reserved_does_not_fail)
{
    struct heap heap = {0};
    struct heap_node nodes[NODES + 1] = {0};

    cr_assert_eq(heap_reserve(&heap, 0), ERR_OK);
    cr_assert_null(heap_first(&heap));
    cr_assert_eq(heap_reserve(&heap, NODES), ERR_OK);
    cr_assert_eq(heap.capacity, NODES, "no more than asked for, at first");
    no_memory = true;
    cr_assert_eq(heap_reserve(&heap, NODES), ERR_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NODES; i++)
            cr_assert_eq(heap_set(&heap, &nodes[i], NODES - i), ERR_OK);
        cr_assert_eq(heap_reserve(&heap, NODES + 1), ERR_NO_MEMORY);
        cr_assert_eq(heap_set(&heap, &nodes[NODES], 0), ERR_NO_MEMORY);
        cr_assert_not(heap_holds(&nodes[NODES]));
        cr_assert_eq(heap_set(&heap, &nodes[0], 0), ERR_OK, "a new key needs no memory");
        cr_assert_eq(heap_first(&heap), &nodes[0]);
        well_formed(&heap);
        for (int i = 0; i < NODES; i++)
            heap_remove(&heap, &nodes[i]);
    }
    no_memory = false;
    cr_assert_eq(heap_reserve(&heap, NODES + 1), ERR_OK);
    cr_assert_eq(heap.capacity, 2 * NODES, "it grows in large steps");
    cr_assert_eq(heap_set(&heap, &nodes[NODES], 0), ERR_OK);
    heap_fini(&heap);
}

Test(heap, agrees_with_a_plain_search)
{
    struct heap heap = {0};
    struct heap_node nodes[NODES] = {0};

    srand(1);
    for (int round = 0; round < 20000; round++) {
        struct heap_node *node = &nodes[rand() % NODES];
        struct heap_node *min = NULL;

        if (rand() % 3 == 0)
            heap_remove(&heap, node);
        else
            cr_assert_eq(heap_set(&heap, node, rand() % 1000 - 500), ERR_OK);
        for (int i = 0; i < NODES; i++)
            if (heap_holds(&nodes[i]) && (!min || nodes[i].key < min->key))
                min = &nodes[i];
        cr_assert_eq(!min, !heap_first(&heap));
        if (min)
            cr_assert_eq(heap_first(&heap)->key, min->key);
        if (round % 500 == 0)
            well_formed(&heap);
    }
    heap_fini(&heap);
}
