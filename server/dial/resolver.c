/* resolver.c - see resolver.h. */
#include "server/dial/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "loop/detached.h"

#define MAX_RUNNING 8u      /* that are in time, and late ones that could not leave their places */
#define MAX_SLOW_RUNNING 2u /* of them: names that were late the last time */
#define MAX_LATE 24u        /* that have left their places */

struct resolver {
    struct loop *loop;
    struct detached *threads;
    struct list waiting, slow_waiting; /* struct lookup */
    struct list all;                   /* struct running_lookup */
    unsigned running, slow_running, late;
};

/* One lookup on its thread. It may outlive the lookup that it is for, and the resolver. */
struct running_lookup {
    struct detached_job job;
    /* Constant while run() works, which alone writes `answer`. */
    char host[256];
    uint16_t port;
    struct address_list answer;
    /* Loop only. */
    struct resolver *resolver;
    struct list in_all;
    struct lookup *of; /* NULL: cancelled */
    bool is_slow, has_left;
    struct timer deadline;
};

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver)
        return NULL;
    resolver->loop = loop;
    resolver->threads = detached_new(loop);
    list_init(&resolver->waiting);
    list_init(&resolver->slow_waiting);
    list_init(&resolver->all);
    if (resolver->threads)
        return resolver;
    free(resolver);
    return NULL;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    CHECK(list_empty(&resolver->waiting) && list_empty(&resolver->slow_waiting));
    list_each(node, safe, &resolver->all) {
        timer_stop(&container_of(node, struct running_lookup, in_all)->deadline);
        list_remove(node);
    }
    detached_free(resolver->threads);
    free(resolver);
}

static void run(struct detached_job *job)
{
    struct running_lookup *running = container_of(job, struct running_lookup, job);

    address_list_resolve(&running->answer, running->host, running->port);
}

static void drop(struct detached_job *job)
{
    struct running_lookup *running = container_of(job, struct running_lookup, job);

    address_list_fini(&running->answer);
    free(running);
}

static void leave_place(struct running_lookup *running)
{
    struct resolver *resolver = running->resolver;

    resolver->running--;
    if (running->is_slow)
        resolver->slow_running--;
    running->has_left = true;
}

static void start_waiting(struct resolver *resolver);

static void done(struct detached_job *job)
{
    struct running_lookup *running = container_of(job, struct running_lookup, job);
    struct resolver *resolver = running->resolver;
    struct lookup *lookup = running->of;

    timer_stop(&running->deadline);
    list_remove(&running->in_all);
    if (running->has_left)
        resolver->late--;
    else
        leave_place(running);
    if (lookup) {
        lookup->running = NULL;
        lookup->answered(lookup, &running->answer);
    }
    drop(job);
    start_waiting(resolver);
}

static void on_deadline(struct timer *timer)
{
    struct running_lookup *running = container_of(timer, struct running_lookup, deadline);
    struct resolver *resolver = running->resolver;

    if (resolver->late < MAX_LATE) {
        resolver->late++;
        leave_place(running);
    }
    if (running->of) {
        running->of->was_late = true;
        running->of->late(running->of);
    }
    start_waiting(resolver);
}

static void fail(struct lookup *lookup, const char *reason)
{
    struct address_list answer = {.count = 0};

    snprintf(answer.fault, sizeof(answer.fault), "%s", reason);
    lookup->answered(lookup, &answer);
}

static void start_one(struct resolver *resolver, struct lookup *lookup)
{
    struct running_lookup *running = calloc(1, sizeof(*running));

    list_remove(&lookup->link);
    lookup->waits = false;
    if (!running) {
        fail(lookup, "out of memory");
        return;
    }
    running->resolver = resolver;
    running->job = (struct detached_job){.run = run, .done = done, .drop = drop};
    running->is_slow = lookup->was_late;
    running->port = lookup->port;
    memcpy(running->host, lookup->host, sizeof(running->host));
    running->deadline.fired = on_deadline;
    if (timer_start(resolver->loop, &running->deadline, RESOLVER_DEADLINE_NS) != ERR_OK ||
        detached_start(resolver->threads, &running->job) != ERR_OK) {
        timer_stop(&running->deadline);
        free(running);
        fail(lookup, "there is no thread to ask the resolver");
        return;
    }
    count_add(COUNT_DNS_LOOKUPS, 1);
    list_append(&resolver->all, &running->in_all);
    running->of = lookup;
    lookup->running = running;
    lookup->was_late = false;
    resolver->running++;
    if (running->is_slow)
        resolver->slow_running++;
}

static struct list *next_waiting(struct resolver *resolver)
{
    if (resolver->running >= MAX_RUNNING)
        return NULL;
    if (!list_empty(&resolver->slow_waiting) && resolver->slow_running < MAX_SLOW_RUNNING)
        return list_first(&resolver->slow_waiting);
    return list_first(&resolver->waiting);
}

static void start_waiting(struct resolver *resolver)
{
    struct list *node;

    while ((node = next_waiting(resolver)))
        start_one(resolver, container_of(node, struct lookup, link));
}

void resolver_start(struct resolver *resolver, struct lookup *lookup)
{
    if (lookup->waits || lookup->running)
        return;
    lookup->waits = true;
    list_init(&lookup->link);
    list_append(lookup->was_late ? &resolver->slow_waiting : &resolver->waiting, &lookup->link);
    start_waiting(resolver);
}

void resolver_cancel(struct lookup *lookup)
{
    if (lookup->waits)
        list_remove(&lookup->link);
    lookup->waits = false;
    if (lookup->running)
        lookup->running->of = NULL;
    lookup->running = NULL;
}
