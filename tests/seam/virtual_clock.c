/* virtual_clock.c - see virtual_clock.h. */
#include "seam/virtual_clock.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/settings_store.h"
#include "seam/transcript.h"

#define BEGINNING_NS NS_PER_S
#define WALL_AHEAD_NS (INT64_C(1700000000) * NS_PER_S)

unsigned virtual_slice_steps;

static int64_t now_ns = BEGINNING_NS;
static uint64_t last_epoch;

int64_t clock_mono_ns(void)
{
    return now_ns;
}

int64_t clock_wall_ns(void)
{
    return WALL_AHEAD_NS + now_ns;
}

uint64_t clock_epoch_ns(void)
{
    last_epoch = MAX_OF((uint64_t)clock_wall_ns(), last_epoch + 1);
    return last_epoch;
}

int64_t transcript_clock_ns(void)
{
    return now_ns;
}

void virtual_clock_reset(void)
{
    now_ns = BEGINNING_NS;
    last_epoch = 0;
}

struct loop {
    struct task *oldest, **newest;
    struct list armed;  /* by moment; timers of one moment in the order they were started */
    struct list slices; /* that wait */
    struct settings_store settings;
};

struct watcher {
    struct list link;
    int64_t at_ns;
    struct timer *timer;
};

struct status loop_new(struct loop **loop_out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    CHECK(loop);
    loop->newest = &loop->oldest;
    list_init(&loop->armed);
    list_init(&loop->slices);
    settings_store_init(&loop->settings);
    *loop_out = loop;
    return STATUS_OK;
}

void loop_post(struct loop *loop, struct task *task)
{
    task->next = NULL;
    *loop->newest = task;
    loop->newest = &task->next;
}

const struct settings *loop_settings(const struct loop *loop)
{
    return settings_present(&loop->settings);
}

enum err loop_publish_settings(struct loop *loop, const struct settings *settings)
{
    return settings_publish(&loop->settings, settings);
}

bool loop_is_mine(const struct loop *loop)
{
    (void)loop;
    return true;
}

static void run_posted(struct loop *loop)
{
    struct task *task = loop->oldest;

    loop->oldest = NULL;
    loop->newest = &loop->oldest;
    while (task) {
        struct task *next = task->next;

        task->run(task);
        task = next;
    }
}

static void take_steps(struct loop *loop, struct slice *slice, unsigned max)
{
    unsigned steps = 0;

    list_remove(&slice->link);
    do {
        if (virtual_slice_steps > 0 && steps++ == max) {
            if (list_empty(&slice->link)) /* else its step has called loop_slice_later() for it */
                list_append(&loop->slices, &slice->link);
            return;
        }
    } while (slice->step(slice));
}

void loop_slice(struct loop *loop, struct slice *slice)
{
    static unsigned calls;

    take_steps(loop, slice, calls++ % 3 == 2 ? 0 : virtual_slice_steps);
}

void loop_slice_later(struct loop *loop, struct slice *slice)
{
    if (virtual_slice_steps == 0)
        loop_slice(loop, slice);
    else if (list_empty(&slice->link))
        list_append(&loop->slices, &slice->link);
}

void loop_finish_slices(struct loop *loop)
{
    struct list *node;

    while ((node = list_first(&loop->slices)))
        take_steps(loop, container_of(node, struct slice, link), virtual_slice_steps);
}

/* What is due now: tasks and slices, in turns. */
static void run_waiting(struct loop *loop)
{
    struct list *node;

    while (loop->oldest || !list_empty(&loop->slices)) {
        run_posted(loop);
        if ((node = list_first(&loop->slices)))
            take_steps(loop, container_of(node, struct slice, link), virtual_slice_steps);
    }
}

void timer_stop(struct timer *timer)
{
    struct watcher *watcher = timer->watcher;

    if (!timer->loop)
        return;
    timer->loop = NULL;
    timer->watcher = NULL;
    list_remove(&watcher->link);
    free(watcher);
}

enum err timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns)
{
    struct watcher *watcher = malloc(sizeof(*watcher));
    struct list *before = loop->armed.prev;

    CHECK(watcher);
    timer_stop(timer);
    delay_ns = MAX_OF(delay_ns, 0);
    watcher->at_ns = delay_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + delay_ns;
    watcher->timer = timer;
    before = loop->armed.prev;
    while (before != &loop->armed && container_of(before, struct watcher, link)->at_ns > watcher->at_ns)
        before = before->prev;
    list_append(before->next, &watcher->link);
    timer->loop = loop;
    timer->watcher = watcher;
    return ERR_OK;
}

static struct watcher *first_until(struct loop *loop, int64_t until_ns)
{
    struct list *node = list_first(&loop->armed);
    struct watcher *watcher = node ? container_of(node, struct watcher, link) : NULL;

    return watcher && watcher->at_ns <= until_ns ? watcher : NULL;
}

void virtual_time_pass(struct loop *loop, int64_t ns)
{
    int64_t until_ns = now_ns + ns;
    struct watcher *watcher;

    run_waiting(loop);
    while ((watcher = first_until(loop, until_ns))) {
        struct timer *timer = watcher->timer;

        now_ns = MAX_OF(now_ns, watcher->at_ns);
        timer_stop(timer);
        timer->fired(timer);
        run_waiting(loop);
    }
    now_ns = until_ns;
}

void loop_turn(struct loop *loop)
{
    virtual_time_pass(loop, 0);
}

void loop_free(struct loop *loop)
{
    struct list *node;

    run_waiting(loop);
    while ((node = list_first(&loop->armed)))
        timer_stop(container_of(node, struct watcher, link)->timer);
    settings_store_fini(&loop->settings);
    free(loop);
}
