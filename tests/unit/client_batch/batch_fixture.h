/* batch_fixture.h - a batch processor whose store is a table in memory, with callbacks that tests
 * hold up, let fail, and count. */
#ifndef TRIBUTARY_TESTS_UNIT_CLIENT_BATCH_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_CLIENT_BATCH_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tributary/batch.h"

#define FIXTURE_KEYS 16
#define MS INT64_C(1000000)

/* A gate that callbacks pass. Closed, they wait in front of it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    unsigned waiting; /* in front of it now */
};

/* What load() makes. */
struct balance {
    unsigned key;
    int64_t value;
};

struct batch_fixture {
    struct tributary_batch *batch;
    struct tributary_batch_options options;
    int64_t stored[FIXTURE_KEYS]; /* keys are "0" to "15" */
    _Atomic unsigned loads, saves, frees, runs;
    _Atomic enum tributary_code load_code, save_code; /* what they answer */
    _Atomic int load_failures, save_failures;         /* so many times, then OK; negative: always */
    _Atomic int64_t deadline_of_load_ns, deadline_of_save_ns;
    struct gate load_gate, save_gate, run_gate, done_gate;
    struct gate free_gate;              /* of key 0 */
    int64_t load_wait_ns, save_wait_ns; /* how long they take */
    bool until_deadline;                /* load and save take until their deadline, and fail */
    _Atomic int running[FIXTURE_KEYS];  /* callbacks of a key at this moment; more than 1: `overlap` */
    _Atomic bool overlap;
};

/* Begins with `fixture->options`. The callbacks are the fixture's; load, where there are no
 * `resource_bytes`. */
void batch_fixture_open(struct batch_fixture *fixture);
void batch_fixture_close(struct batch_fixture *fixture);

/* Adds `amount` to the balance of a key. */
struct addition {
    struct batch_fixture *fixture;
    unsigned key;
    int64_t amount;
    enum tributary_code code; /* what the operation answers; it adds nothing where it is not OK */
    struct gate *gate;        /* it passes; NULL: none */
    /* What its done() passes and cancels; NULL: nothing. */
    struct gate *done_gate;
    struct tributary_batch_cancel *done_cancels;
    _Atomic unsigned runs;
    _Atomic bool done;
    struct tributary_status status;
    char name[4];
    struct tributary_batch_cancel *cancel;
    pthread_t thread;
    int64_t timeout_ns; /* 0: none */
};

enum tributary_code addition_run(struct addition *addition);
enum tributary_code addition_submit(struct addition *addition);
/* addition_run() on a thread of its own; addition_join() waits for it. */
void addition_start(struct addition *addition);
enum tributary_code addition_join(struct addition *addition);

void gate_close(struct gate *gate);
void gate_open(struct gate *gate);
/* Waits until so many stand in front of it. */
void gate_await(struct gate *gate, unsigned count);

/* Waits until the condition holds; a test that waits for 20 s fails. */
#define EVENTUALLY(condition)                                                                                \
    do {                                                                                                     \
        const int64_t until_ = fixture_now_ns() + 20000 * MS;                                                \
        while (!(condition)) {                                                                               \
            cr_assert_lt(fixture_now_ns(), until_, "%s", #condition);                                        \
            fixture_rest();                                                                                  \
        }                                                                                                    \
    } while (0)
int64_t fixture_now_ns(void);
void fixture_rest(void);

#endif
