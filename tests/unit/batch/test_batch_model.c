/* test_batch_model.c - random schedules of everything that may happen to a batch engine, compared
 * with a simple model: run, cancel, reports of every kind (at once or later), time, losses, stops.
 *
 *   test_batch_model            20000 schedules, always the same
 *   test_batch_model 100000     so many
 *   test_batch_model 1 42       schedule 42 once more; a failure prints its number
 *
 * The model knows the rules of batch_engine.h, and nothing of how the engine keeps them. It checks
 * each call of the port when it comes, and after each step that no call is missing. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/splitmix.h"
#include "batch/batch_engine.h"

#define SCHEDULES 20000
#define STEPS 150
#define KEYS 4
#define OPERATIONS (STEPS + 1)

enum phase { NONE, LOADING, SKIPPED, FAILED, OPEN, SAVING, SAVED };

struct model_operation {
    struct batch_operation operation;
    unsigned key;
    bool waits, runs, done, ran_last_ok;
    struct model_operation *next; /* in the queue or batch of its key */
};

struct queue {
    struct model_operation *first, *last;
    uint64_t count, bytes;
};

struct model_key {
    struct keyed_batch *batch; /* while load() was called and the batch is not over */
    enum phase phase;
    enum batch_save save;
    struct queue waiting, started;
    struct model_operation *again;
    unsigned runs;  /* operations that run */
    unsigned ahead; /* by batch_run_ahead(), since the last report */
    uint64_t ahead_bytes;
    unsigned failures; /* of loads in a row */
    bool late, lost, was_saved, was_reloaded;
    bool unloading; /* unload() was called, and not answered */
    int64_t until_ns, deadline_ns;
    uint64_t reloads;
};

static uint64_t seed, random_state;
static struct batch_settings settings;
static struct batch_engine *engine;
static struct model_key keys[KEYS];
static struct model_operation operations[OPERATIONS];
static unsigned operation_count, begun, stopped;
static int64_t now, wake;
static bool stopping, at_once;

#define HOLDS(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "line %d: %s\nschedule %llu failed: test_batch_model 1 %llu\n", __LINE__,        \
                    #condition, (unsigned long long)seed, (unsigned long long)seed);                         \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static unsigned roll(unsigned sides)
{
    return (unsigned)(splitmix64(&random_state) % sides);
}

static void push(struct queue *queue, struct model_operation *operation)
{
    operation->next = NULL;
    if (queue->last)
        queue->last->next = operation;
    else
        queue->first = operation;
    queue->last = operation;
    queue->count++;
    queue->bytes += operation->operation.bytes;
}

static void drop(struct queue *queue, struct model_operation *operation)
{
    struct model_operation **link = &queue->first, *before = NULL;

    while (*link != operation) {
        HOLDS(*link);
        before = *link;
        link = &(*link)->next;
    }
    *link = operation->next;
    if (queue->last == operation)
        queue->last = before;
    queue->count--;
    queue->bytes -= operation->operation.bytes;
}

static struct model_key *key_of(const struct keyed_batch *batch)
{
    return &keys[batch_key(batch).data[0] - 'a'];
}

/* Whether the model wants the batch to end. */
static bool must_close(const struct model_key *key)
{
    const struct model_operation *first = key->waiting.first;

    return stopping || key->was_saved || key->started.count >= settings.max_operations ||
           (first && key->started.bytes + first->operation.bytes > settings.max_bytes) ||
           (now >= key->until_ns && (key->started.count > 0 || !first)) ||
           ((settings.window == BATCH_ADAPTIVE || key->late) && !first);
}

static void report_load(struct model_key *key)
{
    const bool ok = roll(5) > 0;
    const bool needed = key->started.count > 0 || key->waiting.count > 0;

    HOLDS(batch_needs_load(key->batch) == needed);
    if (!needed && roll(2)) {
        key->phase = SKIPPED;
        batch_not_loaded(key->batch);
        return;
    }
    key->phase = ok ? OPEN : FAILED;
    key->failures = ok ? 0 : key->failures + 1;
    if (ok && key->started.count > 0) {
        key->again = key->started.first;
    } else if (ok && now >= key->until_ns) {
        key->late = true;
        key->until_ns = now + settings.window_ns;
    }
    batch_loaded(key->batch, ok);
}

