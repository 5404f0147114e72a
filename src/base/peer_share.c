/* peer_share.c - counts by peer, and shares. */
#include "base/peer_share.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"

static struct bytes bytes_of(const struct peer_key *peer)
{
    return (struct bytes){(const uint8_t *)peer, sizeof(*peer)};
}

static struct peer_count *find(const struct peer_counts *counts, struct peer_key peer)
{
    struct map_node *node = map_find(&counts->peers, bytes_of(&peer));

    return node ? container_of(node, struct peer_count, node) : NULL;
}

void peer_counts_fini(struct peer_counts *counts)
{
    CHECK(counts->peers.count == 0);
    map_fini(&counts->peers);
}

const struct peer_count *peer_counts_find(const struct peer_counts *counts, struct peer_key peer)
{
    return find(counts, peer);
}

uint32_t peer_counts_get(const struct peer_counts *counts, struct peer_key peer)
{
    const struct peer_count *count = find(counts, peer);

    return count ? count->count : 0;
}

struct peer_count *peer_counts_add(struct peer_counts *counts, struct peer_key peer)
{
    struct peer_count *count = find(counts, peer);

    if (count) {
        count->count++;
        return count;
    }
    count = calloc(1, sizeof(*count));
    if (!count)
        return NULL;
    count->peer = peer;
    count->count = 1;
    count->node.key = bytes_of(&count->peer);
    if (map_add(&counts->peers, &count->node) != ERR_OK) {
        free(count);
        return NULL;
    }
    return count;
}

void peer_counts_remove(struct peer_counts *counts, struct peer_count *count)
{
    if (!count || --count->count > 0)
        return;
    map_remove(&counts->peers, &count->node);
    free(count);
}

uint64_t share_of(uint64_t limit, uint32_t percent)
{
    return percent >= 100 ? UINT64_MAX : MAX_OF(limit * percent / 100, 1u);
}

uint64_t peer_share(const struct settings *settings, uint64_t limit, struct peer_key peer)
{
    uint32_t percent =
        peer_is_local(peer) ? settings->local_peer_share_percent : settings->peer_share_percent;

    return peer.kind == PEER_NONE || limit == UINT64_MAX ? UINT64_MAX : share_of(limit, percent);
}

enum fault_reason peer_share_check(const struct peer_counts *counts, const struct settings *settings,
                                   uint32_t limit, struct peer_key peer, enum fault_reason reason,
                                   struct fault *fault)
{
    uint64_t share = peer_share(settings, limit, peer);
    uint32_t count = peer_counts_get(counts, peer);
    char text[PEER_TEXT_CAPACITY], bound[96];

    if (count < share)
        return FAULT_NONE;
    peer_text(peer, text, sizeof(text));
    snprintf(bound, sizeof(bound), "%s has %u, at most %" PRIu64 " of %u", text, count, share, limit);
    return fault_set(fault, reason, NULL, bound);
}

bool peer_bytes_fit(const struct settings *settings, const struct kept *kept, uint64_t bytes)
{
    uint64_t limit = budget_part(kept->part);

    return kept->of_peer + bytes <= peer_share(settings, limit, kept->peer) && kept->of_all + bytes <= limit;
}

enum fault_reason peer_bytes_check(const struct settings *settings, const struct kept *kept, uint64_t bytes,
                                   const char *field, struct fault *fault)
{
    uint64_t limit = budget_part(kept->part), share = peer_share(settings, limit, kept->peer);
    char text[PEER_TEXT_CAPACITY], bound[128];

    if (peer_bytes_fit(settings, kept, bytes))
        return FAULT_NONE;
    if (kept->of_peer + bytes > share) {
        peer_text(kept->peer, text, sizeof(text));
        snprintf(bound, sizeof(bound), "%s keeps %" PRIu64 " bytes, at most %" PRIu64, text, kept->of_peer,
                 share);
    } else {
        snprintf(bound, sizeof(bound), "all keep %" PRIu64 " bytes, at most %" PRIu64, kept->of_all, limit);
    }
    return fault_number(fault, FAULT_MEMORY_BUDGET, field, bytes, bound);
}
