/* peer_turns.c - see peer_turns.h. */
#include "loop/peer_turns.h"

static void wait_for_turn(struct peer_work *work)
{
    if (!peer_entry_waits(&work->entry))
        peer_queue_add(&work->turns->due, &work->entry);
}

static bool turns_step(struct slice *slice)
{
    struct peer_turns *turns = container_of(slice, struct peer_turns, slice);
    struct peer_entry *first = peer_queue_first(&turns->due);
    struct peer_work *work;

    if (!first)
        return false;
    work = container_of(first, struct peer_work, entry);
    peer_queue_serve(&turns->due, first);
    if (work->step(work))
        wait_for_turn(work);
    return !peer_queue_is_empty(&turns->due);
}

void peer_work_wake(struct peer_work *work)
{
    wait_for_turn(work);
    loop_slice_later(work->turns->loop, &work->turns->slice);
}

void peer_work_begin(struct peer_turns *turns, struct peer_work *work, struct peer_key peer,
                     bool (*step)(struct peer_work *work))
{
    *work = (struct peer_work){.step = step, .turns = turns};
    peer_entry_init(&work->entry, peer);
}

void peer_work_end(struct peer_work *work)
{
    if (!work->turns)
        return;
    peer_queue_remove(&work->turns->due, &work->entry);
    work->turns = NULL;
}

void peer_turns_init(struct peer_turns *turns, struct loop *loop)
{
    *turns = (struct peer_turns){.loop = loop};
    slice_init(&turns->slice, turns_step);
    peer_queue_init(&turns->due);
}

void peer_turns_fini(struct peer_turns *turns)
{
    slice_stop(&turns->slice);
    peer_queue_fini(&turns->due);
}
