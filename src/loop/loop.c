/* loop.c - the event loop: libev, with a mailbox, timers, signals and settings. */
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
#include "base/counters.h"
#include "base/list.h"
#include "base/settings_store.h"

#define MAX_SIGNALS 8u
/* The first bound of the histogram of turns; each further one is twice the one before
 * (base/counters.def). */
#define FIRST_BOUND_US 64
/* What all slices together may take of one turn, and what the tasks may, slices among them. */
#define SLICES_NS NS_PER_MS
#define TASKS_NS (2 * NS_PER_MS)

struct watcher {
    ev_timer ev;
    struct timer *timer;
    struct list link; /* in loop->armed or in loop->spare */
};

struct handler {
    ev_signal ev;
    void (*caught)(void *ctx, int signal);
    void *ctx;
};

struct loop {
    /* Any thread. */
    struct mailbox posted;
    atomic_bool stopping;
    ev_async wakeup;
    struct ev_loop *ev; /* constant */
    struct settings_store settings;

    /* Loop thread only. */
    struct task *waiting, *waiting_last; /* tasks that were taken out of the mailbox, in order */
    int64_t max_tasks_ns;                /* of one turn */
    struct list armed;                   /* watchers of armed timers */
    struct list spare; /* unused watchers, kept for later: as many as were ever armed at once */
    struct handler handlers[MAX_SIGNALS];
    unsigned handler_count;
    int64_t turn_began_ns; /* 0: the loop polls, or does not run */
    struct list slices;    /* that wait, the one whose turn it is first */
    int64_t slices_left_ns;
    struct task slices_task;
    bool slices_posted;
};

/* The loop that runs on this thread; of nested ones the innermost. */
static _Thread_local const struct loop *running;

/* The loop that has each signal. libev allows a signal in one loop of the process, and asserts
 * it. */
static struct loop *_Atomic signal_owners[NSIG];

/* ---- turns ---- */

/* A turn's work is over: the loop polls next, or does not run on. */
static void end_turn(struct loop *loop)
{
    int64_t worked_us, bound_us = FIRST_BOUND_US;
    int bucket = COUNT_LOOP_TURNS_LE_64US;

    if (loop->turn_began_ns == 0)
        return;
    worked_us = (clock_mono_ns() - loop->turn_began_ns + NS_PER_US - 1) / NS_PER_US;
    loop->turn_began_ns = 0;
    for (; worked_us > bound_us && bucket < COUNT_LOOP_TURNS_GT_1S; bound_us *= 2)
        bucket++;
    count_add((enum counter)bucket, 1);
    count_raise(COUNT_LOOP_TURN_MAX_US, worked_us);
}

/* libev calls these two around each poll. */
static void before_poll(struct ev_loop *ev) EV_NOEXCEPT
{
    end_turn(ev_userdata(ev));
}

static void after_poll(struct ev_loop *ev) EV_NOEXCEPT
{
    struct loop *loop = ev_userdata(ev);

    loop->turn_began_ns = clock_mono_ns();
    loop->slices_left_ns = SLICES_NS;
}

/* ---- the mailbox ---- */

/* What was posted waits behind what waits already. */
static void take_posted(struct loop *loop)
{
    struct task *last;
    struct task *first = mailbox_take(&loop->posted, &last);

    if (!first)
        return;
    if (loop->waiting)
        loop->waiting_last->next = first;
    else
        loop->waiting = first;
    loop->waiting_last = last;
}

/* Runs the tasks that wait and those that were posted, once each, until `max_ns` have passed.
 * Returns whether any are left. */
static bool run_tasks(struct loop *loop, int64_t max_ns)
{
    int64_t began_ns = clock_mono_ns();
    struct task *task;

    take_posted(loop);
    while ((task = loop->waiting)) {
        loop->waiting = task->next; /* read before run(), which may free the task or post it again */
        task->run(task);
        if (loop->waiting && clock_mono_ns() - began_ns >= max_ns)
            return true;
    }
    return false;
}

static void on_wakeup(struct ev_loop *ev, ev_async *wakeup, int events)
{
    struct loop *loop = ev_userdata(ev);

    (void)events;
    if (run_tasks(loop, loop->max_tasks_ns))
        ev_async_send(ev, wakeup);
}

void loop_post(struct loop *loop, struct task *task)
{
    if (mailbox_post(&loop->posted, task))
        ev_async_send(loop->ev, &loop->wakeup);
}

/* ---- slices ---- */

static bool in_turn(const struct loop *loop)
{
    return running == loop && loop->turn_began_ns != 0;
}

/* Takes steps while the turn has time. Returns whether more is left; else the slice may be gone. */
static bool take_steps(struct loop *loop, struct slice *slice, bool at_least_one)
{
    int64_t began_ns = clock_mono_ns(), took_ns = 0;
    bool more = true;

    if (at_least_one)
        more = slice->step(slice);
    while (more && (took_ns < loop->slices_left_ns || !in_turn(loop))) {
        more = slice->step(slice);
        took_ns = clock_mono_ns() - began_ns;
    }
    loop->slices_left_ns -= took_ns; /* a slice that was started within a step counts twice */
    return more;
}

/* Slices wait for their next portions. */
static void post_slices(struct loop *loop)
{
    if (loop->slices_posted)
        return;
    loop->slices_posted = true;
    loop_post(loop, &loop->slices_task);
}

static void wait_for_turn(struct loop *loop, struct slice *slice)
{
    list_append(&loop->slices, &slice->link);
    post_slices(loop);
}

