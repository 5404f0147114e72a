/* match_term.h - one text by which a matcher finds an entry. Only the matcher uses it. */
#ifndef TRIBUTARY_EVENT_MATCH_TERM_H
#define TRIBUTARY_EVENT_MATCH_TERM_H

#include "base/base.h"

struct match_entry;

/* One term of the index: a field, and the text that its value equals or begins with. */
struct match_term {
    struct match_term *next; /* of its slot in the table, or its node in the tree */
    struct match_entry *entry;
    struct bytes text; /* points into the filter */
    uint32_t hash;     /* of a text in the table */
    uint8_t field;     /* enum match_field */
    bool is_prefix;    /* the value begins with `text`; false: it equals `text` */
    bool decides;      /* the term is the whole condition: the filter need not be evaluated */
};

#endif
