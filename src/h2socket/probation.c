/* probation.c - see probation.h. */
#include "h2socket/probation.h"

#include <pthread.h>

#define PLACES 1024u

struct offender {
    struct peer_key peer;
    int64_t until_ns; /* new connections of the peer begin on probation until then */
    uint32_t connections;
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
    if (place->connections == 0 && place->until_ns <= now_ns)
        place->peer = peer;
    if (peer_same(place->peer, peer))
        place->until_ns = now_ns + PROBATION_NS;
    pthread_mutex_unlock(&offenders.lock);
}

uint32_t probation_begin(struct peer_key peer, int64_t now_ns)
{
    struct offender *place = place_of(peer);
    uint32_t count = 0;

    pthread_mutex_lock(&offenders.lock);
    if (peer.kind != PEER_NONE && peer_same(place->peer, peer) && now_ns < place->until_ns)
        count = ++place->connections;
    pthread_mutex_unlock(&offenders.lock);
    return count;
}

void probation_leave(struct peer_key peer)
{
    struct offender *place = place_of(peer);

    pthread_mutex_lock(&offenders.lock);
    CHECK(peer_same(place->peer, peer) && place->connections > 0);
    place->connections--;
    pthread_mutex_unlock(&offenders.lock);
}
