/* test_processor_model.c - random schedules of a processor: callers that run and cancel, workers
 * that come, work slowly, fail, drain, go, or report nonsense, and a stop at any moment.
 *
 *   test_processor_model            5000 schedules, always the same
 *   test_processor_model 100000     so many
 *   test_processor_model 1 42       schedule 42 once more; a failure prints its number
 *
 * The model is what a worker and a caller see. B36: each operation that was admitted ends exactly
 * once, after its batch was saved where it has a result; a key has one batch at a time over all
 * workers; may_have_run is false only where that is true; after a stop nothing runs; nothing is
 * left. */
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/splitmix.h"
#include "batch/worker.h"
#include "unit/batch/fake_loop.h"

#define SCHEDULES 5000
#define STEPS 250
#define KEYS 4
#define WORKERS 3
#define OPERATIONS (STEPS + 1)
#define BATCHES 4096

/* How a batch ended at its worker, as the worker knows it. */
enum end { NOT_YET, SAVED, LOST, NOT_SAVED, CONFLICT, UNKNOWN };

struct model_batch {
    unsigned worker, key;
    bool begun, loaded, finished, aborted;
    enum end end;
    unsigned sent, answered;
    unsigned operations[OPERATIONS];
    bool has_result[OPERATIONS], has_failed[OPERATIONS];
};

struct model_operation {
    struct processor_operation operation;
    unsigned key;
    bool alive, sent_once, may_not_run;
    uint64_t batch; /* that it was sent with last */
    unsigned id;
};

struct model_worker {
    struct batch_worker *worker;
    bool draining;
};

static uint64_t seed, random_state;
static struct batch_settings settings;
static struct batch_processors *processors;
static struct model_worker workers[WORKERS];
static struct model_operation operations[OPERATIONS];
static struct model_batch *batches[BATCHES];
static unsigned operation_count;
static uint64_t last_batch; /* the highest number that was fetched */
static uint64_t busy[KEYS]; /* the batch of the key at a worker; 0: none */
static bool stopping;
static unsigned stopped, records;

#define HOLDS(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "line %d: %s\nschedule %llu failed: test_processor_model 1 %llu\n", __LINE__,    \
                    #condition, (unsigned long long)seed, (unsigned long long)seed);                         \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static unsigned roll(unsigned sides)
{
    return (unsigned)(splitmix64(&random_state) % sides);
}

/* ---- callers ---- */

/* What the worker has reported of the operation's last batch. */
static const struct model_batch *last_batch_of(const struct model_operation *operation)
{
    return operation->batch ? batches[operation->batch] : NULL;
}

static void check_success(const struct model_operation *operation)
{
    const struct model_batch *batch = last_batch_of(operation);

    HOLDS(batch && batch->end == SAVED && operation->operation.batch == operation->batch);
    HOLDS(batch->has_result[operation->id - 1] && !operation->operation.may_have_run);
    HOLDS(!operation->operation.error == !batch->has_failed[operation->id - 1]);
    if (!operation->operation.error)
        HOLDS(operation->operation.result.size == 2 &&
              operation->operation.result.data[1] == (uint8_t)operation->id);
}

static bool any_accepts(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (workers[i].worker && !workers[i].draining && !batch_worker_fault(workers[i].worker))
            return true;
    return false;
}

static void check_failure(const struct model_operation *operation)
{
    const struct model_batch *batch = last_batch_of(operation);
    const bool is_unknown = batch && (batch->end == LOST || batch->end == UNKNOWN);

    HOLDS(!batch || batch->end != SAVED);
    HOLDS(!batch || batch->end != NOT_YET);
    HOLDS(operation->operation.may_have_run == is_unknown);
    HOLDS(operation->operation.result.size == 0);
    switch (operation->operation.reason) {
    case FAULT_NONE: /* the worker's error */
        HOLDS(operation->operation.error);
        break;
    case FAULT_WORKER_LOST:
        HOLDS(batch && batch->end == LOST);
        break;
    case FAULT_PROCESSOR_STOPPED:
        HOLDS(stopping && !is_unknown);
        break;
    case FAULT_NO_WORKER:
    case FAULT_BATCH_DEADLINE:
        HOLDS(!is_unknown);
        break;
    default:
        HOLDS(false); /* no operation may end with it */
    }
}

