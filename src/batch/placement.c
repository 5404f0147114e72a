/* placement.c - the hash of a text: its words, each mixed into the state. */
#include "batch/placement.h"

#include <endian.h>

uint64_t placement_hash(struct bytes text)
{
    uint64_t state = text.size;
    uint64_t hash = splitmix64(&state);

    for (size_t at = 0; at < text.size; at += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, text.data + at, MIN_OF(text.size - at, sizeof(word)));
        state = hash ^ le64toh(word);
        hash = splitmix64(&state);
    }
    return hash;
}
