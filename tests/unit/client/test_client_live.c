/* test_client_live.c - the library against a server that loses, refuses and falls silent (fake_server.py).
 *
 * Usage: test_client_live FAKE_SERVER PROTO_FOLDER */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/lib/tributary.h"

#define PATIENCE_NS (10 * NS_PER_S)
#define RECEIVED_MOST 40000

extern char **environ;

static const char *fake_server;
static const char *protos;
static char target[64];
static pid_t server;

/* Runs the fake; `address` asks for a port of its choice with :0. Its address goes to `target`. */
static void server_start(const char *address)
{
    const char *const words[] = {"/usr/bin/python3", fake_server, protos, address, NULL};
    posix_spawn_file_actions_t actions;
    char port[16] = "";
    int ends[2];

    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    CHECK(posix_spawn(&server, "/usr/bin/python3", &actions, NULL, (char *const *)(uintptr_t)words, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    CHECK(read(ends[0], port, sizeof(port) - 1) > 0);
    close(ends[0]);
    port[strcspn(port, "\n")] = '\0';
    CHECK(atoi(port) > 0);
    snprintf(target, sizeof(target), "127.0.0.1:%s", port);
}

static void server_stop(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static struct tributary *client_new(const char *to)
{
    const struct tributary_options options = {.target = to,
                                              .name = "test",
                                              .backoff_base_ns = 20 * NS_PER_MS,
                                              .backoff_cap_ns = 100 * NS_PER_MS,
                                              .connect_timeout_ns = 300 * NS_PER_MS};
    struct tributary *client = NULL;
    struct tributary_status status;

    CHECK(tributary_connect(&options, &client, &status) == TRIBUTARY_OK);
    return client;
}

/* What a subscriber was told. */
struct received {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tributary *client;
    uint64_t events, started, resumed, interrupted, ended, lost;
    int numbers[RECEIVED_MOST];
    char why[512];
    struct tributary_status final;
    enum tributary_code from_callback;
    struct tributary_subscriber *to_cancel;
};

static void on_started(void *ctx, const struct tributary_started *started)
{
    struct received *received = ctx;
    bool serving = false;

    received->from_callback = tributary_check(received->client, NULL, NS_PER_S, &serving, NULL);
    pthread_mutex_lock(&received->lock);
    received->started++;
    received->resumed += started->resumed;
    pthread_cond_broadcast(&received->changed);
    pthread_mutex_unlock(&received->lock);
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct received *received = ctx;
    char text[16];

    snprintf(text, sizeof(text), "%.*s", (int)delivery->event.data.size, (const char *)delivery->event.data.at);
    pthread_mutex_lock(&received->lock);
    if (received->events < RECEIVED_MOST)
        received->numbers[received->events] = atoi(text);
    received->events++;
    pthread_cond_broadcast(&received->changed);
    pthread_mutex_unlock(&received->lock);
    if (received->to_cancel != NULL)
        tributary_subscriber_cancel(received->to_cancel);
}

static void on_interrupted(void *ctx, const struct tributary_status *why, int64_t retry_ns)
{
    struct received *received = ctx;

    CHECK(retry_ns >= 10 * NS_PER_MS && retry_ns <= 100 * NS_PER_MS);
    pthread_mutex_lock(&received->lock);
    received->interrupted++;
    snprintf(received->why, sizeof(received->why), "%s", why->message);
    pthread_cond_broadcast(&received->changed);
    pthread_mutex_unlock(&received->lock);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct received *received = ctx;

    pthread_mutex_lock(&received->lock);
    received->ended++;
    received->final = *status;
    pthread_cond_broadcast(&received->changed);
    pthread_mutex_unlock(&received->lock);
}

static struct tributary_subscriber *subscribe(struct tributary *client, struct received *received, const char *name)
{
    const struct tributary_subscriber_options options = {.name = name, .heartbeat_ns = 200 * NS_PER_MS};
    const struct tributary_watch watch = {
        .started = on_started, .event = on_event, .interrupted = on_interrupted, .ended = on_ended, .ctx = received};
    struct tributary_subscriber *subscriber = NULL;

    memset(received, 0, sizeof(*received));
    pthread_mutex_init(&received->lock, NULL);
    pthread_cond_init(&received->changed, NULL);
    received->client = client;
    CHECK(tributary_subscribe(client, &options, &watch, &subscriber, NULL) == TRIBUTARY_OK);
    return subscriber;
}

static void await(struct received *received, const uint64_t *figure, uint64_t least)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_NS / NS_PER_S;
    pthread_mutex_lock(&received->lock);
    while (*figure < least)
        CHECK(pthread_cond_timedwait(&received->changed, &received->lock, &until) == 0);
    pthread_mutex_unlock(&received->lock);
}

/* Until the newest event is this one. */
static void await_number(struct received *received, int number)
{
    uint64_t least = 1;

    await(received, &received->events, least);
    while (received->numbers[received->events - 1] != number)
        await(received, &received->events, ++least);
}

struct refusals {
    _Atomic uint64_t events;
    _Atomic int code;
};

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct refusals *refusals = ctx;

    atomic_fetch_add(&refusals->events, refused->last_event - refused->first_event + 1);
    atomic_store(&refusals->code, (int)refused->code);
}

static struct tributary_publisher *publisher_new(struct tributary *client, const struct tributary_publisher_options *options)
{
    struct tributary_publisher *publisher = NULL;

    CHECK(tributary_publisher_new(client, options, &publisher, NULL) == TRIBUTARY_OK);
    return publisher;
}

static enum tributary_code publish_number(struct tributary_publisher *publisher, int number)
{
    char text[16];
    const int size = snprintf(text, sizeof(text), "%d", number);

    return tributary_publish(publisher, &(struct tributary_event){.data = {text, (size_t)size}});
}

static void expect_sums(struct tributary_publisher *publisher, uint64_t accepted, uint64_t confirmed, uint64_t refused)
{
    struct tributary_published figures;

    tributary_publisher_figures(publisher, &figures);
    CHECK(figures.accepted == accepted && figures.confirmed == confirmed && figures.refused == refused);
}

static void every_event_arrives_once_and_in_order(void)
{
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "order");
    struct tributary_publisher *publisher =
        publisher_new(client, &(struct tributary_publisher_options){.producer = "order", .queue_events = 500});
    struct tributary_status status;

    await(&received, &received.started, 1);
    CHECK(received.from_callback == TRIBUTARY_FAILED_PRECONDITION);
    for (int i = 0; i < 20000; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    expect_sums(publisher, 20000, 20000, 0);
    await(&received, &received.events, 20000);
    for (int i = 0; i < 20000; i++)
        CHECK(received.numbers[i] == i);
    tributary_subscriber_finish(subscriber, 0);
    CHECK(tributary_subscriber_wait(subscriber, PATIENCE_NS, &status) == TRIBUTARY_OK);
    CHECK(received.ended == 1 && received.events == 20000);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void a_refused_batch_is_reported_and_counted(void)
{
    struct tributary *client = client_new(target);
    struct refusals refusals = {0};
    struct tributary_publisher *publisher =
        publisher_new(client, &(struct tributary_publisher_options){.producer = "refuse-me", .refused = on_refused, .ctx = &refusals});

    for (int i = 0; i < 10; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    CHECK(refusals.events == 10 && refusals.code == TRIBUTARY_INVALID_ARGUMENT);
    expect_sums(publisher, 10, 0, 10);
    CHECK(tributary_publish(publisher, &(struct tributary_event){.topic = tributary_text("\n")}) == TRIBUTARY_INVALID_ARGUMENT);
    expect_sums(publisher, 10, 0, 10);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* The call is lost after each second batch: what was not confirmed comes again, in order, and nothing is missing. */
static void a_lost_call_loses_nothing(void)
{
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "lose");
    struct tributary_publisher *publisher = publisher_new(
        client, &(struct tributary_publisher_options){.producer = "lose-it", .batch_events = 10, .linger_ns = TRIBUTARY_NONE});
    int next = 0;

    await(&received, &received.started, 1);
    for (int i = 0; i < 200; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    expect_sums(publisher, 200, 200, 0);
    await(&received, &received.events, 200);
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
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "silent");
    const int64_t began_ns = clock_mono_ns();

    await(&received, &received.interrupted, 1);
    CHECK(clock_mono_ns() - began_ns >= 600 * NS_PER_MS);
    CHECK(strcmp(received.why, "no message for three heartbeats") == 0);
    await(&received, &received.started, 2);
    tributary_subscriber_free(subscriber);
    CHECK(received.ended == 1);
    tributary_free(client);
}

static void a_cancel_from_a_callback_is_the_last_word(void)
{
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "cancel");
    struct tributary_publisher *publisher = publisher_new(client, &(struct tributary_publisher_options){.producer = "c"});
    struct tributary_status status;

    CHECK(tributary_subscriber_wait(subscriber, 1, &status) == TRIBUTARY_DEADLINE_EXCEEDED && strcmp(status.reason, "STILL_RUNNING") == 0);
    await(&received, &received.started, 1);
    received.to_cancel = subscriber;
    for (int i = 0; i < 100; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(tributary_subscriber_wait(subscriber, PATIENCE_NS, &status) == TRIBUTARY_CANCELLED);
    CHECK(received.events == 1);
    tributary_subscriber_cancel(subscriber);
    tributary_subscriber_finish(subscriber, 0);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

/* The server dies and comes back at the same address. */
static void a_server_that_comes_back_is_found_again(void)
{
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "again");
    struct tributary_publisher *publisher = publisher_new(client, &(struct tributary_publisher_options){.producer = "again"});
    char address[64];

    snprintf(address, sizeof(address), "%s", target);
    await(&received, &received.started, 1);
    CHECK(publish_number(publisher, 1) == TRIBUTARY_OK);
    await(&received, &received.events, 1);
    server_stop();
    await(&received, &received.interrupted, 1);
    CHECK(publish_number(publisher, 2) == TRIBUTARY_OK);
    CHECK(tributary_flush(publisher, 50 * NS_PER_MS) == TRIBUTARY_DEADLINE_EXCEEDED);
    server_start(address);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    await(&received, &received.resumed, 1);
    CHECK(publish_number(publisher, 3) == TRIBUTARY_OK);
    await_number(&received, 3);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static void without_a_server_everything_ends_in_time(void)
{
    struct tributary *client = client_new("127.0.0.1:1");
    struct refusals refusals = {0};
    struct tributary_publisher_options options = {
        .queue_events = 3, .full = TRIBUTARY_FULL_FAIL, .give_up_ns = 100 * NS_PER_MS, .refused = on_refused, .ctx = &refusals};
    struct tributary_publisher *publisher = publisher_new(client, &options);
    struct tributary_status status;
    bool serving = false;

    CHECK(tributary_check(client, NULL, PATIENCE_NS, &serving, &status) == TRIBUTARY_UNAVAILABLE && status.message[0] != '\0');
    for (int i = 0; i < 3; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(publish_number(publisher, 3) == TRIBUTARY_RESOURCE_EXHAUSTED);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    CHECK(refusals.events == 3 && refusals.code == TRIBUTARY_UNAVAILABLE);
    tributary_publisher_free(publisher);

    options.full = TRIBUTARY_FULL_WAIT;
    options.wait_timeout_ns = 20 * NS_PER_MS;
    options.give_up_ns = TRIBUTARY_NONE;
    publisher = publisher_new(client, &options);
    for (int i = 0; i < 3; i++)
        CHECK(publish_number(publisher, i) == TRIBUTARY_OK);
    CHECK(publish_number(publisher, 3) == TRIBUTARY_DEADLINE_EXCEEDED);
    tributary_publisher_free(publisher);
    CHECK(refusals.events == 6 && refusals.code == TRIBUTARY_CANCELLED);
    tributary_free(client);
}

static void what_is_out_of_bounds_is_refused_at_once(void)
{
    struct tributary *client = NULL;
    struct tributary_publisher *publisher = NULL;
    const struct tributary_header bad = {tributary_text("Upper"), tributary_text("x")};
    const struct tributary_options options[] = {{.backoff_base_ns = 1},
                                                {.connect_timeout_ns = 1},
                                                {.keepalive_ns = 1},
                                                {.backoff_cap_ns = 1},
                                                {.metadata = &bad, .metadata_count = 1}};
    struct tributary_status status;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        CHECK(tributary_connect(&options[i], &client, &status) == TRIBUTARY_INVALID_ARGUMENT && status.message[0] != '\0');
    CHECK(client == NULL);
    client = client_new(target);
    CHECK(tributary_publisher_new(client, &(struct tributary_publisher_options){.batch_bytes = (1 << 20) + 1}, &publisher, NULL) ==
          TRIBUTARY_INVALID_ARGUMENT);
    CHECK(tributary_publisher_new(client, &(struct tributary_publisher_options){.batch_events = 65537}, &publisher, NULL) ==
          TRIBUTARY_INVALID_ARGUMENT);
    tributary_free(client);
    tributary_free(NULL);
    tributary_publisher_free(NULL);
    tributary_subscriber_free(NULL);
}

struct crowd {
    struct tributary_publisher *publisher;
    int first;
};

static void *publish_many(void *argument)
{
    const struct crowd *crowd = argument;

    for (int i = 0; i < 5000; i++)
        CHECK(publish_number(crowd->publisher, crowd->first + i) == TRIBUTARY_OK);
    return NULL;
}

static void many_threads_may_share_a_publisher(void)
{
    struct tributary *client = client_new(target);
    static struct received received;
    struct tributary_subscriber *subscriber = subscribe(client, &received, "crowd");
    struct tributary_publisher *publisher = publisher_new(client, &(struct tributary_publisher_options){.producer = "crowd"});
    struct crowd crowd[4];
    pthread_t threads[4];
    int next[4] = {0};

    await(&received, &received.started, 1);
    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){publisher, i * 10000};
        CHECK(pthread_create(&threads[i], NULL, publish_many, &crowd[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(tributary_flush(publisher, PATIENCE_NS) == TRIBUTARY_OK);
    await(&received, &received.events, 20000);
    for (int i = 0; i < 20000; i++)
        CHECK(received.numbers[i] % 10000 == next[received.numbers[i] / 10000]++);
    tributary_subscriber_free(subscriber);
    tributary_publisher_free(publisher);
    tributary_free(client);
}

static uint64_t counted;

static void count_producer(void *ctx, const struct tributary_producer *producer)
{
    (void)ctx;
    counted += producer->name[0] != '\0';
}

static void the_server_answers_questions(void)
{
    struct tributary *client = client_new(target);
    const struct tributary_producers_query all = {.each = count_producer};
    const struct tributary_producers_query one = {.pattern = "nobody", .each = count_producer};
    struct tributary_status status;
    bool serving = false;

    CHECK(tributary_check(client, NULL, 0, &serving, &status) == TRIBUTARY_OK && serving);
    CHECK(tributary_producers(client, &all, &status) == TRIBUTARY_OK && counted > 0);
    counted = 0;
    CHECK(tributary_producer_get(client, &one, &status) == TRIBUTARY_NOT_FOUND && counted == 0);
    CHECK(strcmp(status.message, "no such producer") == 0);
    CHECK(tributary_kick(client, &(struct tributary_kick){.subscription_id = "x"}, &status) == TRIBUTARY_UNIMPLEMENTED);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"every_event_arrives_once_and_in_order", every_event_arrives_once_and_in_order},
        {"a_refused_batch_is_reported_and_counted", a_refused_batch_is_reported_and_counted},
        {"a_lost_call_loses_nothing", a_lost_call_loses_nothing},
        {"a_silent_stream_is_lost_after_three_heartbeats", a_silent_stream_is_lost_after_three_heartbeats},
        {"a_cancel_from_a_callback_is_the_last_word", a_cancel_from_a_callback_is_the_last_word},
        {"many_threads_may_share_a_publisher", many_threads_may_share_a_publisher},
        {"a_server_that_comes_back_is_found_again", a_server_that_comes_back_is_found_again},
        {"the_server_answers_questions", the_server_answers_questions},
        {"without_a_server_everything_ends_in_time", without_a_server_everything_ends_in_time},
        {"what_is_out_of_bounds_is_refused_at_once", what_is_out_of_bounds_is_refused_at_once},
    };

    CHECK(argc == 3);
    fake_server = argv[1];
    protos = argv[2];
    server_start("127.0.0.1:0");
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    server_stop();
    return 0;
}
