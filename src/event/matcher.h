/* matcher.h - many filters asked at once: who wants an event, at a cost that grows with how many do
 * rather than with how many there are.
 *
 * Each seat stands for one who asks. Seats whose filters ask the same are asked once. Where each
 * selector of a filter names keys, types or a topic (or how they begin), an event leads to its
 * seats by these names; other filters are asked for every event.
 *
 * Threads: the caller's lock. Making and freeing seats and sieves that nobody else sees needs
 * none. */
#ifndef TRIBUTARY_EVENT_MATCHER_H
#define TRIBUTARY_EVENT_MATCHER_H

#include "base/list.h"
#include "event/filter.h"

struct matcher;

/* One name that leads to a seat. The matcher's own. */
struct match_name {
    struct match_name *next; /* in its slot */
    struct match_entry *entry;
    struct bytes text;
    uint32_t hash;
    uint8_t field;  /* enum match_field */
    bool is_prefix; /* of the field: `text` is how it begins */
    bool decides;   /* the name is all that is asked */
};

struct match_entry {
    void *owner;                  /* the caller's */
    struct match_entry *next_hit; /* as matcher_match() says */
    struct list alike;            /* a ring: those who ask the same, while it sits */

    /* The matcher's own. */
    const struct filter *filter;
    struct filter_part part;
    struct list asked; /* where no names lead to it */
    /* what it asks, as a name: the first of those who are alike is found by it */
    struct match_name alike_name;
    bool leads;          /* it is the first, and stands for those who are alike */
    uint64_t stamp;      /* the last event that it was asked for */
    uint32_t name_count; /* 0: it is asked for every event */
    struct match_name names[];
};

struct matcher *matcher_new(void);          /* NULL: out of memory */
void matcher_free(struct matcher *matcher); /* nobody sits in it; NULL allowed */

/* A seat for a filter of which `part` (FILTER_BY_EVENT) is left to ask. The filter must stay while
 * the seat sits. NULL: out of memory. */
struct match_entry *match_entry_new(const struct filter *filter, const struct filter_part *part, void *owner);
void match_entry_free(struct match_entry *entry); /* it does not sit; NULL allowed */

/* Cannot fail. All seats of one matcher are for the events of one producer. */
void matcher_add(struct matcher *matcher, struct match_entry *entry);
void matcher_remove(struct matcher *matcher, struct match_entry *entry);

/* Who wants this event (tag and length included), which framing_scan() accepted: the first of a
 * chain of seats (`next_hit`), each of which stands for its ring `alike` too. NULL: nobody. Valid
 * until the matcher is used again. */
struct match_entry *matcher_match(struct matcher *matcher, struct bytes event);

#endif
