/* dialled.c - see dialled.h. */
#include "server/dial/dialled.h"

#include <stdlib.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "hub/hub_query.h"
#include "hub/producer.h"

enum err dialled_init(struct dialled *dialled, enum dialled_kind kind, const struct endpoint_params *params,
                      const struct dialled_owner *owner)
{
    *dialled = (struct dialled){.kind = kind, .origin = params->origin};
    if (params->origin == ORIGIN_OPERATOR) /* a set's addresses are looked up anew, a file is read anew */
        dialled->keeping = params->keeping;
    if (owner)
        dialled->owner = *owner;
    dialled->origin_text = strdup(params->origin_text ? params->origin_text : "");
    dialled->definition = params->shared_definition ? shared_bytes_retain(params->shared_definition)
                                                    : shared_bytes_new(params->definition);
    return dialled->origin_text && dialled->definition ? ERR_OK : ERR_NO_MEMORY;
}

void dialled_fini(struct dialled *dialled)
{
    free(dialled->origin_text);
    shared_bytes_release(dialled->definition);
}

static void note(void *ctx, const struct producer_view *view)
{
    if (view->is_endpoint)
        *(const struct dialled **)ctx = view->port_ctx;
}

const struct dialled *dialled_find(struct hub *hub, struct bytes name)
{
    const struct dialled *found = NULL;
    struct fault fault;

    return hub_producer(hub, name, note, &found, &fault) == FAULT_NONE ? found : NULL;
}

static void ignore(void *ctx, const struct producer_view *view)
{
    (void)ctx;
    (void)view;
}

void dialled_remove(struct hub *hub, struct bytes name, const struct dialled *dialled, int64_t drain_ns)
{
    struct fault fault;

    if (dialled_find(hub, name) == dialled)
        (void)!hub_remove(hub, name, drain_ns, ignore, NULL, &fault);
}
