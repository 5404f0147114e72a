/* relays_internal.h - inner sources as relays_life.c and relayed.c see them. */
#ifndef TRIBUTARY_HUB_RELAYS_INTERNAL_H
#define TRIBUTARY_HUB_RELAYS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "hub/producer_internal.h"
#include "hub/relays.h"
#include "loop/loop.h"

struct relays {
    /* Constant. */
    struct relays_params params; /* its name and peer are this struct's */
    char *name;
    char peer[PEER_CAPACITY];

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    struct map by_key;      /* struct relayed */
    _Atomic uint32_t count; /* changed by the loop */

    /* Loop only. */
    struct session *session;
    struct list all; /* struct relayed; one pass visits each and puts it to the end */
    uint32_t left;   /* how many the pass has still to visit */
    struct slice pass;
    struct timer silent; /* begins a pass */
    bool closing;
    /* What a pass reports; no call: nothing. */
    uint64_t down_call;
    struct source_state down; /* its message is the next */
    char *down_message;
    bool gap;
};

struct relayed {
    struct producer producer;

    /* Constant. */
    struct relays *relays; /* until it has ended */
    struct session *session;

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic int64_t heard_ns;
    struct map_node by_key; /* under relays->lock */

    struct relay_mark mark; /* the publisher's */

    /* Loop only. */
    struct list link;
    struct relayed *older, *newer; /* of the same name, in other epochs */
    uint64_t call;                 /* in which it was heard of last */
    bool ended;
    char *end_message;

    uint8_t key[]; /* of by_key: the epoch, then the inner name */
};

#define RELAYED_KEY_BYTES (sizeof(uint64_t) + 256)

/* ---- relayed.c ---- */

extern const struct producer_kind relayed_kind;

static inline struct relayed *relayed_of(const struct producer *producer)
{
    return container_of(producer, struct relayed, producer);
}

/* Writes a key of RELAYED_KEY_BYTES at most. */
struct bytes relayed_key(uint8_t *at, struct bytes inner, uint64_t epoch);

/* A source that is in no map and no list, with two references: the set's and the caller's. NULL:
 * out of memory. */
struct relayed *relayed_new(struct relays *relays, struct bytes inner, uint64_t epoch);

/* Ends it, with a state for its consumers. Its references stay valid. */
void relayed_end(struct relayed *relayed, const struct source_state *state);

#endif
