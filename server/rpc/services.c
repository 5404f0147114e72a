/* services.c - the room's own table: which method is served by whom. */
#include "server/rpc/rpc.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/rpc/rpc_internal.h"

enum err rpc_method(struct rpc *rpc, const char *path, const struct call_port *port, void *ctx)
{
    struct method *methods = realloc(rpc->methods, (rpc->method_count + 1) * sizeof *methods);

    if (!methods)
        return ERR_NO_MEMORY;
    methods[rpc->method_count++] = (struct method){.path = path, .port = port, .ctx = ctx};
    rpc->methods = methods;
    return ERR_OK;
}

/* A question that the room keeps. */
struct kept {
    struct unary_method unary_method;
    struct kept *next;
};

enum err rpc_add_unary(struct rpc *rpc, const char *path, const ProtobufCMessageDescriptor *type,
                       void (*on_loop)(struct unary_call *unary))
{
    struct kept *kept = malloc(sizeof *kept);

    if (!kept)
        return ERR_NO_MEMORY;
    kept->unary_method = (struct unary_method){.rpc = rpc, .type = type, .on_loop = on_loop};
    kept->next = rpc->kept;
    rpc->kept = kept;
    return rpc_method(rpc, path, &unary_port, &kept->unary_method);
}

static struct bytes service_of(const struct method *method)
{
    const char *name = method->path + 1; /* after the slash */

    return (struct bytes){(const uint8_t *)name, strcspn(name, "/")};
}

bool rpc_service_next(const struct rpc *rpc, size_t *at, struct bytes *name_out)
{
    /* Each service adds its rows in one go, so a name is new where the row before has another. */
    for (size_t i = *at; i < rpc->method_count; i++) {
        struct bytes name = service_of(&rpc->methods[i]);
        struct bytes before = i > 0 ? service_of(&rpc->methods[i - 1]) : (struct bytes){0};

        if (name.size == before.size && memcmp(name.data, before.data, name.size) == 0)
            continue;
        *name_out = name;
        *at = i + 1;
        return true;
    }
    return false;
}

bool rpc_serves(const struct rpc *rpc, struct bytes service)
{
    struct bytes name;

    for (size_t at = 0; rpc_service_next(rpc, &at, &name);) {
        if (name.size == service.size && memcmp(name.data, service.data, name.size) == 0)
            return true;
    }
    return false;
}

static enum err serve(struct rpc *rpc)
{
    enum err (*const services[])(struct rpc *) = {publisher_serve, register_serve, subscriber_serve,
                                                  consume_serve,   admin_serve,    health_serve};

    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        enum err err = services[i](rpc);

        if (err)
            return err;
    }
    return rpc->settings.reflection ? reflection_serve(rpc) : ERR_OK;
}

struct status rpc_new(struct loop *loop, struct hub *hub, const struct rpc_settings *settings,
                      struct rpc **rpc_out)
{
    struct rpc *rpc = calloc(1, sizeof *rpc);
    enum err err;

    if (!rpc)
        return (struct status){ERR_NO_MEMORY, 0, "making room for the services"};
    rpc->loop = loop;
    rpc->hub = hub;
    rpc->settings = *settings;
    rpc->started_wall_ns = clock_wall_ns();
    err = serve(rpc);
    if (err) {
        rpc_free(rpc);
        return (struct status){err, 0, "setting up the services"};
    }
    call_fault_details = fault_details;
    *rpc_out = rpc;
    return STATUS_OK;
}

void rpc_free(struct rpc *rpc)
{
    if (!rpc)
        return;
    reflection_free(rpc);
    health_free(rpc);
    while (rpc->kept) {
        struct kept *kept = rpc->kept;

        rpc->kept = kept->next;
        free(kept);
    }
    free(rpc->methods);
    free(rpc);
}

const struct method *rpc_methods(const struct rpc *rpc, size_t *count_out)
{
    *count_out = rpc->method_count;
    return rpc->methods;
}