static void withdraw(struct model_key *key, struct model_operation *operation)
{
    drop(&key->started, operation);
    operation->done = true;
    batch_withdrawn(&operation->operation);
}

static struct model_operation *first_that_runs(const struct model_key *key)
{
    struct model_operation *operation = key->started.first;

    while (!operation->runs)
        operation = operation->next;
    return operation;
}

/* One more is to run directly after those that run. */
static void run_ahead(struct model_key *key)
{
    struct model_operation *operation = key->waiting.first;
    struct batch_operation *started = NULL;

    if (now >= batch_until_ns(key->batch))
        return;
    started = batch_run_ahead(key->batch);
    if (!started) {
        HOLDS(must_close(key) || !operation || key->reloads > 0);
        return;
    }
    HOLDS(!must_close(key) && started == &operation->operation && key->reloads == 0);
    drop(&key->waiting, operation);
    push(&key->started, operation);
    operation->waits = false;
    operation->runs = true;
    key->runs++;
    key->ahead++;
    key->ahead_bytes += operation->operation.bytes;
}

static void put_back(struct model_key *key)
{
    struct model_operation *operation = key->started.last;

    HOLDS(operation->runs);
    drop(&key->started, operation);
    operation->next = key->waiting.first;
    key->waiting.first = operation;
    if (!key->waiting.last)
        key->waiting.last = operation;
    key->waiting.count++;
    key->waiting.bytes += operation->operation.bytes;
    operation->waits = true;
    operation->runs = false;
    key->runs--;
    batch_put_back(&operation->operation);
}

/* Some of the last ones have not run, all others have. */
static void report_run(struct model_key *key)
{
    struct batch_operation *ran[OPERATIONS];
    unsigned count = 0;

    key->ahead = 0;
    key->ahead_bytes = 0;
    for (unsigned back = roll(key->runs); back > 0; back--)
        put_back(key);
    for (struct model_operation *operation = first_that_runs(key); operation; operation = operation->next) {
        HOLDS(operation->runs);
        operation->runs = false;
        operation->operation.failed = roll(4) == 0;
        operation->ran_last_ok = !operation->operation.failed;
        ran[count++] = &operation->operation;
    }
    HOLDS(count == key->runs);
    key->runs = 0;
    batch_operated_all(key->batch, ran, count);
}

/* Those that run report in their order. */
static void report_operation(struct model_key *key)
{
    struct model_operation *operation = first_that_runs(key);

    if (!settings.pipelined && key->reloads == 0 && key->phase == OPEN && roll(2)) {
        report_run(key);
        return;
    }
    key->ahead = 0;
    key->ahead_bytes = 0;
    operation->runs = false;
    key->runs--;
    if (!key->was_saved && key->phase == OPEN && roll(8) == 0) {
        withdraw(key, operation);
        return;
    }
    operation->ran_last_ok = roll(4) > 0;
    batch_operated(&operation->operation, operation->ran_last_ok);
}

static void report_save(struct model_key *key)
{
    key->save = (enum batch_save)(roll(2) ? BATCH_SAVE_OK : roll(3));
    key->phase = SAVED;
    key->was_reloaded =
        key->save == BATCH_SAVE_CONFLICT && now < key->deadline_ns && key->reloads++ < settings.max_reloads;
    batch_saved(key->batch, key->save);
}

static void report_unload(struct model_key *key)
{
    key->unloading = false;
    batch_unloaded(key->batch);
}

static void on_load(void *ctx, struct keyed_batch *batch)
{
    struct model_key *key = key_of(batch);

    (void)ctx;
    if (!key->batch) {
        HOLDS(key->phase == NONE && key->waiting.first && begun < settings.max_batches && !stopping);
        begun++;
        key->batch = batch;
        key->until_ns = now + settings.window_ns;
        key->deadline_ns = now + settings.deadline_ns;
    } else {
        HOLDS(key->batch == batch && !key->unloading && !key->lost &&
              (key->phase == FAILED || key->was_reloaded));
        HOLDS(key->phase != FAILED || (settings.retry_load && now < key->deadline_ns));
    }
    HOLDS(batch_deadline_ns(batch) == key->deadline_ns);
    key->was_reloaded = false;
    key->phase = LOADING;
    if (at_once)
        report_load(key);
}

