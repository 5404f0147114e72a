/* peer_turns.c - see peer_turns.h. */
#include "loop/peer_turns.h"

#include <stdlib.h>

/* One peer. It exists while work of it is begun. */
struct peer_turn {
    struct map_node node; /* its key is `peer` */
    struct peer_key peer;
    uint32_t count;    /* of the work that is begun */
    struct list works; /* struct peer_work: those that wait, the one whose turn it is first */
    struct list link;  /* of turns->due, while one waits */
};

static struct bytes bytes_of(const struct peer_key *peer)
{
    return (struct bytes){(const uint8_t *)peer, sizeof(*peer)};
}

static void leave(struct peer_turns *turns, struct peer_turn *turn)
{
    if (--turn->count > 0)
        return;
    list_remove(&turn->link);
    map_remove(&turns->by_peer, &turn->node);
    free(turn);
}

/* ---- turns ---- */

static void wait_for_turn(struct peer_work *work)
{
    struct peer_turn *turn = work->turn;

    if (list_empty(&work->link))
        list_append(&turn->works, &work->link);
    if (list_empty(&turn->link))
        list_append(&work->turns->due, &turn->link);
}

static bool turns_step(struct slice *slice)
{
    struct peer_turns *turns = container_of(slice, struct peer_turns, slice);
    struct list *first = list_first(&turns->due);

    if (!first)
        return false;

    struct peer_turn *turn = container_of(first, struct peer_turn, link);
    struct list *node = list_first(&turn->works);

    turn->count++; /* the step may end the last work of the peer */
    list_remove(&turn->link);
    if (node) {
        struct peer_work *work = container_of(node, struct peer_work, link);

        list_remove(&work->link);
        if (work->step(work))
            wait_for_turn(work);
    }
    if (!list_empty(&turn->works) && list_empty(&turn->link))
        list_append(&turns->due, &turn->link);
    leave(turns, turn);
    return !list_empty(&turns->due);
}

void peer_work_wake(struct peer_work *work)
{
    wait_for_turn(work);
    loop_slice_later(work->turns->loop, &work->turns->slice);
}

/* ---- the beginning and the end ---- */

static struct peer_turn *turn_of(struct peer_turns *turns, struct peer_key peer)
{
    struct map_node *node = map_find(&turns->by_peer, bytes_of(&peer));
    struct peer_turn *turn;

    if (node)
        return container_of(node, struct peer_turn, node);
    turn = calloc(1, sizeof(*turn));
    if (!turn)
        return NULL;
    turn->peer = peer;
    turn->node.key = bytes_of(&turn->peer);
    list_init(&turn->works);
    list_init(&turn->link);
    if (map_add(&turns->by_peer, &turn->node) == ERR_OK)
        return turn;
    free(turn);
    return NULL;
}

enum err peer_work_begin(struct peer_turns *turns, struct peer_work *work, struct peer_key peer,
                         bool (*step)(struct peer_work *work))
{
    struct peer_turn *turn = turn_of(turns, peer);

    if (!turn)
        return ERR_NO_MEMORY;
    turn->count++;
    *work = (struct peer_work){.step = step, .turns = turns, .turn = turn};
    list_init(&work->link);
    return ERR_OK;
}

void peer_work_end(struct peer_work *work)
{
    struct peer_turn *turn = work->turn;

    if (!turn)
        return;
    list_remove(&work->link);
    work->turn = NULL;
    leave(work->turns, turn);
}

void peer_turns_init(struct peer_turns *turns, struct loop *loop)
{
    *turns = (struct peer_turns){.loop = loop};
    slice_init(&turns->slice, turns_step);
    list_init(&turns->due);
}

void peer_turns_fini(struct peer_turns *turns)
{
    CHECK(turns->by_peer.count == 0);
    slice_stop(&turns->slice);
    map_fini(&turns->by_peer);
}
