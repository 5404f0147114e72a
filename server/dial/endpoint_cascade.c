/* endpoint_cascade.c - see endpoint_cascade.h. */
#include "server/dial/endpoint_cascade.h"

#include "hub/relays.h"
#include "server/dial/cascade.h"
#include "server/dial/endpoint_params.h"
#include "server/dial/upstream_plan.h"

static void on_emptied(void *ctx)
{
    struct endpoint_cascade *of = ctx;

    of->is_empty = true;
    if (!of->closing)
        of->emptied(of->ctx);
}

enum err endpoint_cascade_init(struct endpoint_cascade *of, const struct upstream_plan *plan,
                               const struct endpoint_params *params, struct hub *hub)
{
    const struct relays_params relays = {.hub = hub,
                                         .name = params->name,
                                         .peer_key = params->peer_key,
                                         .peer = params->address,
                                         .emptied = on_emptied,
                                         .ctx = of};

    if (!params->cascade)
        return ERR_OK;
    of->relays = relays_new(&relays);
    of->cascade = of->relays ? cascade_new(plan, of->relays) : NULL;
    return of->cascade ? ERR_OK : ERR_NO_MEMORY;
}

void endpoint_cascade_fini(struct endpoint_cascade *of)
{
    cascade_free(of->cascade);
    relays_free(of->relays);
}

void endpoint_cascade_begin(struct endpoint_cascade *of, struct session *session)
{
    if (!of->cascade)
        return;
    relays_begin(of->relays, session);
    cascade_set_session(of->cascade, session);
}

void endpoint_cascade_ended(struct endpoint_cascade *of, const struct source_state *state)
{
    if (of->cascade)
        cascade_ended(of->cascade, state);
}

bool endpoint_cascade_close(struct endpoint_cascade *of)
{
    if (!of->relays || of->is_empty)
        return true;
    if (of->is_closed)
        return false;
    of->is_closed = true;
    of->closing = true;
    relays_close(of->relays);
    of->closing = false;
    return of->is_empty;
}

uint32_t endpoint_cascade_sources(const struct endpoint_cascade *of)
{
    return of->relays ? relays_count(of->relays) : 0;
}
