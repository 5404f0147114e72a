/* test_map.c - the map, and its keyed hash against published values. */
#include "base/map.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define NODES 1000

struct entry {
    struct map_node node;
    char name[16];
};

static struct entry entries[NODES];

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void fill(struct map *map, int count)
{
    map_init(map);
    for (int i = 0; i < count; i++) {
        snprintf(entries[i].name, sizeof(entries[i].name), "name-%d", i);
        entries[i].node.key = bytes_of(entries[i].name);
        cr_assert_eq(map_add(map, &entries[i].node), ERR_OK);
    }
}

Test(map, an_empty_map_finds_nothing)
{
    struct map map;

    map_init(&map);
    cr_assert_null(map_find(&map, bytes_of("a")));
    cr_assert_null(map_next(&map, NULL));
    map_fini(&map);
}

Test(map, finds_each_of_many_and_nothing_else)
{
    struct map map;

    fill(&map, NODES);
    cr_assert_eq(map.count, (size_t)NODES);
    cr_assert_geq(map.slot_count, map.count, "a load factor of 1 at most");
    for (int i = 0; i < NODES; i++) {
        char name[16];

        snprintf(name, sizeof(name), "name-%d", i);
        cr_assert_eq(map_find(&map, bytes_of(name)), &entries[i].node);
    }
    cr_assert_null(map_find(&map, bytes_of("name-")));
    cr_assert_null(map_find(&map, bytes_of("name-1000")));
    map_fini(&map);
}

Test(map, grows_when_it_holds_as_many_as_it_has_slots)
{
    struct map map;
    size_t slots;

    fill(&map, 1);
    slots = map.slot_count;
    map_fini(&map);
    fill(&map, (int)slots);
    cr_assert_eq(map.slot_count, slots);
    map_fini(&map);
    fill(&map, (int)slots + 1);
    cr_assert_eq(map.slot_count, 2 * slots);
    map_fini(&map);
}

Test(map, grows_when_space_is_reserved_and_not_when_it_is_used)
{
    struct map map;
    size_t slots;

    fill(&map, 0);
    cr_assert_eq(map_reserve(&map), ERR_OK);
    slots = map.slot_count;
    cr_assert_gt(slots, 0);
    map_fini(&map);
    fill(&map, (int)slots - 1);
    cr_assert_eq(map_reserve(&map), ERR_OK);
    cr_assert_eq(map.slot_count, slots, "there was space");
    map_fini(&map);
    fill(&map, (int)slots);
    cr_assert_eq(map_reserve(&map), ERR_OK);
    cr_assert_eq(map.slot_count, 2 * slots);
    map_fini(&map);
}

Test(map, reserves_space_for_many_nodes)
{
    struct map map;
    struct map_node **slots;

    fill(&map, NODES);
    map_fini(&map);
    cr_assert_eq(map_reserve_many(&map, NODES), ERR_OK);
    cr_assert_geq(map.slot_count, (size_t)NODES);
    cr_assert_lt(map.slot_count, (size_t)NODES * 2);
    slots = map.slots;
    for (int i = 0; i < NODES; i++)
        cr_assert_eq(map_add(&map, &entries[i].node), ERR_OK);
    cr_assert_eq(map.slots, slots, "nothing moved");
    cr_assert_eq(map_reserve_many(&map, 1), ERR_OK);
    cr_assert_eq(map.slots, slots, "there was space");
    map_fini(&map);
}

Test(map, removes_from_anywhere_in_a_chain)
{
    struct map map;

    fill(&map, NODES);
    for (int i = 0; i < NODES; i += 2)
        map_remove(&map, &entries[i].node);
    cr_assert_eq(map.count, (size_t)NODES / 2);
    for (int i = 0; i < NODES; i++)
        cr_assert_eq(map_find(&map, bytes_of(entries[i].name)), i % 2 == 0 ? NULL : &entries[i].node);
    for (int i = 1; i < NODES; i += 2)
        map_remove(&map, &entries[i].node);
    cr_assert_eq(map.count, 0u);
    cr_assert_eq(map_add(&map, &entries[0].node), ERR_OK, "a removed node may be added again");
    cr_assert_eq(map_find(&map, bytes_of("name-0")), &entries[0].node);
    map_fini(&map);
}

Test(map, a_walk_visits_each_node_once)
{
    struct map map;
    bool visited[NODES] = {false};
    int count = 0;

    fill(&map, NODES);
    for (struct map_node *node = map_next(&map, NULL); node; node = map_next(&map, node)) {
        size_t i = (size_t)(container_of(node, struct entry, node) - entries);

        cr_assert_not(visited[i]);
        visited[i] = true;
        count++;
    }
    cr_assert_eq(count, NODES);
    map_fini(&map);
}

Test(map, keys_are_bytes_compared_whole)
{
    struct map map;
    struct map_node nodes[4] = {{.key = {(const uint8_t *)"a\0b", 3}},
                                {.key = {(const uint8_t *)"a\0c", 3}},
                                {.key = {(const uint8_t *)"a", 1}},
                                {.key = {NULL, 0}}};

    map_init(&map);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(map_add(&map, &nodes[i]), ERR_OK);
    cr_assert_eq(map_find(&map, (struct bytes){(const uint8_t *)"a\0c", 3}), &nodes[1]);
    cr_assert_eq(map_find(&map, (struct bytes){(const uint8_t *)"a", 1}), &nodes[2]);
    cr_assert_eq(map_find(&map, (struct bytes){(const uint8_t *)"", 0}), &nodes[3]);
    map_fini(&map);
}

Test(map, siphash_agrees_with_the_reference_values)
{
    static const struct {
        size_t size;
        uint64_t value;
    } values[] = {
        {0, UINT64_C(0xd1fba762150c532c)},  {1, UINT64_C(0x68a914128e01e473)},
        {7, UINT64_C(0x2f098ab0c751325a)},  {8, UINT64_C(0xead411e67ebe2eea)},
        {9, UINT64_C(0x75927f9d95124362)},  {15, UINT64_C(0xf30eb725bb91c9ea)},
        {16, UINT64_C(0x8972188433a5c5b7)}, {63, UINT64_C(0x385d3e39e5f37359)},
    };
    static const uint64_t zero[2], counting[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t bytes[63];

    for (uint8_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        cr_assert_eq(siphash13(zero, (struct bytes){bytes, values[i].size}), values[i].value, "%zu bytes",
                     values[i].size);
    cr_assert_eq(siphash13(counting, (struct bytes){bytes, 0}), UINT64_C(0xabac0158050fc4dc));
}

Test(map, the_hash_is_keyed_and_stable)
{
    static const uint64_t zero[2];

    cr_assert_eq(map_hash(bytes_of("web")), map_hash(bytes_of("web")));
    cr_assert_neq(map_hash(bytes_of("web")), siphash13(zero, bytes_of("web")));
}