static void on_ended(struct processor_operation *base)
{
    struct model_operation *operation = container_of(base, struct model_operation, operation);
    const struct model_batch *batch = last_batch_of(operation);

    HOLDS(operation->alive);
    operation->alive = false;
    HOLDS(!base->reason || !base->error);
    if (batch && batch->end == SAVED)
        check_success(operation);
    else
        check_failure(operation);
    processor_operation_fini(base);
}

static struct batch_processor *find(void)
{
    struct batch_processor *processor = NULL;
    struct fault fault;

    for (unsigned i = 0; i < WORKERS && !processor; i++)
        if (workers[i].worker) {
            processor = batch_worker_processor(workers[i].worker);
            batch_processor_retain(processor);
        }
    if (!processor && batch_processors_find(processors, text_bytes("p"), &processor, &fault))
        return NULL;
    batch_processor_lock(processor);
    return processor;
}

static void let_go(struct batch_processor *processor)
{
    batch_processor_unlock(processor);
    batch_processor_release(processor);
}

static void run_one(void)
{
    struct model_operation *operation = &operations[operation_count];
    struct batch_processor *processor = find();
    const unsigned key = roll(KEYS);
    const uint8_t name = (uint8_t)('a' + key);
    struct fault fault;

    if (!processor)
        return;
    operation_count++;
    *operation = (struct model_operation){.operation = {.ended = on_ended}, .key = key, .alive = true};
    const bool accepted = any_accepts();
    const enum fault_reason reason =
        batch_processor_run(processor, (struct bytes){&name, 1}, &operation->operation, &fault);

    if (reason)
        operation->alive = false;
    if (stopping)
        HOLDS(reason == FAULT_PROCESSOR_STOPPED);
    else
        HOLDS((reason == FAULT_NO_WORKER) == !accepted);
    HOLDS(!reason || reason == FAULT_NO_WORKER || reason == FAULT_PROCESSOR_STOPPED ||
          reason == FAULT_TOO_MANY_WAITERS || reason == FAULT_TOO_MANY_KEYS);
    let_go(processor);
}

static void cancel_one(void)
{
    struct model_operation *operation = operation_count ? &operations[roll(operation_count)] : NULL;
    struct batch_processor *processor = NULL;

    if (!operation || !operation->alive || !(processor = find()))
        return;
    const struct model_batch *batch = last_batch_of(operation);
    const bool must_wait = batch && (batch->end == NOT_YET || batch->end == SAVED);

    if (batch_processor_cancel(&operation->operation)) {
        HOLDS(!must_wait);
        operation->alive = false;
    } else {
        HOLDS(operation->sent_once);
    }
    let_go(processor);
}

/* ---- workers ---- */

static unsigned index_of(const struct processor_operation *base)
{
    return (unsigned)(container_of(base, const struct model_operation, operation) - operations);
}

static void on_begin(unsigned worker, const struct worker_command *command)
{
    const unsigned key = (unsigned)(command->key.data[0] - 'a');
    struct model_batch *batch = NULL;

    HOLDS(command->key.size == 1 && key < KEYS && command->deadline_ns > 0 && command->batch < BATCHES);
    HOLDS(busy[key] == 0 && !batches[command->batch]);
    batch = batches[command->batch] = calloc(1, sizeof(*batch));
    HOLDS(batch);
    *batch = (struct model_batch){.worker = worker, .key = key, .begun = true};
    busy[key] = command->batch;
    last_batch = MAX_OF(last_batch, command->batch);
}

static void on_operation(struct model_batch *batch, const struct worker_command *command)
{
    const unsigned index = index_of(command->operation);
    struct model_operation *operation = &operations[index];
    const struct model_batch *before = last_batch_of(operation);

    HOLDS(batch->loaded && !batch->finished && !batch->aborted && command->id == batch->sent + 1);
    HOLDS(operation->alive && operation->key == batch->key && !operation->may_not_run);
    HOLDS(!before || before->end == CONFLICT);
    for (unsigned i = 0; i < index; i++) /* first in, first out */
        HOLDS(!operations[i].alive || operations[i].key != batch->key ||
              operations[i].batch == command->batch);
    batch->operations[batch->sent++] = index;
    operation->batch = command->batch;
    operation->id = batch->sent;
    operation->sent_once = true;
}

