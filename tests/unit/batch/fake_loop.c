/* fake_loop.c - see fake_loop.h. */
#include "unit/batch/fake_loop.h"

#define MAX_TIMERS 64

static struct mailbox mailbox;
static struct list slices;
static struct {
    struct timer *timer;
    int64_t due_ns;
} timers[MAX_TIMERS];
static int64_t now_ns;
static struct settings settings; /* the defaults */
static char place;               /* the loop's address, which nobody reads */

int64_t __wrap_clock_mono_ns(void);
void __wrap_loop_post(struct loop *loop, struct task *task);
enum err __wrap_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns);
void __wrap_timer_stop(struct timer *timer);
void __wrap_loop_slice(struct loop *loop, struct slice *slice);
void __wrap_loop_slice_later(struct loop *loop, struct slice *slice);
const struct settings *__wrap_loop_settings(const struct loop *loop);

int64_t __wrap_clock_mono_ns(void)
{
    return now_ns;
}

int64_t fake_now_ns(void)
{
    return now_ns;
}

void __wrap_loop_post(struct loop *loop, struct task *task)
{
    (void)loop;
    (void)mailbox_post(&mailbox, task);
}

static int place_of(const struct timer *timer)
{
    for (int i = 0; i < MAX_TIMERS; i++)
        if (timers[i].timer == timer)
            return i;
    return -1;
}

enum err __wrap_timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns)
{
    const int present = place_of(timer), at = present >= 0 ? present : place_of(NULL);

    CHECK(at >= 0);
    timers[at].timer = timer;
    timers[at].due_ns = now_ns + MAX_OF(delay_ns, 0);
    timer->loop = loop;
    return ERR_OK;
}

void __wrap_timer_stop(struct timer *timer)
{
    const int at = place_of(timer);

    if (at >= 0)
        timers[at].timer = NULL;
    timer->loop = NULL;
}

void __wrap_loop_slice(struct loop *loop, struct slice *slice)
{
    __wrap_loop_slice_later(loop, slice);
}

void __wrap_loop_slice_later(struct loop *loop, struct slice *slice)
{
    (void)loop;
    if (list_empty(&slice->link))
        list_append(&slices, &slice->link);
}

const struct settings *__wrap_loop_settings(const struct loop *loop)
{
    (void)loop;
    return &settings;
}

struct loop *fake_loop_new(void)
{
    settings = settings_defaults;
    list_init(&slices);
    atomic_store(&mailbox.newest, NULL);
    memset(timers, 0, sizeof(timers));
    now_ns = NS_PER_S;
    return (struct loop *)(void *)&place;
}

static void step_slices(void)
{
    struct list now, *node = NULL;

    list_init(&now);
    list_move_all(&slices, &now);
    while ((node = list_first(&now))) {
        struct slice *slice = container_of(node, struct slice, link);

        list_remove(node);
        if (slice->step(slice))
            list_append(&slices, &slice->link);
    }
}

static bool fire_one(void)
{
    for (int i = 0; i < MAX_TIMERS; i++) {
        struct timer *timer = timers[i].timer;

        if (!timer || timers[i].due_ns > now_ns)
            continue;
        __wrap_timer_stop(timer);
        timer->fired(timer);
        return true;
    }
    return false;
}

void fake_loop_turn(void)
{
    do {
        mailbox_run(&mailbox);
        step_slices();
    } while (fire_one() || atomic_load(&mailbox.newest));
}

void fake_loop_pass(int64_t ns)
{
    const int64_t until_ns = now_ns + ns;
    int64_t next_ns;

    do {
        fake_loop_turn();
        next_ns = list_empty(&slices) ? INT64_MAX : now_ns;
        for (int i = 0; i < MAX_TIMERS; i++)
            if (timers[i].timer)
                next_ns = MIN_OF(next_ns, timers[i].due_ns);
        now_ns = MAX_OF(now_ns, MIN_OF(next_ns, until_ns));
    } while (next_ns <= until_ns);
}

bool fake_loop_is_empty(void)
{
    for (int i = 0; i < MAX_TIMERS; i++)
        if (timers[i].timer)
            return false;
    return !atomic_load(&mailbox.newest) && list_empty(&slices);
}
