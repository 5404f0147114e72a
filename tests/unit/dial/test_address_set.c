/* test_address_set.c - a set of endpoints that ends while it makes one of them. The hub may run
 * what is due while an endpoint registers, and that may be the end of the set. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/endpoint_rules.h"
#include "hub/hub.h"
#include "hub/session.h"
#include "seam/hub_fixture.h"
#include "server/dial/address_list.h"
#include "server/dial/address_set.h"
#include "server/dial/resolver.h"

#define ADDRESSES 3u

/* How the set ends. */
enum set_end { AT_ONCE, GENTLY, REPLACED };

struct scene {
    struct hub_fixture fixture;
    struct dialled *set;
    unsigned gone; /* the set is */
    /* How `add` behaves. */
    unsigned ends_at; /* the endpoint that is being made when the set ends; from 1; 0: it stays */
    bool refuses;     /* that endpoint is refused then */
    enum set_end how;
    bool out_of_turn;       /* the answer comes where no turn of the loop runs: all is done at once */
    unsigned adds, members; /* endpoints that were asked for, and that are there */
};

static struct scene *scene;
static struct lookup *looked_up;

void __wrap_resolver_start(struct resolver *resolver, struct lookup *lookup);
void __wrap_resolver_cancel(struct lookup *lookup);

void __wrap_resolver_start(struct resolver *resolver, struct lookup *lookup)
{
    (void)resolver;
    looked_up = lookup;
}

void __wrap_resolver_cancel(struct lookup *lookup)
{
    if (looked_up == lookup)
        looked_up = NULL;
}

/* ---- endpoints of the set ---- */

struct endpoint_played {
    struct dialled dialled; /* the first: see dialled.h */
    struct session *session;
};

static void leave(struct endpoint_played *played, enum fault_reason reason)
{
    const struct dialled_owner owner = played->dialled.owner;

    hub_unregister(played->session, reason);
    dialled_fini(&played->dialled);
    free(played);
    scene->members--;
    owner.gone(owner.ctx);
}

static void welcome(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    (void)deadline_ns;
    leave(ctx, reason);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    leave(ctx, fault->reason);
}

static const struct session_port port = {.welcome = welcome, .closing = closing, .abort_call = abort_call};
static const struct endpoint_rules rules = {.first_retry_ns = NS_PER_S, .max_retry_ns = NS_PER_S};

static struct session_params session_of(struct bytes name, void *ctx)
{
    return (struct session_params){.name = name,
                                   .mode = SESSION_SHARED,
                                   .peer = "here:1",
                                   .endpoint = &rules,
                                   .port = &port,
                                   .ctx = ctx};
}

/* The name of the set passes to another producer. */
static void replace_set(void)
{
    struct endpoint_played *other = calloc(1, sizeof(*other));
    struct fault fault;
    struct session_params params = session_of(text_of("set"), other);

    cr_assert_eq(dialled_init(&other->dialled, DIALLED_ENDPOINT, &(struct endpoint_params){.mode = 0},
                              &(struct dialled_owner){.gone = NULL}),
                 ERR_OK);
    params.start_first = true;
    cr_assert_eq(hub_register(scene->fixture.hub, &params, &other->session, &fault), FAULT_NONE);
    hub_unregister(other->session, FAULT_NONE);
    dialled_fini(&other->dialled);
    free(other);
}

static void end_set(void)
{
    struct producer_view view;
    struct fault fault;

    if (scene->how == REPLACED)
        replace_set();
    else
        cr_assert_eq(hub_remove(scene->fixture.hub, text_of("set"), scene->how == GENTLY ? NS_PER_S : 0,
                                hub_fixture_copy_view, &view, &fault),
                     FAULT_NONE);
}

static enum fault_reason add(void *ctx, const struct endpoint_params *params, const struct place *place,
                             const struct dialled_owner *owner, struct dialled **dialled_out,
                             struct fault *fault)
{
    struct endpoint_played *played = calloc(1, sizeof(*played));
    const struct session_params session = session_of(params->name, played);

