/* text_hash.h - the hash of texts that peers choose: topics, keys, names of headers.
 *
 * It depends on a secret of the process, so nobody can choose texts that collide.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_TEXT_HASH_H
#define TRIBUTARY_EVENT_TEXT_HASH_H

#include "base/map.h"
#include "event/text.h"

/* The secret. It is the same for the life of the process. */
uint64_t text_hash_secret(void);

/* Mixes a word into a hash: both halves of the product with a secret factor count. */
static inline uint64_t text_hash_mix(uint64_t hash, uint64_t word, uint64_t secret)
{
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * (secret | 1);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The hash of a text. Other texts with another `begin` have other hashes. */
static inline uint64_t text_hash(uint64_t secret, uint64_t begin, struct bytes text)
{
    uint64_t hash = text_hash_mix(begin + (text.size << 32), secret >> 32 | secret << 32, secret);
    uint64_t word;

    if (text.size >= sizeof(word)) {
        for (size_t i = 0; i + sizeof(word) < text.size; i += sizeof(word)) {
            memcpy(&word, text.data + i, sizeof(word));
            hash = text_hash_mix(hash, word, secret);
        }
        memcpy(&word, text.data + text.size - sizeof(word), sizeof(word)); /* reads some bytes again */
        hash = text_hash_mix(hash, word, secret);
    } else if (text.size > 0) {
        hash = text_hash_mix(hash, few_bytes(text), secret);
    }
    return hash ^ hash >> 32;
}

#endif
