/* matcher.h - finds which of many filters want an event. The cost grows with the number of filters
 * that want it, not with the number of filters.
 *
 * A match entry is one filter's place in a matcher. All entries of one matcher are for the events
 * of one producer. Entries that ask the same of an event form a ring (`alike`), and the matcher
 * evaluates their filter once.
 *
 * If every selector of a filter names keys, types or a topic, or how they begin, or a header, the
 * matcher finds its entry through an index. For events of a stored topic, who published them takes
 * the topic's place. So a filter costs nothing for an event that has none of these texts, whatever
 * other filters there are, and whoever came first. The matcher evaluates all other filters for
 * every event: those that name only patterns that begin with a wildcard, more than MAX_TERMS texts,
 * or only what they do not want (excludes).
 *
 * An event may have what very many filters name. So an index alone bounds nothing: what bounds the
 * work for an event is the sum of match_entry_cost() over the filters. The hub bounds that sum
 * (settings.h, max_total_filter_cost).
 *
 * Threads: the caller's lock. Making and freeing entries and matchers that no other thread can
 * reach needs none. */
#ifndef TRIBUTARY_EVENT_MATCHER_H
#define TRIBUTARY_EVENT_MATCHER_H

#include "base/list.h"
#include "event/chunk.h"
#include "event/filter.h"
#include "event/match_term.h"

/* The most texts by which an entry is indexed. Each producer that a filter matches gets an entry,
 * which must cost neither much memory nor much time. */
#define MAX_TERMS 64u

/* What it costs to evaluate a filter, besides its selectors and excludes, and the least that each
 * of them costs: their memory is seldom in the processor's cache. */
#define MATCH_COST 64u

struct matcher;

struct match_entry {
    void *owner;                  /* the caller's, as match_entry_new() got it */
    struct match_entry *next_hit; /* the chain that matcher_match() returns */
    struct list alike;            /* the ring of entries that ask the same, while it is in a matcher */

    /* Only the matcher uses the rest. */
    const struct filter *filter;
    struct filter_part part;
    struct list unindexed;        /* linked if the filter is evaluated for every event */
    struct match_term whole_term; /* the whole condition as a term: finds the leader of its ring */
    bool leads;                   /* it is the one of its ring that the matcher evaluates */
    uint64_t stamp;               /* the last event for which it was evaluated or hit */
    uint32_t term_count;          /* 0: it cannot be indexed */
    struct match_term terms[];
};

/* Makes an empty matcher, which the caller owns. NULL: out of memory. */
struct matcher *matcher_new(void);

/* Frees a matcher, which must be empty. NULL is allowed. */
void matcher_free(struct matcher *matcher);

/* Makes an entry for the part of a filter that concerns one producer. Its answer must be
 * FILTER_BY_EVENT. The part is copied. The filter must outlive the entry. The caller owns the
 * entry. NULL: out of memory. */
struct match_entry *match_entry_new(const struct filter *filter, const struct filter_part *part, void *owner);
/* Its memory. NULL: 0. */
size_t match_entry_bytes(const struct match_entry *entry);

/* The most that one event costs (filter_cost.h) because of the entries of this filter in one
 * matcher, beyond its delivery: MATCH_COST, and for each selector and exclude what it asks of an
 * event, at least MATCH_COST.
 *
 * 0: the filter is never evaluated, because producers, labels and the index decide. Each of its
 * selectors asks an event only for keys, or types, or a topic, or how they begin, or for one header
 * with one value or any; it needs MAX_TERMS terms at most; and it excludes no events.
 *
 * `has_topics`: there are stored topics. Their events have origins of their own, so there a
 * selector also asks for the producer. The cost is that of the dearer kind of matcher. */
uint32_t match_entry_cost(const struct filter *filter, bool has_topics);

/* Frees an entry, which must be in no matcher. NULL is allowed. */
void match_entry_free(struct match_entry *entry);

/* Puts an entry into a matcher, or takes it out. Neither can fail. An entry for which there is no
 * memory in the index is evaluated for every event. */
void matcher_add(struct matcher *matcher, struct match_entry *entry);
void matcher_remove(struct matcher *matcher, struct match_entry *entry);

/* Finds the entries that want an event, which `event` holds with its tag and length, and which
 * framing_scan() accepted. It has no origin. Returns a chain (`next_hit`) in no particular order;
 * each entry of it stands for its whole ring `alike`. NULL: no filter wants the event. The chain is
 * valid until the next call with this matcher. */
struct match_entry *matcher_match(struct matcher *matcher, struct bytes event);

/* An entry that wants an event. It stands for its whole ring `alike`. */
struct match_hit {
    struct match_entry *entry;
    uint32_t event; /* in its chunk */
};

/* How far the events of a chunk are matched. Zeroed, nothing is. */
struct match_pass {
    uint32_t next;             /* the next event */
    struct match_entry *chain; /* hits of the event before it that are still to be given */
};

/* All events of the chunk are matched, and all hits were given. */
static inline bool match_pass_is_over(const struct match_pass *pass, const struct chunk *chunk)
{
    return !pass->chain && pass->next == chunk->count;
}

/* matcher_match() for the events of a chunk, in their order. Writes at most `max` hits, which is
 * above 0, and returns how many. The next call goes on there. Until the pass is over nothing else
 * may be done with the matcher. */
uint32_t matcher_match_chunk(struct matcher *matcher, const struct chunk *chunk, struct match_pass *pass,
                             struct match_hit *hits_out, uint32_t max);

#endif
