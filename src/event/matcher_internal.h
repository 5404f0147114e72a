/* matcher_internal.h - what matcher.c and match_entry.c share: the kinds of terms, and their
 * hash. */
#ifndef TRIBUTARY_EVENT_MATCHER_INTERNAL_H
#define TRIBUTARY_EVENT_MATCHER_INTERNAL_H

#include "event/filter_internal.h"
#include "event/text.h"

struct match_entry;

/* What a term is about. */
enum match_field {
    FIELD_KEY,
    FIELD_TOPIC,
    FIELD_TYPE,
    FIELDS,               /* the number of fields that can be indexed; also: none of them */
    FIELD_WHOLE = FIELDS, /* the whole condition of an entry (match_entry.whole_term) */
    FIELD_NONE            /* as FIELD_WHOLE, for a condition too large to be compared */
};

/* Mixes a word into a hash. The upper bits of a word change only the upper bits of the product, so
 * these are folded down for the next word. */
static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* The hash of a text, begun with `hash`. */
static inline uint32_t hash_of(uint64_t hash, struct bytes text)
{
    uint64_t word;

    hash = mix(hash, text.size);
    if (text.size >= sizeof(word)) {
        for (size_t i = 0; i + sizeof(word) < text.size; i += sizeof(word)) {
            memcpy(&word, text.data + i, sizeof(word));
            hash = mix(hash, word);
        }
        memcpy(&word, text.data + text.size - sizeof(word), sizeof(word)); /* reads some bytes again */
        hash = mix(hash, word);
    } else if (text.size > 0) {
        hash = mix(hash, few_bytes(text));
    }
    return (uint32_t)(mix(hash, 0) >> 32);
}

/* Whether both entries ask the same of an event of their producer, so that one can stand for the
 * other. */
bool match_entry_alike(const struct match_entry *a, const struct match_entry *b);

#endif
