/* test_topic_set.c - the set of stored topics over a backend that answers when the test says. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/hub_parts.h"
#include "hub/registry.h"
#include "seam/hub_fixture.h"
#include "topic/topics.h"

#define MAX_FAKES 16u

/* ---- a backend ---- */

struct backend {
    struct topic_info topics[MAX_FAKES]; /* id 0: none */
    char names[MAX_FAKES][MAX_TOPIC_NAME_BYTES + 1];
    struct topic_change *waiting[MAX_FAKES];
    unsigned waiting_count, changes;
    uint64_t last_id;
};

static struct hub_fixture fixture;
static struct backend backend;
static struct topics *topics;

static struct topic_info *stored(struct bytes name)
{
    for (unsigned i = 0; i < MAX_FAKES; i++)
        if (backend.topics[i].id != 0 && bytes_same(backend.topics[i].name, name))
            return &backend.topics[i];
    return NULL;
}

static void keep(struct bytes name, struct topic_settings settings)
{
    unsigned i = 0;

    while (backend.topics[i].id != 0)
        i++;
    cr_assert_lt(i, MAX_FAKES);
    memcpy(backend.names[i], name.data, name.size);
    backend.topics[i] = (struct topic_info){.id = ++backend.last_id,
                                            .incarnation = backend.last_id,
                                            .name = {(const uint8_t *)backend.names[i], name.size},
                                            .settings = settings,
                                            .first_seq = 1,
                                            .next_seq = 1};
}

static void change(void *ctx, struct topic_change *change)
{
    (void)ctx;
    cr_assert_lt(backend.waiting_count, MAX_FAKES);
    backend.waiting[backend.waiting_count++] = change;
    backend.changes++;
}

static void list(void *ctx, void (*each)(void *arg, const struct topic_info *info), void *arg)
{
    (void)ctx;
    for (unsigned i = 0; i < MAX_FAKES; i++)
        if (backend.topics[i].id != 0)
            each(arg, &backend.topics[i]);
}

static bool info(void *ctx, uint64_t id, struct topic_info *info_out)
{
    (void)ctx;
    for (unsigned i = 0; i < MAX_FAKES; i++) {
        if (backend.topics[i].id == id && id != 0) {
            const struct bytes name = info_out->name;

            *info_out = backend.topics[i];
            info_out->name = name;
            return true;
        }
    }
    return false;
}

static enum topic_outcome carry_out(struct topic_change *wanted)
{
    struct topic_info *topic = stored(wanted->name);

    if (wanted->verb == TOPIC_CREATE && topic) {
        wanted->id = topic->id;
        return TOPIC_EXISTS;
    }
    if (wanted->verb != TOPIC_CREATE && !topic)
        return TOPIC_NOT_FOUND;
    if (wanted->verb == TOPIC_CREATE)
        keep(wanted->name, wanted->settings);
    else if (wanted->verb == TOPIC_UPDATE)
        topic->settings = wanted->settings;
    else
        topic->id = 0;
    wanted->next_seq = topic ? topic->next_seq : 0;
    wanted->id = wanted->verb == TOPIC_CREATE ? backend.last_id : 0;
    return TOPIC_DONE;
}

/* Answers the first change that waits, and lets the loop turn. */
static void answer(enum topic_outcome outcome)
{
    struct topic_change *first = backend.waiting[0];

    cr_assert_gt(backend.waiting_count, 0);
    backend.waiting_count--;
    memmove(backend.waiting, backend.waiting + 1, backend.waiting_count * sizeof(struct topic_change *));
    first->outcome = outcome == TOPIC_DONE ? carry_out(first) : outcome;
    first->done(first);
    loop_turn(fixture.loop);
}

/* ---- the topics ---- */

struct wanted {
    struct topics_change change;
    unsigned done;
    enum fault_reason reason;
};

static void on_done(struct topics_change *change, enum fault_reason reason)
{
    struct wanted *wanted = container_of(change, struct wanted, change);

    wanted->done++;
    wanted->reason = reason;
}

static void want(struct wanted *wanted, enum topic_verb verb, const char *name, uint64_t max_events)
{
    *wanted = (struct wanted){
        .change = {
            .verb = verb, .name = text_of(name), .settings = {.max_events = max_events}, .done = on_done}};
    topics_change(topics, &wanted->change);
}

/* All of it, at once. */
static enum fault_reason now(enum topic_verb verb, const char *name, uint64_t max_events)
{
    struct wanted wanted;

