/* test_heavy_queue.c - whose heavy work is done next (finding 29): peers share the time of a
 * thread, whatever each of them has waiting and however long each piece takes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/wire/heavy_queue.h"

#define MAX_WORK 64u

static const struct peer_key peer_a = {PEER_IPV4, 1}, peer_b = {PEER_IPV4, 2};

static struct heavy_queue queue;
static char order[256]; /* the names of what ran */

struct piece {
    struct heavy_work work;
    char name;
    int64_t takes_ns;
};

/* Takes the place of the real clock: time passes while a piece runs. */
static int64_t now_ns = NS_PER_S;

int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void)
{
    return now_ns;
}

static struct piece pieces[MAX_WORK];
static size_t piece_count;

static void run(struct heavy_work *work)
{
    struct piece *piece = container_of(work, struct piece, work);

    strncat(order, &piece->name, 1);
    now_ns += piece->takes_ns;
}

static void set_up(void)
{
    heavy_queue_init(&queue);
}

static void tear_down(void)
{
    heavy_queue_fini(&queue);
}

TestSuite(heavy_queue, .init = set_up, .fini = tear_down);

static struct piece *add(char name, struct peer_key peer, int connection, int64_t takes_ns)
{
    struct piece *piece = &pieces[piece_count++];

    cr_assert_leq(piece_count, MAX_WORK);
    *piece = (struct piece){.work = {.run = run}, .name = name, .takes_ns = takes_ns};
    list_init(&piece->work.link);
    cr_assert_eq(heavy_queue_add(&queue, &piece->work, peer, &pieces[connection]), ERR_OK);
    return piece;
}

static void expect(const char *expected)
{
    while (queue.count > 0)
        heavy_queue_run(&queue);
    cr_assert_str_eq(order, expected);
    order[0] = '\0';
}

Test(heavy_queue, the_work_of_a_connection_is_done_in_its_order)
{
    for (int i = 0; i < 5; i++)
        add("abcde"[i], peer_a, 1, HEAVY_TURN_NS / 2);
    expect("abcde");
}

Test(heavy_queue, connections_of_a_peer_have_turns)
{
    for (int i = 0; i < 3; i++)
        add('a', peer_a, 1, HEAVY_TURN_NS);
    add('b', peer_a, 2, HEAVY_TURN_NS);
    add('c', peer_a, 3, HEAVY_TURN_NS);
    expect("abcaa");
}

Test(heavy_queue, a_peer_gains_nothing_by_many_connections)
{
    for (int i = 0; i < 6; i++)
        add('a', peer_a, i, HEAVY_TURN_NS);
    for (int i = 0; i < 3; i++)
        add('b', peer_b, 7, HEAVY_TURN_NS);
    expect("abababaaa");
}

/* One piece of the first peer takes as long as twenty of the second one. */
Test(heavy_queue, who_used_more_time_waits_until_others_had_as_much)
{
    for (int i = 0; i < 3; i++)
        add('A', peer_a, 1, 10 * HEAVY_TURN_NS);
    for (int i = 0; i < 30; i++)
        add('b', peer_b, 2, HEAVY_TURN_NS / 2);
    while (queue.count > 11) /* of 33 */
        heavy_queue_run(&queue);
    cr_assert_eq(strspn(order, "A"), 1, "%s", order);
    cr_assert_geq(strspn(order + 1, "b"), 18, "%s", order);
    cr_assert_leq(strspn(order + 1, "b"), 22, "%s", order);
    expect(order);
}

Test(heavy_queue, what_is_taken_out_does_not_run_and_what_comes_meanwhile_does)
{
    struct piece *first = add('a', peer_a, 1, HEAVY_TURN_NS), *second = add('b', peer_a, 1, 1);

    add('c', peer_b, 2, 1);
    heavy_queue_remove(&queue, &first->work);
    heavy_queue_remove(&queue, &first->work);
    cr_assert_eq(queue.count, 2);
    heavy_queue_remove(&queue, &second->work);
    add('d', peer_a, 3, 1);
    expect("dc");
    cr_assert_eq(queue.lines.count, 0, "nothing is kept where nothing waits");
    add('e', peer_a, 1, 1);
    heavy_queue_remove(&queue, &pieces[piece_count - 1].work);
}

Test(heavy_queue, lines_of_peers_without_work_are_freed)
{
    add('x', peer_b, 0, HEAVY_TURN_NS);
    for (int i = 1; i < 40; i++) {
        add('a', (struct peer_key){PEER_IPV4, 10 + (uint64_t)i}, i, HEAVY_TURN_NS);
        heavy_queue_run(&queue);
        add('x', peer_b, 0, HEAVY_TURN_NS);
        if (piece_count > MAX_WORK - 4)
            break;
    }
    cr_assert_leq(queue.lines.count, 2 * (queue.count + 1), "%zu lines, %llu wait", queue.lines.count,
                  (unsigned long long)queue.count);
    while (queue.count > 0)
        heavy_queue_run(&queue);
}