static void on_operate(void *ctx, struct keyed_batch *batch, struct batch_operation *started)
{
    struct model_key *key = key_of(batch);
    struct model_operation *operation = container_of(started, struct model_operation, operation);

    (void)ctx;
    HOLDS(key->batch == batch && key->phase == OPEN && !key->unloading && !key->lost);
    HOLDS(!operation->done && !operation->runs);
    HOLDS(key->runs == 0 || settings.pipelined);
    if (key->again) {
        HOLDS(key->again == operation);
        key->again = operation->next;
    } else {
        HOLDS(!must_close(key) && key->waiting.first == operation && operation->waits);
        drop(&key->waiting, operation);
        push(&key->started, operation);
        operation->waits = false;
    }
    operation->runs = true;
    key->runs++;
    if (at_once)
        report_operation(key);
}

static void on_save(void *ctx, struct keyed_batch *batch)
{
    struct model_key *key = key_of(batch);

    (void)ctx;
    HOLDS(key->batch == batch && key->phase == OPEN && !key->again && key->started.count > 0 && !key->lost);
    HOLDS(must_close(key) && (key->runs == 0 || settings.pipelined));
    key->was_saved = true;
    key->phase = SAVING;
    if (at_once && key->runs == 0)
        report_save(key);
}

static void on_unload(void *ctx, struct keyed_batch *batch)
{
    struct model_key *key = key_of(batch);

    (void)ctx;
    HOLDS(key->batch == batch && !key->lost && !key->unloading);
    HOLDS(key->phase == SAVED || (key->phase == OPEN && key->started.count == 0 && must_close(key)));
    key->unloading = true;
    if (at_once)
        report_unload(key);
}

/* Whether a load that failed may be the last attempt. */
static bool may_give_up(const struct model_key *key)
{
    int64_t wait_ns = settings.retry_first_ns;

    for (unsigned i = 1; i < key->failures && wait_ns < settings.retry_max_ns; i++)
        wait_ns *= 2;
    return !settings.retry_load || now + MIN_OF(wait_ns, settings.retry_max_ns) >= key->deadline_ns ||
           (key->started.count == 0 && key->waiting.count == 0) || stopping;
}

static void check_outcome(const struct model_key *key, enum batch_outcome outcome)
{
    if (key->lost && (key->phase != SAVED || key->was_reloaded))
        HOLDS(outcome == BATCH_LOST);
    else if (key->phase == SKIPPED)
        HOLDS(outcome == (key->failures > 0 ? BATCH_LOAD_FAILED : BATCH_NOT_LOADED));
    else if (key->phase == FAILED)
        HOLDS(outcome == BATCH_LOAD_FAILED && may_give_up(key));
    else if (key->phase == SAVED)
        HOLDS(outcome == (key->save == BATCH_SAVE_OK ? BATCH_SAVED : BATCH_SAVE_FAILED));
    else
        HOLDS(outcome == BATCH_SAVED && key->started.count == 0);
}

/* The first ones of the queue. */
static void end_some(struct queue *queue, struct list *ended)
{
    while (!list_empty(ended)) {
        struct model_operation *operation = queue->first;

        HOLDS(operation && ended->next == &operation->operation.node && !operation->done);
        HOLDS(operation->operation.state != OPERATION_RAN ||
              operation->operation.failed == !operation->ran_last_ok);
        operation->done = true;
        operation->waits = false;
        list_remove(ended->next);
        drop(queue, operation);
    }
}

static void on_ended(void *ctx, struct keyed_batch *batch, struct list *ended, enum batch_outcome outcome,
                     const struct batch_record *record)
{
    struct model_key *key = key_of(batch);

    (void)ctx;
    if (!record) {
        HOLDS(stopping && outcome == BATCH_STOPPED && !list_empty(ended));
        end_some(&key->waiting, ended);
        return;
    }
    HOLDS(key->lost || (!key->was_reloaded && !key->unloading));
    HOLDS(key->batch == batch && record->outcome == outcome && record->operations == key->started.count);
    HOLDS(record->saves > 0 || key->started.count == 0 || outcome == BATCH_LOST);
    check_outcome(key, outcome);
    if (outcome == BATCH_LOAD_FAILED && key->phase == FAILED && key->started.count == 0) {
        end_some(&key->waiting, ended);
        HOLDS(key->waiting.count == 0);
    }
    end_some(&key->started, ended);
    HOLDS(key->started.count == 0);
    begun--;
    *key = (struct model_key){.waiting = key->waiting};
}

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return now;
}

