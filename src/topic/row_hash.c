/* row_hash.c - the hash against decay of the disk. */
#include "topic/row_hash.h"

#include <endian.h>

#define COLUMNS 4u
#define STEP_BYTES (COLUMNS * 16u)

/* Odd, with 32 bits set, and without a pattern: the first ones are wyhash's. */
static const uint64_t keys[COLUMNS + 1] = {UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db),
                                           UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0x589965cc75374cc3),
                                           UINT64_C(0x1d8e4e27c47d124f)};

static INLINE uint64_t fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static INLINE uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return le64toh(word);
}

/* Both words count, whatever the other one is, but for one value in 2^64. */
static INLINE uint64_t add(uint64_t state, uint64_t key, const uint8_t *bytes)
{
    return fold(word_at(bytes) ^ key, word_at(bytes + 8) ^ state) + key;
}

static uint64_t hash_data(uint64_t seed, struct bytes data)
{
    uint64_t columns[COLUMNS] = {seed ^ keys[0], seed ^ keys[1], seed ^ keys[2], seed ^ keys[3]};
    uint8_t rest[STEP_BYTES] = {0};
    const uint8_t *bytes = data.data;
    size_t left = data.size;

    for (; left >= STEP_BYTES; bytes += STEP_BYTES, left -= STEP_BYTES)
        for (unsigned i = 0; i < COLUMNS; i++)
            columns[i] = add(columns[i], keys[i], bytes + (size_t)16 * i);
    if (left > 0)
        memcpy(rest, bytes, left);
    for (unsigned i = 0; i < COLUMNS; i++)
        columns[i] = add(columns[i], keys[i], rest + (size_t)16 * i);
    const uint64_t half = fold(columns[0] ^ keys[4], columns[1] + keys[3]);
    return fold(half ^ columns[2], fold(columns[3] ^ keys[4], data.size ^ keys[0]) + keys[1]);
}

uint64_t row_hash(const uint64_t *numbers, size_t count, struct bytes data)
{
    uint64_t seed = keys[4];

    for (size_t i = 0; i < count; i++)
        seed = fold(seed ^ keys[i % COLUMNS], numbers[i] ^ keys[(i + 1) % COLUMNS]) + keys[i % COLUMNS];
    return hash_data(seed, data);
}
