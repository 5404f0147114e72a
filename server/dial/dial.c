/* dial.c - the producers that the server dials. */
#include "server/dial/dial.h"

#include <stdlib.h>
#include <string.h>

#include "event/glob.h"
#include "hub/hub_query.h"
#include "server/dial/endpoint_check.h"
#include "server/dial/upstream.h"

#define MAX_THREADS 64u

struct dial {
    struct loop *loop;
    struct hub *hub;
    const char *allow;
    struct upstream_thread threads[MAX_THREADS];
    size_t thread_count, next_thread;
    size_t endpoints;
};

struct dial *dial_new(struct loop *loop, struct hub *hub, const char *allow)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (!dial)
        return NULL;
    dial->loop = loop;
    dial->hub = hub;
    dial->allow = allow;
    return dial;
}

void dial_free(struct dial *dial)
{
    if (!dial)
        return;
    CHECK(dial->endpoints == 0);
    for (size_t i = 0; i < dial->thread_count; i++)
        framing_fini(&dial->threads[i].scan);
    free(dial);
}

enum err dial_add_thread(struct dial *dial, struct cq_thread *thread)
{
    if (dial->thread_count == MAX_THREADS)
        return ERR_FULL;
    dial->threads[dial->thread_count++].cq = thread;
    return ERR_OK;
}

static void gone(void *ctx)
{
    ((struct dial *)ctx)->endpoints--;
}

static bool matches(const char *pattern, struct bytes address)
{
    uint64_t masks[MAX_GLOB_MASKS];
    const struct glob glob = glob_compile(text_bytes(pattern), masks);

    return glob_matches(&glob, address);
}

/* Who may log in to this machine may reach what it reaches. Others could use the server to reach
 * what they cannot. */
static enum fault_reason check_allowed(const struct dial *dial, const struct endpoint_params *params,
                                       struct fault *fault)
{
    const struct bytes address = text_bytes(params->address);

    if (peer_is_local(params->peer_key))
        return FAULT_NONE;
    if (dial->allow && matches(dial->allow, address))
        return FAULT_NONE;
    return fault_bytes(fault, FAULT_ADDRESS_NOT_ALLOWED, "endpoint.address", address,
                       dial->allow ? "--dial-allow" : "callers on other machines need --dial-allow");
}

static void note_kind(void *ctx, const struct producer_view *view)
{
    *(bool *)ctx = view->is_endpoint;
}

static enum fault_reason check_update(const struct dial *dial, struct bytes name, struct fault *fault)
{
    bool is_endpoint = false;

    if (hub_producer(dial->hub, name, note_kind, &is_endpoint, fault))
        return fault->reason;
    return is_endpoint ? FAULT_NONE : fault_bytes(fault, FAULT_NOT_AN_ENDPOINT, "endpoint.name", name, NULL);
}

enum fault_reason dial_add(struct dial *dial, const struct endpoint_params *params, bool update,
                           struct fault *fault)
{
    struct place place;

    if (endpoint_check(params, fault) || endpoint_place(params->address, &place, fault) ||
        check_allowed(dial, params, fault))
        return fault->reason;
    if (update && check_update(dial, params->name, fault))
        return fault->reason;
    const struct endpoint_home home = {.loop = dial->loop,
                                       .hub = dial->hub,
                                       .thread = &dial->threads[dial->next_thread++ % dial->thread_count],
                                       .gone = gone,
                                       .ctx = dial};
    if (endpoint_add(&home, params, &place, fault) == FAULT_NONE)
        dial->endpoints++;
    return fault->reason;
}