static void wake_at(void *ctx, int64_t at_ns)
{
    (void)ctx;
    wake = at_ns;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    stopped++;
}

static uint64_t count_alive(void)
{
    uint64_t alive = 0;

    for (unsigned i = 0; i < KEYS; i++)
        alive += keys[i].batch || keys[i].waiting.count > 0;
    return alive;
}

static uint64_t count_keys(void)
{
    struct batch_stats stats;

    batch_engine_stats(engine, &stats);
    return stats.keys;
}

static void check_counts(void)
{
    uint64_t waiters = 0;
    struct batch_stats stats;

    for (unsigned i = 0; i < KEYS; i++)
        waiters += keys[i].waiting.count + keys[i].ahead;
    batch_engine_stats(engine, &stats);
    HOLDS(stats.keys >= count_alive() && stats.waiters == waiters && stats.batches == begun);
    HOLDS(stopped == (stopping && stats.keys == 0));
}

/* Nothing that should happen now is missing, unless the engine is to go on at once. */
static void check_quiet(void)
{
    check_counts();
    if (wake <= now)
        return;
    HOLDS(count_keys() == count_alive());
    for (unsigned i = 0; i < KEYS; i++) {
        const struct model_key *key = &keys[i];

        HOLDS(!stopping || key->waiting.count == 0);
        HOLDS(key->batch || key->waiting.count == 0 || begun == settings.max_batches);
        HOLDS(key->phase != SAVED || key->unloading);
        HOLDS(key->phase != FAILED || (settings.retry_load && !stopping && now < key->deadline_ns &&
                                       wake > now && wake < key->deadline_ns));
        HOLDS(key->phase != OPEN || key->unloading || (key->runs > 0 && !settings.pipelined) ||
              (!must_close(key) && !key->waiting.first && wake <= key->until_ns));
    }
}

static void go_on(void)
{
    while (wake <= now) {
        batch_engine_tick(engine);
        check_quiet();
    }
}

/* Why an operation with so many bytes must be refused. */
static enum fault_reason refusal(const struct model_key *key, uint64_t bytes)
{
    if (stopping)
        return FAULT_PROCESSOR_STOPPED;
    if (!key->batch && key->waiting.count == 0)
        return count_alive() < settings.max_keys ? FAULT_NONE : FAULT_TOO_MANY_KEYS;
    const uint64_t waiting_bytes = key->waiting.bytes + key->ahead_bytes;

    if (key->waiting.count + key->ahead >= settings.max_waiters)
        return FAULT_TOO_MANY_WAITERS;
    return waiting_bytes > 0 && waiting_bytes + bytes > settings.max_waiting_bytes ? FAULT_WAITING_BYTES
                                                                                   : FAULT_NONE;
}

static void run_one(void)
{
    struct model_operation *operation = &operations[operation_count++];
    const unsigned which = roll(KEYS);
    struct model_key *key = &keys[which];
    const uint8_t name = (uint8_t)('a' + which);
    const uint64_t bytes = roll(8);
    enum fault_reason expected = FAULT_NONE;
    struct fault fault;

    if (count_keys() > count_alive())
        go_on(); /* a key that is to be freed still counts */
    expected = refusal(key, bytes);
    *operation = (struct model_operation){
        .operation = {.bytes = bytes}, .key = which, .waits = !expected, .done = expected};
    if (!expected)
        push(&key->waiting, operation); /* the port may be called before batch_engine_run() returns */
    HOLDS(batch_engine_run(engine, (struct bytes){&name, 1}, &operation->operation, &fault) == expected);
}

static void cancel_one(void)
{
    struct model_operation *operation = operation_count ? &operations[roll(operation_count)] : NULL;

    if (!operation || operation->done)
        return;
    if (operation->waits) {
        operation->waits = false;
        operation->done = true;
        drop(&keys[operation->key].waiting, operation);
        HOLDS(batch_engine_cancel(&operation->operation));
    } else {
        HOLDS(!batch_engine_cancel(&operation->operation));
    }
}

