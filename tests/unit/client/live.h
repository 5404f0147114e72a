/* live.h - what every live case of the client needs: a server, a client, a subscriber that
 * remembers, a publisher that counts. Whatever does not come about in ten seconds ends the test. */
#ifndef TRIBUTARY_TESTS_CLIENT_LIVE_H
#define TRIBUTARY_TESTS_CLIENT_LIVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/clock.h"
#include "tributary/tributary.h"

#define PATIENCE_NS (10 * NS_PER_S)
#define MAX_RECEIVED 40000

extern const char *live_fake;   /* fake_server.py */
extern const char *live_protos; /* the folder of the .proto files */
extern char live_target[64];    /* where the server listens */

/* What a subscriber was told. */
struct received {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tributary *client;
    uint64_t events, started, resumed, interrupted, ended, lost;
    int numbers[MAX_RECEIVED];
    char why[512];
    struct tributary_status final;
    enum tributary_code from_callback;
    struct tributary_subscriber *to_cancel;
    void (*check)(const struct tributary_delivery *delivery); /* NULL: none */
};

struct refusals {
    _Atomic uint64_t events;
    _Atomic int code;
};

/* Runs the fake server; `address` asks for a port of its choice with :0. Its address goes to
 * `live_target`. */
void live_start(const char *address);
void live_stop(void);

struct tributary *live_client(const char *target);
struct tributary_subscriber *live_subscribe(struct tributary *client, struct received *received,
                                            const char *name);
struct tributary_publisher *live_publisher(struct tributary *client,
                                           const struct tributary_publisher_options *options);

/* For `refused`, with a struct refusals as `ctx`. */
void live_refused(void *ctx, const struct tributary_refused *refused);

/* Until the figure, one of `received`, is at least this. */
void live_await(struct received *received, const uint64_t *figure, uint64_t min);
void live_await_number(struct received *received, int number); /* until the newest event is this one */

/* An event whose data is the number. */
enum tributary_code live_publish(struct tributary_publisher *publisher, int number);
void live_expect_sums(struct tributary_publisher *publisher, uint64_t accepted, uint64_t confirmed,
                      uint64_t refused);

#endif
