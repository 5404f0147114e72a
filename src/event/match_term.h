/* match_term.h - one text by which a matcher finds an entry. Only the matcher uses it. */
#ifndef TRIBUTARY_EVENT_MATCH_TERM_H
#define TRIBUTARY_EVENT_MATCH_TERM_H

#include "base/base.h"

struct match_entry;
struct pair_pattern;

/* One term of the index: a field, and the text that its value equals or begins with. Or a header,
 * whose value is equal or may be anything. */
struct match_term {
    struct match_term *next; /* of its slot in the table, or its node in the tree */
    struct match_entry *entry;
    union {
        struct bytes text;                 /* points into the filter */
        const struct pair_pattern *header; /* of FIELD_HEADER and FIELD_HEADER_NAME: in the filter */
    };
    uint32_t hash;  /* of what is in the table */
    uint8_t field;  /* enum match_field */
    bool is_prefix; /* the value begins with `text`; false: it equals `text` */
    bool decides;   /* the term is the whole condition: the filter need not be evaluated */
};

#endif