static void report_one(struct model_key *key)
{
    if (key->lost)
        return;
    if (key->phase == LOADING)
        report_load(key);
    else if (key->runs > 0)
        report_operation(key);
    else if (key->phase == SAVING)
        report_save(key);
    else if (key->unloading)
        report_unload(key);
}

static void report_one_or_run_ahead(struct model_key *key)
{
    if (!key->lost && key->runs > 0 && key->phase == OPEN && !settings.pipelined && roll(3))
        run_ahead(key);
    else
        report_one(key);
}

static void lose_one(struct model_key *key)
{
    if (key->phase == NONE || key->lost) /* FAILED: between two attempts */
        return;
    key->lost = true;
    key->ahead = 0;
    key->ahead_bytes = 0;
    batch_lost(key->batch);
}

static void pass(int64_t ns)
{
    const int64_t until = now + ns;

    while (wake <= until) {
        now = MAX_OF(now, wake);
        batch_engine_tick(engine);
        check_quiet();
    }
    now = until;
}

static void step(void)
{
    const unsigned kind = roll(100);

    at_once = roll(3) == 0;
    if (kind < 45)
        run_one();
    else if (kind < 80)
        report_one_or_run_ahead(&keys[roll(KEYS)]);
    else if (kind < 88)
        pass(roll(20) * NS_PER_MS);
    else if (kind < 95)
        cancel_one();
    else if (kind < 98)
        lose_one(&keys[roll(KEYS)]);
    else if (kind == 98)
        batch_engine_tick(engine);
    else if (roll(10) == 0)
        batch_engine_stop((stopping = true, engine));
    check_quiet();
    if (roll(3) == 0)
        go_on();
}

static void draw_settings(void)
{
    struct fault fault;

    settings = (struct batch_settings){.window = roll(2) ? BATCH_ADAPTIVE : BATCH_FIXED,
                                       .window_ns = (1 + roll(30)) * NS_PER_MS,
                                       .pipelined = roll(4) == 0,
                                       .retry_load = roll(2),
                                       .retry_first_ns = (1 + roll(10)) * NS_PER_MS,
                                       .max_reloads = roll(3),
                                       .max_operations = roll(2) ? 1 + roll(5) : 0,
                                       .max_bytes = roll(2) ? 8 + roll(20) : 0,
                                       .max_waiters = 1 + roll(12),
                                       .max_waiting_bytes = roll(2) ? 1 + roll(30) : 0,
                                       .max_keys = 1 + roll(2 * KEYS),
                                       .max_batches = roll(2) ? 1 + roll(KEYS) : 0,
                                       .max_steps = roll(2) ? 1 + roll(4) : 0};
    HOLDS(batch_settings_complete(&settings, &fault) == FAULT_NONE);
}

static void run_schedule(void)
{
    random_state = seed * UINT64_C(0xd1342543de82ef95);
    now = NS_PER_S;
    wake = INT64_MAX;
    operation_count = begun = stopped = 0;
    stopping = false;
    memset(keys, 0, sizeof(keys));
    draw_settings();
    engine = batch_engine_new(&settings,
                              &(struct batch_port){.load = on_load,
                                                   .operate = on_operate,
                                                   .save = on_save,
                                                   .unload = on_unload,
                                                   .ended = on_ended,
                                                   .now_ns = now_ns,
                                                   .wake_at = wake_at,
                                                   .stopped = on_stopped},
                              16);
    HOLDS(engine);
    for (unsigned i = 0; i < STEPS; i++)
        step();
    at_once = true;
    if (roll(2))
        batch_engine_stop((stopping = true, engine));
    for (unsigned i = 0; i < KEYS; i++, go_on())
        while (!keys[i].lost &&
               (keys[i].phase == LOADING || keys[i].runs > 0 || keys[i].phase == SAVING || keys[i].unloading))
            report_one(&keys[i]);
    pass(100 * settings.deadline_ns);
    check_quiet();
    for (unsigned i = 0; i < operation_count; i++)
        HOLDS(operations[i].done);
    HOLDS(begun == 0 && wake == INT64_MAX);
    batch_engine_free(engine);
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SCHEDULES;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    for (seed = first; seed < first + count; seed++)
        run_schedule();
    printf("%llu schedules\n", (unsigned long long)count);
    return 0;
}
