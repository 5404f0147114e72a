/* test_changes.c - the log of changes, and who reads it: snapshot, changes, and what was missed. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/budget.h"
#include "hub/changes.h"
#include "hub/endpoint_rules.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct endpoint_rules rules = {.first_retry_ns = 100 * NS_PER_MS, .max_retry_ns = NS_PER_S};

/* ---- one who reads, and writes down what it is shown ---- */

struct reader {
    struct changes changes;
    struct buf text;
    uint64_t number; /* of the last change */
    unsigned shown, readable;
    unsigned full_after; /* it is full after so many of the snapshot; 0: never */
};

static const char *name_of(enum producer_state state)
{
    static const char *const names[] = {[PRODUCER_IDLE] = "IDLE",
                                        [PRODUCER_CONNECTING] = "CONNECTING",
                                        [PRODUCER_ACTIVE] = "ACTIVE",
                                        [PRODUCER_BLOCKED] = "BLOCKED",
                                        [PRODUCER_UNAVAILABLE] = "UNAVAILABLE",
                                        [PRODUCER_DRAINING] = "DRAINING",
                                        [PRODUCER_ENDED] = "ENDED",
                                        [PRODUCER_REMOVED] = "REMOVED"};

    return names[state];
}

static void put(struct reader *reader, const char *what, struct bytes name)
{
    buf_text(&reader->text, reader->text.size > 0 ? ", " : "");
    buf_text(&reader->text, what);
    buf_text(&reader->text, name.size > 0 ? " " : "");
    buf_bytes(&reader->text, name.data, name.size);
}

static void on_producer(void *ctx, const struct producer_view *view)
{
    struct reader *reader = ctx;

    put(reader, "has", view->name);
    buf_format(&reader->text, " %s", name_of(view->state));
    if (reader->full_after > 0 && ++reader->shown % reader->full_after == 0)
        changes_full(&reader->changes);
}

static void on_subscription(void *ctx, const struct subscription_view *view)
{
    put(ctx, "has subscription", view->name);
}

static void on_complete(void *ctx)
{
    put(ctx, "complete", (struct bytes){0});
}

static void on_change(void *ctx, const struct change *change)
{
    static const char *const kinds[] = {
        [CHANGE_ADDED] = "added", [CHANGE_STATE] = "is", [CHANGE_REMOVED] = "removed"};
    struct reader *reader = ctx;

    cr_assert_gt(change->number, reader->number, "numbers rise");
    reader->number = change->number;
    put(reader, change->is_subscription ? "subscription" : kinds[change->kind],
        change->is_subscription ? change->own_name : change->name);
    if (change->is_subscription)
        buf_format(&reader->text, " %s", kinds[change->kind]);
    else
        buf_format(&reader->text, " %s", name_of(change->state));
    if (change->failure.code != CODE_OK)
        buf_format(&reader->text, " with %s: %s", fault_code_name((enum fault_code)change->failure.code),
                   change->failure.message);
    if (change->reason)
        buf_format(&reader->text, " for %s", change->reason);
}

static void on_missed(void *ctx, uint64_t count)
{
    struct reader *reader = ctx;

    put(reader, "missed", (struct bytes){0});
    buf_format(&reader->text, " %llu", (unsigned long long)count);
}

static void on_readable(void *ctx)
{
    ((struct reader *)ctx)->readable++;
}

static const struct changes_port port = {on_producer, on_subscription, on_complete,
                                         on_change,   on_missed,       on_readable};

static enum fault_reason reader_open(struct reader *reader, struct hub_fixture *fixture, const char *pattern,
                                     bool subscriptions, bool snapshot)
{
    const struct changes_params params = {.pattern = text_of(pattern),
                                          .subscriptions = subscriptions,
                                          .snapshot = snapshot,
                                          .port = &port,
                                          .ctx = reader};
    struct fault fault;

    *reader = (struct reader){0};
    return changes_open(fixture->hub, &reader->changes, &params, &fault);
}

static void reader_close(struct reader *reader)
{
    changes_close(&reader->changes);
    buf_fini(&reader->text);
}

static const char *text_of_reader(struct reader *reader)
{
    buf_byte(&reader->text, 0);
    reader->text.size = 0;
    return (const char *)reader->text.data;
}

/* Everything that there is to read. */
static const char *read_all(struct reader *reader)
{
    while (changes_read(&reader->changes))
        continue;
    return text_of_reader(reader);
}

static struct session_params endpoint_params(const char *name, enum session_mode mode)
{
    struct session_params params = fake_session_params(name, mode);

    params.endpoint = &rules;
    return params;
}

/* ---- the log ---- */

static void ignore(struct change_reader *reader)
{
    (void)reader;
}

static struct change change_of(const char *name)
{
    return (struct change){.kind = CHANGE_STATE, .name = text_of(name), .peer = "", .state = PRODUCER_IDLE};
}