    want(&wanted, verb, name, max_events);
    if (wanted.done == 0)
        answer(TOPIC_DONE);
    cr_assert_eq(wanted.done, 1);
    return wanted.reason;
}

static bool is_there(const char *name)
{
    struct live_topic *live = topics_find(topics, text_of(name));

    live_topic_release(live);
    return live;
}

static void open_topics(void)
{
    const struct bytes globs[] = {text_of("auto.*"), text_of("*x?")};
    const struct topics_params params = {
        .hub = fixture.hub,
        .port = {.change = change, .list = list, .info = info},
        .on_publish = globs,
        .on_publish_count = ARRAY_LEN(globs),
    };

    cr_assert_eq(topics_new(fixture.loop, &params, &topics), ERR_OK);
}

static void begin(void)
{
    hub_fixture_open(&fixture);
    backend = (struct backend){.last_id = 100};
    topics = NULL;
}

static void end(void)
{
    cr_assert_eq(backend.waiting_count, 0);
    topics_free(topics);
    loop_turn(fixture.loop);
    hub_fixture_close(&fixture);
}

TestSuite(topic_set, .init = begin, .fini = end);

Test(topic_set, those_of_the_backend_are_producers_from_the_start)
{
    struct topic_view view;

    keep(text_of("b"), (struct topic_settings){.max_events = 5});
    keep(text_of("a"), (struct topic_settings){0});
    open_topics();
    cr_assert(topics_may_have(topics));
    cr_assert_eq(topics_count(topics), 2);
    cr_assert(is_there("a") && is_there("b") && !is_there("c"));
    cr_assert(topics_view_after(topics, text_of(""), &view));
    cr_assert(bytes_same(view.info.name, text_of("a")));
    cr_assert(topics_view_after(topics, text_of("a"), &view));
    cr_assert_eq(view.info.settings.max_events, 5);
    cr_assert(!topics_view_after(topics, text_of("b"), &view));
    cr_assert(registry_find(hub_registry(fixture.hub), text_of("@a")));
}

Test(topic_set, a_topic_is_in_effect_when_it_is_on_the_disk)
{
    struct wanted wanted;

    open_topics();
    want(&wanted, TOPIC_CREATE, "a", 7);
    cr_assert_eq(wanted.done, 0);
    cr_assert(!is_there("a"));
    answer(TOPIC_DONE);
    cr_assert_eq(wanted.done, 1);
    cr_assert_eq(wanted.reason, FAULT_NONE);
    cr_assert_eq(wanted.change.info.settings.max_events, 7);
    cr_assert(is_there("a"));

    cr_assert_eq(now(TOPIC_CREATE, "a", 7), FAULT_NONE);
    cr_assert_eq(now(TOPIC_CREATE, "a", 8), FAULT_TOPIC_EXISTS);
    cr_assert_eq(now(TOPIC_UPDATE, "a", 7), FAULT_NONE);
    cr_assert_eq(backend.changes, 1, "what changes nothing needs no disk");
    cr_assert_eq(now(TOPIC_UPDATE, "a", 9), FAULT_NONE);
    cr_assert_eq(now(TOPIC_UPDATE, "b", 9), FAULT_TOPIC_NOT_FOUND);
    cr_assert_eq(now(TOPIC_DELETE, "a", 0), FAULT_NONE);
    cr_assert(!is_there("a"));
    cr_assert(!registry_find(hub_registry(fixture.hub), text_of("@a")));
    cr_assert_eq(now(TOPIC_DELETE, "a", 0), FAULT_TOPIC_NOT_FOUND);
}

Test(topic_set, a_change_that_the_disk_refuses_leaves_nothing)
{
    static const struct {
        enum topic_outcome outcome;
        enum fault_reason reason;
    } rows[] = {{TOPIC_DISK_FULL, FAULT_STORE_FULL},     {TOPIC_LOCKED, FAULT_STORE_LOCKED},
                {TOPIC_TOO_MANY, FAULT_TOO_MANY_TOPICS}, {TOPIC_FAILED, FAULT_STORE_FAILED},
                {TOPIC_UNKNOWN, FAULT_STORE_UNKNOWN},    {TOPIC_CLOSED, FAULT_DRAINING},
                {TOPIC_NO_MEMORY, FAULT_MEMORY_BUDGET}};

    open_topics();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct wanted wanted;

        want(&wanted, TOPIC_CREATE, "a", 0);
        answer(rows[i].outcome);
        cr_assert_eq(wanted.reason, rows[i].reason, "%u", i);
        cr_assert(!is_there("a"));
    }
    cr_assert_eq(now(TOPIC_CREATE, "a", 0), FAULT_NONE);
}

