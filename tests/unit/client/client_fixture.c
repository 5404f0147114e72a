/* client_fixture.c - a fake server, clients, and records of what they report. */
#include "client_fixture.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *client_fixture_server;
const char *client_fixture_protos;
char client_fixture_target[64];
static pid_t server;

void client_fixture_start(const char *address)
{
    const char *const words[] = {"/usr/bin/python3", client_fixture_server, client_fixture_protos, address,
                                 NULL};
    posix_spawn_file_actions_t actions;
    char port[16] = "";
    int ends[2];

    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    CHECK(posix_spawn(&server, "/usr/bin/python3", &actions, NULL, (char *const *)(uintptr_t)words,
                      environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    CHECK(read(ends[0], port, sizeof(port) - 1) > 0);
    close(ends[0]);
    port[strcspn(port, "\n")] = '\0';
    CHECK(atoi(port) > 0);
    snprintf(client_fixture_target, sizeof(client_fixture_target), "127.0.0.1:%s", port);
}

void client_fixture_stop(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

void client_fixture_run(int argc, char **argv, const char *address, const struct client_fixture_test *tests,
                        size_t count)
{
    CHECK(argc >= 3);
    client_fixture_server = argv[1];
    client_fixture_protos = argv[2];
    client_fixture_start(address);
    for (size_t i = 0; i < count; i++) {
        if (argc > 3 && strcmp(argv[3], tests[i].name) != 0)
            continue;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    client_fixture_stop();
}

struct tributary *client_fixture_connect(const char *to)
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

    if (received->check)
        received->check(delivery);
    snprintf(text, sizeof(text), "%.*s", (int)delivery->event.data.size,
             (const char *)delivery->event.data.data);
    pthread_mutex_lock(&received->lock);
    if (received->events < MAX_RECEIVED)
        received->numbers[received->events] = atoi(text);
    received->events++;
    pthread_cond_broadcast(&received->changed);
    pthread_mutex_unlock(&received->lock);
    if (received->to_cancel)
        tributary_subscriber_cancel(received->to_cancel);
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    struct received *received = ctx;

    CHECK(lost->source.size == 0 && lost->count_unknown);
    CHECK(strcmp(tributary_loss_name(lost->reason), "RESUME_GAP") == 0);
    pthread_mutex_lock(&received->lock);
    received->gaps++;
    pthread_mutex_unlock(&received->lock);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct received *received = ctx;

    CHECK(retry_ns >= 10 * NS_PER_MS && retry_ns <= 100 * NS_PER_MS);
    pthread_mutex_lock(&received->lock);
    received->interrupted++;
    snprintf(received->interrupted_message, sizeof(received->interrupted_message), "%s", status->message);
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

struct tributary_subscriber *client_fixture_subscribe(struct tributary *client, struct received *received,
                                                      const char *name)
{
    const struct tributary_subscriber_options options = {.name = name, .heartbeat_ns = 200 * NS_PER_MS};
    const struct tributary_subscriber_callbacks callbacks = {.started = on_started,
                                                             .event = on_event,
                                                             .interrupted = on_interrupted,
                                                             .lost = on_lost,
                                                             .ended = on_ended,
                                                             .ctx = received};
    struct tributary_subscriber *subscriber = NULL;

    memset(received, 0, sizeof(*received));
    pthread_mutex_init(&received->lock, NULL);
    pthread_cond_init(&received->changed, NULL);
    received->client = client;
    CHECK(tributary_subscribe(client, &options, &callbacks, &subscriber, NULL) == TRIBUTARY_OK);
    return subscriber;
}

void client_fixture_await(struct received *received, const uint64_t *count, uint64_t min)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TEST_TIMEOUT_NS / NS_PER_S;
    pthread_mutex_lock(&received->lock);
    while (*count < min)
        CHECK(pthread_cond_timedwait(&received->changed, &received->lock, &until) == 0);
    pthread_mutex_unlock(&received->lock);
}

void client_fixture_await_number(struct received *received, int number)
{
    uint64_t min = 1;

    client_fixture_await(received, &received->events, min);
    while (received->numbers[received->events - 1] != number)
        client_fixture_await(received, &received->events, ++min);
}

void client_fixture_on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct refusals *refusals = ctx;

    atomic_fetch_add(&refusals->events, refused->last_event - refused->first_event + 1);
    atomic_store(&refusals->code, (int)refused->code);
}

struct tributary_publisher *client_fixture_publisher(struct tributary *client,
                                                     const struct tributary_publisher_options *options)
{
    struct tributary_publisher *publisher = NULL;

    CHECK(tributary_publisher_new(client, options, &publisher, NULL) == TRIBUTARY_OK);
    return publisher;
}

enum tributary_code client_fixture_publish(struct tributary_publisher *publisher, int number)
{
    char text[16];
    const int size = snprintf(text, sizeof(text), "%d", number);

    return tributary_publish(publisher, &(struct tributary_event){.data = {text, (size_t)size}});
}

void client_fixture_expect_stats(struct tributary_publisher *publisher, uint64_t accepted, uint64_t confirmed,
                                 uint64_t refused)
{
    struct tributary_publisher_stats stats;

    tributary_publisher_stats(publisher, &stats);
    CHECK(stats.accepted == accepted && stats.confirmed == confirmed && stats.refused == refused);
}
