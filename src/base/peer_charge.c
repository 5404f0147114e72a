/* peer_charge.c - see peer_charge.h. */
#include "base/peer_charge.h"

#include <inttypes.h>
#include <stdio.h>

#define DEFAULT_PART 8u

void peer_charges_init(struct peer_charges *charges, enum counter counter, const char *field,
                       const char *what)
{
    *charges = (struct peer_charges){.counter = counter, .field = field, .what = what, .part = DEFAULT_PART};
    CHECK(pthread_mutex_init(&charges->lock, NULL) == 0);
}

void peer_charges_set_part(struct peer_charges *charges, unsigned part)
{
    charges->part = part;
    charges->is_strict = true;
}

void peer_charges_fini(struct peer_charges *charges)
{
    peer_counts_fini(&charges->peers);
    pthread_mutex_destroy(&charges->lock);
}

/* Under the lock. Whether the budget is charged with `bytes`. The peer has count->count things,
 * this one included. */
static bool has_space(const struct peer_charges *charges, const struct settings *settings,
                      const struct peer_count *count, size_t bytes)
{
    const struct kept kept = kept_of(count->peer, count, charges->bytes, charges->part);

    if (count->count == 1 && !charges->is_strict) {
        budget_add(charges->counter, bytes);
        return true;
    }
    return peer_bytes_fit(settings, &kept, bytes) && budget_take(charges->counter, bytes);
}

/* Under the lock. */
static void set_bytes(struct peer_charges *charges, struct peer_charge *charge, uint64_t bytes)
{
    peer_count_keep(charge->count, &charges->bytes, &charge->bytes, bytes);
}

/* Names the bound that is in the way: the peer's share, the part of the budget, or the budget. */
static enum fault_reason refuse(const struct peer_charges *charges, const struct settings *settings,
                                const struct kept *kept, size_t bytes, struct fault *fault)
{
    const uint64_t part = budget_part(charges->part), share = peer_share(settings, part, kept->peer);
    char text[PEER_TEXT_CAPACITY], bound[128] = "";

    peer_text(kept->peer, text, sizeof(text));
    if (kept->of_peer + bytes > share)
        snprintf(bound, sizeof(bound), "%s %s have %" PRIu64 " bytes, at most %" PRIu64, charges->what, text,
                 kept->of_peer, share);
    else if (kept->of_all + bytes > part)
        snprintf(bound, sizeof(bound), "%s all have %" PRIu64 " bytes, at most %" PRIu64, charges->what,
                 kept->of_all, part);
    return fault_number(fault, FAULT_MEMORY_BUDGET, charges->field, bytes, bound);
}

enum fault_reason peer_charge_add(struct peer_charges *charges, const struct settings *settings,
                                  struct peer_charge *charge, struct peer_key peer, size_t bytes,
                                  struct fault *fault)
{
    struct kept kept = {.peer = peer};

    pthread_mutex_lock(&charges->lock);
    struct peer_count *count = peer_counts_add(&charges->peers, peer);
    if (count && has_space(charges, settings, count, bytes)) {
        charge->count = count;
        set_bytes(charges, charge, bytes);
    } else if (count) {
        kept = kept_of(peer, count, charges->bytes, charges->part);
        peer_counts_remove(&charges->peers, count);
    }
    pthread_mutex_unlock(&charges->lock);
    return charge->count ? FAULT_NONE : refuse(charges, settings, &kept, bytes, fault);
}

void peer_charge_set(struct peer_charges *charges, struct peer_charge *charge, size_t bytes)
{
    if (bytes > charge->bytes)
        budget_add(charges->counter, bytes - charge->bytes);
    else
        budget_give(charges->counter, charge->bytes - bytes);
    pthread_mutex_lock(&charges->lock);
    set_bytes(charges, charge, bytes);
    pthread_mutex_unlock(&charges->lock);
}

void peer_charge_give_back(struct peer_charges *charges, struct peer_charge *charge)
{
    if (!charge->count)
        return;
    budget_give(charges->counter, charge->bytes);
    pthread_mutex_lock(&charges->lock);
    set_bytes(charges, charge, 0);
    peer_counts_remove(&charges->peers, charge->count);
    pthread_mutex_unlock(&charges->lock);
    charge->count = NULL;
}
