/* loop.h - the control thread: an event loop (libev) with a mailbox, timers, signals and the
 * present settings.
 *
 * All control state of the server lives on this thread, so none of it needs a lock. Other threads
 * reach it by posting tasks. Work that may block runs on workers (workers.h).
 *
 * Threads: the thread that calls loop_run() or loop_turn() is the loop thread while the call lasts.
 * Other threads may call loop_post(), loop_stop(), loop_is_mine() and loop_settings(), and nothing
 * else. */
#ifndef TRIBUTARY_LOOP_LOOP_H
#define TRIBUTARY_LOOP_LOOP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/settings.h"
#include "base/status.h"

struct loop;

/* Makes a loop, which the caller owns. Its settings are the defaults.
 *   ERR_NO_MEMORY  nothing was made
 *   ERR_IO         libev could not start; `sys` is the errno; nothing was made */
MUST_CHECK struct status loop_new(struct loop **loop_out);

/* First runs the tasks that were posted and not yet run, and the tasks that those post. Then stops
 * all timers, gives all signals back to their default actions, and frees the loop.
 *
 * Call it when loop_run() has returned, and when every loop_post() and loop_stop() of other threads
 * has returned. NULL is allowed. */
void loop_free(struct loop *loop);
OWNED_BY(loop_free, struct loop);

/* Runs turns until loop_stop(). A stop that came before loop_run() counts: then every task that was
 * posted by then is run, and loop_run() returns. */
void loop_run(struct loop *loop);

/* Ends loop_run() after every task that was posted before. Any thread. */
void loop_stop(struct loop *loop);

/* Runs one turn, with all tasks that wait, and does not wait for anything: for tests that drive a
 * loop step by step. */
void loop_turn(struct loop *loop);

/* Whether the caller is the loop thread: true inside of loop_run(), loop_turn() and loop_free() of
 * this loop. Where one loop is turned inside of another, only the inner one is true. Any thread. */
bool loop_is_mine(const struct loop *loop);

/* ---- the mailbox ---- */

/* Posts a task (base/mailbox.h): run() is called once, on the loop thread. Never blocks, never
 * fails, allocates nothing. The task is the loop's from here until run() is called, so it must not
 * be posted twice meanwhile. The objects that embed tasks bound the mailbox. Any thread.
 *
 * Tasks of one thread run in the order in which it posted them. A turn of loop_run() runs the tasks
 * that were there when it began to run tasks, for about 2 ms; the rest waits for the next turn. So
 * a task that posts itself runs at most once in each turn, and timers and signals get their share
 * however many tasks wait. */
void loop_post(struct loop *loop, struct task *task);

/* ---- slices: long work in short portions ---- */

/* Work that may be long, such as one step for each of 100 000 producers. Embedded in the object
 * that it works on. All slices of a loop share about 1 ms of each turn, so whatever waits gets its
 * turn between two portions. Loop thread only. */
struct slice {
    /* Does a little, at most some 50 us, and returns whether more is left. Where it returns false
     * it may have freed the slice, or have called loop_slice() for it as its last act. */
    bool (*step)(struct slice *slice);
    struct list link; /* the loop's */
};

static inline void slice_init(struct slice *slice, bool (*step)(struct slice *slice))
{
    slice->step = step;
    list_init(&slice->link);
}

/* Takes steps at once, as long as this turn has time for them; the rest follows in later turns,
 * behind the tasks that wait there. So short work is done when this returns. Where the caller is in
 * no turn of this loop nobody waits, and all work is done at once. A slice that waits already goes
 * on in the same way. */
void loop_slice(struct loop *loop, struct slice *slice);

/* The same for work that grows while other tasks run, and costs no more then: within a turn it
 * takes no step at once. Not from within its own step. */
void loop_slice_later(struct loop *loop, struct slice *slice);

/* No step is taken any more. Does nothing where the slice does not wait. */
static inline void slice_stop(struct slice *slice)
{
    list_remove(&slice->link);
}

/* Takes all steps of all slices that wait, however long that takes. Call it where the loop does not
 * run any more. */
void loop_finish_slices(struct loop *loop);

/* ---- settings (base/settings.h says what they are and when a new version holds) ---- */

/* The present version. It never changes, and it is valid until loop_free(). Read it again at the
 * next decision. Any thread. */
const struct settings *loop_settings(const struct loop *loop);

/* Makes a copy of `settings` the present version, with the next number. Loop thread, or before
 * other threads know the loop.
 *   ERR_NO_MEMORY  the present version stays */
MUST_CHECK enum err loop_publish_settings(struct loop *loop, const struct settings *settings);

/* ---- timers ---- */

/* A timer, embedded. Zeroed but for `fired` it is ready for use. Loop thread only. */
struct timer {
    void (*fired)(struct timer *timer); /* the timer is not armed any more, and may be freed */
    struct loop *loop;                  /* NULL: not armed */
    void *watcher;                      /* the loop's */
};

/* Arms the timer: fired() is called once, no earlier than `delay_ns` from now. 0 and less mean the
 * next turn. A timer that is armed, on this loop or on another, is stopped first.
 *   ERR_NO_MEMORY  the timer is not armed */
MUST_CHECK enum err timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns);

/* Disarms the timer: fired() is not called after this, even where the timer was due in this turn.
 * Does nothing if the timer is not armed. */
void timer_stop(struct timer *timer);

/* ---- signals ---- */

/* Calls `caught` on the loop thread after the signal arrived. Signals that arrive faster than the
 * loop turns may lead to one call together. The handler stays until the loop is freed.
 *
 * A loop has at most 8 handlers. One signal may have several of them, but belongs to one loop of
 * the process at a time.
 *   ERR_FULL     the loop has 8 handlers; nothing changed
 *   ERR_INVALID  there is no such signal, it cannot be caught, or another loop has it; nothing
 *                changed */
MUST_CHECK enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *ctx, int signal),
                                void *ctx);

#endif
