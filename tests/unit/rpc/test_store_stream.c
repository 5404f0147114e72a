/* test_store_stream.c - a publishing stream and a store that answers when the test says so: order,
 * back pressure (row_16), refusals and ends. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "lib/events.h"
#include "rpc_fixture.h"
#include "seam/fake_session.h"
#include "topic/topics.h"

/* A store with two topics, whose appends wait for the test. */
static struct {
    struct topic_append *appends[64];
    uint32_t count;
    uint64_t next_seq[3];
    bool is_full, is_closed;
} store;

static struct topics *topics;

static enum err append(void *ctx, struct topic_append *append)
{
    (void)ctx;
    if (store.is_closed)
        return ERR_CLOSED;
    if (store.is_full)
        return ERR_FULL;
    cr_assert_lt(store.count, ARRAY_LEN(store.appends));
    store.appends[store.count++] = append;
    return ERR_OK;
}

static void list(void *ctx, void (*each)(void *arg, const struct topic_info *info), void *arg)
{
    static const char *const names[] = {"a", "b"};

    (void)ctx;
    for (uint64_t i = 0; i < ARRAY_LEN(names); i++)
        each(arg,
             &(struct topic_info){
                 .id = i + 1, .incarnation = 7, .name = text_of(names[i]), .first_seq = 1, .next_seq = 1});
}

static const struct topic_port port = {.append = append, .list = list};

/* The oldest append is over. */
static void answer(enum topic_outcome outcome)
{
    struct topic_append *first = store.appends[0];

    cr_assert_gt(store.count, 0);
    store.count--;
    for (uint32_t i = 0; i < store.count; i++)
        store.appends[i] = store.appends[i + 1];
    first->outcome = outcome;
    for (uint32_t i = 0; i < first->part_count && outcome == TOPIC_DONE; i++) {
        struct topic_part *part = &first->parts[i];

        part->stored = part->run.count;
        part->first_seq = store.next_seq[part->topic] + 1;
        part->incarnation = 7;
        store.next_seq[part->topic] += part->run.count;
    }
    first->done(first);
}

static void open_stream(struct rpc_fixture *fixture)
{
    struct topics_params params = {.port = port};

    memset(&store, 0, sizeof(store));
    rpc_fixture_open(fixture, false);
    params.hub = fixture->hub_fixture.hub;
    cr_assert_eq(topics_new(fixture->hub_fixture.loop, &params, &topics), ERR_OK);
    fixture->rpc.params.topics = topics;
    stored_gate_init(&fixture->rpc.gate, topics_port(topics));
    stored_makings_init(&fixture->rpc.makings);
    rpc_fixture_run(fixture);
}

static void close_stream(struct rpc_fixture *fixture, enum fault_reason status)
{
    rpc_fixture_run(fixture);
    if (fixture->call.state == CALL_OPEN)
        rpc_fixture_half_close(fixture);
    rpc_fixture_run(fixture);
    cr_assert_eq(fixture->call.state, CALL_CLOSED, "the call has not ended");
    stored_gate_fini(&fixture->rpc.gate);
    topics_free(topics);
    rpc_fixture_close(fixture, status);
    cr_expect_eq(count_get(COUNT_LIVE_APPEND_BYTES), 0);
    cr_expect_eq(count_get(COUNT_LIVE_CHUNKS), 0);
}

/* One message arrives: each letter is an event of this topic. */
static void receive_topics(struct rpc_fixture *fixture, const char *letters, int confirm)
{
    struct buf message = {0};

    for (const char *at = letters; *at; at++)
        put_event(&message, &(struct event_view){.topic = {(const uint8_t *)at, 1}}, NULL, 0);
    if (confirm > 0) {
        const uint8_t field[] = {3 << 3, (uint8_t)confirm};
        buf_bytes(&message, field, sizeof(field));
    }
    rpc_fixture_publish_bytes(fixture, &message);
}

static void publish_topics(struct rpc_fixture *fixture, const char *letters, int confirm)
{
    receive_topics(fixture, letters, confirm);
    rpc_fixture_run(fixture);
}

Test(store_stream, many_batches_are_in_flight_and_are_confirmed_in_order)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    for (int i = 0; i < 5; i++)
        publish_topics(&fixture, "aa", 0);
    cr_expect_eq(store.count, 5);
    cr_expect_eq(fixture.confirmed, 1, "nothing is on the disk");
    answer(TOPIC_DONE);
    answer(TOPIC_DONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 3);
    for (int i = 0; i < 3; i++)
        answer(TOPIC_DONE);
    close_stream(&fixture, FAULT_NONE);
    cr_expect_eq(fixture.confirmed, 6);
    cr_expect_str_eq(fixture.refused, "");
}

Test(store_stream, what_the_store_refuses_is_refused_alone)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    for (int i = 0; i < 4; i++)
        publish_topics(&fixture, "a", 0);
    answer(TOPIC_DONE);
    answer(TOPIC_DISK_FULL);
    answer(TOPIC_NOT_FOUND);
    answer(TOPIC_DONE);
    close_stream(&fixture, FAULT_NONE);
    cr_expect_str_eq(fixture.refused, "3 STORE_FULL, 4 TOPIC_NOT_FOUND");
    cr_expect_eq(fixture.confirmed, 5);
}

