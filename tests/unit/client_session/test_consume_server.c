/* test_consume_server.c - subscribers that consume, and the removal of producers, against a server
 * that plays one scene for each name (fake_sessions.py).
 *
 * Usage: test_consume_server FAKE_SERVER PROTO_FOLDER [TEST] */
#include "session_fixture.h"
#include "unit/client/client_fixture.h"

#include <stdio.h>
#include <string.h>

/* What a subscriber reported. */
struct reports {
    struct session_fixture fixture;
    struct tributary_subscriber *subscriber;
    uint64_t last;
    int events, revisions, refusals;
    char refusal[64];
};

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct reports *reports = ctx;

    CHECK(delivery->sequence == reports->last + 1);
    reports->last = delivery->sequence;
    session_fixture_count(&reports->fixture, &reports->events);
}

static void on_settings(void *ctx, const struct tributary_settings *settings)
{
    struct reports *reports = ctx;

    CHECK(settings->revision == 1);
    session_fixture_count(&reports->fixture, &reports->revisions);
}

static void on_request_refused(void *ctx, const struct tributary_request_refused *refused)
{
    struct reports *reports = ctx;

    CHECK(refused->request == 2 && refused->code == TRIBUTARY_INVALID_ARGUMENT);
    snprintf(reports->refusal, sizeof(reports->refusal), "%.*s/%.*s", (int)refused->message.size,
             (const char *)refused->message.data, (int)refused->reason.size,
             (const char *)refused->reason.data);
    session_fixture_count(&reports->fixture, &reports->refusals);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reports *reports = ctx;

    session_fixture_interrupted(&reports->fixture, status, retry_ns);
}

static struct tributary_subscriber *consume(struct tributary *client, struct reports *reports,
                                            struct tributary_subscriber_options options)
{
    const struct tributary_subscriber_callbacks callbacks = {.event = on_event,
                                                             .settings = on_settings,
                                                             .request_refused = on_request_refused,
                                                             .interrupted = on_interrupted,
                                                             .ctx = reports};

    session_fixture_init(&reports->fixture);
    options.consume = true;
    options.heartbeat_ns = TRIBUTARY_NONE;
    CHECK(tributary_subscribe(client, &options, &callbacks, &reports->subscriber, NULL) == TRIBUTARY_OK);
    return reports->subscriber;
}

static void expect_status(struct tributary_subscriber *subscriber, enum tributary_code code)
{
    struct tributary_status status;

    if (tributary_subscriber_wait(subscriber, TEST_TIMEOUT_NS, &status) != code)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    CHECK(status.code == code);
    tributary_subscriber_free(subscriber);
}

static void credit_is_granted_again_as_events_are_handled(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.events = 0};
    struct reports bytes = {.events = 0};
    struct tributary_subscriber *subscriber = consume(
        client, &reports, (struct tributary_subscriber_options){.name = "window", .credit_events = 10});

    CHECK(tributary_subscriber_credit(subscriber, 1, 0) == TRIBUTARY_FAILED_PRECONDITION);
    expect_status(subscriber, TRIBUTARY_OK);
    CHECK(reports.events == 100);
    expect_status(
        consume(client, &bytes, (struct tributary_subscriber_options){.name = "bytes", .credit_bytes = 64}),
        TRIBUTARY_OK);
    CHECK(bytes.events == 30);
    tributary_free(client);
}

static void unused_credit_by_hand_is_granted_again_on_the_next_stream(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.events = 0};
    struct tributary_subscriber *subscriber = consume(
        client, &reports,
        (struct tributary_subscriber_options){.name = "hand", .credit_events = 5, .credit_by_hand = true});

    session_fixture_await(&reports.fixture, &reports.events, 5);
    CHECK(tributary_subscriber_credit(subscriber, 3, 0) == TRIBUTARY_OK);
    expect_status(subscriber, TRIBUTARY_OK);
    CHECK(reports.events == 8 && reports.fixture.interrupted == 2);
    tributary_free(client);
}

static enum tributary_code select_producer(struct tributary_subscriber *subscriber, const char *producer)
{
    const struct tributary_selector selector = {.producer = producer};
    const struct tributary_selector exclude = {.topic = "x"};

    return tributary_subscriber_select(subscriber, &(struct tributary_filter){&selector, 1, &exclude, 1});
}

