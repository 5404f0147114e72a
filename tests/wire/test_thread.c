/* test_thread.c - the wire thread itself: its inbox, its timers, its tick. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/wire/calls.h"
#include "server/wire/wire.h"
#include "wire_fixture.h"

#define POSTERS 4
#define TASKS 25000 /* of each poster */

static struct house house;

static void open_house(void)
{
    house_open(&house, NULL, 0);
}

static void close_house(void)
{
    house_close(&house);
}

TestSuite(thread, .init = open_house, .fini = close_house);

struct poster {
    pthread_t thread;
    struct numbered {
        struct task task;
        struct poster *poster;
        uint32_t number;
    } * tasks;
    uint32_t next; /* wire thread only */
};

static _Atomic uint32_t tasks_run;

static void run_numbered(struct task *task)
{
    struct numbered *numbered = container_of(task, struct numbered, task);

    CHECK(wire_is_mine(house.thread));
    CHECK(numbered->number == numbered->poster->next++);
    tasks_run++;
}

static void *post_all(void *ctx)
{
    struct poster *poster = ctx;

    for (uint32_t i = 0; i < TASKS; i++) {
        poster->tasks[i] = (struct numbered){.task = {.run = run_numbered}, .poster = poster, .number = i};
        wire_post(house.thread, &poster->tasks[i].task);
    }
    return NULL;
}

Test(thread, runs_every_task_in_the_order_of_its_poster)
{
    struct poster posters[POSTERS] = {0};

    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].tasks = calloc(TASKS, sizeof(struct numbered));
        cr_assert(posters[i].tasks);
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (size_t i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    house_until(&house, tasks_run == POSTERS * TASKS);
    for (size_t i = 0; i < POSTERS; i++)
        free(posters[i].tasks);
    cr_assert_not(wire_is_mine(house.thread));
}

/* One task at a time, each posted when the one before was run: a wake-up that gets lost shows
 * here. */
Test(thread, wakes_for_every_task)
{
    struct poster poster = {0};
    struct numbered one;

    for (uint32_t i = 0; i < 5000; i++) {
        one = (struct numbered){.task = {.run = run_numbered}, .poster = &poster, .number = i};
        wire_post(house.thread, &one.task);
        for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; tasks_run != i + 1;)
            cr_assert_lt(clock_mono_ns(), limit_ns, "task %u was forgotten", i);
    }
}

struct again {
    struct task task;
    uint32_t left;
    _Atomic bool done;
};

static void run_again(struct task *task)
{
    struct again *again = container_of(task, struct again, task);

    if (--again->left > 0)
        wire_post(house.thread, &again->task);
    else
        again->done = true;
}

Test(thread, a_task_may_post_itself)
{
    struct again again = {.task = {.run = run_again}, .left = 10000};

    wire_post(house.thread, &again.task);
    house_until(&house, again.done);
}

struct alarms {
    struct alarm {
        struct wire_timer timer;
        struct alarms *all;
        int64_t at_ns; /* when it was asked for */
        uint32_t rearm;
    } alarms[20];
    struct alarm *rung[64];
    _Atomic uint32_t rings;
    bool early;
};

static void ring(struct wire_timer *timer, int64_t now_ns)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    uint32_t rings = alarm->all->rings;

    CHECK(wire_is_mine(house.thread));
    alarm->all->early |= now_ns < alarm->at_ns || clock_mono_ns() < alarm->at_ns;
    alarm->all->rung[rings % ARRAY_LEN(alarm->all->rung)] = alarm;
    if (alarm->rearm > 0) {
        alarm->rearm--;
        alarm->at_ns = now_ns + NS_PER_MS;
        wire_timer_set(house.thread, timer, alarm->at_ns);
    }
    alarm->all->rings = rings + 1;
}

static void set(struct alarms *all, size_t number, int64_t at_ns)
{
    struct alarm *alarm = &all->alarms[number];

    alarm->all = all;
    alarm->timer.fired = ring;
    alarm->at_ns = at_ns;
    wire_timer_set(house.thread, &alarm->timer, at_ns);
}

static void act_set_backwards(void *ctx)
{
    int64_t base_ns = clock_mono_ns() + 20 * NS_PER_MS;

    for (size_t i = 20; i-- > 0;)
        set(ctx, i, base_ns + (int64_t)i * NS_PER_MS / 4);
}

