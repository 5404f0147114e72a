/* client_fixture.h - the fixture of the client's tests against a server: it runs fake_server.py,
 * creates clients, and records what a subscriber and a publisher report.
 *
 * A condition that is not met within ten seconds ends the test. */
#ifndef TRIBUTARY_TESTS_CLIENT_FIXTURE_H
#define TRIBUTARY_TESTS_CLIENT_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/clock.h"
#include "tributary/tributary.h"

#define TEST_TIMEOUT_NS (10 * NS_PER_S)
#define MAX_RECEIVED 40000

extern const char *client_fixture_server; /* the path of fake_server.py */
extern const char *client_fixture_protos; /* the folder of the .proto files */
extern char client_fixture_target[64];    /* the address at which the server listens */

/* What a subscriber reported. */
struct received {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tributary *client;
    uint64_t events, started, resumed, interrupted, ended;
    uint64_t gaps;             /* losses without a source and a count */
    int numbers[MAX_RECEIVED]; /* the data of each event */
    char interrupted_message[512];
    struct tributary_status final;
    enum tributary_code from_callback;      /* what a waiting function returns in a callback */
    struct tributary_subscriber *to_cancel; /* the first event cancels it; NULL: none */
    void (*check)(const struct tributary_delivery *delivery); /* NULL: none */
};

/* What a publisher reported as refused. */
struct refusals {
    _Atomic uint64_t events;
    _Atomic int code;
};

/* Starts the fake server. `address` is its last argument (NULL: there is none). With port 0 the
 * kernel chooses the port. Sets client_fixture_target. */
void client_fixture_start(const char *address);
void client_fixture_stop(void);

struct client_fixture_test {
    const char *name;
    void (*run)(void);
};

#define CLIENT_TEST(function)                                                                                \
    {                                                                                                        \
        .name = #function, .run = function                                                                   \
    }

/* Starts the fake server, runs the tests, stops it. `address`: as above. The words of the command
 * line are FAKE_SERVER PROTO_FOLDER [TEST]. */
void client_fixture_run(int argc, char **argv, const char *address, const struct client_fixture_test *tests,
                        size_t count);

struct tributary *client_fixture_connect(const char *target);
struct tributary_subscriber *client_fixture_subscribe(struct tributary *client, struct received *received,
                                                      const char *name);
struct tributary_publisher *client_fixture_publisher(struct tributary *client,
                                                     const struct tributary_publisher_options *options);

/* For the option `refused`, with a struct refusals as `ctx`. */
void client_fixture_on_refused(void *ctx, const struct tributary_refused *refused);

/* Waits until *count, a member of `received`, is at least `min`. */
void client_fixture_await(struct received *received, const uint64_t *count, uint64_t min);

/* Waits until the data of the newest event is `number`. */
void client_fixture_await_number(struct received *received, int number);

/* Publishes an event whose data is `number`. */
enum tributary_code client_fixture_publish(struct tributary_publisher *publisher, int number);
void client_fixture_expect_stats(struct tributary_publisher *publisher, uint64_t accepted, uint64_t confirmed,
                                 uint64_t refused);

#endif
