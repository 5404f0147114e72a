/* dial.c - the producers that the server dials. */
#include "server/dial/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "event/glob.h"
#include "hub/hub_query.h"
#include "hub/session.h"
#include "server/dial/address_set.h"
#include "server/dial/dial_turns.h"
#include "server/dial/endpoint_check.h"
#include "server/dial/resolver.h"
#include "server/dial/upstream.h"
#include "server/dial/upstream_cost.h"
#include "server/dial/upstream_tls.h"
#include "reflect/catalog.h"

#define MAX_THREADS 64u

struct dial {
    struct loop *loop;
    struct hub *hub;
    const char *allow;
    struct resolver *resolver;
    struct dial_turns turns;
    struct catalog catalog;
    struct upstream_costs costs;
    struct upstream_thread threads[MAX_THREADS];
    size_t thread_count, next_thread;
    size_t dialled;
    struct upstream_tls *tls; /* one for each setting */
    size_t tls_count;
    const struct h2guard_limits *guard;
};

struct dial *dial_new(struct loop *loop, struct hub *hub, const char *allow)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (!dial)
        return NULL;
    dial->loop = loop;
    dial->hub = hub;
    dial->allow = allow;
    dial_turns_init(&dial->turns, loop);
    catalog_init(&dial->catalog, loop);
    upstream_costs_init(&dial->costs, loop);
    dial->resolver = resolver_new(loop);
    if (dial->resolver)
        return dial;
    catalog_fini(&dial->catalog);
    upstream_costs_fini(&dial->costs);
    free(dial);
    return NULL;
}

void dial_free(struct dial *dial)
{
    if (!dial)
        return;
    CHECK(dial->dialled == 0);
    dial_turns_fini(&dial->turns);
    catalog_fini(&dial->catalog);
    upstream_costs_fini(&dial->costs);
    resolver_free(dial->resolver);
    for (size_t i = 0; i < dial->thread_count; i++) {
        framing_fini(&dial->threads[i].scan);
        dial_slots_fini(&dial->threads[i].slots);
        buf_fini(&dial->threads[i].scratch);
    }
    for (size_t i = 0; i < dial->tls_count; i++)
        upstream_tls_fini(&dial->tls[i]);
    free(dial->tls);
    free(dial);
}

enum err dial_add_thread(struct dial *dial, struct cq_thread *thread)
{
    if (dial->thread_count == MAX_THREADS)
        return ERR_FULL;
    tls_turns_init(&dial->threads[dial->thread_count].turns, thread);
    dial_slots_init(&dial->threads[dial->thread_count].slots, thread);
    inflate_turns_init(&dial->threads[dial->thread_count].inflate_turns, thread);
    dial->threads[dial->thread_count++].cq = thread;
    return ERR_OK;
}

static void tls_changed(void *ctx, size_t index)
{
    upstream_tls_renew(&((struct dial *)ctx)->tls[index]);
}

enum err dial_use_tls(struct dial *dial, struct tls_settings *settings)
{
    static const struct tls_port port = {.changed = tls_changed};
    const size_t count = tls_settings_count(settings);

    dial->tls = calloc(count, sizeof(*dial->tls));
    if (!dial->tls)
        return ERR_NO_MEMORY;
    for (; dial->tls_count < count; dial->tls_count++)
        upstream_tls_init(&dial->tls[dial->tls_count], tls_settings_get(settings, dial->tls_count));
    tls_settings_notify(settings, &port, dial);
    return ERR_OK;
}

struct catalog *dial_catalog(struct dial *dial)
{
    return &dial->catalog;
}

void dial_use_guard(struct dial *dial, const struct h2guard_limits *limits)
{
    dial->guard = limits;
}

static enum fault_reason unknown_tls(const struct dial *dial, const char *name, struct fault *fault)
{
    char known[sizeof(fault->bound)] = "known:";
    size_t size = strlen(known);

    for (size_t i = 0; i < dial->tls_count && size < sizeof(known); i++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s %s", i > 0 ? "," : "",
                                 dial->tls[i].setting->spec.name);
    return fault_bytes(fault, FAULT_UNKNOWN_TLS, "endpoint.tls", text_bytes(name),
                       dial->tls_count > 0 ? known : "there is none");
}

/* Finds a setting by its name. FAULT_NONE with *tls_out NULL: plaintext is wanted. */
static enum fault_reason find_tls(const struct dial *dial, const char *name, struct upstream_tls **tls_out,
                                  struct fault *fault)
{
    *tls_out = NULL;
    if (!name || *name == '\0')
        return FAULT_NONE;
    for (size_t i = 0; i < dial->tls_count && !*tls_out; i++)
        if (strcmp(dial->tls[i].setting->spec.name, name) == 0)
            *tls_out = &dial->tls[i];
    if (!*tls_out)
        return unknown_tls(dial, name, fault);
    return upstream_tls_prepare(*tls_out)
               ? FAULT_NONE
               : fault_bytes(fault, FAULT_TLS_NOT_READY, "endpoint.tls", text_bytes(name), "");
}

