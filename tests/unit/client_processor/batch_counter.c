/* batch_counter.c - a worker that counts operations for each key in a file, and a runner that
 * checks that each operation was counted once. tests/e2e/test_batch_library.py runs both.
 *
 * Usage: batch_counter work FOLDER SAVES
 *            dies after so many saves, before the server hears of it; 0: never. Prints its name
 *            when it is welcome. Ends with SIGTERM.
 *        batch_counter run OPERATIONS KEYS
 *            prints how they ended
 *
 * The server's address is in TRIBUTARY_SERVER. A file has the generation, the count, and the ids of
 * all operations with their results. It is replaced as a whole, under a lock for its key. */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "tributary/tributary.h"

#define MAX_KEYS 64u
#define ID_BYTES 16u

static const char *folder;
static int64_t saves_left; /* -1: no end */

struct known {
    uint8_t id[ID_BYTES];
    uint64_t result;
};

struct counter {
    uint64_t generation, count;
    struct known *known;
    size_t known_count;
};

static void path_of(const struct tributary_worker_batch *batch, const char *suffix, char path[512])
{
    const struct tributary_bytes key = tributary_worker_batch_key(batch);

    snprintf(path, 512, "%s/%.*s%s", folder, (int)key.size, (const char *)key.data, suffix);
}

static struct counter *read_counter(const struct tributary_worker_batch *batch)
{
    struct counter *counter = calloc(1, sizeof(*counter));
    uint64_t head[2] = {0};
    char path[512];
    FILE *file = NULL;

    CHECK(counter);
    path_of(batch, "", path);
    file = fopen(path, "r");
    if (!file)
        return counter;
    CHECK(fread(head, sizeof(head), 1, file) == 1);
    counter->generation = head[0];
    counter->count = counter->known_count = head[1];
    counter->known = calloc(counter->count, sizeof(*counter->known));
    CHECK(fread(counter->known, sizeof(*counter->known), counter->count, file) == counter->count);
    fclose(file);
    return counter;
}

static void free_counter(void *ctx, void *resource)
{
    struct counter *counter = resource;

    (void)ctx;
    free(counter->known);
    free(counter);
}

static enum tributary_code load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                uint64_t *generation_out, struct tributary_status *status)
{
    struct counter *counter = read_counter(batch);

    (void)ctx, (void)status;
    *resource_out = counter;
    *generation_out = counter->generation;
    return TRIBUTARY_OK;
}

/* The result of an operation: the first one, where it is known. */
static uint64_t count_one(struct counter *counter, const struct tributary_worker_operation *operation)
{
    struct known *grown = NULL;

    CHECK(operation->operation_id.size == ID_BYTES);
    for (size_t i = 0; i < counter->known_count; i++)
        if (memcmp(counter->known[i].id, operation->operation_id.data, ID_BYTES) == 0)
            return counter->known[i].result;
    grown = realloc(counter->known, (counter->known_count + 1) * sizeof(*grown));
    CHECK(grown);
    counter->known = grown;
    memcpy(grown[counter->known_count].id, operation->operation_id.data, ID_BYTES);
    grown[counter->known_count++].result = ++counter->count;
    return counter->count;
}

static void write_counter(const struct tributary_worker_batch *batch, const struct counter *counter)
{
    const uint64_t head[2] = {counter->generation + 1, counter->count};
    char path[512], made[512];
    FILE *file = NULL;

    path_of(batch, "", path);
    path_of(batch, ".made", made);
    file = fopen(made, "w");
    CHECK(file && fwrite(head, sizeof(head), 1, file) == 1);
    CHECK(fwrite(counter->known, sizeof(*counter->known), counter->count, file) == counter->count);
    CHECK(fclose(file) == 0 && rename(made, path) == 0);
}

static enum tributary_code save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                const struct tributary_worker_operation *const *operations, size_t count,
                                struct tributary_status *status)
{
    static _Atomic int64_t saves;
    struct counter *counter = resource;
    struct counter *now = NULL;
    char path[512];
    FILE *lock = NULL;
    bool same = false;

    (void)ctx, (void)status;
    for (size_t i = 0; i < count; i++) {
        const uint64_t result = count_one(counter, operations[i]);

        CHECK(tributary_worker_set_result(batch, operations[i],
                                          (struct tributary_bytes){&result, sizeof(result)}) == TRIBUTARY_OK);
    }
    path_of(batch, ".lock", path);
    lock = fopen(path, "w");
    CHECK(lock && flock(fileno(lock), LOCK_EX) == 0);
    now = read_counter(batch);
    same = now->generation == tributary_worker_batch_generation(batch);
    free_counter(NULL, now);
    if (same)
        write_counter(batch, counter);
    fclose(lock);
    if (same && saves_left > 0 && atomic_fetch_add(&saves, 1) + 1 >= saves_left)
        kill(getpid(), SIGKILL);
    return same ? TRIBUTARY_OK : TRIBUTARY_ABORTED;
}