Test(topic_set, changes_of_one_name_wait_for_each_other_and_those_of_another_do_not)
{
    struct wanted create, delete, again, other;

    open_topics();
    want(&create, TOPIC_CREATE, "a", 1);
    want(&delete, TOPIC_DELETE, "a", 0);
    want(&again, TOPIC_CREATE, "a", 2);
    want(&other, TOPIC_CREATE, "b", 0);
    cr_assert_eq(backend.waiting_count, 2);
    answer(TOPIC_DONE);
    cr_assert_eq(create.done, 1);
    stored(text_of("a"))->next_seq = 6; /* somebody appends after the deletion was asked for */
    answer(TOPIC_DONE);
    cr_assert_eq(other.done, 1);
    cr_assert_eq(delete.done, 0);
    answer(TOPIC_DONE);
    answer(TOPIC_DONE);
    cr_assert_eq(delete.done + again.done, 2);
    cr_assert_eq(delete.change.info.settings.max_events, 1);
    cr_assert_eq(delete.change.info.next_seq, 6);
    cr_assert_eq(again.change.info.settings.max_events, 2);
    cr_assert_gt(again.change.info.incarnation, create.change.info.incarnation);
}

Test(topic_set, delete_with_an_incarnation_spares_the_successor)
{
    struct wanted wanted = {
        .change = {.verb = TOPIC_DELETE, .name = text_of("a"), .incarnation = 3, .done = on_done}};

    open_topics();
    cr_assert_eq(now(TOPIC_CREATE, "a", 0), FAULT_NONE);
    topics_change(topics, &wanted.change);
    cr_assert_eq(wanted.reason, FAULT_TOPIC_CHANGED);
    cr_assert(is_there("a"));
    wanted.change.incarnation = backend.last_id;
    topics_change(topics, &wanted.change);
    answer(TOPIC_DONE);
    cr_assert_eq(wanted.reason, FAULT_NONE);
}

/* The space was there when the change began. */
Test(topic_set, what_the_hub_has_no_space_for_is_deleted_from_the_disk_before_the_answer)
{
    struct wanted wanted;
    struct putter putters[16];

    open_topics();
    want(&wanted, TOPIC_CREATE, "a", 0);
    for (unsigned i = 0; i < ARRAY_LEN(putters); i++) {
        char name[16];

        snprintf(name, sizeof(name), "p%u", i);
        putter_open(&putters[i], &fixture, name);
    }
    answer(TOPIC_DONE);
    cr_assert_eq(wanted.done, 0);
    cr_assert(stored(text_of("a")));
    cr_assert(!is_there("a"));
    answer(TOPIC_DONE);
    cr_assert_eq(wanted.reason, FAULT_TOO_MANY_PRODUCERS);
    cr_assert(!stored(text_of("a")));
    want(&wanted, TOPIC_CREATE, "a", 0);
    cr_assert_eq(wanted.reason, FAULT_TOO_MANY_PRODUCERS, "the disk is not asked");
    for (unsigned i = 0; i < ARRAY_LEN(putters); i++)
        putter_leave(&putters[i]);
}

Test(topic_set, names_and_settings_are_checked_before_the_disk)
{
    struct wanted wanted = {.change = {.verb = TOPIC_CREATE, .name = text_of("a"), .done = on_done}};

    open_topics();
    cr_assert_eq(now(TOPIC_CREATE, "", 0), FAULT_EMPTY);
    cr_assert_eq(now(TOPIC_CREATE, "@a", 0), FAULT_BAD_NAME);
    cr_assert_eq(now(TOPIC_CREATE, "a", UINT64_MAX), FAULT_OUT_OF_BOUNDS);
    wanted.change.settings.max_age_ns = 1;
    topics_change(topics, &wanted.change);
    cr_assert_eq(wanted.reason, FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(backend.changes, 0);
}

Test(topic_set, a_draining_hub_changes_nothing)
{
    open_topics();
    hub_drain(fixture.hub, 0, hub_fixture_emptied, &fixture);
    cr_assert_eq(now(TOPIC_CREATE, "a", 0), FAULT_DRAINING);
}

Test(topic_set, patterns_say_what_publishing_makes)
{
    open_topics();
    cr_assert(topics_may_have(topics));
    cr_assert(topics_makes(topics, text_of("auto.a")));
    cr_assert(topics_makes(topics, text_of("0xf")));
    cr_assert(!topics_makes(topics, text_of("automatic")));
    cr_assert(!topics_may_have(NULL));
}