static void gone(void *ctx, struct dialled *dialled)
{
    struct dial *dial = ctx;

    dial->dialled--;
    if (dialled->owner.gone)
        dialled->owner.gone(dialled->owner.ctx);
}

static bool matches(const char *pattern, const char *address)
{
    uint64_t masks[MAX_GLOB_MASKS];
    const struct glob glob = glob_compile(text_bytes(pattern), masks);

    return glob_matches(&glob, text_bytes(address));
}

/* What a pattern may begin with. It then holds for places of this kind only. */
static const struct {
    const char *prefix;
    enum place_kind kind;
} schemes[] = {
    {"dns:", PLACE_NAME},
    {"ipv4:", PLACE_IPV4},
    {"ipv6:", PLACE_IPV6},
    {"unix:", PLACE_UNIX},
    {"unix-abstract:", PLACE_ABSTRACT},
};

/* Without one of these words it holds for hosts, and never for unix sockets. */
bool dial_allows(const char *pattern, const struct place *place)
{
    const bool is_unix = place->kind == PLACE_UNIX || place->kind == PLACE_ABSTRACT;
    char text[PLACE_TEXT_CAPACITY];

    place_text(place, text);
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        const size_t size = strlen(schemes[i].prefix);

        if (strncmp(pattern, schemes[i].prefix, size) != 0)
            continue;
        return place->kind == schemes[i].kind && matches(is_unix ? pattern : pattern + size, text);
    }
    return !is_unix && matches(pattern, text);
}

/* Who may log in to this machine may reach what it reaches. Others could use the server to reach
 * what they cannot. */
static enum fault_reason check_allowed(const struct dial *dial, const struct endpoint_params *params,
                                       const struct place *place, struct fault *fault)
{
    if (params->origin == ORIGIN_FILE || peer_is_local(params->peer_key))
        return FAULT_NONE;
    if (dial->allow && dial_allows(dial->allow, place))
        return FAULT_NONE;
    return fault_bytes(fault, FAULT_ADDRESS_NOT_ALLOWED, "endpoint.address", text_bytes(params->address),
                       dial->allow ? "--dial-allow" : "callers on other machines need --dial-allow");
}

static void note_kind(void *ctx, const struct producer_view *view)
{
    *(bool *)ctx = view->is_endpoint;
}

static void ignore(void *ctx, const struct producer_view *view)
{
    (void)ctx;
    (void)view;
}

bool dial_name_is_free(const struct dial *dial, struct bytes name)
{
    struct fault fault;

    return hub_producer(dial->hub, name, ignore, NULL, &fault) != FAULT_NONE;
}

static enum fault_reason check_update(const struct dial *dial, struct bytes name, struct fault *fault)
{
    bool is_endpoint = false;

    if (hub_producer(dial->hub, name, note_kind, &is_endpoint, fault))
        return fault->reason;
    return is_endpoint ? FAULT_NONE : fault_bytes(fault, FAULT_NOT_AN_ENDPOINT, "endpoint.name", name, NULL);
}

/* The last part of a long path says the most. */
static void write_origin(const struct dialled *dialled, char *text, size_t capacity)
{
    const char *const what = dialled->origin == ORIGIN_FILE ? "the file " : "the addresses of ";
    const size_t size = strlen(dialled->origin_text), free_bytes = capacity - strlen(what) - 1;
    const bool is_long = size > free_bytes;

    snprintf(text, capacity, "%s%s%s", what, is_long ? "..." : "",
             dialled->origin_text + (is_long ? size - free_bytes + 3 : 0));
}

enum fault_reason dial_check_origin(struct dial *dial, const char *field, struct bytes name,
                                    struct fault *fault)
{
    const struct dialled *dialled = dialled_find(dial->hub, name);
    char origin[sizeof(fault->bound)];

    if (!dialled || dialled->origin == ORIGIN_OPERATOR)
        return FAULT_NONE;
    write_origin(dialled, origin, sizeof(origin));
    return fault_bytes(fault, FAULT_DEFINED_ELSEWHERE, field, name, origin);
}

static enum fault_reason add_endpoint(void *ctx, const struct endpoint_params *params,
                                      const struct place *place, const struct dialled_owner *owner,
                                      struct dialled **dialled_out, struct fault *fault)
{
    struct dial *dial = ctx;
    struct upstream_tls *tls;

