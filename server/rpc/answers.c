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

/* Under the lock. Whether the budget is charged with `bytes`. The peer has count->count answers,
 * this one included. */
static bool has_space(const struct answers *answers, const struct peer_count *count, size_t bytes)
{
    const struct kept kept = kept_of(count->peer, count, answers->bytes, PART_OF_BUDGET);

    if (count->count == 1) {
        budget_add(COUNT_LIVE_ANSWER_BYTES, bytes);
        return true;
    }
    return peer_bytes_fit(loop_settings(answers->loop), &kept, bytes) &&
           budget_take(COUNT_LIVE_ANSWER_BYTES, bytes);
}

/* Under the lock. */
static void set_bytes(struct answers *answers, struct answer_charge *charge, uint64_t bytes)
{
    peer_count_keep(charge->count, &answers->bytes, &charge->bytes, bytes);
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
    uint64_t share = peer_share(loop_settings(answers->loop), budget_part(PART_OF_BUDGET), peer);
    uint64_t kept = 0;

    pthread_mutex_lock(&answers->lock);
    struct peer_count *count = peer_counts_add(&answers->peers, peer);
    if (count && has_space(answers, count, bytes)) {
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
    budget_give(COUNT_LIVE_ANSWER_BYTES, charge->bytes);
    pthread_mutex_lock(&answers->lock);
    set_bytes(answers, charge, 0);
    peer_counts_remove(&answers->peers, charge->count);
    pthread_mutex_unlock(&answers->lock);
    charge->count = NULL;
}
