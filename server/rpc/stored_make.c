/* stored_make.c - topics that are made because something is published to them. */
#include "server/rpc/stored_make.h"

#include <string.h>

#include "loop/loop.h"

static void run(struct stored_makings *makings);

void stored_makings_init(struct stored_makings *makings)
{
    peer_queue_init(&makings->waiting);
    makings->running = 0;
    makings->is_running = false;
}

void stored_makings_fini(struct stored_makings *makings)
{
    peer_queue_fini(&makings->waiting);
}

static void on_made(struct task *task)
{
    struct stored_making *making = container_of(task, struct stored_making, task);

    making->made(making);
}

static void on_changed(struct topics_change *change, enum fault_reason reason)
{
    struct stored_making *making = container_of(change, struct stored_making, change);
    struct stored_makings *makings = making->makings;

    if (reason == FAULT_TOPIC_EXISTS || reason == FAULT_NONE) /* with other settings: it is there */
        change->fault.reason = FAULT_NONE;
    makings->running--;
    making->task.run = on_made;
    cq_post(making->thread, &making->task);
    run(makings);
}

/* A topic that is there already is made at once. */
static void run(struct stored_makings *makings)
{
    struct peer_entry *first;

    if (makings->is_running)
        return;
    makings->is_running = true;
    while (makings->running < MAX_MAKINGS && (first = peer_queue_first(&makings->waiting))) {
        struct stored_making *making = container_of(first, struct stored_making, entry);

        peer_queue_serve(&makings->waiting, first);
        makings->running++;
        topics_change(making->topics, &making->change);
    }
    makings->is_running = false;
}

static void begin(struct task *task)
{
    struct stored_making *making = container_of(task, struct stored_making, task);

    peer_entry_init(&making->entry, making->change.peer);
    peer_queue_add(&making->makings->waiting, &making->entry);
    run(making->makings);
}

void stored_make(struct stored_making *making, struct loop *loop, struct bytes name)
{
    CHECK(name.size > 0 && name.size <= sizeof(making->name));
    memcpy(making->name, name.data, name.size);
    making->change.verb = TOPIC_CREATE;
    making->change.name = (struct bytes){making->name, name.size};
    making->change.settings = topics_made_settings(making->topics);
    making->change.done = on_changed;
    making->task.run = begin;
    loop_post(loop, &making->task);
}
