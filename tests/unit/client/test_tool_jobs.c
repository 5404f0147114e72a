/* test_tool_jobs.c - how `tributary serve` finds the job of an activation or of a process, and the
 * one whose signal is due. No process runs. */
#include <criterion/criterion.h>

#include "client/tool/job_table.h"

static struct job *add(struct job_table *table, uint64_t activation, pid_t pid)
{
    struct job *job = job_table_new(table);

    cr_assert_not_null(job);
    job->spawn.pid = pid;
    job_table_add(table, job, activation);
    return job;
}

Test(tool_jobs, a_job_is_found_by_activation_and_by_process)
{
    struct job_table table;

    job_table_init(&table);
    for (pid_t i = 1; i <= 4096; i++)
        add(&table, (uint64_t)i, 10000 + i);
    for (pid_t i = 1; i <= 4096; i++) {
        struct job *job = job_table_find(&table, (uint64_t)i);

        cr_assert_not_null(job);
        cr_assert_eq(job_table_find_pid(&table, 10000 + i), job);
        job_table_free(&table, job);
        cr_assert_null(job_table_find(&table, (uint64_t)i));
        cr_assert_null(job_table_find_pid(&table, 10000 + i));
    }
    cr_assert(list_empty(&table.jobs));
    job_table_fini(&table);
}

Test(tool_jobs, the_number_of_an_abandoned_job_can_be_used_again)
{
    struct job_table table;

    job_table_init(&table);

    struct job *first = add(&table, 1, 100);

    job_table_leave_activation(&table, first);
    job_table_leave_activation(&table, first);
    cr_assert_null(job_table_find(&table, 1));

    struct job *second = add(&table, 1, 101);

    cr_assert_eq(job_table_find(&table, 1), second);
    cr_assert_eq(job_table_find_pid(&table, 100), first, "its process still runs");
    job_table_free(&table, first);
    job_table_free(&table, second);
    job_table_fini(&table);
}

Test(tool_jobs, signals_are_due_in_the_order_of_their_times)
{
    struct job_table table;

    job_table_init(&table);

    struct job *late = add(&table, 1, 100);
    struct job *soon = add(&table, 2, 101);
    struct job *ended = add(&table, 3, 102);

    cr_assert_eq(job_table_next_due_ns(&table), INT64_MAX);
    job_table_set_due(&table, late, 30);
    job_table_set_due(&table, soon, 20);
    job_table_set_due(&table, ended, 10);
    job_table_leave_pid(&table, ended);
    cr_assert_null(job_table_find_pid(&table, 102));
    cr_assert_eq(job_table_next_due_ns(&table), 20);
    cr_assert_null(job_table_take_due(&table, 19));
    cr_assert_eq(job_table_take_due(&table, 40), soon);
    cr_assert_eq(job_table_take_due(&table, 40), late);
    cr_assert_null(job_table_take_due(&table, 40));
    job_table_free(&table, late);
    job_table_free(&table, soon);
    job_table_free(&table, ended);
    job_table_fini(&table);
}

Test(tool_jobs, a_job_whose_process_did_not_start_is_freed)
{
    struct job_table table;

    job_table_init(&table);
    job_table_free(&table, job_table_new(&table));
    job_table_free(&table, NULL);
    cr_assert_eq(table.by_activation.count + table.by_pid.count, 0);
    job_table_fini(&table);
}
