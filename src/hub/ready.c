/* ready.c - the hub's ready list. */
#include "hub/ready.h"

#include "base/base.h"

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

void ready_call_last(struct ready *ready)
{
    ready_call(ready);
    list_remove(&ready->in_calls);
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

static bool step(struct slice *slice)
{
    struct ready_list *list = container_of(slice, struct ready_list, slice);
    bool more;

    list->running = true;
    more = run_one(list) || call_one(list);
    list->running = false;
    if (!more && list->emptied)
        list->emptied(list); /* it may call ready_run(), or free the list */
    return more;
}

void ready_list_init(struct ready_list *list, struct loop *loop)
{
    *list = (struct ready_list){.loop = loop};
    list_init(&list->ready);
    list_init(&list->calls);
    slice_init(&list->slice, step);
}

void ready_run(struct ready_list *list)
{
    if (!list->running)
        loop_slice(list->loop, &list->slice);
}
