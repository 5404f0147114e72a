/* test_peer_queue.c - peers take turns, and each of them keeps its order. */
#include <criterion/criterion.h>

#include "base/peer_queue.h"
#include "lib/events.h"

#define COUNT 200

static struct peer_queue queue;
static struct peer_entry all[COUNT];

static struct peer_key peer_of(unsigned number)
{
    return (struct peer_key){PEER_IPV4, number};
}

static void open_queue(void)
{
    peer_queue_init(&queue);
    for (unsigned i = 0; i < COUNT; i++)
        peer_entry_init(&all[i], peer_of(0));
}

static void close_queue(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        peer_queue_remove(&queue, &all[i]);
    cr_assert(peer_queue_is_empty(&queue));
    cr_assert_eq(queue.by_peer.count, 0);
    peer_queue_fini(&queue);
}

TestSuite(peer_queue, .init = open_queue, .fini = close_queue);

static void add(unsigned index, unsigned peer)
{
    all[index].peer = peer_of(peer);
    peer_queue_add(&queue, &all[index]);
    cr_assert(peer_entry_waits(&all[index]));
}

/* -1: nobody waits. */
static int serve(void)
{
    struct peer_entry *first = peer_queue_first(&queue);

    if (!first)
        return -1;
    peer_queue_serve(&queue, first);
    cr_assert_not(peer_entry_waits(first));
    return (int)(first - all);
}

static void expect(const int *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(serve(), order[i], "%zu", i);
}

Test(peer_queue, one_peer_has_its_order)
{
    cr_assert_null(peer_queue_first(&queue));
    for (unsigned i = 0; i < 5; i++)
        add(i, 1);
    expect((const int[]){0, 1, 2, 3, 4, -1}, 6);
}

Test(peer_queue, a_peer_that_comes_later_waits_for_one_of_another_peer_at_most)
{
    for (unsigned i = 0; i < 100; i++)
        add(i, 1);
    add(100, 2);
    add(101, 2);
    add(102, 3);
    expect((const int[]){0, 100, 102, 1, 101, 2, 3}, 7);
    add(103, 2);
    expect((const int[]){4, 103, 5}, 3);
}

Test(peer_queue, who_leaves_keeps_the_place_of_its_peer)
{
    for (unsigned i = 0; i < 3; i++)
        add(i, 1);
    for (unsigned i = 3; i < 6; i++)
        add(i, 2);
    peer_queue_remove(&queue, &all[0]);
    peer_queue_remove(&queue, &all[0]);
    peer_queue_remove(&queue, &all[4]);
    expect((const int[]){1, 3}, 2);
    peer_queue_remove(&queue, &all[2]);
    expect((const int[]){5, -1}, 2);
}

/* The same by an array: whose turn it is, and what each peer has waiting. */
static struct {
    unsigned peers[4], peer_count;
    unsigned entries[4][COUNT], counts[4];
} model;

static void drop(unsigned *list, unsigned *count, unsigned at)
{
    for (--*count; at < *count; at++)
        list[at] = list[at + 1];
}

static unsigned find(const unsigned *list, unsigned count, unsigned value)
{
    unsigned at = 0;

    while (at < count && list[at] != value)
        at++;
    return at;
}

static void model_add(unsigned index, unsigned peer)
{
    if (model.counts[peer] == 0)
        model.peers[model.peer_count++] = peer;
    model.entries[peer][model.counts[peer]++] = index;
}

static void model_remove(unsigned index, unsigned peer)
{
    drop(model.entries[peer], &model.counts[peer], find(model.entries[peer], model.counts[peer], index));
    if (model.counts[peer] == 0)
        drop(model.peers, &model.peer_count, find(model.peers, model.peer_count, peer));
}

static int model_serve(void)
{
    if (model.peer_count == 0)
        return -1;
    const unsigned peer = model.peers[0], index = model.entries[peer][0];

    drop(model.peers, &model.peer_count, 0);
    drop(model.entries[peer], &model.counts[peer], 0);
    if (model.counts[peer] > 0)
        model.peers[model.peer_count++] = peer;
    return (int)index;
}

Test(peer_queue, random_steps_are_those_of_a_model)
{
    struct dice dice = dice_new("peer_queue");

    for (unsigned step = 0; step < 50000; step++) {
        const unsigned index = (unsigned)dice_roll(&dice, COUNT);

        if (dice_roll(&dice, 3) == 0) {
            cr_assert_eq(serve(), model_serve(), "step %u", step);
        } else if (peer_entry_waits(&all[index])) {
            if (dice_roll(&dice, 3) > 0)
                continue;
            model_remove(index, (unsigned)all[index].peer.value);
            peer_queue_remove(&queue, &all[index]);
        } else {
            const unsigned peer = (unsigned)dice_roll(&dice, 4);

            model_add(index, peer);
            add(index, peer);
        }
    }
}