Test(thread, timers_fire_in_order_and_not_early)
{
    struct alarms alarms = {0};

    house_run(&house, act_set_backwards, &alarms);
    house_until(&house, alarms.rings == 20);
    for (size_t i = 0; i < 20; i++)
        cr_assert_eq(alarms.rung[i], &alarms.alarms[i]);
    cr_assert_not(alarms.early);
}

static void act_change_minds(void *ctx)
{
    int64_t now_ns = clock_mono_ns();

    set(ctx, 0, now_ns + 5 * NS_PER_MS);
    set(ctx, 1, now_ns + 10 * NS_PER_MS);
    set(ctx, 2, now_ns + 3600 * NS_PER_S);
    set(ctx, 3, now_ns + 30 * NS_PER_MS);
    set(ctx, 4, INT64_MAX); /* was never armed */
    set(ctx, 0, INT64_MAX);
    set(ctx, 0, INT64_MAX);
    set(ctx, 1, now_ns + 40 * NS_PER_MS); /* later */
    set(ctx, 2, now_ns + 20 * NS_PER_MS); /* earlier */
}

Test(thread, a_timer_can_be_disarmed_and_moved)
{
    struct alarms alarms = {0};

    house_run(&house, act_change_minds, &alarms);
    house_until(&house, alarms.rings == 3);
    cr_assert_eq(alarms.rung[0], &alarms.alarms[2]);
    cr_assert_eq(alarms.rung[1], &alarms.alarms[3]);
    cr_assert_eq(alarms.rung[2], &alarms.alarms[1]);
    cr_assert_not(alarms.early);
}

static void act_set_three(void *ctx)
{
    for (size_t i = 0; i < 3; i++)
        set(ctx, i, clock_mono_ns());
}

Test(thread, a_timer_may_rearm_itself)
{
    struct alarms alarms = {.alarms = {{.rearm = 10}, {.rearm = 10}, {.rearm = 10}}};

    house_run(&house, act_set_three, &alarms);
    house_until(&house, alarms.rings == 33);
    cr_assert_not(alarms.early);
}

/* Fires together with its victim, before it. */
struct killer {
    struct wire_timer timer;
    struct alarms *alarms;
};

static void kill_all(struct wire_timer *timer, int64_t now_ns)
{
    struct alarms *alarms = container_of(timer, struct killer, timer)->alarms;

    (void)now_ns;
    for (size_t i = 0; i < ARRAY_LEN(alarms->alarms); i++)
        wire_timer_set(house.thread, &alarms->alarms[i].timer, INT64_MAX);
}

static void act_set_with_killer(void *ctx)
{
    struct killer *killer = ctx;
    int64_t now_ns = clock_mono_ns();

    for (size_t i = 0; i < ARRAY_LEN(killer->alarms->alarms); i++)
        set(killer->alarms, i, now_ns + 1);
    killer->timer.fired = kill_all;
    wire_timer_set(house.thread, &killer->timer, now_ns);
}

static void act_nothing(void *ctx)
{
    (void)ctx;
}

Test(thread, a_timer_that_is_due_can_still_be_disarmed)
{
    struct alarms alarms = {0};
    struct killer killer = {.alarms = &alarms};

    house_run(&house, act_set_with_killer, &killer);
    house_run(&house, act_nothing, NULL);
    house_run(&house, act_nothing, NULL);
    cr_assert_eq(alarms.rings, 0);
}

struct note {
    struct post_poll_hook ready;
    struct note *other; /* asked for from within, too */
    uint32_t again;     /* how often it asks for itself from within */
    _Atomic uint32_t ended;
};

static void end(struct post_poll_hook *ready, int64_t now_ns)
{
    struct note *note = container_of(ready, struct note, ready);

    CHECK(now_ns == wire_now(house.thread));
    if (note->other)
        wire_post_poll(house.thread, &note->other->ready);
    if (note->again > 0) {
        note->again--;
        wire_post_poll(house.thread, &note->ready);
        wire_post_poll(house.thread, &note->ready);
    }
    note->ended++;
}

static void act_note_often(void *ctx)
{
    struct note *notes = ctx;

    for (int i = 0; i < 3; i++) {
        wire_post_poll(house.thread, &notes[0].ready);
        wire_post_poll(house.thread, &notes[1].ready);
    }
    CHECK(notes[0].ended == 0); /* not from within the verb */
}

