/* probation.c - see probation.h. */
#include "h2socket/probation.h"

#include <pthread.h>

#define PLACES 1024u

struct offender {
    struct peer_key peer;
    int64_t until_ns; /* of its probation */
    int64_t delay_ns;
};

static struct {
    pthread_mutex_t lock;
    struct offender places[PLACES];
} offenders = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct offender *place_of(struct peer_key peer)
{
    uint64_t hash = (peer.kind ^ peer.value) * UINT64_C(0x9e3779b97f4a7c15);

    return &offenders.places[hash >> 32 & (PLACES - 1)];
}

void probation_note(struct peer_key peer, int64_t now_ns)
{
    struct offender *place = place_of(peer);

    if (peer.kind == PEER_NONE)
        return;
    pthread_mutex_lock(&offenders.lock);
    if (place->until_ns <= now_ns)
        *place = (struct offender){.peer = peer};
    if (peer_same(place->peer, peer)) {
        place->until_ns = now_ns + PROBATION_NS;
        place->delay_ns = MIN_OF(place->delay_ns + PROBATION_DELAY_NS, MAX_PROBATION_DELAY_NS);
    }
    pthread_mutex_unlock(&offenders.lock);
}

int64_t probation_delay_ns(struct peer_key peer, int64_t now_ns)
{
    const struct offender *place = place_of(peer);

    pthread_mutex_lock(&offenders.lock);
    bool is_noted = peer_same(place->peer, peer) && now_ns < place->until_ns;
    int64_t delay_ns = is_noted ? place->delay_ns : 0;
    pthread_mutex_unlock(&offenders.lock);
    return delay_ns;
}
