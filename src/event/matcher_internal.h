/* matcher_internal.h - what matcher.c and match_entry.c share: the kinds of terms. */
#ifndef TRIBUTARY_EVENT_MATCHER_INTERNAL_H
#define TRIBUTARY_EVENT_MATCHER_INTERNAL_H

#include "event/filter_internal.h"
#include "event/text_hash.h"

struct match_entry;

/* What a term is about. */
enum match_field {
    FIELD_KEY,
    FIELD_TOPIC,
    FIELD_TYPE,
    EVENT_TEXTS,                /* the number of those above: they stand in the event */
    FIELD_ORIGIN = EVENT_TEXTS, /* of stored topics: who published it */
    TEXT_FIELDS,                /* the number of those above: they are indexed by beginnings too */
    FIELD_HEADER = TEXT_FIELDS, /* a header with one value */
    FIELD_HEADER_NAME,          /* a header, whatever its value */
    FIELDS,                     /* the number of fields that can be indexed; also: none of them */
    FIELD_WHOLE = FIELDS        /* the whole condition of an entry (match_entry.whole_term) */
};

/* The hash of a text in the table. */
static inline uint32_t match_text_hash(uint64_t secret, enum match_field field, struct bytes text)
{
    return (uint32_t)text_hash(secret, field, text);
}

/* The hash of a header with its value in the table. That of FIELD_HEADER_NAME is the name's own. */
static inline uint32_t match_header_hash(uint64_t secret, uint32_t name_hash, struct bytes value)
{
    return (uint32_t)text_hash(secret, (uint64_t)name_hash << 8 | FIELD_HEADER, value);
}

/* Whether both entries ask the same of an event of their producer, so that one can stand for the
 * other. */
bool match_entry_alike(const struct match_entry *a, const struct match_entry *b);

#endif