Test(thread, what_was_noted_is_done_once_at_the_ticks_end)
{
    struct note notes[3] = {{.ready = {.post_poll = end}},
                            {.ready = {.post_poll = end}, .other = &notes[2]},
                            {.ready = {.post_poll = end}}};

    for (size_t i = 0; i < ARRAY_LEN(notes); i++)
        list_init(&notes[i].ready.link);
    house_run(&house, act_note_often, notes);
    house_until(&house, notes[2].ended > 0);
    house_run(&house, act_nothing, NULL);
    house_run(&house, act_nothing, NULL);
    cr_assert_eq(notes[0].ended, 1);
    cr_assert_eq(notes[1].ended, 1);
    cr_assert_eq(notes[2].ended, 1);
}

Test(thread, what_notes_itself_again_is_done_in_the_next_tick)
{
    struct note notes[2] = {{.ready = {.post_poll = end}, .again = 500}, {.ready = {.post_poll = end}}};

    list_init(&notes[0].ready.link);
    list_init(&notes[1].ready.link);
    house_run(&house, act_note_often, notes);
    house_until(&house, notes[0].ended == 501);
    house_run(&house, act_nothing, NULL);
    cr_assert_eq(notes[0].ended, 501);
    cr_assert_eq(notes[1].ended, 1);
}

static void act_forget(void *ctx)
{
    struct note *note = ctx;

    wire_post_poll(house.thread, &note->ready);
    list_remove(&note->ready.link);
}

Test(thread, what_was_noted_can_be_taken_back)
{
    struct note note = {.ready = {.post_poll = end}};

    list_init(&note.ready.link);
    house_run(&house, act_forget, &note);
    house_run(&house, act_nothing, NULL);
    house_run(&house, act_nothing, NULL);
    cr_assert_eq(note.ended, 0);
}

static _Atomic bool burning, busy;

static void burn(struct task *task)
{
    for (int64_t until_ns = clock_mono_ns() + NS_PER_MS / 4; clock_mono_ns() < until_ns;)
        continue;
    busy = wire_busy(house.thread);
    if (burning)
        wire_post(house.thread, task);
}

static void act_ask_busy(void *ctx)
{
    (void)ctx;
    busy = wire_busy(house.thread);
}

/* Idle, it learns of it with what comes next; and it begins with work. */
static void until_idle(void)
{
    int64_t limit_ns = clock_mono_ns() + DEADLINE_NS;

    do {
        cr_assert_lt(clock_mono_ns(), limit_ns);
        house_watch(&house, 5 * NS_PER_MS);
        house_run(&house, act_ask_busy, NULL);
    } while (busy);
}

Test(thread, knows_whether_it_is_busy)
{
    struct task task = {.run = burn};

    until_idle();
    burning = true;
    wire_post(house.thread, &task);
    house_until(&house, busy);
    burning = false;
    until_idle();
}

static void count_late(struct task *task)
{
    (void)task;
    tasks_run++;
}

Test(thread, what_is_posted_after_it_ended_is_run_when_it_is_freed)
{
    struct task tasks[3] = {{.run = count_late}, {.run = count_late}, {.run = count_late}};

    grpc_channel_destroy(house.channel);
    house.channel = NULL;
    wire_thread_shutdown(house.thread, false);
    house_down(&house);
    wire_thread_join(house.thread);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        wire_post(house.thread, &tasks[i]);
    wire_thread_shutdown(house.thread, true);
    calls_drain(house.thread);
    house_close(&house);
    cr_assert_eq(tasks_run, 3);
    open_house();
}

Test(thread, what_it_posts_itself_at_its_end_is_run_when_it_is_freed)
{
    struct task last = {.run = count_late};

    house.last = &last;
    house_close(&house);
    cr_assert_eq(tasks_run, 1);
    open_house();
}

Test(thread, one_that_was_never_started_can_be_freed)
{
    const struct wire_settings settings = {
        .max_message_bytes = 1000, .max_calls_per_connection = 1, .resource_quota_bytes = 1000000};
    const struct method twice[] = {{"/a/b", &unary_port, NULL}, {"/a/b", &unary_port, NULL}};
    struct wire_thread *bare, *served;

    cr_assert_eq(wire_thread_new(&settings, &bare).code, ERR_OK);
    wire_thread_free(bare);
    cr_assert_eq(wire_thread_new(&settings, &served).code, ERR_OK);
    cr_assert_eq(calls_serve(served, twice, 1), ERR_OK);
    wire_thread_join(served);
    wire_thread_free(served);
    wire_thread_free(NULL);
}
