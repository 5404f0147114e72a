/* ready.c - the hub's ready list. */
#include "hub/ready.h"

#include "base/base.h"

void ready_list_init(struct ready_list *list)
{
    *list = (struct ready_list){.running = false};
    list_init(&list->ready);
    list_init(&list->calls);
}

void ready_init(struct ready *ready, const struct ready_kind *kind, struct ready_list *list)
{
    *ready = (struct ready){.kind = kind, .list = list};
    list_init(&ready->in_ready);
    list_init(&ready->in_calls);
}

void ready_add(struct ready *ready)
{
    if (!list_empty(&ready->in_ready))
        return;
    ready->kind->retain(ready);
    list_append(&ready->list->ready, &ready->in_ready);
}

void ready_call(struct ready *ready)
{
    if (!list_empty(&ready->in_calls))
        return;
    ready->kind->retain(ready);
    list_append(&ready->list->calls, &ready->in_calls);
}

static bool run_one(struct ready_list *list)
{
    struct list *node = list_first(&list->ready);
    struct ready *ready;

    if (!node)
        return false;
    list_remove(node);
    ready = container_of(node, struct ready, in_ready);
    ready->kind->run(ready);
    ready->kind->release(ready);
    return true;
}

static bool call_one(struct ready_list *list)
{
    struct list *node = list_first(&list->calls);
    struct ready *ready;

    if (!node)
        return false;
    list_remove(node);
    ready = container_of(node, struct ready, in_calls);
    ready->kind->call(ready);
    ready->kind->release(ready);
    return true;
}

void ready_run(struct ready_list *list)
{
    if (list->running)
        return;
    list->running = true;
    while (run_one(list) || call_one(list))
        continue;
    list->running = false;
    if (list->emptied)
        list->emptied(list);
}
