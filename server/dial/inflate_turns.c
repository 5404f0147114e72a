/* inflate_turns.c - see inflate_turns.h. */
#include "server/dial/inflate_turns.h"

#include "base/clock.h"
#include "grpc/cq_thread.h"

/* Of a turn; and what one message takes beyond it. */
#define MAX_TURN_NS NS_PER_MS

static bool has_time(struct inflate_turns *turns)
{
    const int64_t turn_ns = cq_now_ns(turns->cq);

    if (turns->turn_ns != turn_ns) {
        turns->turn_ns = turn_ns;
        turns->spent_ns = 0;
    }
    return turns->spent_ns < MAX_TURN_NS;
}

static void run(struct inflate_turns *turns, struct inflate_work *work)
{
    const int64_t began_ns = clock_mono_ns();

    work->run(work); /* it may be gone afterwards */
    turns->spent_ns += clock_mono_ns() - began_ns;
}

static void on_turn(struct task *task)
{
    struct inflate_turns *turns = container_of(task, struct inflate_turns, task);
    struct list *node;

    while (has_time(turns) && (node = list_first(&turns->waiting))) {
        list_remove(node);
        run(turns, container_of(node, struct inflate_work, link));
    }
    turns->is_posted = !list_empty(&turns->waiting);
    if (turns->is_posted)
        cq_post(turns->cq, &turns->task);
}

void inflate_turns_init(struct inflate_turns *turns, struct cq_thread *cq)
{
    *turns = (struct inflate_turns){.cq = cq, .task.run = on_turn};
    list_init(&turns->waiting);
}

bool inflate_turns_run(struct inflate_turns *turns, struct inflate_work *work)
{
    if (!list_empty(&turns->waiting) || !has_time(turns))
        return false;
    run(turns, work);
    return true;
}

void inflate_turns_add(struct inflate_turns *turns, struct inflate_work *work)
{
    list_append(&turns->waiting, &work->link);
    if (turns->is_posted)
        return;
    turns->is_posted = true;
    cq_post(turns->cq, &turns->task);
}
