/* dial_turns.c - see dial_turns.h. */
#include "server/dial/dial_turns.h"

#include "base/clock.h"

#define INTERVAL_NS (NS_PER_S / DIAL_TURNS_PER_S)
#define GOOD_INTERVAL_NS (NS_PER_S / GOOD_DIAL_TURNS_PER_S)

static void set_timer(struct dial_turns *turns);

static void take_turn(struct dial_turns *turns)
{
    struct list *node = list_first(&turns->waiting);

    if (!node)
        return;
    turns->last_ns = clock_mono_ns();
    turns->next_ns = turns->last_ns + INTERVAL_NS;
    list_remove(node);
    struct dial_turn *turn = container_of(node, struct dial_turn, link);
    if (turn->come(turn) && list_empty(&turn->link))
        list_append(&turns->waiting, &turn->link);
}

static void on_timer(struct timer *timer)
{
    struct dial_turns *turns = container_of(timer, struct dial_turns, timer);

    take_turn(turns);
    if (!list_empty(&turns->waiting))
        set_timer(turns);
}

/* Without memory for the timer nobody may wait for ever: all turns come now. */
static void set_timer(struct dial_turns *turns)
{
    if (timer_start(turns->loop, &turns->timer, turns->next_ns - clock_mono_ns()) == ERR_OK)
        return;
    while (!list_empty(&turns->waiting))
        take_turn(turns);
}

void dial_turns_init(struct dial_turns *turns, struct loop *loop)
{
    *turns = (struct dial_turns){.loop = loop, .timer.fired = on_timer};
    list_init(&turns->waiting);
}

void dial_turns_fini(struct dial_turns *turns)
{
    CHECK(list_empty(&turns->waiting));
    timer_stop(&turns->timer);
}

void dial_turn_init(struct dial_turn *turn, bool (*come)(struct dial_turn *turn))
{
    turn->come = come;
    list_init(&turn->link);
}

void dial_turns_wait(struct dial_turns *turns, struct dial_turn *turn)
{
    const bool is_first = list_empty(&turns->waiting);

    if (!list_empty(&turn->link))
        return;
    list_append(&turns->waiting, &turn->link);
    if (is_first)
        set_timer(turns);
}

void dial_turns_succeeded(struct dial_turns *turns)
{
    turns->next_ns = MIN_OF(turns->next_ns, turns->last_ns + GOOD_INTERVAL_NS);
    if (!list_empty(&turns->waiting))
        set_timer(turns);
}

void dial_turns_leave(struct dial_turn *turn)
{
    list_remove(&turn->link);
}
