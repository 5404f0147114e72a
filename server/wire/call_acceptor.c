/* call_acceptor.c - the table of methods, and the slots into which the core puts new calls. */
#include "server/wire/call_acceptor.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "grpc/op.h"

/* How many calls the core may hand over before we ask for more. */
#define SLOTS 128

/* One request for a call; the address of `op` is the tag. */
struct slot {
    struct op op;
    struct acceptor *acceptor;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct method_node {
    struct map_node node;
    const struct method *method;
};

struct acceptor {
    struct call_acceptor interface; /* what the wire thread knows of it */
    struct wire_thread *thread;
    struct map methods;
    const struct method *any; /* NULL: none */
    struct method_node *nodes;
    struct list live;
    struct task drain;
    bool draining, refusing;
    struct slot slots[SLOTS];
};

static const struct method *find_method(const struct acceptor *acceptor, grpc_slice path)
{
    const struct map_node *node =
        map_find(&acceptor->methods, (struct bytes){GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path)});

    return node ? container_of(node, struct method_node, node)->method : NULL;
}

static void request_call(struct slot *slot)
{
    struct acceptor *acceptor = slot->acceptor;

    slot->core = NULL;
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_init(&slot->metadata);
    grpc_completion_queue *queue = cq_thread_queue(wire_cq(acceptor->thread));
    grpc_call_error error =
        grpc_server_request_call(wire_thread_server(acceptor->thread), &slot->core, &slot->details,
                                 &slot->metadata, queue, queue, &slot->op);
    CHECK(error == GRPC_CALL_OK);
}

static void on_call(struct op *op, bool ok)
{
    struct slot *slot = container_of(op, struct slot, op);
    struct acceptor *acceptor = slot->acceptor;

    if (ok && slot->core)
        call_open(
            acceptor->thread, &acceptor->live,
            &(struct methods){find_method(acceptor, slot->details.method), acceptor->any},
            &(struct core_call){.core = slot->core, .details = &slot->details, .metadata = &slot->metadata},
            acceptor->draining);
    grpc_call_details_destroy(&slot->details);
    grpc_metadata_array_destroy(&slot->metadata);
    if (ok && !acceptor->refusing)
        request_call(slot);
}

static void accept_calls(struct call_acceptor *interface)
{
    struct acceptor *acceptor = container_of(interface, struct acceptor, interface);

    for (size_t i = 0; i < SLOTS; i++) {
        acceptor->slots[i].op.done = on_call;
        acceptor->slots[i].acceptor = acceptor;
        request_call(&acceptor->slots[i]);
    }
}

static void refuse_calls(struct call_acceptor *interface)
{
    container_of(interface, struct acceptor, interface)->refusing = true;
}

static void abort_calls(struct call_acceptor *interface)
{
    call_abort_all_draining(&container_of(interface, struct acceptor, interface)->live);
}

static bool has_no_calls(struct call_acceptor *interface)
{
    return list_empty(&container_of(interface, struct acceptor, interface)->live);
}

static void free_acceptor(struct call_acceptor *interface)
{
    struct acceptor *acceptor = container_of(interface, struct acceptor, interface);

    map_fini(&acceptor->methods);
    free(acceptor->nodes);
    free(acceptor);
}

static void on_drain(struct task *task)
{
    struct acceptor *acceptor = container_of(task, struct acceptor, drain);

    acceptor->draining = true;
    call_notify_all_draining(&acceptor->live);
}

enum err call_acceptor_serve(struct wire_thread *thread, const struct method *methods, size_t count)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
    struct method_node *nodes = calloc(count + 1, sizeof(*nodes));

    if (!acceptor || !nodes) {
        free(acceptor);
        free(nodes);
        return ERR_NO_MEMORY;
    }
    acceptor->interface = (struct call_acceptor){.accept = accept_calls,
                                                 .refuse = refuse_calls,
                                                 .abort = abort_calls,
                                                 .empty = has_no_calls,
                                                 .free = free_acceptor};
    acceptor->thread = thread;
    acceptor->nodes = nodes;
    acceptor->drain.run = on_drain;
    list_init(&acceptor->live);
    map_init(&acceptor->methods);
    wire_thread_set_acceptor(thread, &acceptor->interface);
    for (size_t i = 0; i < count; i++) {
        nodes[i].method = &methods[i];
        nodes[i].node.key = (struct bytes){(const uint8_t *)methods[i].path, strlen(methods[i].path)};
        enum err err = map_add(&acceptor->methods, &nodes[i].node);
        if (err)
            return err;
    }
    return ERR_OK;
}

void call_acceptor_serve_any(struct wire_thread *thread, const struct method *method)
{
    struct call_acceptor *interface = wire_thread_acceptor(thread);

    container_of(interface, struct acceptor, interface)->any = method;
}

void call_acceptor_drain(struct wire_thread *thread)
{
    struct call_acceptor *interface = wire_thread_acceptor(thread);

    cq_post(wire_cq(thread), &container_of(interface, struct acceptor, interface)->drain);
}