static void on_command(unsigned worker, const struct worker_command *command)
{
    struct model_batch *batch = NULL;

    if (command->kind == WORKER_BEGIN) {
        on_begin(worker, command);
        return;
    }
    HOLDS(command->batch <= last_batch && batches[command->batch]);
    batch = batches[command->batch];
    HOLDS(batch->worker == worker && batch->end == NOT_YET);
    switch (command->kind) {
    case WORKER_OPERATION:
        on_operation(batch, command);
        break;
    case WORKER_FINISH:
        HOLDS(batch->loaded && batch->sent > 0 && !batch->finished && !batch->aborted);
        batch->finished = true;
        break;
    case WORKER_ABORT:
        HOLDS(!batch->aborted && command->reason);
        batch->aborted = true;
        break;
    case WORKER_BEGIN:
        break;
    }
}

static struct batch_processor *lock_of(const struct model_worker *worker)
{
    struct batch_processor *processor = batch_worker_processor(worker->worker);

    batch_processor_retain(processor);
    batch_processor_lock(processor);
    return processor;
}

static void fetch(unsigned which, unsigned count)
{
    struct batch_processor *processor = lock_of(&workers[which]);
    struct worker_command command;

    while (count-- > 0 && batch_worker_next(workers[which].worker, &command)) {
        HOLDS(!stopped);
        on_command(which, &command);
    }
    let_go(processor);
}

static void end_batch(uint64_t number, enum end end)
{
    batches[number]->end = end;
    HOLDS(busy[batches[number]->key] == number);
    busy[batches[number]->key] = 0;
}

enum report { REPORT_LOADED, REPORT_RESULT, REPORT_SAVED, REPORT_FAILED, REPORT_ABORTED, REPORTS };

static bool may_report(const struct model_batch *batch, enum report report, unsigned id)
{
    switch (report) {
    case REPORT_LOADED:
        return !batch->loaded;
    case REPORT_RESULT:
        return id > 0 && id <= batch->sent && !batch->has_result[id - 1];
    case REPORT_SAVED:
        return batch->finished && batch->answered == batch->sent;
    case REPORT_FAILED:
        return true;
    case REPORT_ABORTED:
        return batch->aborted;
    case REPORTS:
        break;
    }
    return false;
}

/* The model changes first: operations may end before the report returns. */
static void note(struct model_batch *batch, uint64_t number, enum report report, unsigned id, bool how)
{
    switch (report) {
    case REPORT_LOADED:
        batch->loaded = true;
        break;
    case REPORT_RESULT:
        batch->has_result[id - 1] = true;
        batch->has_failed[id - 1] = how;
        batch->answered++;
        break;
    case REPORT_SAVED:
        end_batch(number, SAVED);
        break;
    case REPORT_FAILED:
        end_batch(number, how && batch->finished ? CONFLICT : batch->finished ? UNKNOWN : NOT_SAVED);
        break;
    case REPORT_ABORTED:
    case REPORTS:
        end_batch(number, NOT_SAVED);
        break;
    }
}

static enum fault_reason hand_in(struct batch_worker *worker, uint64_t number, enum report report,
                                 unsigned id, bool how)
{
    const uint8_t data[2] = {'r', (uint8_t)id};
    const struct batch_error_text text = {.code = how ? CODE_ABORTED : CODE_INTERNAL,
                                          .message = text_bytes("no"),
                                          .reason = text_bytes("CONFLICT")};
    struct fault fault;

    switch (report) {
    case REPORT_LOADED:
        return batch_worker_loaded(worker, number, number, &fault);
    case REPORT_RESULT:
        return batch_worker_result(worker, number, id, (struct bytes){data, 2}, how ? &text : NULL, &fault);
    case REPORT_SAVED:
        return batch_worker_saved(worker, number, &fault);
    case REPORT_FAILED:
        return batch_worker_failed(worker, number, &text, &fault);
    case REPORT_ABORTED:
    case REPORTS:
        break;
    }
    return batch_worker_aborted(worker, number, &fault);
}

