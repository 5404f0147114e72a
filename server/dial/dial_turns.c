/* dial_turns.c - see dial_turns.h. */
#include "server/dial/dial_turns.h"

#include "base/clock.h"

#define INTERVAL_NS (NS_PER_S / DIAL_TURNS_PER_S)
#define GOOD_INTERVAL_NS (NS_PER_S / GOOD_DIAL_TURNS_PER_S)

static void set_timer(struct dial_turns *turns);

static void take_turn(struct dial_turns *turns)
{
    struct peer_entry *first = peer_queue_first(&turns->waiting);

    if (!first)
        return;
    turns->last_ns = clock_mono_ns();
    turns->next_ns = turns->last_ns + INTERVAL_NS;
    peer_queue_serve(&turns->waiting, first);
    struct dial_turn *turn = container_of(first, struct dial_turn, entry);
    if (turn->come(turn) && !peer_entry_waits(first))
        peer_queue_add(&turns->waiting, first);
}

static void on_timer(struct timer *timer)
{
    struct dial_turns *turns = container_of(timer, struct dial_turns, timer);

    take_turn(turns);
    if (!peer_queue_is_empty(&turns->waiting))
        set_timer(turns);
}

/* Without memory for the timer nobody may wait for ever: all turns come now. */
static void set_timer(struct dial_turns *turns)
{
    if (timer_start(turns->loop, &turns->timer, turns->next_ns - clock_mono_ns()) == ERR_OK)
        return;
    while (!peer_queue_is_empty(&turns->waiting))
        take_turn(turns);
}

void dial_turns_init(struct dial_turns *turns, struct loop *loop)
{
    *turns = (struct dial_turns){.loop = loop, .timer.fired = on_timer};
    peer_queue_init(&turns->waiting);
}

void dial_turns_fini(struct dial_turns *turns)
{
    peer_queue_fini(&turns->waiting);
    timer_stop(&turns->timer);
}

void dial_turn_init(struct dial_turn *turn, struct peer_key peer, bool (*come)(struct dial_turn *turn))
{
    turn->come = come;
    peer_entry_init(&turn->entry, peer);
}

void dial_turns_wait(struct dial_turns *turns, struct dial_turn *turn)
{
    const bool is_first = peer_queue_is_empty(&turns->waiting);

    if (peer_entry_waits(&turn->entry))
        return;
    peer_queue_add(&turns->waiting, &turn->entry);
    if (is_first)
        set_timer(turns);
}

void dial_turns_succeeded(struct dial_turns *turns)
{
    turns->next_ns = MIN_OF(turns->next_ns, turns->last_ns + GOOD_INTERVAL_NS);
    if (!peer_queue_is_empty(&turns->waiting))
        set_timer(turns);
}

void dial_turns_leave(struct dial_turns *turns, struct dial_turn *turn)
{
    peer_queue_remove(&turns->waiting, &turn->entry);
}
