/* endpoint_schema.c - see endpoint_schema.h. */
#include "server/dial/endpoint_schema.h"

#include "server/dial/endpoint_params.h"
#include "server/dial/schema_fetch.h"
#include "server/dial/upstream_plan.h"

static struct endpoint_schema *schema_of(void *ctx)
{
    return ctx;
}

static bool is_current(void *ctx)
{
    const struct endpoint_schema *of = schema_of(ctx);

    return of->fetched_at == atomic_load(&of->plan->connections->begun);
}

static void on_done(void *ctx, const struct schema_fetch_result *result)
{
    struct endpoint_schema *of = schema_of(ctx);

    of->fetch = NULL;
    of->fetched_at = result->connections;
    if (!of->is_closed) {
        catalog_fetched(&of->entry, result->schema, result->failure);
        return;
    }
    schema_release(result->schema);
    of->emptied(of->ctx);
}

static bool fetch(void *ctx)
{
    struct endpoint_schema *of = schema_of(ctx);
    struct bytes services[MAX_SERVE_ENTRIES];
    const struct schema_fetch_params params = {.plan = of->plan,
                                               .services = services,
                                               .count = catalog_entry_services(&of->entry, services),
                                               .done = on_done,
                                               .ctx = of};

    of->fetch = schema_fetch_begin(&params);
    return of->fetch;
}

enum fault_reason endpoint_schema_init(struct endpoint_schema *of, struct catalog *catalog,
                                       struct upstream_plan *plan, const struct endpoint_params *params,
                                       struct fault *fault)
{
    static const struct catalog_port port = {.is_current = is_current, .fetch = fetch};
    const struct catalog_params entry = {.name = params->name,
                                         .peer = params->peer_key,
                                         .serve = params->serve,
                                         .serve_count = params->serve_count,
                                         .given = params->schema,
                                         .port = &port,
                                         .ctx = of};

    of->plan = plan;
    of->fetched_at = UINT64_MAX;
    return catalog_add(catalog, &of->entry, &entry, fault);
}

void endpoint_schema_fini(struct endpoint_schema *of)
{
    catalog_remove(&of->entry);
}

bool endpoint_schema_close(struct endpoint_schema *of)
{
    of->is_closed = true;
    catalog_remove(&of->entry);
    if (of->fetch)
        schema_fetch_cancel(of->fetch);
    return !of->fetch;
}
