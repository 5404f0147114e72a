/* session_fixture.c - a fake server, its clients, and counts of callbacks. */
#include "session_fixture.h"

#include <stdio.h>
#include <string.h>

#include "unit/client/client_fixture.h"

void session_fixture_init(struct session_fixture *fixture)
{
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
}

struct tributary *session_fixture_connect(void)
{
    const struct tributary_options options = {.target = client_fixture_target,
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
