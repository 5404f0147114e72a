/* peer_share.h - how many things each peer has, and how many of them it may have: its share.
 *
 * A limit of the settings holds for all peers together. A share is the part of that limit that one
 * peer may use. So one peer at its share leaves something for the others.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_BASE_PEER_SHARE_H
#define TRIBUTARY_BASE_PEER_SHARE_H

#include "base/base.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/peer.h"
#include "base/settings.h"

/* What one peer has. It exists while `count` is above 0. */
struct peer_count {
    struct map_node node; /* its key is `peer` */
    struct peer_key peer;
    uint32_t count;
    _Atomic int64_t bytes; /* the owner's: what these things keep. 0 when the last one leaves */
    uint64_t kept_bytes;   /* the same, of another kind */
    uint64_t cost;         /* the owner's: what these things cost. 0 when the last one leaves */
};

/* The counts of things of one kind. As many peers as there are things, at most. A zeroed one is
 * empty. */
struct peer_counts {
    struct map peers;
};

void peer_counts_fini(struct peer_counts *counts); /* nothing may be counted any more */

/* NULL: the peer has none. */
const struct peer_count *peer_counts_find(const struct peer_counts *counts, struct peer_key peer);
/* How many the peer has. */
uint32_t peer_counts_get(const struct peer_counts *counts, struct peer_key peer);

/* Counts one more. Keep what is returned for peer_counts_remove(). NULL: out of memory, and nothing
 * has changed. */
MUST_CHECK struct peer_count *peer_counts_add(struct peer_counts *counts, struct peer_key peer);
/* Counts one less. `count` NULL: does nothing. Otherwise it may be freed. */
void peer_counts_remove(struct peer_counts *counts, struct peer_count *count);

/* So many percent of a limit below 2^57; rounded down, and at least 1. UINT64_MAX: 100 % is no
 * share, because only the limit holds. */
uint64_t share_of(uint64_t limit, uint32_t percent);

/* How many of `limit` (below 2^57) the peer may have: `local_peer_share_percent` of it where the
 * peer is local, else `peer_share_percent`; rounded down, and at least 1. UINT64_MAX: there is no
 * share, because the percentage is 100, or the peer is the server itself, or `limit` is UINT64_MAX:
 * there is none. */
uint64_t peer_share(const struct settings *settings, uint64_t limit, struct peer_key peer);

/* Whether the peer may have one more. FAULT_NONE, or `reason` with a bound that names the peer, its
 * count and its share. */
MUST_CHECK enum fault_reason peer_share_check(const struct peer_counts *counts,
                                              const struct settings *settings, uint32_t limit,
                                              struct peer_key peer, enum fault_reason reason,
                                              struct fault *fault);

/* ---- bytes that things of one kind keep ---- */

/* All peers together may keep a part of the budget (budget_part()), and one peer its share
 * of it. */
struct kept {
    struct peer_key peer;
    uint64_t of_peer, of_all; /* bytes, now */
    unsigned part;            /* of the budget: 8 is an eighth */
};

/* Whether so many bytes more fit. */
bool peer_bytes_fit(const struct settings *settings, const struct kept *kept, uint64_t bytes);
/* FAULT_NONE, or MEMORY_BUDGET with `field`, `bytes` as the value, and a bound that names the
 * peer, or all peers, what is kept, and the share or limit. */
MUST_CHECK enum fault_reason peer_bytes_check(const struct settings *settings, const struct kept *kept,
                                              uint64_t bytes, const char *field, struct fault *fault);

/* What a peer keeps, whose count is `count`; NULL: it keeps nothing yet. */
static inline struct kept kept_of(struct peer_key peer, const struct peer_count *count, uint64_t of_all,
                                  unsigned part)
{
    return (struct kept){
        .peer = peer, .of_peer = count ? count->kept_bytes : 0, .of_all = of_all, .part = part};
}

/* A thing of the peer keeps `bytes` now, in place of *own. *all: what all peers keep. */
static inline void peer_count_keep(struct peer_count *count, uint64_t *all, uint64_t *own, uint64_t bytes)
{
    const uint64_t more = bytes - *own; /* modulo 2^64 where it is less */

    *all += more;
    count->kept_bytes += more;
    *own = bytes;
}

#endif
