/* job_table.c - see job_table.h. A key whose size is 0 says that the job is not in the map. */
#include "client/tool/job_table.h"

#include <stdlib.h>

static struct bytes key_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

void job_table_init(struct job_table *table)
{
    *table = (struct job_table){.due = {0}};
    list_init(&table->jobs);
    map_init(&table->by_activation);
    map_init(&table->by_pid);
}

void job_table_fini(struct job_table *table)
{
    map_fini(&table->by_activation);
    map_fini(&table->by_pid);
    heap_fini(&table->due);
}

struct job *job_table_new(struct job_table *table)
{
    struct job *job = NULL;

    if (map_reserve(&table->by_activation) != ERR_OK || map_reserve(&table->by_pid) != ERR_OK ||
        heap_reserve(&table->due, table->by_pid.count + 1) != ERR_OK || !(job = calloc(1, sizeof(*job))))
        return NULL;
    list_init(&job->link);
    return job;
}

void job_table_add(struct job_table *table, struct job *job, uint64_t activation)
{
    job->activation = activation;
    job->pid = job->spawn.pid;
    job->of_activation.key = key_of(&job->activation, sizeof(job->activation));
    job->of_pid.key = key_of(&job->pid, sizeof(job->pid));
    CHECK(map_add(&table->by_activation, &job->of_activation) == ERR_OK); /* reserved */
    CHECK(map_add(&table->by_pid, &job->of_pid) == ERR_OK);
    list_append(&table->jobs, &job->link);
}

static void leave(struct map *map, struct map_node *node)
{
    if (node->key.size == 0)
        return;
    map_remove(map, node);
    node->key.size = 0;
}

void job_table_leave_activation(struct job_table *table, struct job *job)
{
    leave(&table->by_activation, &job->of_activation);
}

void job_table_leave_pid(struct job_table *table, struct job *job)
{
    leave(&table->by_pid, &job->of_pid);
    heap_remove(&table->due, &job->due);
}

void job_table_free(struct job_table *table, struct job *job)
{
    if (!job)
        return;
    job_table_leave_activation(table, job);
    job_table_leave_pid(table, job);
    list_remove(&job->link);
    buf_fini(&job->rest);
    free(job);
}

struct job *job_table_find(const struct job_table *table, uint64_t activation)
{
    struct map_node *node = map_find(&table->by_activation, key_of(&activation, sizeof(activation)));

    return node ? container_of(node, struct job, of_activation) : NULL;
}

struct job *job_table_find_pid(const struct job_table *table, pid_t pid)
{
    struct map_node *node = map_find(&table->by_pid, key_of(&pid, sizeof(pid)));

    return node ? container_of(node, struct job, of_pid) : NULL;
}

void job_table_set_due(struct job_table *table, struct job *job, int64_t at_ns)
{
    CHECK(heap_set(&table->due, &job->due, at_ns) == ERR_OK); /* reserved */
}

struct job *job_table_take_due(struct job_table *table, int64_t now_ns)
{
    struct heap_node *first = heap_first(&table->due);

    if (!first || first->key > now_ns)
        return NULL;
    heap_remove(&table->due, first);
    return container_of(first, struct job, due);
}

int64_t job_table_next_due_ns(const struct job_table *table)
{
    const struct heap_node *first = heap_first(&table->due);

    return first ? first->key : INT64_MAX;
}
