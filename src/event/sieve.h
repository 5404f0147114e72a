/* sieve.h - many filters asked at once: who wants an event, at a cost that grows with how many do rather than with how many there are.
 *
 * Each seat stands for one who asks. Seats whose filters ask the same are asked once. Where each selector of a filter names keys, types or
 * a topic (or how they begin), an event leads to its seats by these names; other filters are asked for every event.
 *
 * Threads: the caller's lock. Making and freeing seats and sieves that nobody else sees needs none. */
#ifndef TRIBUTARY_EVENT_SIEVE_H
#define TRIBUTARY_EVENT_SIEVE_H

#include "base/list.h"
#include "event/selector.h"

struct sieve;

/* One name that leads to a seat. The sieve's own. */
struct sieve_name {
    struct sieve_name *next; /* in its slot */
    struct sieve_seat *seat;
    struct bytes text;
    uint32_t hash;
    uint8_t field;  /* enum sieve_field */
    bool is_prefix; /* of the field: `text` is how it begins */
    bool settles;   /* the name is all that is asked */
};

struct sieve_seat {
    void *owner;                 /* the caller's */
    struct sieve_seat *next_hit; /* as sieve_event() says */
    struct list alike;           /* a ring: those who ask the same, while it sits */

    /* The sieve's own. */
    const struct filter *filter;
    struct filter_part part;
    struct list asked;            /* where no names lead to it */
    struct sieve_name alike_name; /* what it asks, as a name: the first of those who are alike is found by it */
    bool leads;                   /* it is the first, and stands for those who are alike */
    uint64_t stamp;               /* the last event that it was asked for */
    uint32_t name_count;          /* 0: it is asked for every event */
    struct sieve_name names[];
};

struct sieve *sieve_new(void);        /* NULL: out of memory */
void sieve_free(struct sieve *sieve); /* nobody sits in it; NULL allowed */

/* A seat for a filter of which `part` (FILTER_ASK) is left to ask. The filter must stay while the seat sits. NULL: out of memory. */
struct sieve_seat *sieve_seat_new(const struct filter *filter, const struct filter_part *part, void *owner);
void sieve_seat_free(struct sieve_seat *seat); /* it does not sit; NULL allowed */

/* Cannot fail. All seats of one sieve are for the events of one producer. */
void sieve_sit(struct sieve *sieve, struct sieve_seat *seat);
void sieve_rise(struct sieve *sieve, struct sieve_seat *seat);

/* Who wants this event (tag and length included), which framing_scan() accepted: the first of a chain of seats (`next_hit`), each of which
 * stands for its ring `alike` too. NULL: nobody. Valid until the sieve is used again. */
struct sieve_seat *sieve_event(struct sieve *sieve, struct bytes event);

#endif
