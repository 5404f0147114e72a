/* job_table.h - the commands of `tributary serve`, by activation, by process, and by the time of
 * their next signal. There may be thousands, so nothing here walks over all of them.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TOOL_JOB_TABLE_H
#define TRIBUTARY_TOOL_JOB_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "client/tool/spawn.h"

/* One command. What it does is in serve_jobs.c; the first members belong to the table. */
struct job {
    struct list link;              /* in table->jobs */
    struct map_node of_activation; /* in table->by_activation */
    struct map_node of_pid;        /* in table->by_pid */
    struct heap_node due;          /* in table->due */
    uint64_t activation;
    pid_t pid;

    struct spawn spawn;
    struct buf rest;   /* output that was read and not yet sent */
    uint64_t parts;    /* of the line that has begun, that were sent */
    bool paused, full; /* either: its output is not read at the moment */
    bool polled;       /* the epoll set holds its output */
    bool closed;       /* its output has ended */
    bool reaped;       /* its process has ended, and `status` is set */
    bool stop_requested, abandoned;
    int status; /* as from waitpid() */
    int next_signal;
};

struct job_table {
    struct list jobs;         /* all that were added */
    struct map by_activation; /* without those that left it */
    struct map by_pid;        /* without those that left it */
    struct heap due;          /* those that get a signal, by when */
};

void job_table_init(struct job_table *table);
void job_table_fini(struct job_table *table); /* the table must be empty */

/* Makes a job, and space for it in the table. NULL: out of memory. */
struct job *job_table_new(struct job_table *table);

/* Adds the job that job_table_new() made last: its process runs. No other job may have this
 * activation. */
void job_table_add(struct job_table *table, struct job *job, uint64_t activation);

/* Takes the job out and frees it, also one that was not added. NULL is allowed. */
void job_table_free(struct job_table *table, struct job *job);

/* Finds a job. NULL: there is none. */
struct job *job_table_find(const struct job_table *table, uint64_t activation);
struct job *job_table_find_pid(const struct job_table *table, pid_t pid);

/* From now on the job is not found by its activation. A second call does nothing. */
void job_table_leave_activation(struct job_table *table, struct job *job);

/* The process has ended: from now on the job is not found by it, and gets no signal. A second call
 * does nothing. */
void job_table_leave_pid(struct job_table *table, struct job *job);

/* Sets when the job gets its next signal; clock_mono_ns(). */
void job_table_set_due(struct job_table *table, struct job *job, int64_t at_ns);

/* Returns a job whose signal is due, and forgets the time. NULL: there is none. */
struct job *job_table_take_due(struct job_table *table, int64_t now_ns);

/* When the next signal is due; INT64_MAX: none. */
int64_t job_table_next_due_ns(const struct job_table *table);

#endif
