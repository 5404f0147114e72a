/* served_call.c - see served_call.h. */
#include "server/dial/served_call.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "server/dial/metadata_names.h"

struct served_call {
    struct called called;
    struct cq_thread *thread;
    void (*moved)(void *ctx);
    void *ctx;
    struct task task; /* holds a reference while it is posted */

    pthread_mutex_t lock;
    bool left;
    struct list links;             /* struct served_link */
    struct list ends;              /* struct served_end, oldest first */
    uint32_t behind;               /* of `links` */
    uint32_t join_count, expected; /* upstreams, since the call began */
    bool is_expecting;             /* `expected` is known */
    bool is_claimed;               /* an upstream has the one answer */
    uint64_t number;               /* of `message`; 0: the first one, which is not here */
    struct shared_bytes *message;  /* the latest; NULL: there is none */
    bool half_closed, is_posted;

    char *method;
    size_t metadata_count, metadata_capacity;
    struct pair *metadata; /* each with its own memory: the name, then the value */
};

static void free_ends(struct served_call *call)
{
    struct list *node;

    while ((node = list_first(&call->ends))) {
        list_remove(node);
        served_end_free(container_of(node, struct served_end, link));
    }
}

static void free_call(struct called *called)
{
    struct served_call *call = container_of(called, struct served_call, called);

    free_ends(call);
    for (size_t i = 0; i < call->metadata_count; i++)
        free((void *)(uintptr_t)call->metadata[i].name.data);
    free(call->metadata);
    shared_bytes_release(call->message);
    pthread_mutex_destroy(&call->lock);
    free(call->method);
    free(call);
}

static void on_moved(struct task *task)
{
    struct served_call *call = container_of(task, struct served_call, task);

    pthread_mutex_lock(&call->lock);
    const bool left = call->left;
    call->is_posted = false;
    pthread_mutex_unlock(&call->lock);
    if (!left)
        call->moved(call->ctx);
    served_call_release(call);
}

/* One piece of memory, which begins with the name. */
static bool pair_copy(struct pair *to, const struct pair *from)
{
    uint8_t *memory = malloc(from->name.size + from->value.size + 1);

    if (!memory)
        return false;
    memcpy(memory, from->name.data, from->name.size);
    if (from->value.size > 0)
        memcpy(memory + from->name.size, from->value.data, from->value.size);
    *to = (struct pair){{memory, from->name.size}, {memory + from->name.size, from->value.size}};
    return true;
}

struct served_call *served_call_new(const struct served_call_params *params)
{
    struct served_call *call = calloc(1, sizeof(*call));
    char *method = strndup((const char *)params->method.data, params->method.size);

    if (!call || !method) {
        free(call);
        free(method);
        return NULL;
    }
    atomic_init(&call->called.refs, 1);
    call->called.free = free_call;
    call->called.method = text_bytes(method);
    call->method = method;
    call->thread = params->thread;
    call->moved = params->moved;
    call->ctx = params->ctx;
    call->task.run = on_moved;
    CHECK(pthread_mutex_init(&call->lock, NULL) == 0);
    list_init(&call->links);
    list_init(&call->ends);
    return call;
}

void served_call_release(struct served_call *call)
{
    if (call)
        called_release(&call->called);
}

struct called *served_call_called(struct served_call *call)
{
    return &call->called;
}

struct served_call *served_call_of(struct called *called)
{
    return container_of(called, struct served_call, called);
}

bool served_call_add_metadata(struct served_call *call, const struct pair *pair)
{
    struct pair *metadata = call->metadata;

    if (!metadata_may_pass(pair->name, pair->value))
        return true;
    if (call->metadata_count == call->metadata_capacity) {
        const size_t capacity = MAX_OF(2 * call->metadata_capacity, (size_t)8);

        metadata = realloc(call->metadata, capacity * sizeof(*metadata));
        if (!metadata)
            return false;
        call->metadata = metadata;
        call->metadata_capacity = capacity;
    }
    if (!pair_copy(&metadata[call->metadata_count], pair))
        return false;
    call->metadata_count++;
    call->called.kept_bytes += pair->name.size + pair->value.size + sizeof(*pair);
    return true;
}

const struct pair *served_call_metadata(const struct served_call *call, size_t *count_out)
{
    *count_out = call->metadata_count;
    return call->metadata;
}

/* ---- the client's call ---- */

void served_call_expect(struct served_call *call, uint32_t count)
{
    pthread_mutex_lock(&call->lock);
    call->expected = count;
    call->is_expecting = true;
    pthread_mutex_unlock(&call->lock);
}

/* Under the lock. */
static bool waits(const struct served_call *call)
{
    return call->behind > 0 || call->join_count < call->expected;
}

