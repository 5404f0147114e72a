/* test_client_server.c - the library against a server that loses calls, refuses batches and falls
 * silent (fake_server.py).
 *
 * Usage: test_client_server FAKE_SERVER PROTO_FOLDER */
#include "client_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void every_event_arrives_once_and_in_order(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "order");
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){.producer = "order", .queue_events = 500});
    struct tributary_status status;

    client_fixture_await(&received, &received.started, 1);
    CHECK(received.from_callback == TRIBUTARY_FAILED_PRECONDITION);
    for (int i = 0; i < 20000; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    client_fixture_expect_stats(publisher, 20000, 20000, 0);
    client_fixture_await(&received, &received.events, 20000);
    for (int i = 0; i < 20000; i++)
        CHECK(received.numbers[i] == i);
    tributary_subscriber_finish(subscriber, 0);
    CHECK(tributary_subscriber_wait(subscriber, TEST_TIMEOUT_NS, &status) == TRIBUTARY_OK);
    CHECK(received.ended == 1 && received.events == 20000);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void a_refused_batch_is_reported_and_counted(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct refusals refusals = {0};
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){
                    .producer = "refuse-me", .refused = client_fixture_on_refused, .ctx = &refusals});

    for (int i = 0; i < 10; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(refusals.events == 10 && refusals.code == TRIBUTARY_INVALID_ARGUMENT);
    client_fixture_expect_stats(publisher, 10, 0, 10);
    CHECK(tributary_publish(publisher, &(struct tributary_event){.topic = tributary_text("\n")}) ==
          TRIBUTARY_INVALID_ARGUMENT);
    client_fixture_expect_stats(publisher, 10, 0, 10);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* The call is lost after each second batch. Unconfirmed events come again, in order, and none is
 * missing. Finding 30: also where a proxy makes INTERNAL or UNKNOWN of the loss. */
static void a_lost_call_loses_no_event(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "lose");
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){
                    .producer = "lose-it", .batch_events = 10, .linger_ns = TRIBUTARY_NONE});
    int next = 0;

    client_fixture_await(&received, &received.started, 1);
    for (int i = 0; i < 200; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    client_fixture_expect_stats(publisher, 200, 200, 0);
    client_fixture_await(&received, &received.events, 200);
    tributary_subscriber_free(subscriber);
    CHECK(received.ended == 1 && received.final.code == TRIBUTARY_CANCELLED);
    for (uint64_t i = 0; i < received.events; i++) {
        CHECK(received.numbers[i] <= next);
        next += received.numbers[i] == next;
    }
    CHECK(next == 200);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void a_silent_stream_is_lost_after_three_heartbeats(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "silent");
    const int64_t began_ns = clock_mono_ns();

    client_fixture_await(&received, &received.interrupted, 1);
    CHECK(clock_mono_ns() - began_ns >= 600 * NS_PER_MS);
    CHECK(strcmp(received.interrupted_message, "no message for three heartbeats") == 0);
    client_fixture_await(&received, &received.started, 2);
    tributary_subscriber_free(subscriber);
    CHECK(received.ended == 1);
    tributary_free(client);
}

/* Finding 25: the next stream begins without a position, and says so before its first event. */
static void a_stream_that_cannot_be_continued_is_a_loss(void)
{
    static const char *const names[] = {"forgetful", "tokenless"};
    struct tributary *client = client_fixture_connect(client_fixture_target);

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct received *received = calloc(1, sizeof(*received));
        CHECK(received);
        struct tributary_subscriber *subscriber = client_fixture_subscribe(client, received, names[i]);

        client_fixture_await(received, &received->started, 2);
        CHECK(received->gaps == 1);
        CHECK(received->interrupted >= 1);
        tributary_subscriber_free(subscriber);
        free(received);
    }
    tributary_free(client);
}

static void a_cancel_from_a_callback_stops_further_events(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "cancel");
    struct tributary_publisher *publisher =
        client_fixture_publisher(client, &(struct tributary_publisher_options){.producer = "c"});
    struct tributary_status status;

    CHECK(tributary_subscriber_wait(subscriber, 1, &status) == TRIBUTARY_DEADLINE_EXCEEDED &&
          strcmp(status.reason, "STILL_RUNNING") == 0);
    client_fixture_await(&received, &received.started, 1);
    received.to_cancel = subscriber;
    for (int i = 0; i < 100; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_subscriber_wait(subscriber, TEST_TIMEOUT_NS, &status) == TRIBUTARY_CANCELLED);
    CHECK(received.events == 1);
    tributary_subscriber_cancel(subscriber);
    tributary_subscriber_finish(subscriber, 0);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* The server is killed, and another one starts at the same address. */
