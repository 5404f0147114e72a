/* answers.c - see answers.h. */
#include "server/rpc/answers.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/budget.h"

#define PART_OF_BUDGET 8u

void answers_init(struct answers *answers, struct loop *loop)
{
    *answers = (struct answers){.loop = loop};
    CHECK(pthread_mutex_init(&answers->lock, NULL) == 0);
}

void answers_fini(struct answers *answers)
{
    peer_counts_fini(&answers->peers);
    pthread_mutex_destroy(&answers->lock);
}

/* What all peers may keep. UINT64_MAX: there is no limit. */
static uint64_t limit_of_all(void)
{
    uint64_t limit = budget_limit();

    return limit > 0 ? limit / PART_OF_BUDGET : UINT64_MAX;
}

static uint64_t share_of_peer(const struct answers *answers, struct peer_key peer)
{
    uint64_t limit = limit_of_all();

    return limit == UINT64_MAX ? limit : peer_share(loop_settings(answers->loop), limit, peer);
}

/* Under the lock. Whether the budget is charged with `bytes`. The peer has count->count answers,
 * this one included. */
static bool has_space(const struct answers *answers, const struct peer_count *count, size_t bytes,
                      uint64_t share)
{
    if (count->count == 1) {
        budget_add(COUNT_LIVE_ANSWER_BYTES, bytes);
        return true;
    }
    return count->kept_bytes + bytes <= share && answers->bytes + bytes <= limit_of_all() &&
           budget_take(COUNT_LIVE_ANSWER_BYTES, bytes);
}

/* Under the lock. */
static void set_bytes(struct answers *answers, struct answer_charge *charge, size_t bytes)
{
    const uint64_t more = bytes - charge->bytes; /* modulo 2^64 where it is less */

    answers->bytes += more;
    charge->count->kept_bytes += more;
    charge->bytes = bytes;
}

static enum fault_reason refuse(struct peer_key peer, size_t bytes, uint64_t kept, uint64_t share,
                                struct fault *fault)
{
    char text[PEER_TEXT_CAPACITY], bound[128];

    peer_text(peer, text, sizeof(text));
    snprintf(bound, sizeof(bound), "answers on their way to %s have %" PRIu64 " bytes, at most %" PRIu64,
             text, kept, share);
    return fault_number(fault, FAULT_MEMORY_BUDGET, "answer", bytes, bound);
}

enum fault_reason answer_charge(struct answers *answers, struct answer_charge *charge, struct peer_key peer,
                                size_t bytes, struct fault *fault)
{
    const uint64_t share = share_of_peer(answers, peer);
    uint64_t kept = 0;

    pthread_mutex_lock(&answers->lock);
    struct peer_count *count = peer_counts_add(&answers->peers, peer);
    if (count && has_space(answers, count, bytes, share)) {
        charge->count = count;
        set_bytes(answers, charge, bytes);
    } else if (count) {
        kept = count->kept_bytes;
        peer_counts_remove(&answers->peers, count);
    }
    pthread_mutex_unlock(&answers->lock);
    return charge->count ? FAULT_NONE : refuse(peer, bytes, kept, share, fault);
}

void answer_charge_set(struct answers *answers, struct answer_charge *charge, size_t bytes)
{
    if (bytes > charge->bytes)
        budget_add(COUNT_LIVE_ANSWER_BYTES, bytes - charge->bytes);
    else
        budget_give(COUNT_LIVE_ANSWER_BYTES, charge->bytes - bytes);
    pthread_mutex_lock(&answers->lock);
    set_bytes(answers, charge, bytes);
    pthread_mutex_unlock(&answers->lock);
}

void answer_give_back(struct answers *answers, struct answer_charge *charge)
{
    if (!charge->count)
        return;
    answer_charge_set(answers, charge, 0);
    pthread_mutex_lock(&answers->lock);
    peer_counts_remove(&answers->peers, charge->count);
    pthread_mutex_unlock(&answers->lock);
    charge->count = NULL;
}