/* Under the lock. Calls moved() where nobody is waited for any more. */
static void post_if_moved(struct served_call *call)
{
    if (waits(call) || call->is_posted)
        return;
    call->is_posted = true;
    called_retain(&call->called);
    cq_post(call->thread, &call->task);
}

void served_call_expect_less(struct served_call *call)
{
    pthread_mutex_lock(&call->lock);
    if (call->join_count < call->expected) {
        call->expected--;
        post_if_moved(call);
    }
    pthread_mutex_unlock(&call->lock);
}

bool served_call_send(struct served_call *call, struct shared_bytes *message)
{
    pthread_mutex_lock(&call->lock);
    if (waits(call)) {
        pthread_mutex_unlock(&call->lock);
        return false;
    }
    shared_bytes_release(call->message);
    call->message = shared_bytes_retain(message);
    call->number++;
    list_each(node, next, &call->links) {
        struct served_link *link = container_of(node, struct served_link, link);

        if (link->is_late)
            continue;
        link->is_behind = true;
        call->behind++;
        link->wake(link);
    }
    pthread_mutex_unlock(&call->lock);
    return true;
}

void served_call_half_close(struct served_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->half_closed = true;
    list_each(node, next, &call->links) {
        struct served_link *link = container_of(node, struct served_link, link);

        link->wake(link);
    }
    pthread_mutex_unlock(&call->lock);
}

void served_call_leave(struct served_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->left = true;
    free_ends(call);
    pthread_mutex_unlock(&call->lock);
}

struct served_end *served_call_end_of(struct served_call *call, const char *name)
{
    struct served_end *found = NULL;

    pthread_mutex_lock(&call->lock);
    list_each(node, next, &call->ends) {
        struct served_end *end = container_of(node, struct served_end, link);

        if (found || strcmp(end->name, name) != 0)
            continue;
        list_remove(&end->link);
        found = end;
    }
    pthread_mutex_unlock(&call->lock);
    return found;
}

void served_end_add_trailer(struct served_end *end, const struct pair *pair)
{
    if (end->trailer_count < MAX_SERVED_TRAILERS && pair_copy(&end->trailers[end->trailer_count], pair))
        end->trailer_count++;
}

void served_end_free(struct served_end *end)
{
    if (!end)
        return;
    for (size_t i = 0; i < end->trailer_count; i++)
        free((void *)(uintptr_t)end->trailers[i].name.data);
    free((void *)(uintptr_t)end->details.data);
    upstream_cost_give_back(end->costs, &end->cost);
    free(end);
}

/* ---- an upstream call ---- */

/* Under the lock. */
static void catch_up(struct served_call *call, struct served_link *link)
{
    if (!link->is_behind)
        return;
    link->is_behind = false;
    call->behind--;
    post_if_moved(call);
}

void served_link_join(struct served_link *link, struct served_call *call)
{
    called_retain(&call->called);
    link->call = call;
    pthread_mutex_lock(&call->lock);
    list_append(&call->links, &link->link);
    link->next = call->number + 1;
    link->is_late = call->is_expecting && call->join_count >= call->expected;
    link->is_behind = !link->is_late;
    call->behind += link->is_behind;
    call->join_count++;
    pthread_mutex_unlock(&call->lock);
}

void served_link_accepted(struct served_link *link)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    if (link->is_late)
        link->next = call->number + 1;
    link->is_late = false;
    pthread_mutex_unlock(&call->lock);
}

bool served_link_claim(struct served_link *link)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    const bool is_first = !call->is_claimed;
    call->is_claimed = true;
    pthread_mutex_unlock(&call->lock);
    return is_first;
}

struct shared_bytes *served_link_next(struct served_link *link)
{
    struct served_call *call = link->call;
    struct shared_bytes *message = NULL;

    pthread_mutex_lock(&call->lock);
    if (link->next <= call->number) {
        message = shared_bytes_retain(call->message);
        link->next = call->number + 1;
    }
    pthread_mutex_unlock(&call->lock);
    return message;
}

void served_link_sent(struct served_link *link)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    if (link->next > call->number)
        catch_up(call, link);
    pthread_mutex_unlock(&call->lock);
}

bool served_link_is_done(struct served_link *link)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    const bool is_done = call->half_closed && link->next > call->number;
    pthread_mutex_unlock(&call->lock);
    return is_done;
}

void served_link_leave(struct served_link *link)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    list_remove(&link->link);
    catch_up(call, link);
    pthread_mutex_unlock(&call->lock);
}

void served_link_report(struct served_link *link, struct served_end *end)
{
    struct served_call *call = link->call;

    pthread_mutex_lock(&call->lock);
    const bool left = call->left;
    if (!left)
        list_append(&call->ends, &end->link);
    pthread_mutex_unlock(&call->lock);
    if (left)
        served_end_free(end);
}

void served_link_fini(struct served_link *link)
{
    served_call_release(link->call);
    link->call = NULL;
}