static void a_filter_is_replaced_or_refused_and_a_drain_ends_the_stream(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.events = 0};
    struct tributary_subscriber *subscriber =
        consume(client, &reports, (struct tributary_subscriber_options){.name = "select"});
    const struct tributary_selector too_many[65] = {{.producer = "p"}};

    CHECK(tributary_subscriber_select(subscriber, &(struct tributary_filter){too_many, 65, NULL, 0}) ==
          TRIBUTARY_INVALID_ARGUMENT);
    CHECK(select_producer(subscriber, "bad") == TRIBUTARY_OK);
    session_fixture_await(&reports.fixture, &reports.refusals, 1);
    CHECK(strcmp(reports.refusal, "a bad pattern/BAD_NAME") == 0);
    CHECK(select_producer(subscriber, "good") == TRIBUTARY_OK);
    session_fixture_await(&reports.fixture, &reports.revisions, 1);
    CHECK(reports.events == 1);
    tributary_subscriber_finish(subscriber, 2 * NS_PER_S);
    expect_status(subscriber, TRIBUTARY_OK);
    tributary_free(client);
}

static void a_select_without_an_answer_is_sent_again_on_the_next_stream(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.events = 0};
    struct tributary_subscriber *subscriber =
        consume(client, &reports, (struct tributary_subscriber_options){.name = "reselect"});

    CHECK(select_producer(subscriber, "a") == TRIBUTARY_OK);
    session_fixture_await(&reports.fixture, &reports.revisions, 1);
    CHECK(select_producer(subscriber, "b") == TRIBUTARY_OK);
    expect_status(subscriber, TRIBUTARY_OK);
    CHECK(reports.revisions == 2 && reports.fixture.interrupted == 1);
    tributary_free(client);
}

static void a_limit_counts_events_over_reconnects(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.events = 0};
    const struct tributary_subscriber_options options = {.name = "limit",
                                                         .limit_events = 5,
                                                         .end_when_all_ended = true,
                                                         .start_last = 7,
                                                         .request = {"\0req", 4}};

    expect_status(consume(client, &reports, options), TRIBUTARY_OK);
    CHECK(reports.events == 5 && reports.fixture.interrupted == 1);
    tributary_free(client);
}

static char removed[128];

static void on_removed(void *ctx, const struct tributary_producer *producer)
{
    (void)ctx;
    CHECK(producer->kind == TRIBUTARY_PRODUCER_SESSION && producer->per_consumer &&
          producer->label_count == 2 && producer->topic_count == 1);
    CHECK(producer->activations == 3 && producer->paused_activations == 1 &&
          producer->expired_activations == 2);
    removed[0] = '\0';
    for (size_t i = 0; i < 2; i++)
        strcat(strcat(removed, producer->labels[i].value), " ");
}

static void producers_are_removed_gently_or_at_once(void)
{
    struct tributary *client = session_fixture_connect();
    struct tributary_removal removal = {.name = "x", .drain_ns = 1500 * NS_PER_MS, .each = on_removed};

    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_OK);
    CHECK(strstr(removed, "1 ") && strstr(removed, "1500000000 "));
    removal.cancel = true;
    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_OK);
    CHECK(strstr(removed, "2 ") && strstr(removed, "0 "));
    removal.name = "nobody";
    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_NOT_FOUND);
    tributary_free(client);
}

static const struct tributary_bytes requests[] = {{"\0one", 4}, {NULL, 0}};
static const struct tributary_label metadata[] = {{"token", "secret"}, {"more", NULL}};
static const struct tributary_label labels[] = {{"zone", "eu"}};
static const struct tributary_endpoint whole = {
    .name = "e",
    .address = "ipv4:127.0.0.1:9",
    .method = "/a.B/C",
    .requests = requests,
    .request_count = 2,
    .half_close = TRIBUTARY_HALF_CLOSE_KEEP_OPEN,
    .metadata = metadata,
    .metadata_count = 2,
    .labels = labels,
    .label_count = 1,
    .activation = TRIBUTARY_ENDPOINT_SHARED,
    .restart = TRIBUTARY_RESTART_NEVER,
    .backoff_ns = 20 * NS_PER_MS,
    .max_backoff_ns = 1500 * NS_PER_MS,
    .connect_timeout_ns = 2 * NS_PER_S,
    .idle_timeout_ns = 3 * NS_PER_S,
    .decode = TRIBUTARY_DECODE_EVENT_BATCH,
    .authority = "b",
    .tls = "c",
};

