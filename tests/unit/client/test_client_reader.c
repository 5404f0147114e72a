/* test_client_reader.c - the queue of a reader, its descriptor and its bounds (K5), against
 * fake_server.py.
 *
 * Usage: test_client_reader FAKE_SERVER PROTO_FOLDER */
#include "client_fixture.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT_NS (50 * NS_PER_MS)

static struct tributary_reader *open_reader(struct tributary *client, const char *name, uint32_t max_items,
                                            uint64_t max_bytes)
{
    const struct tributary_subscriber_options options = {.name = name};
    const struct tributary_reader_options bounds = {.max_items = max_items, .max_bytes = max_bytes};
    struct tributary_reader *reader = NULL;

    CHECK(tributary_reader_open(client, &options, &bounds, &reader, NULL) == TRIBUTARY_OK);
    return reader;
}

static bool can_read(const struct tributary_reader *reader)
{
    struct pollfd fd = {.fd = tributary_reader_fd(reader), .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

/* Whether the tests leave items of this kind out. */
static bool is_beside(enum tributary_item_kind kind)
{
    return kind == TRIBUTARY_ITEM_STATUS || kind == TRIBUTARY_ITEM_PROGRESS;
}

/* Takes the next item that is not left out. It must be of this kind. */
static const struct tributary_item *next_of(struct tributary_reader *reader, enum tributary_item_kind kind)
{
    const struct tributary_item *item = NULL;

    do
        CHECK(tributary_reader_next(reader, TEST_TIMEOUT_NS, &item) == TRIBUTARY_OK);
    while (is_beside(item->kind));
    CHECK(item->kind == kind);
    return item;
}

/* Takes what waits, which must be left out. The descriptor cannot be read then. */
static void expect_nothing(struct tributary_reader *reader)
{
    const struct tributary_item *item = NULL;

    while (tributary_reader_next(reader, 0, &item) == TRIBUTARY_OK)
        CHECK(is_beside(item->kind));
    CHECK(!can_read(reader));
}

static void publish(struct tributary_publisher *publisher, int first, int count)
{
    for (int i = first; i < first + count; i++)
        CHECK(client_fixture_publish(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
}

static void expect_number(const struct tributary_item *item, int number)
{
    char text[16] = "";

    CHECK(item->event.event.data.size < sizeof(text));
    memcpy(text, item->event.event.data.data, item->event.event.data.size);
    CHECK(atoi(text) == number);
}

static void items_are_taken_with_a_timeout_and_the_descriptor_says_when(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_reader *reader = open_reader(client, "reader", 0, 0);
    struct tributary_publisher *publisher =
        client_fixture_publisher(client, &(struct tributary_publisher_options){.producer = "reader"});
    const struct tributary_item *item = NULL;
    int64_t began_ns = 0;

    item = next_of(reader, TRIBUTARY_ITEM_STARTED);
    CHECK(item->started.subscription_id.size > 0 && item->started.settings.max_events == 1024);
    expect_nothing(reader);
    began_ns = clock_mono_ns();
    CHECK(tributary_reader_next(reader, SHORT_NS, &item) == TRIBUTARY_DEADLINE_EXCEEDED);
    CHECK(clock_mono_ns() - began_ns >= SHORT_NS);
    CHECK(tributary_reader_next(reader, 0, &item) == TRIBUTARY_DEADLINE_EXCEEDED);
    publish(publisher, 0, 3);
    for (int i = 0; i < 3; i++) {
        item = next_of(reader, TRIBUTARY_ITEM_EVENT);
        expect_number(item, i);
        CHECK(item->event.sequence == (uint64_t)i + 1 && item->event.source.size == strlen("reader"));
        CHECK(tributary_reader_waiting(reader) == 0 || can_read(reader));
    }
    expect_nothing(reader);
    tributary_subscriber_finish(tributary_reader_subscriber(reader), 0);
    next_of(reader, TRIBUTARY_ITEM_CLOSING);
    for (int i = 0; i < 3; i++) {
        item = next_of(reader, TRIBUTARY_ITEM_ENDED);
        CHECK(item->ended->code == TRIBUTARY_OK);
        CHECK(!can_read(reader));
    }
    tributary_reader_free(reader);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* An event with every field survives the message that it came in. */
static void an_item_has_its_texts_until_the_next_call(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_reader *reader = open_reader(client, "texts", 0, 0);
    struct tributary_publisher *publisher =
        client_fixture_publisher(client, &(struct tributary_publisher_options){.producer = "texts"});
    const struct tributary_header headers[] = {{tributary_text("a"), tributary_text("1")},
                                               {tributary_text("b"), tributary_text("")}};
    const struct tributary_event event = {.id = tributary_text("id"),
                                          .topic = tributary_text("topic"),
                                          .key = tributary_text("key"),
                                          .type = tributary_text("type"),
                                          .content_type = tributary_text("text/plain"),
                                          .data = tributary_text("data"),
                                          .headers = headers,
                                          .header_count = 2};

    next_of(reader, TRIBUTARY_ITEM_STARTED);
    CHECK(tributary_publish(publisher, &event) == TRIBUTARY_OK);
    CHECK(tributary_publisher_flush(publisher, TEST_TIMEOUT_NS) == TRIBUTARY_OK);

    const struct tributary_item *item = next_of(reader, TRIBUTARY_ITEM_EVENT);
    const struct tributary_event *got = &item->event.event;

    publish(publisher, 0, 1000); /* the client's buffers are used again */
    CHECK(got->topic.size == 5 && memcmp(got->topic.data, "topic", 5) == 0);
    CHECK(got->content_type.size == 10 && memcmp(got->content_type.data, "text/plain", 10) == 0);
    CHECK(got->header_count == 2);
    for (size_t i = 0; i < 2; i++) {
        const bool is_a = memcmp(got->headers[i].name.data, "a", 1) == 0;

        CHECK(got->headers[i].name.size == 1 && got->headers[i].value.size == (is_a ? 1 : 0));
    }
    CHECK(got->data.size == 4 && memcmp(got->data.data, "data", 4) == 0);
    tributary_reader_free(reader); /* while a thousand items wait */
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* The queue has a bound, the client loses nothing, and everything else of it goes on. */
static void a_full_queue_holds_the_stream_and_nothing_else(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_reader *reader = open_reader(client, "full", 10, 0);
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){.producer = "full", .batch_events = 5});
    const struct tributary_item *item = NULL;
    uint64_t max_waiting = 0;

    next_of(reader, TRIBUTARY_ITEM_STARTED);
    publish(publisher, 0, 2000); /* flushed, while nobody takes an item */
    for (int i = 0; i < 2000; i++) {
        max_waiting = MAX_OF(max_waiting, tributary_reader_waiting(reader));
        item = next_of(reader, TRIBUTARY_ITEM_EVENT);
        expect_number(item, i);
    }
    CHECK(max_waiting >= 10 && max_waiting < 10 + 2 * 5); /* a message has an item of progress, too */
    tributary_reader_free(reader);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void a_bound_of_bytes_holds_too_and_a_held_reader_can_be_freed(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_reader *reader = open_reader(client, "bytes", 0, 2000);
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){.producer = "bytes", .batch_events = 1});

    next_of(reader, TRIBUTARY_ITEM_STARTED);
    publish(publisher, 0, 500);
    next_of(reader, TRIBUTARY_ITEM_EVENT);
    CHECK(tributary_reader_waiting(reader) < 20);
    tributary_reader_free(reader);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* Three heartbeats pass while the queue is full: nobody listened, so nothing was silent. */
static void a_held_stream_is_not_silent(void)
{
    const struct tributary_subscriber_options options = {.name = "held", .heartbeat_ns = 100 * NS_PER_MS};
    const struct tributary_reader_options bounds = {.max_items = 1};
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){.producer = "held", .batch_events = 1});
    struct tributary_reader *reader = NULL;

    CHECK(tributary_reader_open(client, &options, &bounds, &reader, NULL) == TRIBUTARY_OK);
    next_of(reader, TRIBUTARY_ITEM_STARTED);
    publish(publisher, 0, 3);
    poll(NULL, 0, 700); /* the time of seven heartbeats */
    for (int i = 0; i < 3; i++)
        expect_number(next_of(reader, TRIBUTARY_ITEM_EVENT), i);
    publish(publisher, 3, 1);
    expect_number(next_of(reader, TRIBUTARY_ITEM_EVENT), 3);
    tributary_reader_free(reader);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* No stream is opened whose messages nobody would take: they would have no bound. */
static void a_held_reader_connects_again_when_items_are_taken(void)
{
    struct tributary *client = client_fixture_connect(client_fixture_target);
    struct tributary_reader *reader = open_reader(client, "again", 1, 0);
    struct tributary_publisher *publisher = client_fixture_publisher(
        client, &(struct tributary_publisher_options){.producer = "again", .batch_events = 1});
    const struct tributary_item *item = NULL;
    char target[sizeof(client_fixture_target)];
    uint64_t waiting = 0;

    next_of(reader, TRIBUTARY_ITEM_STARTED);
    publish(publisher, 0, 3);
    tributary_publisher_free(publisher);
    snprintf(target, sizeof(target), "%s", client_fixture_target);
    client_fixture_stop();
    client_fixture_start(target);
    waiting = tributary_reader_waiting(reader);
    poll(NULL, 0, 500);                                     /* several times the pause between two attempts */
    CHECK(tributary_reader_waiting(reader) <= waiting + 1); /* an interruption */
    do
        CHECK(tributary_reader_next(reader, TEST_TIMEOUT_NS, &item) == TRIBUTARY_OK);
    while (item->kind != TRIBUTARY_ITEM_INTERRUPTED);
    next_of(reader, TRIBUTARY_ITEM_STARTED);
    tributary_reader_free(reader);
    tributary_free(client);
}

/* A server that closes every connection: no message ever holds the client, which goes on trying. */
static void interruptions_that_nobody_takes_are_one_item(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    struct pollfd listening = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .events = POLLIN};
    const struct tributary_item *item = NULL;
    char target[32];

    CHECK(bind(listening.fd, (struct sockaddr *)&at, size) == 0 && listen(listening.fd, 1) == 0);
    CHECK(getsockname(listening.fd, (struct sockaddr *)&at, &size) == 0);
    snprintf(target, sizeof(target), "127.0.0.1:%u", ntohs(at.sin_port));

    struct tributary *client = client_fixture_connect(target);
    struct tributary_reader *reader = open_reader(client, "away", 0, 0);

    for (int i = 0; i < 4; i++) {
        CHECK(poll(&listening, 1, TEST_TIMEOUT_NS / NS_PER_MS) == 1);
        CHECK(tributary_reader_waiting(reader) <= 1);
        close(accept(listening.fd, NULL, NULL));
    }
    CHECK(tributary_reader_next(reader, TEST_TIMEOUT_NS, &item) == TRIBUTARY_OK);
    CHECK(item->kind == TRIBUTARY_ITEM_INTERRUPTED);
    tributary_subscriber_cancel(tributary_reader_subscriber(reader));
    CHECK(tributary_subscriber_wait(tributary_reader_subscriber(reader), TEST_TIMEOUT_NS, NULL) ==
          TRIBUTARY_CANCELLED);
    CHECK(tributary_reader_waiting(reader) <= 2 && can_read(reader));
    do
        CHECK(tributary_reader_next(reader, 0, &item) == TRIBUTARY_OK);
    while (item->kind == TRIBUTARY_ITEM_INTERRUPTED);
    CHECK(item->kind == TRIBUTARY_ITEM_ENDED && !can_read(reader));
    tributary_reader_free(reader);
    tributary_free(client);
    close(listening.fd);
}

static void a_lost_stream_is_an_item_and_so_is_an_error(void)
{
    struct tributary *client = client_fixture_connect("127.0.0.1:1");
    struct tributary_reader *reader = open_reader(client, "nobody", 0, 0);
    const struct tributary_item *item = next_of(reader, TRIBUTARY_ITEM_INTERRUPTED);

    CHECK(item->interrupted.status->code == TRIBUTARY_UNAVAILABLE && item->interrupted.retry_ns > 0);
    tributary_subscriber_cancel(tributary_reader_subscriber(reader));
    do
        CHECK(tributary_reader_next(reader, TEST_TIMEOUT_NS, &item) == TRIBUTARY_OK);
    while (item->kind == TRIBUTARY_ITEM_INTERRUPTED);
    CHECK(item->kind == TRIBUTARY_ITEM_ENDED && item->ended->code == TRIBUTARY_CANCELLED);
    tributary_reader_free(reader);

    const struct tributary_subscriber_options wrong = {.max_age_ns = -7};
    struct tributary_status status;

    reader = NULL;
    CHECK(tributary_reader_open(client, &wrong, NULL, &reader, &status) == TRIBUTARY_INVALID_ARGUMENT);
    CHECK(!reader && status.message[0] != '\0');
    tributary_reader_free(NULL);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(items_are_taken_with_a_timeout_and_the_descriptor_says_when),
        CLIENT_TEST(an_item_has_its_texts_until_the_next_call),
        CLIENT_TEST(a_full_queue_holds_the_stream_and_nothing_else),
        CLIENT_TEST(a_bound_of_bytes_holds_too_and_a_held_reader_can_be_freed),
        CLIENT_TEST(a_held_stream_is_not_silent),
        CLIENT_TEST(a_held_reader_connects_again_when_items_are_taken),
        CLIENT_TEST(interruptions_that_nobody_takes_are_one_item),
        CLIENT_TEST(a_lost_stream_is_an_item_and_so_is_an_error),
    };

    client_fixture_run(argc, argv, "127.0.0.1:0", tests, ARRAY_LEN(tests));
    return 0;
}
