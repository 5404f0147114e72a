/* calls.c - the table of methods, and the slots into which the core puts new calls. */
#include "server/wire/calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"

/* Calls that the core may hand over before we ask again. */
#define SLOTS 128

struct slot {
    struct wire_op op;
    struct calls *calls;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct method_node {
    struct map_node node;
    const struct method *method;
};

struct calls {
    struct call_acceptor acceptor;
    struct wire_thread *thread;
    struct map methods;
    struct method_node *nodes;
    struct list live;
    struct task drain;
    bool draining, refusing;
    struct slot slots[SLOTS];
};

static const struct method *find(const struct calls *calls, grpc_slice path)
{
    const struct map_node *node =
        map_find(&calls->methods, (struct bytes){GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path)});

    return node ? container_of(node, struct method_node, node)->method : NULL;
}

static void ask(struct slot *slot)
{
    struct calls *calls = slot->calls;

    slot->core = NULL;
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_init(&slot->metadata);
    grpc_call_error error = grpc_server_request_call(
        wire_thread_server(calls->thread), &slot->core, &slot->details, &slot->metadata,
        wire_thread_queue(calls->thread), wire_thread_queue(calls->thread), &slot->op);
    CHECK(error == GRPC_CALL_OK);
}

static void on_asked(struct wire_op *op, bool ok)
{
    struct slot *slot = container_of(op, struct slot, op);
    struct calls *calls = slot->calls;

    if (ok && slot->core)
        call_open(calls->thread, &calls->live, find(calls, slot->details.method), slot->core, &slot->details,
                  calls->draining);
    grpc_call_details_destroy(&slot->details);
    grpc_metadata_array_destroy(&slot->metadata);
    if (ok && !calls->refusing)
        ask(slot);
}

static void accept_calls(struct call_acceptor *acceptor)
{
    struct calls *calls = container_of(acceptor, struct calls, acceptor);

    for (size_t i = 0; i < SLOTS; i++) {
        calls->slots[i].op.done = on_asked;
        calls->slots[i].calls = calls;
        ask(&calls->slots[i]);
    }
}

static void refuse_calls(struct call_acceptor *acceptor)
{
    container_of(acceptor, struct calls, acceptor)->refusing = true;
}

static bool no_calls(struct call_acceptor *acceptor)
{
    return list_empty(&container_of(acceptor, struct calls, acceptor)->live);
}

static void free_calls(struct call_acceptor *acceptor)
{
    struct calls *calls = container_of(acceptor, struct calls, acceptor);

    map_fini(&calls->methods);
    free(calls->nodes);
    free(calls);
}

static void on_drain(struct task *task)
{
    struct calls *calls = container_of(task, struct calls, drain);

    calls->draining = true;
    calls_notify_draining(&calls->live);
}

enum err calls_serve(struct wire_thread *thread, const struct method *methods, size_t count)
{
    struct calls *calls = calloc(1, sizeof(*calls));
    struct method_node *nodes = calloc(count + 1, sizeof(*nodes));

    if (!calls || !nodes) {
        free(calls);
        free(nodes);
        return ERR_NO_MEMORY;
    }
    calls->acceptor = (struct call_acceptor){
        .accept = accept_calls, .refuse = refuse_calls, .empty = no_calls, .free = free_calls};
    calls->thread = thread;
    calls->nodes = nodes;
    calls->drain.run = on_drain;
    list_init(&calls->live);
    map_init(&calls->methods);
    wire_thread_set_acceptor(thread, &calls->acceptor);
    for (size_t i = 0; i < count; i++) {
        nodes[i].method = &methods[i];
        nodes[i].node.key = (struct bytes){(const uint8_t *)methods[i].path, strlen(methods[i].path)};
        enum err err = map_add(&calls->methods, &nodes[i].node);
        if (err)
            return err;
    }
    return ERR_OK;
}

void calls_drain(struct wire_thread *thread)
{
    wire_post(thread, &container_of(wire_thread_acceptor(thread), struct calls, acceptor)->drain);
}