/* One report about any batch, allowed or not. */
static void report(unsigned which, uint64_t number, enum report report, unsigned id, bool how)
{
    struct batch_processor *processor = lock_of(&workers[which]);
    struct model_batch *batch = number < BATCHES ? batches[number] : NULL;
    const bool is_mine = batch && batch->worker == which && batch->end == NOT_YET;
    const bool is_allowed = is_mine && may_report(batch, report, id);
    const bool is_ignored = !is_mine && report == REPORT_ABORTED && number > 0 && number <= last_batch;

    if (is_allowed)
        note(batch, number, report, id, how);
    HOLDS(hand_in(workers[which].worker, number, report, id, how) ==
          (is_allowed || is_ignored ? FAULT_NONE : FAULT_BAD_REPORT));
    let_go(processor);
}

static uint64_t any_batch_of(unsigned which)
{
    const unsigned first = roll(KEYS);

    for (unsigned i = 0; i < KEYS; i++) {
        const uint64_t number = busy[(first + i) % KEYS];

        if (number && batches[number]->worker == which)
            return number;
    }
    return 0;
}

/* What a worker does that works. */
static void work(unsigned which, bool well)
{
    const uint64_t number = any_batch_of(which);
    struct model_batch *batch = number ? batches[number] : NULL;

    if (!batch)
        return;
    const bool fails = !well && roll(8) == 0;

    if (fails || (batch->aborted && roll(3) == 0)) {
        report(which, number, REPORT_FAILED, 0, roll(2));
    } else if (batch->aborted) {
        report(which, number, REPORT_ABORTED, 0, false);
    } else if (!batch->loaded) {
        report(which, number, REPORT_LOADED, 0, false);
    } else if (batch->answered < batch->sent) {
        unsigned id = 1;

        while (batch->has_result[id - 1])
            id++;
        report(which, number, REPORT_RESULT, id, roll(5) == 0);
    } else if (batch->finished) {
        report(which, number, REPORT_SAVED, 0, false);
    }
}

static void report_nonsense(unsigned which)
{
    const uint64_t unknown = roll(2) * (UINT64_C(1) << 40);
    const uint64_t number = last_batch && roll(4) ? 1 + roll((unsigned)last_batch) : unknown;
    const enum report kind = (enum report)roll(REPORTS);

    report(which, number, kind, roll(4), roll(2));
}

