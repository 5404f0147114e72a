/* heap.c - a binary heap of pointers.
 *
 * Places are 1-based: place n is `nodes[n - 1]`, and its parent is place n / 2. */
#include "base/heap.h"

#include <stdlib.h>

#define MIN_CAPACITY 16u

static struct heap_node *at(const struct heap *heap, size_t place)
{
    return heap->nodes[place - 1];
}

static void put_at(struct heap *heap, size_t place, struct heap_node *node)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

static void move_up(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;

    while (place > 1 && at(heap, place / 2)->key > node->key) {
        put_at(heap, place, at(heap, place / 2));
        place /= 2;
    }
    put_at(heap, place, node);
}

static void move_down(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;

    while (place <= heap->count / 2) {
        size_t child = place * 2;

        if (child < heap->count && at(heap, child + 1)->key < at(heap, child)->key)
            child++;
        if (at(heap, child)->key >= node->key)
            break;
        put_at(heap, place, at(heap, child));
        place = child;
    }
    put_at(heap, place, node);
}

enum err heap_reserve(struct heap *heap, size_t count)
{
    size_t capacity = MAX_OF(MAX_OF(heap->capacity * 2, MIN_CAPACITY), count);
    struct heap_node **nodes;

    if (count <= heap->capacity)
        return ERR_OK;
    nodes = reallocarray(heap->nodes, capacity, sizeof(struct heap_node *));
    if (!nodes)
        return ERR_NO_MEMORY;
    heap->nodes = nodes;
    heap->capacity = capacity;
    return ERR_OK;
}

void heap_fini(struct heap *heap)
{
    for (size_t place = 1; place <= heap->count; place++)
        at(heap, place)->place = 0;
    free(heap->nodes);
    *heap = (struct heap){0};
}

enum err heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (node->place == 0) {
        if (heap_reserve(heap, heap->count + 1) != ERR_OK)
            return ERR_NO_MEMORY;
        heap->count++;
        put_at(heap, heap->count, node);
    }
    CHECK(at(heap, node->place) == node);
    node->key = key;
    move_up(heap, node);
    move_down(heap, node);
    return ERR_OK;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;

    if (place == 0)
        return;
    CHECK(place <= heap->count && at(heap, place) == node);
    struct heap_node *last = at(heap, heap->count);
    heap->count--;
    node->place = 0;
    if (last == node)
        return;
    put_at(heap, place, last);
    move_up(heap, last);
    move_down(heap, last);
}
