/* stress_batch.c - a batch processor with many threads: runs, submits, cancels, observers, failures
 * and conflicts, against one or several stops at any moment (B14: 10 000 stops against runs).
 *
 * Each key has a counter in the store. At the end it must be exactly what the operations that ended
 * with OK have added. No operation runs after tributary_batch_stop() has returned, two callbacks of
 * a key never run at a time, and each operation ends once.
 *
 * For ThreadSanitizer. A failure names its seed; TRIBUTARY_SEED=<it> runs that round alone.
 * `stress_batch 10000` runs so many rounds. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/splitmix.h"
#include "tributary/batch.h"

#define ROUNDS 600
#define THREADS 4
#define KEYS 3
#define TIMES 12

struct resource {
    unsigned key;
    int64_t value;
};

struct operation {
    struct round *round;
    unsigned key;
    enum tributary_code code;
    uint64_t random;
    _Atomic unsigned ended;
    bool added; /* in the last attempt that ran */
};

struct runner {
    struct round *round;
    pthread_t thread;
    uint64_t random;
    struct operation operations[TIMES];
    unsigned submitted;
    struct tributary_batch_cancel *cancel;
};

struct round {
    uint64_t seed, random;
    struct tributary_batch *batch;
    int64_t stored[KEYS];
    _Atomic int64_t expected[KEYS]; /* by what was reported */
    _Atomic int running[KEYS];
    _Atomic bool stopped; /* tributary_batch_stop() has returned */
    struct runner runners[THREADS];
    pthread_t stopper;
};

#define HOLDS(round, condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "stress_batch: seed %llu, line %d: %s\n", (unsigned long long)(round)->seed,     \
                    __LINE__, #condition);                                                                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static uint32_t roll(uint64_t *random, uint32_t sides)
{
    return (uint32_t)(splitmix64(random) % sides);
}

static unsigned key_of(const struct tributary_batch_call *call)
{
    return ((const unsigned char *)call->key.data)[0];
}

static void enter(struct round *round, unsigned key)
{
    HOLDS(round, atomic_fetch_add(&round->running[key], 1) == 0);
    HOLDS(round, !atomic_load(&round->stopped));
}

static void leave(struct round *round, unsigned key)
{
    atomic_fetch_sub(&round->running[key], 1);
}

/* A number that needs no lock: callbacks of a key run one at a time. */
static uint32_t roll_key(struct round *round, unsigned key, uint32_t sides)
{
    static uint64_t randoms[KEYS];

    return roll(&randoms[key], sides) ^ (round->seed % 2 && sides > 1 ? 1 : 0);
}

static enum tributary_code load(void *ctx, const struct tributary_batch_call *call, void **resource_out,
                                struct tributary_status *status)
{
    struct round *round = ctx;
    const unsigned key = key_of(call);
    struct resource *resource = NULL;

    enter(round, key);
    if (roll_key(round, key, 12) > 1) {
        resource = malloc(sizeof(*resource));
        *resource = (struct resource){key, round->stored[key]};
        *resource_out = resource;
    } else {
        snprintf(status->message, sizeof(status->message), "no");
    }
    leave(round, key);
    return resource ? TRIBUTARY_OK : TRIBUTARY_UNAVAILABLE;
}

static enum tributary_code save(void *ctx, const struct tributary_batch_call *call, void *resource,
                                struct tributary_status *status)
{
    struct round *round = ctx;
    const unsigned key = key_of(call);
    const uint32_t kind = roll_key(round, key, 12);

    (void)status;
    enter(round, key);
    if (kind > 3)
        round->stored[key] = ((struct resource *)resource)->value;
    leave(round, key);
    return kind > 3 ? TRIBUTARY_OK : kind > 1 ? TRIBUTARY_ABORTED : TRIBUTARY_INTERNAL;
}

static void free_resource(void *ctx, void *resource)
{
    struct round *round = ctx;
    const unsigned key = ((struct resource *)resource)->key;

    enter(round, key);
    free(resource);
    leave(round, key);
}

static enum tributary_code operate(void *ctx, void *resource, struct tributary_status *status)
{
    struct operation *operation = ctx;
    struct round *round = operation->round;

