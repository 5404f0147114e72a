/* bindings_wildcard.h - a subscription that has bindings in place of its wildcard, or its wildcard
 * in place of bindings.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDINGS_WILDCARD_H
#define TRIBUTARY_HUB_BINDINGS_WILDCARD_H

struct subscription;

/* Takes a subscription out of the wildcard set after bindings_change_over(). The sources that its
 * filter does not want end (ENDED). The caller holds the lock of the set. Does nothing where it is
 * not in the set. */
void bindings_leave_wildcards(struct subscription *subscription);

/* Makes a live subscription that wants everything a wildcard in place of its bindings. It misses
 * nothing and gets nothing twice. The bindings become spare ones, to be freed. Does nothing where
 * it wants less, is a wildcard already, or memory runs out: bindings do the same, and take more
 * memory. */
void bindings_become_wildcard(struct subscription *subscription);

#endif