static void go_on(struct loop *loop, struct slice *slice, bool at_least_one)
{
    list_remove(&slice->link);
    /* A step may have called loop_slice() for its own slice. */
    if (take_steps(loop, slice, at_least_one) && list_empty(&slice->link))
        wait_for_turn(loop, slice);
}

/* One that waits already keeps its place where this turn has no time left for it. */
void loop_slice(struct loop *loop, struct slice *slice)
{
    if (list_empty(&slice->link) || !in_turn(loop) || loop->slices_left_ns > 0)
        go_on(loop, slice, false);
}

void loop_slice_later(struct loop *loop, struct slice *slice)
{
    if (!in_turn(loop))
        loop_slice(loop, slice);
    else if (list_empty(&slice->link))
        wait_for_turn(loop, slice);
}

static void run_slices(struct task *task)
{
    struct loop *loop = container_of(task, struct loop, slices_task);
    struct list *node;

    loop->slices_posted = false;
    /* One step, even where what ran before has used the time of this turn up. */
    if ((node = list_first(&loop->slices)))
        go_on(loop, container_of(node, struct slice, link), true);
    while ((node = list_first(&loop->slices)) && (loop->slices_left_ns > 0 || !in_turn(loop)))
        go_on(loop, container_of(node, struct slice, link), false);
    if (node)
        post_slices(loop);
}

void loop_finish_slices(struct loop *loop)
{
    struct list *node;

    CHECK(!in_turn(loop));
    while ((node = list_first(&loop->slices)))
        loop_slice(loop, container_of(node, struct slice, link));
}

/* ---- settings ---- */

const struct settings *loop_settings(const struct loop *loop)
{
    return settings_present(&loop->settings);
}

enum err loop_publish_settings(struct loop *loop, const struct settings *settings)
{
    return settings_publish(&loop->settings, settings);
}

/* ---- timers ---- */

/* A spare watcher or a new one, in the list of the armed; NULL: out of memory. */
static struct watcher *watcher_acquire(struct loop *loop)
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

static void on_due(struct ev_loop *ev, ev_timer *ev_watcher, int events)
{
    struct timer *timer = container_of(ev_watcher, struct watcher, ev)->timer;

    (void)ev;
    (void)events;
    disarm(timer);
    timer->fired(timer);
}

enum err timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns)
{
    timer_stop(timer);
    struct watcher *watcher = watcher_acquire(loop);
    if (!watcher)
        return ERR_NO_MEMORY;
    watcher->timer = timer;
    timer->watcher = watcher;
    timer->loop = loop;
    /* libev counts a delay from the beginning of the turn. Without this a slow callback before
     * would shorten the delay. */
    ev_now_update(loop->ev);
    ev_timer_init(&watcher->ev, on_due, (double)MAX_OF(delay_ns, 0) / (double)NS_PER_S, 0.0);
    ev_timer_start(loop->ev, &watcher->ev);
    return ERR_OK;
}

void timer_stop(struct timer *timer)
{
    if (timer->loop)
        disarm(timer);
}

/* ---- signals ---- */

static void on_signal(struct ev_loop *ev, ev_signal *ev_watcher, int events)
{
    struct handler *handler = container_of(ev_watcher, struct handler, ev);

    (void)ev;
    (void)events;
    handler->caught(handler->ctx, ev_watcher->signum);
}

enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *ctx, int signal), void *ctx)
{
    struct loop *owner = NULL;

    if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP)
        return ERR_INVALID;
    if (loop->handler_count == MAX_SIGNALS)
        return ERR_FULL;
    if (!atomic_compare_exchange_strong(&signal_owners[signal], &owner, loop) && owner != loop)
        return ERR_INVALID;
    struct handler *handler = &loop->handlers[loop->handler_count++];
    handler->caught = caught;
    handler->ctx = ctx;
    ev_signal_init(&handler->ev, on_signal, signal);
    ev_signal_start(loop->ev, &handler->ev);
    return ERR_OK;
}

/* ---- the loop ---- */

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
    list_init(&loop->slices);
    loop->slices_task.run = run_slices;
    loop->max_tasks_ns = INT64_MAX;
    settings_store_init(&loop->settings);
    ev_set_userdata(loop->ev, loop);
    ev_set_loop_release_cb(loop->ev, before_poll, after_poll);
    ev_async_init(&loop->wakeup, on_wakeup);
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
    while (loop->waiting || !mailbox_is_empty(&loop->posted))
        run_tasks(loop, INT64_MAX);
    running = outer;
    CHECK(list_empty(&loop->slices));
    list_each(node, safe, &loop->armed)
        disarm(container_of(node, struct watcher, link)->timer);
    free_watchers(loop, &loop->spare);
    for (unsigned i = 0; i < loop->handler_count; i++) {
        ev_signal *signal = &loop->handlers[i].ev;

        ev_signal_stop(loop->ev, signal);
        atomic_store(&signal_owners[signal->signum], NULL);
    }
    ev_async_stop(loop->ev, &loop->wakeup);
    ev_loop_destroy(loop->ev);
    settings_store_fini(&loop->settings);
    free(loop);
}

void loop_run(struct loop *loop)
{
    const struct loop *outer = running;

    running = loop;
    loop->max_tasks_ns = TASKS_NS;
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire))
        ev_run(loop->ev, EVRUN_ONCE);
    end_turn(loop);
    loop->max_tasks_ns = INT64_MAX;
    /* Tasks that were posted before the stop may have come after the last turn ran its tasks. */
    run_tasks(loop, INT64_MAX);
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
    end_turn(loop);
    running = outer;
}

bool loop_is_mine(const struct loop *loop)
{
    return running == loop;
}