    if (find_tls(dial, params->tls, &tls, fault))
        return fault->reason;
    const struct endpoint_home home = {.loop = dial->loop,
                                       .hub = dial->hub,
                                       .thread = &dial->threads[dial->next_thread++ % dial->thread_count],
                                       .tls = tls,
                                       .guard = dial->guard,
                                       .turns = &dial->turns,
                                       .catalog = &dial->catalog,
                                       .costs = &dial->costs,
                                       .gone = gone,
                                       .ctx = dial};
    const enum fault_reason reason = endpoint_add(&home, params, place, owner, dialled_out, fault);

    if (reason == FAULT_NONE)
        dial->dialled++;
    return reason;
}

static enum fault_reason add_set(struct dial *dial, const struct endpoint_params *params,
                                 const struct place *place, const struct dialled_owner *owner,
                                 struct dialled **dialled_out, struct fault *fault)
{
    const struct set_home home = {.loop = dial->loop,
                                  .hub = dial->hub,
                                  .resolver = dial->resolver,
                                  .add = add_endpoint,
                                  .gone = gone,
                                  .ctx = dial};
    const enum fault_reason reason = address_set_add(&home, params, place, owner, dialled_out, fault);

    if (reason == FAULT_NONE)
        dial->dialled++;
    return reason;
}

static enum fault_reason check(const struct dial *dial, const struct endpoint_params *params,
                               struct place *place_out, struct fault *fault)
{
    struct upstream_tls *tls;

    if (endpoint_check(params, fault) || endpoint_place(params->address, place_out, fault) ||
        endpoint_check_set(params, place_out, fault) || check_allowed(dial, params, place_out, fault))
        return fault->reason;
    return find_tls(dial, params->tls, &tls, fault);
}

static enum fault_reason start(struct dial *dial, const struct endpoint_params *params,
                               const struct place *place, const struct dialled_owner *owner,
                               struct dialled **dialled_out, struct fault *fault)
{
    return params->each_address ? add_set(dial, params, place, owner, dialled_out, fault)
                                : add_endpoint(dial, params, place, owner, dialled_out, fault);
}

enum fault_reason dial_hold(struct dial *dial, const struct endpoint_params *params,
                            const struct dialled_owner *owner, struct dialled **dialled_out,
                            struct fault *fault)
{
    struct place place;

    if (check(dial, params, &place, fault))
        return fault->reason;
    return start(dial, params, &place, owner, dialled_out, fault);
}

/* All but what only the hub can say. */
static enum fault_reason check_operators(struct dial *dial, const struct endpoint_params *params, bool update,
                                         struct place *place_out, struct fault *fault)
{
    if (check(dial, params, place_out, fault) || (update && check_update(dial, params->name, fault)))
        return fault->reason;
    return params->replace ? dial_check_origin(dial, "endpoint.name", params->name, fault) : FAULT_NONE;
}

enum fault_reason dial_check(struct dial *dial, const struct endpoint_params *params, bool update,
                             struct fault *fault)
{
    const struct session_params session = {
        .name = params->name, .reject_duplicate = !params->replace, .peer_key = params->peer_key};
    struct place place;

    if (check_operators(dial, params, update, &place, fault))
        return fault->reason;
    if (hub_may_register(dial->hub, &session, fault) == FAULT_NAME_TAKEN)
        fault_bytes(fault, FAULT_NAME_TAKEN, "endpoint.name", params->name, NULL);
    return fault->reason;
}

enum fault_reason dial_add(struct dial *dial, const struct endpoint_params *params, bool update,
                           struct fault *fault)
{
    struct dialled *dialled;
    struct place place;

    if (check_operators(dial, params, update, &place, fault))
        return fault->reason;
    return start(dial, params, &place, NULL, &dialled, fault);
}

void dial_remove(struct dial *dial, struct bytes name, const struct dialled *dialled, int64_t drain_ns)
{
    dialled_remove(dial->hub, name, dialled, drain_ns);
}

struct endpoint_view dial_view(const struct producer_view *view)
{
    const struct dialled *dialled = view->port_ctx;

    if (dialled->kind == DIALLED_ENDPOINT)
        return endpoint_view(dialled);
    return (struct endpoint_view){.definition = shared_bytes_view(dialled->definition),
                                  .keeping = dialled->keeping,
                                  .origin = dialled->origin,
                                  .origin_text = dialled->origin_text,
                                  .set = dialled};
}

void dial_set_keeping(const struct producer_view *view, enum endpoint_keeping keeping)
{
    if (view->is_endpoint && view->port_ctx)
        ((struct dialled *)view->port_ctx)->keeping = keeping;
}
