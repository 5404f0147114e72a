/* test_mailbox.c - one owner, many posters: order, what one run takes, exactly once. */
#include "base/mailbox.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define POSTERS 4u
#define TASKS 20000u

struct noted {
    struct task task;
    int id;
    struct mailbox *mailbox;
    struct noted *posts; /* run() posts it; may be this one */
    bool freed;
};

static int order[16];
static unsigned order_count;

static void note(struct task *task)
{
    struct noted *noted = container_of(task, struct noted, task);

    cr_assert_lt(order_count, ARRAY_LEN(order));
    order[order_count++] = noted->id;
    if (noted->posts)
        mailbox_post(noted->mailbox, &noted->posts->task);
    if (noted->freed)
        free(noted);
}

static struct noted noted_as(int id)
{
    return (struct noted){.task = {.run = note}, .id = id};
}

Test(mailbox, runs_tasks_in_the_order_they_were_posted)
{
    struct mailbox mailbox = {NULL};
    struct noted tasks[4];

    for (int i = 0; i < 4; i++) {
        tasks[i] = noted_as(i);
        mailbox_post(&mailbox, &tasks[i].task);
    }
    cr_assert_eq(order_count, 0, "posting runs nothing");
    mailbox_run(&mailbox);
    cr_assert_eq(order_count, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(order[i], i);
    mailbox_run(&mailbox);
    cr_assert_eq(order_count, 4, "a task runs once for each post");
}

Test(mailbox, tells_the_first_poster_that_it_was_empty)
{
    struct mailbox mailbox = {NULL};
    struct noted first = noted_as(0), second = noted_as(1);

    cr_assert(mailbox_is_empty(&mailbox));
    cr_assert(mailbox_post(&mailbox, &first.task));
    cr_assert_not(mailbox_is_empty(&mailbox));
    cr_assert_not(mailbox_post(&mailbox, &second.task));
    mailbox_run(&mailbox);
    cr_assert(mailbox_is_empty(&mailbox));
    cr_assert(mailbox_post(&mailbox, &first.task), "and again after it was emptied");
}

Test(mailbox, keeps_what_a_task_posts_for_the_next_run)
{
    struct mailbox mailbox = {NULL};
    struct noted again = noted_as(0), other = noted_as(1);

    again.mailbox = &mailbox;
    again.posts = &again;
    mailbox_post(&mailbox, &again.task);
    mailbox_post(&mailbox, &other.task);
    mailbox_run(&mailbox);
    cr_assert_eq(order_count, 2);
    cr_assert_eq(order[1], 1);
    cr_assert_not(mailbox_is_empty(&mailbox));
    again.posts = NULL;
    mailbox_run(&mailbox);
    cr_assert_eq(order_count, 3);
    cr_assert_eq(order[2], 0);
    cr_assert(mailbox_is_empty(&mailbox));
}

Test(mailbox, lets_a_task_free_itself_before_others_run)
{
    struct mailbox mailbox = {NULL};
    struct noted *freed = malloc(sizeof(*freed));
    struct noted last = noted_as(8);

    *freed = noted_as(7);
    freed->freed = true;
    mailbox_post(&mailbox, &freed->task);
    mailbox_post(&mailbox, &last.task);
    mailbox_run(&mailbox);
    cr_assert_eq(order_count, 2);
    cr_assert_eq(order[1], 8);
}

struct stamped {
    struct task task;
    unsigned poster;
    unsigned number;
};

struct poster {
    pthread_t thread;
    struct mailbox *mailbox;
    unsigned index;
    struct stamped *tasks;
};

static unsigned next_number[POSTERS];
static unsigned arrived;

static void arrive(struct task *task)
{
    struct stamped *stamped = container_of(task, struct stamped, task);

    cr_assert_eq(stamped->number, next_number[stamped->poster]);
    next_number[stamped->poster]++;
    arrived++;
}

static void *post_all(void *argument)
{
    struct poster *poster = argument;

    for (unsigned i = 0; i < TASKS; i++) {
        poster->tasks[i] = (struct stamped){.task = {.run = arrive}, .poster = poster->index, .number = i};
        mailbox_post(poster->mailbox, &poster->tasks[i].task);
    }
    return NULL;
}

Test(mailbox, keeps_the_order_of_each_of_many_posters)
{
    struct mailbox mailbox = {NULL};
    struct poster posters[POSTERS];

    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.mailbox = &mailbox, .index = i};
        posters[i].tasks = calloc(TASKS, sizeof(*posters[i].tasks));
        cr_assert(posters[i].tasks);
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    while (arrived < POSTERS * TASKS) {
        mailbox_run(&mailbox);
        sched_yield();
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        cr_assert_eq(next_number[i], TASKS);
        free(posters[i].tasks);
    }
    cr_assert(mailbox_is_empty(&mailbox));
}
