/* method_table.c - the table of methods. */
#include "server/rpc/method_table.h"

#include <stdlib.h>
#include <string.h>

#include "server/rpc/rpc_internal.h"

enum err rpc_add_method(struct rpc *rpc, const char *path, const struct call_port *port, void *ctx)
{
    struct method *methods = realloc(rpc->methods, (rpc->method_count + 1) * sizeof(*methods));

    if (!methods)
        return ERR_NO_MEMORY;
    methods[rpc->method_count++] = (struct method){.path = path, .port = port, .ctx = ctx};
    rpc->methods = methods;
    return ERR_OK;
}

/* A unary method that the rpc owns. */
struct unary_row {
    struct unary_method method;
    struct unary_row *next;
};

enum err rpc_add_unary_method(struct rpc *rpc, const char *path, const struct unary_method *method)
{
    struct unary_row *row = malloc(sizeof(*row));

    if (!row)
        return ERR_NO_MEMORY;
    row->method = *method;
    row->method.rpc = rpc;
    row->next = rpc->unary_rows;
    rpc->unary_rows = row;
    return rpc_add_method(rpc, path, &rpc_unary_port, &row->method);
}

enum err rpc_add_unary(struct rpc *rpc, const char *path, const ProtobufCMessageDescriptor *type,
                       void (*on_loop)(struct unary_call *unary))
{
    const struct unary_method method = {.type = type, .on_loop = on_loop};

    return rpc_add_unary_method(rpc, path, &method);
}

static struct bytes service_of(const struct method *method)
{
    const char *name = method->path + 1; /* after the slash */

    return (struct bytes){(const uint8_t *)name, strcspn(name, "/")};
}

bool rpc_service_next(const struct rpc *rpc, size_t *position, struct bytes *name_out)
{
    /* The rows of one service follow each other. So a name is new where the row before has
     * another. */
    for (size_t i = *position; i < rpc->method_count; i++) {
        struct bytes name = service_of(&rpc->methods[i]);
        struct bytes before = i > 0 ? service_of(&rpc->methods[i - 1]) : (struct bytes){0};

        if (name.size == before.size && memcmp(name.data, before.data, name.size) == 0)
            continue;
        *name_out = name;
        *position = i + 1;
        return true;
    }
    return false;
}

bool rpc_serves(const struct rpc *rpc, struct bytes service)
{
    struct bytes name;

    for (size_t position = 0; rpc_service_next(rpc, &position, &name);) {
        if (name.size == service.size && memcmp(name.data, service.data, name.size) == 0)
            return true;
    }
    return false;
}

const struct method *rpc_methods(const struct rpc *rpc, size_t *count_out)
{
    *count_out = rpc->method_count;
    return rpc->methods;
}

void rpc_free_methods(struct rpc *rpc)
{
    while (rpc->unary_rows) {
        struct unary_row *row = rpc->unary_rows;

        rpc->unary_rows = row->next;
        free(row);
    }
    free(rpc->methods);
}