Test(change_log, keeps_nothing_while_nobody_reads_and_gives_everything_back)
{
    struct loop *loop = NULL;
    struct change_reader reader = {.readable = ignore};
    const struct change change = change_of("a");

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    struct change_log *log = change_log_new(loop);
    const int64_t before = count_get(COUNT_LIVE_CHANGE_BYTES);
    change_log_add(log, &change);
    cr_assert_eq(count_get(COUNT_LIVE_CHANGE_BYTES), before);
    cr_assert_eq(change_log_begin(log, &reader), ERR_OK);
    cr_assert_null(change_log_next(log, &reader), "it begins behind the latest change");
    change_log_add(log, &change);
    cr_assert_gt(count_get(COUNT_LIVE_CHANGE_BYTES), before);
    change_log_end(log, &reader);
    cr_assert_eq(count_get(COUNT_LIVE_CHANGE_BYTES), before);
    change_log_free(log);
    loop_free(loop);
}

Test(change_log, one_who_is_too_far_behind_hears_exactly_how_many_it_missed)
{
    struct loop *loop = NULL;
    struct change_reader slow = {.readable = ignore}, quick = {.readable = ignore};
    const struct change change = change_of("a");

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    struct change_log *log = change_log_new(loop);
    cr_assert_eq(change_log_begin(log, &slow), ERR_OK);
    cr_assert_eq(change_log_begin(log, &quick), ERR_OK);
    for (unsigned i = 1; i <= MAX_CHANGES + 5; i++) {
        change_log_add(log, &change);
        cr_assert_eq(change_log_missed(log, &quick), 0);
        cr_assert_eq(change_log_next(log, &quick)->number, i);
    }
    cr_assert_eq(change_log_missed(log, &slow), 5);
    cr_assert_eq(change_log_missed(log, &slow), 0);
    for (unsigned i = 6; i <= MAX_CHANGES + 5; i++)
        cr_assert_eq(change_log_next(log, &slow)->number, i);
    cr_assert_null(change_log_next(log, &slow));
    change_log_end(log, &slow);
    change_log_end(log, &quick);
    change_log_free(log);
    loop_free(loop);
}

Test(change_log, large_changes_are_bounded_by_their_bytes)
{
    struct loop *loop = NULL;
    struct change_reader reader = {.readable = ignore};
    char message[257];
    struct change change = change_of("a");

    memset(message, 'm', sizeof(message) - 1);
    message[256] = '\0';
    change.failure = (struct session_failure){.code = 14, .message = message};
    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    struct change_log *log = change_log_new(loop);
    const int64_t before = count_get(COUNT_LIVE_CHANGE_BYTES);
    cr_assert_eq(change_log_begin(log, &reader), ERR_OK);
    for (unsigned i = 0; i < MAX_CHANGES; i++)
        change_log_add(log, &change);
    cr_assert_leq(count_get(COUNT_LIVE_CHANGE_BYTES) - before,
                  (int64_t)(MAX_CHANGE_BYTES + MAX_CHANGES * sizeof(struct change *)));
    const uint64_t missed = change_log_missed(log, &reader);
    cr_assert_gt(missed, 0);
    uint64_t left = 0;
    for (const struct change *next = NULL; (next = change_log_next(log, &reader)); left++)
        cr_assert_str_eq(next->failure.message, message);
    cr_assert_eq(missed + left, MAX_CHANGES);
    change_log_end(log, &reader);
    change_log_free(log);
    loop_free(loop);
}

Test(change_log, without_budget_all_have_missed_what_came_and_nothing_is_lost_in_silence)
{
    struct loop *loop = NULL;
    struct change_reader reader = {.readable = ignore};
    const struct change change = change_of("a");

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    struct change_log *log = change_log_new(loop);
    cr_assert_eq(change_log_begin(log, &reader), ERR_OK);
    change_log_add(log, &change);
    change_log_add(log, &change);
    budget_set(1);
    change_log_add(log, &change);
    budget_set(0);
    change_log_add(log, &change);
    cr_assert_eq(change_log_missed(log, &reader), 3);
    cr_assert_eq(change_log_next(log, &reader)->number, 4);
    change_log_end(log, &reader);
    change_log_free(log);
    loop_free(loop);
}

/* ---- those who read ---- */

Test(changes, the_snapshot_comes_first_and_then_each_change_once)
{
    struct hub_fixture fixture;
    struct reader reader, same;
    struct consumer consumer;
    struct fake_session web = {0};

    hub_fixture_open(&fixture);
    publish(&fixture, "t", 1, "a");
    cr_assert_eq(reader_open(&reader, &fixture, "", true, true), FAULT_NONE);
    cr_assert_str_eq(read_all(&reader), "has t IDLE, complete");
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    cr_assert_eq(reader_open(&same, &fixture, "w?b", true, true), FAULT_NONE);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    web.failure = (struct session_failure){.code = CODE_INTERNAL, .message = "no luck", .wall_ns = 7};
    fake_session_end(&web, 1, CODE_INTERNAL, "no luck");
    const char *const expected = "added web IDLE, subscription a consumer added, is web CONNECTING, is web "
                                 "ACTIVE, is web UNAVAILABLE with "
                                 "INTERNAL: no luck";
    cr_assert_str_eq(read_all(&reader), expected);
    cr_assert_str_eq(read_all(&same), "has web UNAVAILABLE, has subscription a consumer, complete",
                     "what came before it was reached is in the snapshot");
    consumer_leave(&consumer);
    fake_session_leave(&web, FAULT_CANCELLED);
    cr_assert_str_eq(read_all(&same), read_all(&reader));
    fake_session_fini(&web);
    reader_close(&reader);
    reader_close(&same);
    hub_fixture_close(&fixture);
}

