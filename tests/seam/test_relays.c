/* test_relays.c - the inner sources of one endpoint: how they begin, change their names and end. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "hub/endpoint_rules.h"
#include "hub/relays.h"
#include "route/inlet_report.h"
#include "route/offer.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct endpoint_rules rules = {.first_retry_ns = NS_PER_S, .max_retry_ns = NS_PER_S};

struct scene {
    struct hub_fixture fixture;
    struct fake_session up;
    struct relays *relays;
    struct consumer consumer;
    unsigned emptied;
};

static unsigned unlocks;

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    unlocks++;
    return __real_pthread_mutex_unlock(mutex);
}

static void emptied(void *ctx)
{
    ((struct scene *)ctx)->emptied++;
}

static void scene_open(struct scene *scene, uint32_t max_producers)
{
    struct session_params params = fake_session_params("up", SESSION_SHARED);

    *scene = (struct scene){.emptied = 0};
    hub_fixture_settings.max_producers = max_producers;
    hub_fixture_open(&scene->fixture);
    params.endpoint = &rules;
    fake_session_join(&scene->up, &scene->fixture, params);
    consumer_join(&scene->consumer, &scene->fixture, subscription_params_of(NULL));
    scene->relays = relays_new(&(struct relays_params){.hub = scene->fixture.hub,
                                                       .name = text_of("up"),
                                                       .peer = "upstream:1",
                                                       .emptied = emptied,
                                                       .ctx = scene});
    cr_assert_not_null(scene->relays);
    relays_begin(scene->relays, scene->up.session);
    (void)consumer_read(&scene->consumer);
}

static void scene_close(struct scene *scene)
{
    relays_close(scene->relays);
    cr_assert_eq(scene->emptied, 1);
    cr_assert_eq(relays_count(scene->relays), 0);
    relays_free(scene->relays);
    consumer_leave(&scene->consumer);
    fake_session_fini(&scene->up);
    hub_fixture_close(&scene->fixture);
}

static enum fault_reason open_source(struct scene *scene, const char *name, uint64_t epoch, uint64_t call)
{
    struct relayed *relayed = NULL;
    struct fault fault;
    const enum fault_reason reason = relays_open(scene->relays, text_of(name), epoch, call, &relayed, &fault);

    relayed_release(relayed);
    return reason;
}

static bool is_there(struct scene *scene, const char *name, uint64_t epoch)
{
    OWNED(relayed_release) struct relayed *relayed = relays_find(scene->relays, text_of(name), epoch);

    return relayed;
}

static const char *read_consumer(struct scene *scene)
{
    loop_turn(scene->fixture.loop);
    return consumer_read(&scene->consumer);
}

static void report(struct scene *scene, const char *name, uint64_t epoch, uint32_t state)
{
    OWNED(relayed_release) struct relayed *relayed = relays_find(scene->relays, text_of(name), epoch);

    cr_assert_not_null(relayed);
    relayed_report(relayed, 1, &(struct source_state){.state = state});
}

Test(relays, a_source_begins_reports_and_ends)
{
    struct scene scene;

    scene_open(&scene, 16);
    cr_assert(!is_there(&scene, "a", 7));
    cr_assert_eq(open_source(&scene, "a", 7, 1), FAULT_NONE);
    cr_assert(is_there(&scene, "a", 7));
    cr_assert(!is_there(&scene, "a", 8));
    cr_assert_eq(relays_count(scene.relays), 1);
    report(&scene, "a", 7, PRODUCER_UNAVAILABLE);
    cr_assert_str_eq(read_consumer(&scene), "up/a is UNAVAILABLE\n");
    report(&scene, "a", 7, PRODUCER_ACTIVE);
    cr_assert_str_eq(read_consumer(&scene), "up/a is ACTIVE\n");
    report(&scene, "a", 7, PRODUCER_ENDED);
    cr_assert_str_eq(read_consumer(&scene), "up/a is ENDED\n");
    cr_assert(!is_there(&scene, "a", 7));
    cr_assert_eq(relays_count(scene.relays), 0);
    cr_assert_eq(open_source(&scene, "a", 7, 1), FAULT_NONE, "it may come back");
    scene_close(&scene);
}

Test(relays, a_newer_epoch_has_the_name_and_a_third_one_ends_the_oldest)
{
    struct scene scene;

    scene_open(&scene, 16);
    for (uint64_t epoch = 1; epoch <= 3; epoch++)
        cr_assert_eq(open_source(&scene, "a", epoch, 1), FAULT_NONE);
    cr_assert(!is_there(&scene, "a", 1));
    cr_assert(is_there(&scene, "a", 2) && is_there(&scene, "a", 3));
    cr_assert_eq(relays_count(scene.relays), 2);
    report(&scene, "a", 2, PRODUCER_ENDED);
    cr_assert(is_there(&scene, "a", 3));
    scene_close(&scene);
}

Test(relays, names_that_are_taken_and_its_own_sources_are_refused)
{
    struct scene scene;
    struct fake_session web = {0};

    scene_open(&scene, 16);
    publish(&scene.fixture, "up/taken", 1, "t");
    cr_assert_eq(open_source(&scene, "taken", 7, 1), FAULT_NAME_TAKEN);
    fake_session_join(&web, &scene.fixture, fake_session_params("web", SESSION_SHARED));
    cr_assert_eq(open_source(&scene, "other/web", web.epoch, 1), FAULT_DIALS_ITSELF);
    cr_assert_eq(open_source(&scene, "other/web", web.epoch + 1, 1), FAULT_NONE, "another one of its name");
    fake_session_fini(&web);
    scene_close(&scene);
}

Test(relays, the_servers_bound_on_producers_counts_them)
{
    struct scene scene;

    scene_open(&scene, 4);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(open_source(&scene, (const char *[]){"a", "b", "c"}[i], 1, 1), FAULT_NONE);
    cr_assert_eq(open_source(&scene, "d", 1, 1), FAULT_TOO_MANY_PRODUCERS);
    cr_assert_eq(open_source(&scene, "a", 2, 1), FAULT_NONE, "it has a name already");
    scene_close(&scene);
}

Test(relays, a_call_that_ends_is_the_state_of_what_was_heard_of_in_it)
{
    struct scene scene;
    const struct source_state down = {PRODUCER_UNAVAILABLE, CODE_UNAVAILABLE, "gone"};

    scene_open(&scene, 16);
    cr_assert_eq(open_source(&scene, "a", 1, 1), FAULT_NONE);
    cr_assert_eq(open_source(&scene, "b", 1, 2), FAULT_NONE);
    (void)read_consumer(&scene);
    relays_down(scene.relays, 1, &down, true);
    const char *text = read_consumer(&scene);
    cr_assert(strstr(text, "up/a is UNAVAILABLE with UNAVAILABLE: gone"), "%s", text);
    cr_assert(strstr(text, "lost up/a") && strstr(text, "RESUME_GAP"), "%s", text);
    cr_assert(!strstr(text, "up/b"), "it was heard of in a later call: %s", text);
    relays_down(scene.relays, 2, &(struct source_state){.state = PRODUCER_ENDED}, false);
    text = read_consumer(&scene);
    cr_assert(strstr(text, "up/a is ENDED") && strstr(text, "up/b is ENDED"), "%s", text);
    cr_assert_eq(relays_count(scene.relays), 0);
    scene_close(&scene);
}

Test(relays, what_is_silent_is_forgotten_and_nothing_begins_after_the_close)
{
    struct scene scene;
    const int64_t forget_ns = FORGET_TIMES * 60 * NS_PER_S;

    scene_open(&scene, 16);
    cr_assert_eq(open_source(&scene, "a", 1, 1), FAULT_NONE);
    cr_assert_eq(open_source(&scene, "b", 1, 1), FAULT_NONE);
    virtual_time_pass(scene.fixture.loop, forget_ns - NS_PER_S);
    cr_assert(is_there(&scene, "a", 1), "it is heard of by that");
    virtual_time_pass(scene.fixture.loop, forget_ns / 2);
    cr_assert(!is_there(&scene, "b", 1));
    cr_assert_eq(relays_count(scene.relays), 1);
    relays_close(scene.relays);
    cr_assert_eq(open_source(&scene, "c", 1, 1), FAULT_DRAINING);
    cr_assert_eq(scene.emptied, 1);
    relays_free(scene.relays);
    consumer_leave(&scene.consumer);
    fake_session_fini(&scene.up);
    hub_fixture_close(&scene.fixture);
}

static bool count(void *ctx, struct relayed *relayed)
{
    (void)relayed;
    ++*(unsigned *)ctx;
    return true;
}

static bool count_to_5(void *ctx, struct relayed *relayed)
{
    return count(ctx, relayed) && *(unsigned *)ctx < 5;
}

/* 64 slots are looked at under one lock, and there are at least as many slots as sources. */
Test(relays, a_look_at_all_of_them_gives_the_lock_back_again_and_again)
{
    struct scene scene;
    char name[16];
    unsigned found = 0;

    scene_open(&scene, 2100);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        cr_assert_eq(open_source(&scene, name, 1, 1), FAULT_NONE);
    }
    unlocks = 0;
    relays_each(scene.relays, count, &found);
    cr_assert_eq(found, 2000, "each once");
    cr_assert_geq(unlocks, 2000 / 64);
    found = unlocks = 0;
    relays_each(scene.relays, count_to_5, &found);
    cr_assert_eq(found, 5);
    cr_assert_leq(unlocks, 5);
    scene_close(&scene);
}