static void on_welcomed(void *ctx, const char *worker)
{
    (void)ctx;
    printf("%s\n", worker);
    fflush(stdout);
}

static int work(struct tributary *client)
{
    const struct tributary_worker_options options = {
        .processor = "count",
        .worker = getenv("BATCH_WORKER"),
        .policy = {.window = TRIBUTARY_BATCH_ADAPTIVE, .window_ns = NS_PER_S, .max_reloads = 3},
        .threads = 4,
        .load = load,
        .save = save,
        .free = free_counter,
        .welcomed = on_welcomed,
    };
    struct tributary_worker *worker = NULL;
    struct tributary_status status;
    sigset_t signals;
    int number = 0;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    CHECK(tributary_worker_new(client, &options, &worker, &status) == TRIBUTARY_OK);
    sigwait(&signals, &number);
    tributary_worker_finish(worker, 10 * NS_PER_S);
    tributary_worker_wait(worker, TRIBUTARY_FOREVER, &status);
    fprintf(stderr, "%s %s\n", tributary_code_name(status.code), status.message);
    tributary_worker_free(worker);
    return status.code == TRIBUTARY_OK ? 0 : 1;
}

/* What the runner has seen of a key; client thread, and then main. */
static struct seen {
    uint64_t ok, largest, sum;
} seen[MAX_KEYS];

static void on_done(void *ctx, const struct tributary_runner_result *result)
{
    struct seen *key = ctx;
    uint64_t count = 0;

    if (result->status.code != TRIBUTARY_OK) {
        fprintf(stderr, "%s %s %s\n", tributary_code_name(result->status.code), result->status.reason,
                result->status.message);
        return;
    }
    CHECK(result->data.size == sizeof(count));
    memcpy(&count, result->data.data, sizeof(count));
    key->ok++;
    key->sum += count;
    key->largest = MAX_OF(key->largest, count);
}

/* Each result from 1 to `ok` has come once. */
static bool is_exact(const struct seen *key)
{
    return key->largest == key->ok && key->sum == key->ok * (key->ok + 1) / 2;
}

static int run(struct tributary *client, uint64_t operations, uint64_t keys)
{
    const struct tributary_runner_options options = {.processor = "count",
                                                     .max_operations = 256,
                                                     .timeout_ns = 60 * NS_PER_S,
                                                     .make_operation_ids = true,
                                                     .retry_refused = true};
    struct tributary_runner *runner = NULL;
    struct tributary_runner_stats stats;
    bool exact = true;

    CHECK(keys <= MAX_KEYS && tributary_runner_new(client, &options, &runner, NULL) == TRIBUTARY_OK);
    for (uint64_t i = 0; i < operations; i++) {
        char key[16];
        const int size = snprintf(key, sizeof(key), "key-%" PRIu64, i % keys);
        const struct tributary_runner_operation operation = {
            .key = {key, (size_t)size}, .done = on_done, .ctx = &seen[i % keys]};

        while (tributary_runner_submit(runner, &operation, NULL, NULL) != TRIBUTARY_OK)
            tributary_runner_wait(runner, TRIBUTARY_FOREVER);
    }
    CHECK(tributary_runner_flush(runner, TRIBUTARY_FOREVER) == TRIBUTARY_OK);
    tributary_runner_stats(runner, &stats);
    tributary_runner_free(runner);
    for (uint64_t i = 0; i < keys; i++)
        exact = exact && is_exact(&seen[i]);
    printf("{\"ok\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"sent_again\": %" PRIu64 ", \"exact\": %s}\n",
           stats.ok, stats.failed, stats.sent_again, exact ? "true" : "false");
    return 0;
}

int main(int argc, char **argv)
{
    const struct tributary_options options = {.target = getenv("TRIBUTARY_SERVER"),
                                              .backoff_base_ns = 20 * NS_PER_MS,
                                              .backoff_cap_ns = 200 * NS_PER_MS};
    struct tributary *client = NULL;
    int result = 0;

    CHECK(argc == 4 && tributary_connect(&options, &client, NULL) == TRIBUTARY_OK);
    if (strcmp(argv[1], "work") == 0) {
        folder = argv[2];
        saves_left = atoll(argv[3]);
        result = work(client);
    } else {
        result = run(client, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    }
    tributary_free(client);
    return result;
}