Test(store_stream, is_not_read_while_the_store_is_behind)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    publish_topics(&fixture, "a", 0);
    store.is_full = true;
    publish_topics(&fixture, "a", 0);
    cr_expect(!fixture.call.reading, "the producer is slowed");
    stored_gate_writable(&fixture.rpc.gate);
    rpc_fixture_run(&fixture);
    cr_expect(!fixture.call.reading, "it is still full");
    store.is_full = false;
    answer(TOPIC_DONE);
    stored_gate_writable(&fixture.rpc.gate);
    rpc_fixture_run(&fixture);
    cr_expect(fixture.call.reading);
    cr_expect_eq(store.count, 1);
    answer(TOPIC_DONE);
    close_stream(&fixture, FAULT_NONE);
    cr_expect_eq(fixture.confirmed, 3, "and nothing has failed");
    cr_expect_str_eq(fixture.refused, "");
}

Test(store_stream, a_lost_call_stays_until_the_store_has_answered)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    publish_topics(&fixture, "ab", 0);
    store.is_full = true;
    publish_topics(&fixture, "a", 0);
    rpc_fixture_lose_call(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_neq(fixture.call.state, CALL_CLOSED);
    stored_gate_writable(&fixture.rpc.gate);
    cr_expect_eq(store.count, 1, "what had to wait is given up");
    answer(TOPIC_DONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(store.next_seq[1], 1);
    close_stream(&fixture, FAULT_NONE);
}

Test(store_stream, live_events_come_after_the_commit_and_later_ones_behind_them)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    publish_topics(&fixture, "xax", 0);
    cr_expect_eq(store.appends[0]->part_count, 1);
    cr_expect_eq(fixture.last_sequence, 1, "of the first message");
    publish_topics(&fixture, "a", 0);
    publish_topics(&fixture, "y", 0);
    cr_expect(!fixture.call.reading, "the live one waits");
    answer(TOPIC_DONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 2);
    cr_expect_eq(fixture.last_sequence, 3);
    answer(TOPIC_DONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_eq(fixture.last_sequence, 4);
    close_stream(&fixture, FAULT_NONE);
}

Test(store_stream, what_is_only_to_be_received_is_confirmed_at_once)
{
    struct rpc_fixture fixture;
    const int64_t lost = count_get(COUNT_EVENTS_ACCEPTED_LOST);

    open_stream(&fixture);
    publish_topics(&fixture, "ab", 1);
    cr_expect_eq(fixture.confirmed, 2);
    answer(TOPIC_DISK_FULL);
    rpc_fixture_run(&fixture);
    cr_expect_eq(count_get(COUNT_EVENTS_ACCEPTED_LOST) - lost, 2, "a loss is counted");
    store.is_full = true;
    publish_topics(&fixture, "a", 1);
    cr_expect_eq(fixture.confirmed, 2, "the store has not accepted it");
    store.is_full = false;
    stored_gate_writable(&fixture.rpc.gate);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 3);
    answer(TOPIC_DONE);
    close_stream(&fixture, FAULT_NONE);
}

Test(store_stream, a_store_that_ends_is_a_server_that_drains)
{
    struct rpc_fixture fixture;

    open_stream(&fixture);
    publish_topics(&fixture, "a", 0);
    store.is_closed = true;
    publish_topics(&fixture, "a", 0);
    answer(TOPIC_DONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 2);
    close_stream(&fixture, FAULT_DRAINING);
}

/* A session takes the producer's name while two batches are in the store. The live event of the
 * first one finds that out. The next message, and the live event of the second batch, then ask for
 * the producer before the loop has answered either. */
static void lose_the_name(struct rpc_fixture *fixture, struct fake_session *session)
{
    open_stream(fixture);
    publish_topics(fixture, "xa", 0);
    publish_topics(fixture, "ya", 0);
    fake_session_join(session, &fixture->hub_fixture, fake_session_params("web", SESSION_SHARED));
    answer(TOPIC_DONE);
    rpc_fixture_run(fixture);
    cr_expect_eq(fixture->confirmed, 2, "its stored event is confirmed");
    receive_topics(fixture, "a", 0);
    answer(TOPIC_DONE);
    rpc_fixture_poll(fixture);
    cr_expect_eq(store.count, 0, "the message waits for its producer");
}

Test(store_stream, a_message_and_a_batch_may_both_wait_for_the_producer)
{
    struct rpc_fixture fixture;
    struct fake_session session = {.session = NULL};
    const int64_t lost = count_get(COUNT_EVENTS_ACCEPTED_LOST);

    lose_the_name(&fixture, &session);
    fake_session_leave(&session, FAULT_NONE);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 3);
    cr_expect_eq(fixture.last_sequence, 1, "the live event, of a new producer");
    cr_expect_eq(count_get(COUNT_EVENTS_ACCEPTED_LOST) - lost, 1, "that of the first batch");
    answer(TOPIC_DONE);
    fake_session_fini(&session);
    close_stream(&fixture, FAULT_NONE);
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_str_eq(fixture.refused, "");
}

Test(store_stream, a_message_and_a_batch_may_both_find_the_name_taken)
{
    struct rpc_fixture fixture;
    struct fake_session session = {.session = NULL};
    const int64_t lost = count_get(COUNT_EVENTS_ACCEPTED_LOST);

    lose_the_name(&fixture, &session);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_str_eq(fixture.refused, "4 NAME_TAKEN");
    cr_expect_eq(count_get(COUNT_EVENTS_ACCEPTED_LOST) - lost, 2);
    fake_session_fini(&session);
    close_stream(&fixture, FAULT_NONE);
}
