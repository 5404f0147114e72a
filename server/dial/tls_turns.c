/* tls_turns.c - see tls_turns.h. */
#include "server/dial/tls_turns.h"

#include "base/clock.h"

static struct tls_turn *turn_of(struct list *link)
{
    return container_of(link, struct tls_turn, link);
}

static void set_timer(struct tls_turns *turns)
{
    struct list *first = list_first(&turns->running);
    const bool is_needed = first && !(list_empty(&turns->waiting) && list_empty(&turns->slow_waiting));

    cq_timer_set(turns->cq, &turns->timer, is_needed ? turn_of(first)->end_ns : INT64_MAX);
}

/* Takes a handshake out of those that run. */
static void end_turn(struct tls_turns *turns, struct tls_turn *turn)
{
    list_remove(&turn->link);
    turn->is_running = false;
    turns->running_count--;
    if (turn->is_slow)
        turns->slow_running_count--;
}

/* NULL: none waits, or too many run. */
static struct list *next_waiting(struct tls_turns *turns)
{
    struct list *slow = list_first(&turns->slow_waiting), *other = list_first(&turns->waiting);

    if (turns->running_count >= MAX_TLS_HANDSHAKES)
        return NULL;
    return slow && (!other || turns->slow_running_count < MAX_SLOW_HANDSHAKES) ? slow : other;
}

/* begin() may lead back here. */
static void begin_next(struct tls_turns *turns)
{
    struct list *first;

    while ((first = next_waiting(turns))) {
        struct tls_turn *next = turn_of(first);

        list_remove(&next->link);
        list_append(&turns->running, &next->link);
        next->is_running = true;
        next->end_ns = clock_from_now_ns(TLS_TURN_NS);
        turns->running_count++;
        if (next->is_slow)
            turns->slow_running_count++;
        next->begin(next);
    }
    set_timer(turns);
}

static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    struct tls_turns *turns = container_of(timer, struct tls_turns, timer);
    struct list *first;

    while ((first = list_first(&turns->running)) && turn_of(first)->end_ns <= now_ns)
        end_turn(turns, turn_of(first));
    begin_next(turns);
}

void tls_turns_init(struct tls_turns *turns, struct cq_thread *cq)
{
    *turns = (struct tls_turns){.cq = cq, .timer.fired = on_timer};
    list_init(&turns->waiting);
    list_init(&turns->slow_waiting);
    list_init(&turns->running);
}

void tls_turn_init(struct tls_turn *turn, void (*begin)(struct tls_turn *turn))
{
    *turn = (struct tls_turn){.begin = begin};
    list_init(&turn->link);
}

void tls_turn_request(struct tls_turns *turns, struct tls_turn *turn)
{
    list_append(turn->is_slow ? &turns->slow_waiting : &turns->waiting, &turn->link);
    begin_next(turns);
}

void tls_turn_leave(struct tls_turns *turns, struct tls_turn *turn)
{
    if (turn->is_running)
        end_turn(turns, turn);
    else
        list_remove(&turn->link);
    begin_next(turns);
}
