/* map.c - a hash table of chains. The number of slots is a power of two, and doubles when there are
 * as many nodes as slots. */
#include "base/map.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MIN_SLOTS 16u

static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void draw_secret(void)
{
    CHECK(getrandom(secret, sizeof(secret), 0) == (ssize_t)sizeof(secret));
}

static uint64_t rotate(uint64_t word, unsigned by)
{
    return (word << by) | (word >> (64 - by));
}

static INLINE void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static INLINE uint64_t little_endian(const uint8_t *at, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

/* The same with eight bytes: compilers make one instruction of it. */
static INLINE uint64_t little_endian_word(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

uint64_t siphash13(const uint64_t key[2], struct bytes bytes)
{
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    size_t whole = bytes.size & ~(size_t)7;
    uint64_t last = (uint64_t)bytes.size << 56;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = little_endian_word(bytes.data + i);

        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    if (bytes.size > whole)
        last |= little_endian(bytes.data + whole, bytes.size - whole);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash(struct bytes key)
{
    pthread_once(&secret_once, draw_secret);
    return siphash13(secret, key);
}

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static struct map_node *find(const struct map *map, uint64_t hash, struct bytes key)
{
    if (map->slot_count == 0)
        return NULL;
    struct map_node *node = map->slots[hash & (map->slot_count - 1)];
    while (node && (node->hash != hash || !same(node->key, key)))
        node = node->next;
    return node;
}

static void push(struct map_node **slots, size_t slot_count, struct map_node *node)
{
    struct map_node **slot = &slots[node->hash & (slot_count - 1)];

    node->next = *slot;
    *slot = node;
}

static enum err grow(struct map *map, size_t slot_count)
{
    struct map_node **slots = calloc(slot_count, sizeof(struct map_node *));

    if (!slots)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < map->slot_count; i++) {
        struct map_node *next;

        for (struct map_node *node = map->slots[i]; node; node = next) {
            next = node->next;
            push(slots, slot_count, node);
        }
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    return ERR_OK;
}

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_fini(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

enum err map_reserve(struct map *map)
{
    return map->count < map->slot_count ? ERR_OK : grow(map, MAX_OF(map->slot_count * 2, MIN_SLOTS));
}

enum err map_reserve_many(struct map *map, size_t count)
{
    size_t slot_count = MIN_SLOTS;

    while (slot_count < count)
        slot_count *= 2;
    return map->slot_count >= slot_count ? ERR_OK : grow(map, slot_count);
}

enum err map_add(struct map *map, struct map_node *node)
{
    uint64_t hash = map_hash(node->key);

    CHECK(!find(map, hash, node->key));
    if (map_reserve(map) != ERR_OK)
        return ERR_NO_MEMORY;
    node->hash = hash;
    push(map->slots, map->slot_count, node);
    map->count++;
    return ERR_OK;
}

struct map_node *map_find(const struct map *map, struct bytes key)
{
    return map->count > 0 ? find(map, map_hash(key), key) : NULL;
}

void map_remove(struct map *map, struct map_node *node)
{
    CHECK(map->count > 0);
    struct map_node **link = &map->slots[node->hash & (map->slot_count - 1)];
    while (*link != node) {
        CHECK(*link);
        link = &(*link)->next;
    }
    *link = node->next;
    node->next = NULL;
    map->count--;
}

struct map_node *map_next(const struct map *map, struct map_node *node)
{
    size_t slot = 0;

    if (node) {
        if (node->next)
            return node->next;
        slot = (node->hash & (map->slot_count - 1)) + 1;
    }
    while (slot < map->slot_count && !map->slots[slot])
        slot++;
    return slot < map->slot_count ? map->slots[slot] : NULL;
}