    (void)status;
    enter(round, operation->key);
    operation->added = roll(&operation->random, 5) > 0;
    if (operation->added)
        ((struct resource *)resource)->value++;
    if (roll(&operation->random, 20) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    leave(round, operation->key);
    return operation->added ? TRIBUTARY_OK : TRIBUTARY_INVALID_ARGUMENT;
}

static void end(struct operation *operation, enum tributary_code code)
{
    operation->code = code;
    if (code == TRIBUTARY_OK)
        atomic_fetch_add(&operation->round->expected[operation->key], 1);
    HOLDS(operation->round, atomic_fetch_add(&operation->ended, 1) == 0);
}

static void on_done(void *ctx, const struct tributary_status *status)
{
    const struct operation *operation = ctx;

    HOLDS(operation->round, !atomic_load(&operation->round->stopped));
    end(ctx, status->code);
}

static void begin(struct runner *runner, struct operation *operation)
{
    const unsigned char key = (unsigned char)operation->key;
    const struct tributary_batch_operation params = {.key = {&key, 1},
                                                     .operate = operate,
                                                     .done = on_done,
                                                     .ctx = operation,
                                                     .bytes = roll(&runner->random, 10),
                                                     .cancel =
                                                         roll(&runner->random, 3) ? NULL : runner->cancel};
    struct tributary_status status;

    if (roll(&runner->random, 2)) {
        if (tributary_batch_submit(runner->round->batch, &params, &status) != TRIBUTARY_OK)
            end(operation, status.code);
    } else {
        const int64_t timeout_ns =
            roll(&runner->random, 3) ? TRIBUTARY_FOREVER : roll(&runner->random, 200000);

        end(operation, tributary_batch_run(runner->round->batch, &params, timeout_ns, &status));
    }
}

static void *run_all(void *ctx)
{
    struct runner *runner = ctx;

    for (unsigned i = 0; i < TIMES; i++) {
        struct operation *operation = &runner->operations[i];

        *operation = (struct operation){
            .round = runner->round, .key = roll(&runner->random, KEYS), .random = runner->random};
        begin(runner, operation);
        if (roll(&runner->random, 8) == 0)
            tributary_batch_cancel(runner->cancel);
    }
    return NULL;
}

static void *stop(void *ctx)
{
    struct round *round = ctx;

    HOLDS(round, tributary_batch_stop(round->batch) == TRIBUTARY_OK);
    return NULL;
}

static void read_records(struct tributary_batch_observer *observer)
{
    struct tributary_batch_record record;

    while (tributary_batch_record_next(observer, 0, &record) == TRIBUTARY_OK)
        continue;
}

static void open_round(struct round *round, uint64_t seed)
{
    *round = (struct round){.seed = seed, .random = seed};

    const struct tributary_batch_options options = {
        .load = load,
        .save = save,
        .free = free_resource,
        .ctx = round,
        .threads = 1 + roll(&round->random, 3),
        .window = roll(&round->random, 2) ? TRIBUTARY_BATCH_ADAPTIVE : TRIBUTARY_BATCH_FIXED,
        .window_ns = 1000000,
        .retry_load = roll(&round->random, 2),
        .retry_first_ns = 1000000,
        .max_reloads = roll(&round->random, 3),
        .max_operations = roll(&round->random, 2) ? 1 + roll(&round->random, 5) : 0,
        .max_waiters = roll(&round->random, 2) ? 1 + roll(&round->random, 5) : 0,
        .max_keys = roll(&round->random, 4) ? 0 : 2,
        .max_batches = roll(&round->random, 4) ? 0 : 1 + roll(&round->random, 2),
        .refuse_when_full = roll(&round->random, 4) == 0};

    HOLDS(round, tributary_batch_new(&options, &round->batch, NULL) == TRIBUTARY_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        round->runners[i] = (struct runner){
            .round = round, .random = seed * THREADS + i, .cancel = tributary_batch_cancel_new()};
        HOLDS(round, round->runners[i].cancel);
    }
}

static void check_round(struct round *round)
{
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned j = 0; j < TIMES; j++)
            HOLDS(round, round->runners[i].operations[j].ended == 1);
    for (unsigned key = 0; key < KEYS; key++)
        HOLDS(round, round->stored[key] == round->expected[key]);
}

static void run(uint64_t seed)
{
    static struct round round;
    struct tributary_batch_observer *observer = NULL;

    open_round(&round, seed);
    HOLDS(&round, tributary_batch_observe(round.batch, 3, &observer, NULL) == TRIBUTARY_OK);
    for (unsigned i = 0; i < THREADS; i++)
        HOLDS(&round, pthread_create(&round.runners[i].thread, NULL, run_all, &round.runners[i]) == 0);
    nanosleep(&(struct timespec){.tv_nsec = roll(&round.random, 1000000)}, NULL);
    HOLDS(&round, pthread_create(&round.stopper, NULL, stop, &round) == 0);
    read_records(observer);
    HOLDS(&round, tributary_batch_stop(round.batch) == TRIBUTARY_OK);
    atomic_store(&round.stopped, true);
    pthread_join(round.stopper, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(round.runners[i].thread, NULL);
    read_records(observer);
    tributary_batch_observer_free(observer);
    tributary_batch_free(round.batch);
    for (unsigned i = 0; i < THREADS; i++)
        tributary_batch_cancel_free(round.runners[i].cancel);
    check_round(&round);
}

int main(int argc, char **argv)
{
    const char *given = getenv("TRIBUTARY_SEED");
    const uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : ROUNDS;

    if (given) {
        run(strtoull(given, NULL, 10));
        return 0;
    }
    for (uint64_t seed = 1; seed <= rounds; seed++)
        run(seed);
    printf("%llu rounds\n", (unsigned long long)rounds);
    return 0;
}
