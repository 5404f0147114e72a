/* matcher_internal.h - what the files of the matcher share. */
#ifndef TRIBUTARY_EVENT_MATCHER_INTERNAL_H
#define TRIBUTARY_EVENT_MATCHER_INTERNAL_H

#include "event/field.h"
#include "event/filter_internal.h"

/* What a name is of: a field of events, or what a seat asks as a whole; of one that is like no
 * other, nothing. */
enum match_field { FIELD_KEY, FIELD_TOPIC, FIELD_TYPE, FIELDS, FIELD_ALIKE = FIELDS, FIELD_NONE };

/* What the upper bits of a word do shows in the upper bits of the product only, so those are folded
 * down for the next one. */
static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static inline uint32_t hash_of(uint64_t hash, struct bytes text)
{
    uint64_t word;

    hash = mix(hash, text.size);
    if (text.size >= sizeof word) {
        for (size_t i = 0; i + sizeof word < text.size; i += sizeof word) {
            memcpy(&word, text.data + i, sizeof word);
            hash = mix(hash, word);
        }
        memcpy(&word, text.data + text.size - sizeof word, sizeof word); /* some of it for the second time */
        hash = mix(hash, word);
    } else if (text.size > 0) {
        hash = mix(hash, few_bytes(text));
    }
    return (uint32_t)(mix(hash, 0) >> 32);
}

/* Whether both ask the same of events, so that one may stand for the other. Their producer is the
 * same. */
bool match_entry_alike(const struct match_entry *a, const struct match_entry *b);

#endif