static void a_server_that_restarts_is_found_again(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "again");
    struct tributary_publisher *publisher =
        client_fixture_publisher(client, &(struct tributary_publisher_options){.producer = "again"});
    char address[64];

    snprintf(address, sizeof(address), "%s", client_fixture_target);
    client_fixture_await(&received, &received.started, 1);
    CHECK(client_fixture_publish(publisher, 1) == TRIBUTARY_OK);
    client_fixture_await(&received, &received.events, 1);
    client_fixture_stop();
    client_fixture_await(&received, &received.interrupted, 1);
    CHECK(client_fixture_publish(publisher, 2) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, 50 * NS_PER_MS) == TRIBUTARY_DEADLINE_EXCEEDED);
    client_fixture_start(address);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    client_fixture_await(&received, &received.resumed, 1);
    CHECK(client_fixture_publish(publisher, 3) == TRIBUTARY_OK);
    client_fixture_await_number(&received, 3);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void without_a_server_everything_ends_in_time(void)
{
    struct tributary *client = client_fixture_connect("127.0.0.1:1");
    struct refusals refusals = {0};
    struct tributary_publisher_options options = {.queue_events = 3,
                                                  .when_full = TRIBUTARY_WHEN_FULL_FAIL,
                                                  .give_up_ns = 100 * NS_PER_MS,
                                                  .refused = client_fixture_on_refused,
                                                  .ctx = &refusals};
    struct tributary_publisher *publisher = client_fixture_publisher(client, &options);
    struct tributary_status status;
    bool serving = false;

    CHECK(tributary_check(client, NULL, TEST_TIMEOUT_NS, &serving, &status) == TRIBUTARY_UNAVAILABLE &&
          status.message[0] != '\0');
    for (int i = 0; i < 3; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(client_fixture_publish(publisher, 3) == TRIBUTARY_RESOURCE_EXHAUSTED);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(refusals.events == 3 && refusals.code == TRIBUTARY_UNAVAILABLE);
    tributary_publisher_free(publisher);

    options.when_full = TRIBUTARY_WHEN_FULL_WAIT;
    options.wait_timeout_ns = 20 * NS_PER_MS;
    options.give_up_ns = TRIBUTARY_NONE;
    publisher = client_fixture_publisher(client, &options);
    for (int i = 0; i < 3; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(client_fixture_publish(publisher, 3) == TRIBUTARY_DEADLINE_EXCEEDED);
    tributary_publisher_free(publisher);
    CHECK(refusals.events == 6 && refusals.code == TRIBUTARY_CANCELLED);
    tributary_free(client);
}

static void options_out_of_bounds_are_refused_at_once(void)
{
    struct tributary *client = NULL;
    struct tributary_publisher *publisher = NULL;
    const struct tributary_header bad = {tributary_text("Upper"), tributary_text("x")};
    const struct tributary_options options[] = {{.backoff_base_ns = 1},
                                                {.connect_timeout_ns = 1},
                                                {.keepalive_ns = 1},
                                                {.backoff_cap_ns = 1},
                                                {.window_bytes = 65535},
                                                {.window_bytes = (16 << 20) + 1},
                                                {.metadata = &bad, .metadata_count = 1}};
    struct tributary_status status;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        CHECK(tributary_connect(&options[i], &client, &status) == TRIBUTARY_INVALID_ARGUMENT &&
              status.message[0] != '\0');
    CHECK(!client);
    client = client_fixture_connect(client_fixture_target);
    CHECK(tributary_publisher_new(client, &(struct tributary_publisher_options){.batch_bytes = (1 << 20) + 1},
                                  &publisher, NULL) == TRIBUTARY_INVALID_ARGUMENT);
    CHECK(tributary_publisher_new(client, &(struct tributary_publisher_options){.batch_events = 65537},
                                  &publisher, NULL) == TRIBUTARY_INVALID_ARGUMENT);
    tributary_free(client);
    tributary_free(NULL);
    tributary_publisher_free(NULL);
    tributary_subscriber_free(NULL);
}

/* The numbers that one thread publishes. */
struct number_range {
    struct tributary_publisher *publisher;
    int first;
};

static void *publish_many(void *argument)
{
    const struct number_range *range = argument;

    for (int i = 0; i < 5000; i++)
        CHECK(client_fixture_publish(range->publisher, range->first + i) == TRIBUTARY_OK);
    return NULL;
}

static void publish_from_four_threads(uint32_t queue_events)
{
    const struct tributary_publisher_options options = {.producer = "four-threads",
                                                        .queue_events = queue_events};
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "four-threads");
    struct tributary_publisher *publisher = client_fixture_publisher(client, &options);
    struct number_range ranges[4];
    pthread_t threads[4];
    int next[4] = {0};

    client_fixture_await(&received, &received.started, 1);
    for (int i = 0; i < 4; i++) {
        ranges[i] = (struct number_range){publisher, i * 10000};
        CHECK(pthread_create(&threads[i], NULL, publish_many, &ranges[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    client_fixture_await(&received, &received.events, 20000);
    for (int i = 0; i < 20000; i++)
        CHECK(received.numbers[i] % 10000 == next[received.numbers[i] / 10000]++);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void many_threads_may_share_a_publisher(void)
{
    publish_from_four_threads(0);
}

/* With a small queue all threads but one wait most of the time. None waits forever. */
static void many_threads_may_wait_for_space(void)
{
    publish_from_four_threads(1000);
}

/* With bounds of one event and of nine events. */
static void a_waiting_publish_fails_when_the_publisher_fails(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);

    for (uint32_t queue_events = 1; queue_events <= 9; queue_events += 8) {
        const struct tributary_publisher_options options = {
            .producer = "never", .queue_events = queue_events, .batch_events = 1};
        struct tributary_publisher *publisher = client_fixture_publisher(client, &options);
        enum tributary_code code = TRIBUTARY_OK;
        struct tributary_publisher_stats stats;

        for (int i = 0; i < 100 && code == TRIBUTARY_OK; i++)
            code = client_fixture_publish(publisher, i);
        CHECK(code == TRIBUTARY_INVALID_ARGUMENT);
        tributary_publisher_stats(publisher, &stats);
        CHECK(stats.confirmed == 2 && stats.accepted >= 3 && stats.accepted <= 2 + queue_events);
        tributary_publisher_free(publisher);
    }
    tributary_free(client);
}

/* The server allows 100 calls on a connection; further calls wait. */
static void more_calls_than_a_connection_takes_open_another(void)
{
    enum { MANY = 150 };
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct received *received = calloc(MANY, sizeof(*received));
    struct tributary_subscriber *subscribers[MANY];

    for (int i = 0; i < MANY; i++)
        subscribers[i] = client_fixture_subscribe(client, &received[i], "many");
    for (int i = 0; i < MANY; i++)
        client_fixture_await(&received[i], &received[i].started, 1);
    for (int i = 0; i < MANY; i++)
        tributary_subscriber_free(subscribers[i]);
    tributary_free(client);
    free(received);
}

enum { LARGE_BYTES = (1 << 20) - 100 };

static uint8_t large_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7 + (i >> 12));
}

static void expect_large(const struct tributary_delivery *delivery)
{
    const struct tributary_bytes data = delivery->event.data;

    CHECK(data.size == LARGE_BYTES);
    for (size_t i = 0; i < data.size; i++)
        CHECK(((const uint8_t *)data.data)[i] == large_byte(delivery->sequence, i));
}

/* gRPC core reads a message of three megabytes in many pieces. */
static void a_large_message_arrives_whole(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    static struct received received;
    struct tributary_subscriber *subscriber = client_fixture_subscribe(client, &received, "large");
    struct tributary_publisher *publisher =
        client_fixture_publisher(client, &(struct tributary_publisher_options){.producer = "heap-large"});
    uint8_t *large = malloc(LARGE_BYTES);

    client_fixture_await(&received, &received.started, 1);
    received.check = expect_large;
    for (uint64_t number = 1; number <= 9; number++) {
        for (size_t i = 0; i < LARGE_BYTES; i++)
            large[i] = large_byte(number, i);
        CHECK(tributary_publish(publisher, &(struct tributary_event){.data = {large, LARGE_BYTES}}) ==
              TRIBUTARY_OK);
    }
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    client_fixture_await(&received, &received.events, 9);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
    free(large);
}

static uint64_t counted;

static void count_producer(void *ctx, const struct tributary_producer *producer)
{
    (void)ctx;
    counted += producer->name[0] != '\0';
}

static void the_server_answers_admin_calls(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    const struct tributary_producers_query all = {.each = count_producer};
    const struct tributary_producers_query one = {.pattern = "nobody", .each = count_producer};
    struct tributary_status status;
    bool serving = false;

    CHECK(tributary_check(client, NULL, 0, &serving, &status) == TRIBUTARY_OK && serving);
    CHECK(tributary_producers(client, &all, &status) == TRIBUTARY_OK && counted > 0);
    counted = 0;
    CHECK(tributary_producer_get(client, &one, &status) == TRIBUTARY_NOT_FOUND && counted == 0);
    CHECK(strcmp(status.message, "no such producer") == 0);
    CHECK(tributary_kick(client, &(struct tributary_kick){.subscription_id = "x"}, &status) ==
          TRIBUTARY_UNIMPLEMENTED);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(every_event_arrives_once_and_in_order),
        CLIENT_TEST(a_refused_batch_is_reported_and_counted),
        CLIENT_TEST(a_lost_call_loses_no_event),
        CLIENT_TEST(a_silent_stream_is_lost_after_three_heartbeats),
        CLIENT_TEST(a_stream_that_cannot_be_continued_is_a_loss),
        CLIENT_TEST(a_cancel_from_a_callback_stops_further_events),
        CLIENT_TEST(a_large_message_arrives_whole),
        CLIENT_TEST(many_threads_may_share_a_publisher),
        CLIENT_TEST(many_threads_may_wait_for_space),
        CLIENT_TEST(a_waiting_publish_fails_when_the_publisher_fails),
        CLIENT_TEST(more_calls_than_a_connection_takes_open_another),
        CLIENT_TEST(a_server_that_restarts_is_found_again),
        CLIENT_TEST(the_server_answers_admin_calls),
        CLIENT_TEST(without_a_server_everything_ends_in_time),
        CLIENT_TEST(options_out_of_bounds_are_refused_at_once),
    };

    client_fixture_run(argc, argv, "127.0.0.1:0", tests, ARRAY_LEN(tests));
    return 0;
}
