/* pair_index.c - a hash table of at most 64 pairs in fixed memory, with linear probing. */
#include "event/pair_index.h"

#include "event/text_hash.h"
#include "event/work.h"

static struct pair_name hashed(uint64_t secret, struct bytes text)
{
    return (struct pair_name){text, (uint32_t)text_hash(secret, 0, text)};
}

struct pair_name pair_name_of(struct bytes text)
{
    return hashed(text_hash_secret(), text);
}

void pair_index_init(struct pair_index *index)
{
    index->secret = text_hash_secret();
    index->count = 0;
    memset(index->slots, 0, sizeof(index->slots));
}

/* The slot of this name, or the empty one where it belongs. Half of the slots are empty. */
static uint32_t slot_of(const struct pair_index *index, const struct pair_name *name)
{
    uint32_t slot = name->hash % ARRAY_LEN(index->slots);

    while (index->slots[slot] > 0) {
        uint32_t i = index->slots[slot] - 1u;

        COUNT_WORK(1);
        if (index->hashes[i] == name->hash && bytes_same(index->pairs[i].name, name->text))
            break;
        slot = (slot + 1) % ARRAY_LEN(index->slots);
    }
    return slot;
}

void pair_index_add(struct pair_index *index, struct bytes name, struct bytes value)
{
    const struct pair_name key = hashed(index->secret, name);
    uint32_t slot = slot_of(index, &key);

    if (index->slots[slot] == 0) {
        CHECK(index->count < MAX_PAIRS);
        index->hashes[index->count] = key.hash;
        index->slots[slot] = (uint8_t)++index->count;
    }
    index->pairs[index->slots[slot] - 1u] = (struct pair){name, value};
}

bool pair_index_find(const struct pair_index *index, const struct pair_name *name, struct bytes *value_out)
{
    uint32_t slot = slot_of(index, name);

    if (index->slots[slot] == 0)
        return false;
    *value_out = index->pairs[index->slots[slot] - 1u].value;
    return true;
}
