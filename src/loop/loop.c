/* loop.c - libev behind a small face.
 *
 * DESIGN: the mailbox is a stack that any thread pushes onto with one compare-and-swap; the loop
 * takes all of it with one exchange and turns it round. That keeps the order of posting, bounds a
 * turn to what was there when it began, and says by itself when the loop must be woken: only the
 * push that found it empty rings. A poster that is interrupted half way holds up nobody. */
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#include <ev.h>
#pragma GCC diagnostic pop

#include "base/clock.h"
#include "base/list.h"

#define MAX_SIGNALS 8u

struct watcher {
    ev_timer ev;
    struct timer *timer;
    struct list link; /* in loop->armed or loop->spare */
};

struct catcher {
    ev_signal ev;
    void (*caught)(void *ctx, int signal);
    void *ctx;
};

struct loop {
    /* Any thread. */
    struct task *_Atomic posted; /* newest first */
    atomic_bool stopping;
    ev_async wakeup;
    struct ev_loop *ev; /* constant */

    /* Loop thread only. */
    struct list armed; /* watchers of armed timers */
    struct list spare; /* watchers to be used again: as many as were armed at once */
    struct catcher catchers[MAX_SIGNALS];
    unsigned catcher_count;
};

/* The loop that runs on this thread, innermost first. */
static _Thread_local const struct loop *running;

/* libev gives a signal to one loop of the process and asserts the rest; here is who has it. */
static struct loop *_Atomic signal_owners[NSIG];

static void run_posted(struct loop *loop)
{
    struct task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct task *oldest = NULL;

    while (newest) {
        struct task *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct task *task = oldest;

        oldest = task->next; /* before run(), which may free the task or post it again */
        task->run(task);
    }
}

static void rung(struct ev_loop *ev, ev_async *wakeup, int events)
{
    (void)wakeup;
    (void)events;
    run_posted(ev_userdata(ev));
}

void loop_post(struct loop *loop, struct task *task)
{
    struct task *before = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    do
        task->next = before;
    while (!atomic_compare_exchange_weak_explicit(&loop->posted, &before, task, memory_order_release,
                                                  memory_order_relaxed));
    if (!before)
        ev_async_send(loop->ev, &loop->wakeup);
}

static struct watcher *watcher_take(struct loop *loop)
{
    struct list *spare = list_first(&loop->spare);
    struct watcher *watcher = spare ? container_of(spare, struct watcher, link) : calloc(1, sizeof(*watcher));

    if (!watcher)
        return NULL;
    if (spare)
        list_remove(spare);
    list_append(&loop->armed, &watcher->link);
    return watcher;
}

static void disarm(struct timer *timer)
{
    struct watcher *watcher = timer->watcher;

    ev_timer_stop(timer->loop->ev, &watcher->ev);
    list_remove(&watcher->link);
    list_append(&timer->loop->spare, &watcher->link);
    timer->loop = NULL;
    timer->watcher = NULL;
}

static void due(struct ev_loop *ev, ev_timer *ev_watcher, int events)
{
    struct timer *timer = container_of(ev_watcher, struct watcher, ev)->timer;

    (void)ev;
    (void)events;
    disarm(timer);
    timer->fired(timer);
}

enum err timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns)
{
    struct watcher *watcher;

    timer_stop(timer);
    watcher = watcher_take(loop);
    if (!watcher)
        return ERR_NO_MEMORY;
    watcher->timer = timer;
    timer->watcher = watcher;
    timer->loop = loop;
    /* libev counts from when the turn began; a callback that took its time would shorten the
     * delay. */
    ev_now_update(loop->ev);
    ev_timer_init(&watcher->ev, due, (double)MAX_OF(delay_ns, 0) / (double)NS_PER_S, 0.0);
    ev_timer_start(loop->ev, &watcher->ev);
    return ERR_OK;
}

void timer_stop(struct timer *timer)
{
    if (timer->loop)
        disarm(timer);
}

static void arrived(struct ev_loop *ev, ev_signal *ev_watcher, int events)
{
    struct catcher *catcher = container_of(ev_watcher, struct catcher, ev);

    (void)ev;
    (void)events;
    catcher->caught(catcher->ctx, ev_watcher->signum);
}

enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *ctx, int signal), void *ctx)
{
    struct loop *owner = NULL;
    struct catcher *catcher;

    if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP)
        return ERR_INVALID;
    if (loop->catcher_count == MAX_SIGNALS)
        return ERR_FULL;
    if (!atomic_compare_exchange_strong(&signal_owners[signal], &owner, loop) && owner != loop)
        return ERR_INVALID;
    catcher = &loop->catchers[loop->catcher_count++];
    catcher->caught = caught;
    catcher->ctx = ctx;
    ev_signal_init(&catcher->ev, arrived, signal);
    ev_signal_start(loop->ev, &catcher->ev);
    return ERR_OK;
}

struct status loop_new(struct loop **loop_out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return (struct status){ERR_NO_MEMORY, 0, "allocate a loop"};
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (!loop->ev) {
        free(loop);
        return (struct status){ERR_IO, errno, "ev_loop_new"};
    }
    list_init(&loop->armed);
    list_init(&loop->spare);
    ev_set_userdata(loop->ev, loop);
    ev_async_init(&loop->wakeup, rung);
    ev_async_start(loop->ev, &loop->wakeup);
    *loop_out = loop;
    return STATUS_OK;
}

static void free_watchers(struct loop *loop, struct list *watchers)
{
    list_each(node, safe, watchers) {
        struct watcher *watcher = container_of(node, struct watcher, link);

        ev_timer_stop(loop->ev, &watcher->ev);
        free(watcher);
    }
}

void loop_free(struct loop *loop)
{
    const struct loop *outer = running;

    if (!loop)
        return;
    running = loop;
    while (atomic_load_explicit(&loop->posted, memory_order_relaxed))
        run_posted(loop);
    running = outer;
    list_each(node, safe, &loop->armed)
        disarm(container_of(node, struct watcher, link)->timer);
    free_watchers(loop, &loop->spare);
    for (unsigned i = 0; i < loop->catcher_count; i++) {
        ev_signal *signal = &loop->catchers[i].ev;

        ev_signal_stop(loop->ev, signal);
        atomic_store(&signal_owners[signal->signum], NULL);
    }
    ev_async_stop(loop->ev, &loop->wakeup);
    ev_loop_destroy(loop->ev);
    free(loop);
}

void loop_run(struct loop *loop)
{
    const struct loop *outer = running;

    running = loop;
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire))
        ev_run(loop->ev, EVRUN_ONCE);
    /* The turn that saw the stop may have begun before what was posted ahead of it. */
    run_posted(loop);
    atomic_store_explicit(&loop->stopping, false, memory_order_relaxed);
    running = outer;
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    ev_async_send(loop->ev, &loop->wakeup);
}

void loop_turn(struct loop *loop)
{
    const struct loop *outer = running;

    running = loop;
    ev_run(loop->ev, EVRUN_NOWAIT);
    running = outer;
}

bool loop_is_mine(const struct loop *loop)
{
    return running == loop;
}