static unsigned shown;

static void expect_whole(void *ctx, const struct tributary_producer *producer)
{
    const struct tributary_endpoint *endpoint = producer->endpoint;

    (void)ctx;
    shown++;
    CHECK(producer->kind == TRIBUTARY_PRODUCER_ENDPOINT && producer->upstream_calls == 2 && endpoint);
    CHECK(strcmp(endpoint->address, whole.address) == 0 && strcmp(endpoint->method, whole.method) == 0);
    CHECK(endpoint->request_count == 2 && endpoint->requests[0].size == 4 && endpoint->requests[1].size == 0);
    CHECK(memcmp(endpoint->requests[0].data, "\0one", 4) == 0);
    CHECK(endpoint->half_close == whole.half_close && endpoint->activation == whole.activation);
    CHECK(endpoint->restart == whole.restart && endpoint->decode == whole.decode);
    CHECK(endpoint->metadata_count == 2 && strcmp(endpoint->metadata[1].value, "***") == 0);
    CHECK(producer->label_count == 1 && strcmp(producer->labels[0].value, "eu") == 0);
    CHECK(endpoint->backoff_ns == whole.backoff_ns && endpoint->max_backoff_ns == whole.max_backoff_ns);
    CHECK(endpoint->connect_timeout_ns == 2 * NS_PER_S && endpoint->first_message_timeout_ns == 0);
    CHECK(endpoint->idle_timeout_ns == 3 * NS_PER_S && strcmp(endpoint->authority, "b") == 0);
    CHECK(strcmp(endpoint->tls, "c") == 0);
    CHECK(producer->failure && producer->failure->dialling && producer->failure->code == 14);
    CHECK(strcmp(producer->failure->message, "refused") == 0 && producer->failure->time_unix_nano == 5);
}

static void expect_plain(void *ctx, const struct tributary_producer *producer)
{
    (void)ctx;
    shown++;
    CHECK(producer->endpoint && producer->endpoint->request_count == 0 && !producer->failure);
    CHECK(producer->endpoint->method[0] == '\0' && producer->endpoint->backoff_ns == 0);
}

static void endpoints_are_added_and_changed(void)
{
    struct tributary *client = session_fixture_connect();
    struct tributary_endpoint endpoint = whole;
    struct tributary_addition addition = {.endpoint = &endpoint, .each = expect_whole};
    struct tributary_status status;

    CHECK(tributary_producer_add(client, &addition, NULL) == TRIBUTARY_OK && shown == 1);
    endpoint.name = "taken";
    CHECK(tributary_producer_add(client, &addition, &status) == TRIBUTARY_ALREADY_EXISTS && shown == 1);
    CHECK(strcmp(status.message, "another producer has this name") == 0);
    addition.replace = true;
    CHECK(tributary_producer_add(client, &addition, NULL) == TRIBUTARY_OK && shown == 2);
    endpoint.backoff_ns++;
    CHECK(tributary_producer_add(client, &addition, NULL) == TRIBUTARY_INVALID_ARGUMENT && shown == 2);
    endpoint = (struct tributary_endpoint){.name = "e", .address = "a:1"};
    addition.each = expect_plain;
    CHECK(tributary_producer_update(client, &addition, NULL) == TRIBUTARY_OK && shown == 3);
    addition.each = NULL;
    CHECK(tributary_producer_update(client, &addition, NULL) == TRIBUTARY_OK);
    endpoint.name = "nobody";
    CHECK(tributary_producer_update(client, &addition, NULL) == TRIBUTARY_NOT_FOUND);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(credit_is_granted_again_as_events_are_handled),
        CLIENT_TEST(unused_credit_by_hand_is_granted_again_on_the_next_stream),
        CLIENT_TEST(a_filter_is_replaced_or_refused_and_a_drain_ends_the_stream),
        CLIENT_TEST(a_select_without_an_answer_is_sent_again_on_the_next_stream),
        CLIENT_TEST(a_limit_counts_events_over_reconnects),
        CLIENT_TEST(producers_are_removed_gently_or_at_once),
        CLIENT_TEST(endpoints_are_added_and_changed),
    };

    client_fixture_run(argc, argv, NULL, tests, ARRAY_LEN(tests));
    return 0;
}