static void on_wake(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void join(unsigned which)
{
    static unsigned wakes;
    const uint8_t name = (uint8_t)('A' + which);
    const struct batch_worker_params params = {.processor = text_bytes("p"),
                                               .name = {&name, 1},
                                               .peer = "peer",
                                               .settings = settings,
                                               .max_batches = 1 + roll(3),
                                               .port = {on_wake, &wakes}};
    struct fault fault;

    workers[which] = (struct model_worker){0};
    HOLDS(batch_worker_join(processors, &params, &workers[which].worker, &fault) ==
          (stopping ? FAULT_PROCESSOR_STOPPED : FAULT_NONE));
}

static void leave(unsigned which)
{
    struct batch_worker *worker = workers[which].worker;

    for (unsigned key = 0; key < KEYS; key++)
        if (busy[key] && batches[busy[key]]->worker == which)
            end_batch(busy[key], LOST);
    workers[which].worker = NULL;
    batch_worker_leave(worker);
}

static void drain(unsigned which)
{
    struct batch_processor *processor = lock_of(&workers[which]);

    workers[which].draining = true;
    batch_worker_drain(workers[which].worker);
    let_go(processor);
}

/* What the owner does when it is woken. */
static void check_worker(unsigned which)
{
    struct batch_processor *processor = lock_of(&workers[which]);
    const bool ends = batch_worker_fault(workers[which].worker) ||
                      batch_worker_is_drained(workers[which].worker) ||
                      batch_worker_is_over(workers[which].worker);

    let_go(processor);
    if (ends)
        leave(which);
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    stopped++;
    for (unsigned i = 0; i < operation_count; i++)
        HOLDS(!operations[i].alive);
    for (unsigned key = 0; key < KEYS; key++)
        HOLDS(!busy[key]);
}

/* An operation that no worker has, of a key without a loaded batch, must not run any more. */
static void stop(void)
{
    for (unsigned i = 0; i < operation_count; i++) {
        const uint64_t number = busy[operations[i].key];

        operations[i].may_not_run =
            operations[i].alive && !operations[i].sent_once && !(number && batches[number]->loaded);
    }
    stopping = true;
    batch_processors_stop(processors, fake_now_ns() + NS_PER_S, on_stopped, NULL);
}

static void on_record(void *ctx, const struct processor_record *record)
{
    const struct model_batch *batch = record->batch < BATCHES ? batches[record->batch] : NULL;
    const bool has_failed = record->error || record->reason;

    (void)ctx;
    records++;
    HOLDS(record->of_engine->outcome == BATCH_SAVED || record->of_engine->outcome == BATCH_LOAD_FAILED ||
          record->of_engine->outcome == BATCH_SAVE_FAILED || record->of_engine->outcome == BATCH_LOST);
    if (record->of_engine->outcome == BATCH_SAVED)
        HOLDS(batch && !has_failed && (batch->end == SAVED || batch->sent == 0));
    else
        HOLDS(has_failed);
    HOLDS(!batch || batch->end != NOT_YET);
    HOLDS(!record->may_have_run || (batch && (batch->end == LOST || batch->end == UNKNOWN)));
}

/* ---- schedules ---- */

static void step(bool well)
{
    const unsigned which = roll(WORKERS), kind = roll(100);
    const bool is_there = workers[which].worker;

    if (kind < 25 && operation_count < OPERATIONS)
        run_one();
    else if (kind < 32)
        cancel_one();
    else if (kind < 40)
        fake_loop_pass(roll(40) * NS_PER_MS);
    else if (kind < 44)
        fake_loop_turn();
    else if (!is_there && kind < 60)
        join(which);
    else if (is_there && kind < 62)
        fetch(which, 1 + roll(4));
    else if (is_there && kind < 93)
        work(which, well);
    else if (is_there && kind < 96)
        report_nonsense(which);
    else if (is_there && kind < 98)
        check_worker(which);
    else if (is_there && kind == 98)
        (roll(2) ? leave : drain)(which);
    else if (kind == 99 && roll(20) == 0 && !stopping)
        stop();
}

static void draw_settings(void)
{
    struct fault fault;

    settings = (struct batch_settings){.window = roll(2) ? BATCH_ADAPTIVE : BATCH_FIXED,
                                       .window_ns = (1 + roll(100)) * NS_PER_MS,
                                       .pipelined = true,
                                       .retry_load = roll(2),
                                       .max_reloads = roll(3),
                                       .max_operations = roll(2) ? 1 + roll(5) : 0,
                                       .max_waiters = 1 + roll(20),
                                       .max_keys = 1 + roll(2 * KEYS),
                                       .max_steps = roll(2) ? 1 + roll(4) : 0};
    settings.deadline_ns = settings.window_ns * (1 + roll(20));
    HOLDS(batch_settings_complete(&settings, &fault) == FAULT_NONE);
}

/* Workers work well until nothing is left, or go at once. */
static void finish(void)
{
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            if (!workers[i].worker)
                continue;
            fetch(i, UINT32_MAX);
            work(i, true);
        }
        fake_loop_pass(NS_PER_MS);
    }
    if (roll(2) && !stopping)
        stop();
    for (unsigned i = 0; i < WORKERS; i++)
        if (workers[i].worker)
            leave(i);
    fake_loop_pass(10 * settings.deadline_ns);
    for (unsigned i = 0; i < operation_count; i++)
        HOLDS(!operations[i].alive);
    HOLDS(stopped == stopping && fake_loop_is_empty());
    HOLDS(count_get(COUNT_LIVE_BATCH_PROCESSORS) == 0 && count_get(COUNT_LIVE_BATCH_WORKERS) == 0);
    HOLDS(count_get(COUNT_LIVE_BATCH_BYTES) == 0);
}

static void run_schedule(void)
{
    struct loop *loop = fake_loop_new();
    const bool well = (random_state = seed * UINT64_C(0xd1342543de82ef95), roll(2));

    operation_count = stopped = 0;
    last_batch = 0;
    stopping = false;
    memset(busy, 0, sizeof(busy));
    draw_settings();
    processors = batch_processors_new(loop, &(struct batch_record_port){.record = on_record});
    HOLDS(processors);
    for (unsigned i = 0; i < STEPS; i++)
        step(well);
    finish();
    batch_processors_free(processors);
    for (uint64_t i = 0; i <= last_batch; i++) {
        free(batches[i]);
        batches[i] = NULL;
    }
}

int main(int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SCHEDULES;
    const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    for (seed = first; seed < first + count; seed++)
        run_schedule();
    printf("%llu schedules, %u batches with a record\n", (unsigned long long)count, records);
    return 0;
}
