/* session_fixture.c - a fake server, its clients, and counts of callbacks. */
#include "session_fixture.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char target[64];
static pid_t server;

static void server_start(const char *fake_server, const char *protos)
{
    const char *const words[] = {"/usr/bin/python3", fake_server, protos, NULL};
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
    snprintf(target, sizeof(target), "127.0.0.1:%s", port);
}

void session_fixture_init(struct session_fixture *fixture)
{
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
}

struct tributary *session_fixture_connect(void)
{
    const struct tributary_options options = {.target = target,
                                              .backoff_base_ns = 20 * NS_PER_MS,
                                              .backoff_cap_ns = 100 * NS_PER_MS,
                                              .connect_timeout_ns = 2 * NS_PER_S};
    struct tributary *client = NULL;

    CHECK(tributary_connect(&options, &client, NULL) == TRIBUTARY_OK);
    return client;
}

void session_fixture_count(struct session_fixture *fixture, int *count)
{
    pthread_mutex_lock(&fixture->lock);
    (*count)++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

void session_fixture_await(struct session_fixture *fixture, const int *count, int min)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TEST_TIMEOUT_NS / NS_PER_S;
    pthread_mutex_lock(&fixture->lock);
    while (*count < min)
        CHECK(pthread_cond_timedwait(&fixture->changed, &fixture->lock, &until) == 0);
    pthread_mutex_unlock(&fixture->lock);
}

void session_fixture_interrupted(struct session_fixture *fixture, const struct tributary_status *status,
                                 int64_t retry_ns)
{
    CHECK(status->code == TRIBUTARY_UNAVAILABLE && retry_ns >= 10 * NS_PER_MS && retry_ns <= 100 * NS_PER_MS);
    session_fixture_count(fixture, &fixture->interrupted);
}

void session_fixture_run(int argc, char **argv, const struct session_fixture_test *tests, size_t count)
{
    CHECK(argc >= 3);
    server_start(argv[1], argv[2]);
    for (size_t i = 0; i < count; i++) {
        if (argc > 3 && strcmp(argv[3], tests[i].name) != 0)
            continue;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