    (void)ctx;
    (void)place;
    cr_assert_eq(dialled_init(&played->dialled, DIALLED_ENDPOINT, params, owner), ERR_OK);
    if (++scene->adds == scene->ends_at) {
        end_set();
        if (scene->refuses) {
            dialled_fini(&played->dialled);
            free(played);
            return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        }
    }
    cr_assert_eq(hub_register(scene->fixture.hub, &session, &played->session, fault), FAULT_NONE);
    scene->members++;
    *dialled_out = &played->dialled;
    return FAULT_NONE;
}

/* ---- the set ---- */

static void on_gone(void *ctx, struct dialled *dialled)
{
    (void)ctx;
    cr_assert_eq(dialled, scene->set);
    scene->gone++;
}

static void make_set(void)
{
    const struct set_home home = {
        .loop = scene->fixture.loop, .hub = scene->fixture.hub, .add = add, .gone = on_gone};
    const struct endpoint_params params = {.name = text_of("set"),
                                           .address = "name:80",
                                           .method = "/a.B/C",
                                           .authority = "",
                                           .tls = "",
                                           .mode = SESSION_SHARED,
                                           .each_address = true,
                                           .resolve_period_ns = 60 * NS_PER_S,
                                           .origin = ORIGIN_OPERATOR};
    const struct place place = {.kind = PLACE_NAME, .text = "name", .port = 80};
    struct fault fault;

    cr_assert_eq(
        address_set_add(&home, &params, &place, &(struct dialled_owner){.gone = NULL}, &scene->set, &fault),
        FAULT_NONE);
}

static void answer(struct task *task)
{
    struct place places[ADDRESSES];
    const struct address_list list = {.places = places, .count = ADDRESSES, .total = ADDRESSES};
    struct lookup *lookup = looked_up;

    (void)task;
    cr_assert_not_null(lookup);
    looked_up = NULL;
    for (unsigned i = 0; i < ADDRESSES; i++) {
        places[i] = (struct place){.kind = PLACE_IPV4, .port = 80};
        snprintf(places[i].text, sizeof(places[i].text), "127.0.0.%u", i + 1);
    }
    lookup->answered(lookup, &list);
}

static bool is_over(void *ctx)
{
    (void)ctx;
    return scene->gone > 0;
}

static bool is_made(void *ctx)
{
    (void)ctx;
    return scene->adds == ADDRESSES;
}

static void run(struct scene of)
{
    struct task task = {.run = answer};

    scene = &of;
    hub_fixture_open(&of.fixture);
    make_set();
    loop_turn(of.fixture.loop);
    if (of.out_of_turn)
        answer(NULL);
    else
        loop_post(of.fixture.loop, &task);
    if (of.ends_at == 0) {
        cr_assert(hub_fixture_until(&of.fixture, is_made, NULL));
        cr_assert_eq(of.members, ADDRESSES);
        end_set();
    }
    cr_assert(hub_fixture_until(&of.fixture, is_over, NULL));
    cr_assert_eq(of.gone, 1);
    cr_assert_eq(of.members, 0, "all its endpoints have left");
    cr_assert_leq(of.adds, of.ends_at > 0 ? of.ends_at : ADDRESSES, "no other one was made");
    hub_fixture_close(&of.fixture);
}

Test(address_set, its_endpoints_leave_with_it)
{
    for (enum set_end how = AT_ONCE; how <= REPLACED; how++)
        run((struct scene){.how = how});
}

static void ends_at_each(struct scene of)
{
    for (of.how = AT_ONCE; of.how <= REPLACED; of.how++) {
        for (of.ends_at = 1; of.ends_at <= ADDRESSES; of.ends_at++)
            run(of);
    }
}

Test(address_set, it_may_end_while_it_makes_an_endpoint)
{
    ends_at_each((struct scene){.refuses = false});
    ends_at_each((struct scene){.out_of_turn = true});
}

Test(address_set, it_may_end_while_it_makes_an_endpoint_that_is_refused)
{
    ends_at_each((struct scene){.refuses = true});
    ends_at_each((struct scene){.refuses = true, .out_of_turn = true});
}