Test(changes, what_the_walk_has_passed_is_shown_as_a_change_and_the_rest_is_not)
{
    struct hub_fixture fixture;
    struct reader reader;
    struct fake_session a = {0}, m = {0}, z = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&a, &fixture, endpoint_params("a", SESSION_SHARED));
    fake_session_join(&z, &fixture, endpoint_params("z", SESSION_SHARED));
    cr_assert_eq(reader_open(&reader, &fixture, "", false, true), FAULT_NONE);
    reader.full_after = 1;
    cr_assert(changes_read(&reader.changes));
    cr_assert_str_eq(text_of_reader(&reader), "has a CONNECTING");
    fake_session_report(&z, 0, PRODUCER_ACTIVE, 0, NULL);
    fake_session_report(&a, 0, PRODUCER_ACTIVE, 0, NULL);
    fake_session_join(&m, &fixture, endpoint_params("m", SESSION_SHARED));
    cr_assert_str_eq(read_all(&reader), "is a ACTIVE, has m CONNECTING, has z ACTIVE, complete");
    fake_session_fini(&a);
    fake_session_fini(&m);
    fake_session_fini(&z);
    reader_close(&reader);
    hub_fixture_close(&fixture);
}

Test(changes, one_who_missed_some_gets_the_snapshot_anew_or_only_hears_it)
{
    struct hub_fixture fixture;
    struct reader reader, without;
    struct fake_session web = {0};

    hub_fixture_open(&fixture);
    cr_assert_eq(reader_open(&reader, &fixture, "", false, true), FAULT_NONE);
    cr_assert_eq(reader_open(&without, &fixture, "", false, false), FAULT_NONE);
    cr_assert_str_eq(read_all(&reader), "complete");
    cr_assert_str_eq(read_all(&without), "complete");
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    for (unsigned i = 0; i < MAX_CHANGES; i++)
        fake_session_report(&web, 0, i % 2 ? PRODUCER_CONNECTING : PRODUCER_ACTIVE, 0, NULL);
    cr_assert_str_eq(read_all(&reader), "missed 1, has web CONNECTING, complete");
    const char *rest = read_all(&without);
    const char *head = "missed 1, complete, is web ACTIVE, is web CONNECTING, ";
    cr_assert_eq(strncmp(rest, head, strlen(head)), 0, "it gets all that is kept");
    fake_session_report(&web, 0, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_str_eq(read_all(&reader), "is web ACTIVE");
    cr_assert_str_eq(read_all(&without), "is web ACTIVE");
    fake_session_fini(&web);
    reader_close(&reader);
    reader_close(&without);
    hub_fixture_close(&fixture);
}

Test(changes, states_of_publishing_producers_are_looked_at_and_readers_are_woken)
{
    struct hub_fixture fixture;
    struct reader reader;
    struct putter putter;

    hub_fixture_open(&fixture);
    cr_assert_eq(reader_open(&reader, &fixture, "", false, true), FAULT_NONE);
    cr_assert_str_eq(read_all(&reader), "complete");
    putter_open(&putter, &fixture, "t");
    loop_turn(fixture.loop);
    cr_assert_eq(reader.readable, 1);
    cr_assert_str_eq(read_all(&reader), "added t ACTIVE");
    putter_leave(&putter);
    virtual_time_pass(fixture.loop, 60 * NS_PER_MS);
    cr_assert_eq(reader.readable, 2, "once for each wait");
    cr_assert_str_eq(read_all(&reader), "is t IDLE");
    reader_close(&reader);
    virtual_time_pass(fixture.loop, 60 * NS_PER_MS);
    hub_fixture_close(&fixture);
}

Test(changes, a_session_that_is_removed_gently_is_DRAINING_and_then_gone)
{
    struct hub_fixture fixture;
    struct reader reader;
    struct consumer consumer;
    struct fake_session web = {0};
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_eq(reader_open(&reader, &fixture, "", false, false), FAULT_NONE);
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), NS_PER_S, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_str_eq(read_all(&reader), "complete, is web DRAINING");
    fake_session_end(&web, 1, CODE_OK, NULL);
    cr_assert_str_eq(read_all(&reader), "removed web REMOVED for REMOVED");
    fake_session_fini(&web);
    consumer_leave(&consumer);
    reader_close(&reader);
    hub_fixture_close(&fixture);
}

Test(changes, a_hub_that_drains_takes_no_more_readers)
{
    struct hub_fixture fixture;
    struct reader reader;

    hub_fixture_open(&fixture);
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert_eq(reader_open(&reader, &fixture, "", false, true), FAULT_DRAINING);
    hub_fixture_close(&fixture);
}
