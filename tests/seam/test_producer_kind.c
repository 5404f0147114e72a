/* test_producer_kind.c - a kind of producer that only this test knows. It is one file with one
 * table: nothing in src/ was changed for it. It begins where a log would end: at an epoch and a
 * sequence of its own. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "hub/bind_rest.h"
#include "hub/binding.h"
#include "hub/bindings_close.h"
#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/registry.h"
#include "hub/session.h"
#include "route/inlet.h"
#include "seam/fake_session.h"

#define EPOCH UINT64_C(7)
#define LAST_SEQUENCE UINT64_C(100)

struct keeper {
    struct producer producer;
    unsigned queries;
};

static unsigned removed, freed;

static struct keeper *keeper_of(const struct producer *producer)
{
    return container_of(producer, struct keeper, producer);
}

static bool joinable(const struct producer *producer)
{
    return producer->inlet.state == INLET_OPEN;
}

static void free_keeper(struct producer *producer)
{
    registry_remove(producer);
    bindings_close(producer, PRODUCER_REMOVED, 0, NULL);
    producer_fini(producer);
    free(keeper_of(producer));
    freed++;
}

static void remove_keeper(struct producer *producer, enum fault_reason reason, int64_t drain_ns)
{
    cr_assert_eq(reason, FAULT_REMOVED);
    cr_assert_eq(drain_ns, 5);
    removed++;
    free_keeper(producer);
}

static void query(struct producer *producer, struct producer_view *view)
{
    view->open_calls = 40 + ++keeper_of(producer)->queries;
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    (void)producer;
    return view->subscriptions > 0 ? PRODUCER_ACTIVE : PRODUCER_IDLE;
}

static const struct producer_kind keeper_kind = {
    .name = "KEEPER",
    .taken = "a keeper has it",
    .name_rule = NAME_KEPT,
    .joinable = joinable,
    .bind = binding_bind,
    .reselect = binding_reselect,
    .remove = remove_keeper,
    .query = query,
    .state = state,
    .free = free_keeper,
};

static struct keeper *keeper_open(struct hub_fixture *fixture, const char *name)
{
    const struct inlet_start start = {
        .name = text_of(name), .epoch = EPOCH, .last_sequence = LAST_SEQUENCE, .state = INLET_OPEN};
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    struct list none;
    struct fault fault;

    list_init(&none);
    cr_assert(keeper);
    cr_assert_eq(producer_init(&keeper->producer, &keeper_kind, fixture->hub, hub_registry(fixture->hub),
                               &start, "keeper"),
                 ERR_OK);
    cr_assert_eq(registry_reserve(hub_registry(fixture->hub), NO_PEER, NULL, &fault), FAULT_NONE);
    bind_subscriptions(&keeper->producer, &none, false);
    cr_assert_eq(registry_add(&keeper->producer), ERR_OK);
    return keeper;
}

static struct offer put(struct keeper *keeper, unsigned count, const char *topic)
{
    OWNED(chunk_release) struct chunk *chunk = sample_chunk(count, topic, 1);
    struct put_waiter waiter = {0};
    struct offer offer;

    cr_assert_eq(inlet_offer(&keeper->producer.inlet, chunk, &waiter, &offer), ERR_OK);
    return offer;
}

Test(producer_kind, a_new_kind_is_bound_selected_queried_and_removed_like_the_others)
{
    struct hub_fixture fixture;
    struct consumer before, after;
    struct producer_view view;
    struct keeper *keeper;
    struct offer offer;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&before, &fixture, subscription_params_of(NULL));
    keeper = keeper_open(&fixture, "log");
    consumer_join(&after, &fixture, subscription_params_of("b"));

    offer = put(keeper, 2, "a");
    cr_assert_eq(offer.epoch, EPOCH);
    cr_assert_eq(offer.first_sequence, LAST_SEQUENCE + 1);
    cr_assert_eq(offer.matched, 1);
    cr_assert_eq(put(keeper, 1, "b").matched, 2);
    cr_assert_str_eq(consumer_read(&before), "log 101-102, log 103-103, log is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&after), "log 103-103, log is ACTIVE\n");

    cr_assert_eq(hub_producer(fixture.hub, text_of("log"), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.open_calls, 41);
    cr_assert_eq(view.state, PRODUCER_ACTIVE);
    cr_assert_eq(view.epoch, EPOCH);

    cr_assert_eq(hub_select(before.subscription, filter_of("other", NULL, NULL),
                            &(struct fault){.reason = FAULT_NONE}),
                 1);
    cr_assert_eq(put(keeper, 1, "b").matched, 1);
    cr_assert_eq(
        hub_select(before.subscription, filter_of("log", NULL, NULL), &(struct fault){.reason = FAULT_NONE}),
        2);
    cr_assert_eq(put(keeper, 1, "b").matched, 2);

    cr_assert_eq(hub_remove(fixture.hub, text_of("log"), 5, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_eq(removed, 1);
    cr_assert_eq(freed, 1);
    cr_assert_eq(hub_producer(fixture.hub, text_of("log"), hub_fixture_copy_view, &view, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    consumer_leave(&before);
    consumer_leave(&after);
    hub_fixture_close(&fixture);
}

Test(producer_kind, a_kind_that_keeps_its_name_refuses_sessions_and_transient_producers)
{
    struct session_params params = fake_session_params("log", SESSION_SHARED);
    struct hub_fixture fixture;
    struct session *session;
    struct inlet *inlet;
    struct fault fault;

    hub_fixture_open(&fixture);
    keeper_open(&fixture, "log");
    cr_assert_eq(hub_register(fixture.hub, &params, &session, &fault), FAULT_NAME_TAKEN);
    cr_assert_eq(hub_inlet_open(fixture.hub, text_of("log"), NULL, NO_PEER, &inlet, &fault),
                 FAULT_NAME_TAKEN);
    freed = 0;
    hub_fixture_close(&fixture);
    cr_assert_eq(freed, 1, "what is left at the hub's end is freed by its kind");
}

/* A consumer that stood at 98 in this epoch has missed 99 and 100. */
Test(producer_kind, a_resume_gap_ends_where_the_inlet_began)
{
    const struct resume_point point = {.source = text_of("log"), .epoch = EPOCH, .sequence = 98};
    struct subscription_params params = subscription_params_of(NULL);
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_open(&fixture);
    keeper_open(&fixture, "log");
    params.resume = &point;
    params.resume_count = 1;
    consumer_join(&consumer, &fixture, params);
    cr_assert_str_eq(consumer_read(&consumer), "lost log 2 99-100 RESUME_GAP, log is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}
