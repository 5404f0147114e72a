/* processor_fixture.c - see processor_fixture.h. */
#include "unit/batch/processor_fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/counters.h"

static struct processor_fixture *present; /* ended() has no other context */

static void write_text(struct processor_fixture *fixture, const char *format, ...) PRINTF_LIKE(2, 3);

static void write_text(struct processor_fixture *fixture, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fixture->size +=
        (size_t)vsnprintf(fixture->text + fixture->size, sizeof(fixture->text) - fixture->size, format, args);
    va_end(args);
    cr_assert_lt(fixture->size, sizeof(fixture->text));
}

static void on_record(void *ctx, const struct processor_record *record)
{
    struct processor_fixture *fixture = ctx;

    fixture->records++;
    fixture->outcome = record->of_engine->outcome;
    fixture->record_has_error = record->error || record->reason;
}

static void on_ended(struct processor_operation *operation)
{
    struct fixture_run *run = container_of(operation, struct fixture_run, operation);
    const char *reason = operation->reason ? fault_reason_name(operation->reason) : "OK";
    char text[MAX_BATCH_REASON_BYTES + 1];

    if (operation->error) {
        const struct bytes bytes = batch_error_view(operation->error).reason;

        snprintf(text, sizeof(text), "%.*s", (int)bytes.size, (const char *)bytes.data);
        reason = text;
    }
    run->ends++;
    write_text(present, "end %u %s%s; ", run->number, reason, operation->may_have_run ? "?" : "");
    processor_operation_fini(operation);
}

static void on_wake(void *ctx)
{
    ++*(unsigned *)ctx;
}

void processor_open_with(struct processor_fixture *fixture, const struct batch_settings *settings)
{
    struct loop *loop = fake_loop_new();

    memset(fixture, 0, sizeof(*fixture));
    present = fixture;
    if (settings)
        fixture->settings = *settings;
    fixture->settings.pipelined = true;
    cr_assert_eq(batch_settings_complete(&fixture->settings, &fixture->fault), FAULT_NONE);
    fixture->processors =
        batch_processors_new(loop, &(struct batch_record_port){.record = on_record, .ctx = fixture});
    cr_assert_not_null(fixture->processors);
}

static struct batch_processor *lock(struct processor_fixture *fixture)
{
    struct batch_processor *processor = NULL;

    if (batch_processors_find(fixture->processors, text_bytes("p"), &processor, &fixture->fault))
        return NULL;
    batch_processor_lock(processor);
    return processor;
}

static void unlock(struct batch_processor *processor)
{
    batch_processor_unlock(processor);
    batch_processor_release(processor);
}

struct batch_worker *processor_worker(const struct processor_fixture *fixture, char worker)
{
    struct batch_worker *found = fixture->workers[worker - 'A'];

    cr_assert_not_null(found, "worker %c is not there", worker);
    return found;
}

enum fault_reason processor_join(struct processor_fixture *fixture, char worker, uint32_t max_batches)
{
    const unsigned at = (unsigned)(worker - 'A');
    const struct batch_worker_params params = {.processor = text_bytes("p"),
                                               .name = {(const uint8_t *)&worker, 1},
                                               .peer = "peer",
                                               .settings = fixture->settings,
                                               .max_batches = max_batches,
                                               .port = {on_wake, &fixture->wakes[at]}};

    return batch_worker_join(fixture->processors, &params, &fixture->workers[at], &fixture->fault);
}

void processor_leave(struct processor_fixture *fixture, char worker)
{
    batch_worker_leave(processor_worker(fixture, worker));
    fixture->workers[worker - 'A'] = NULL;
    fake_loop_turn();
}

/* Around what is done with a worker. */
static struct batch_worker *enter(struct processor_fixture *fixture, char worker)
{
    struct batch_worker *found = processor_worker(fixture, worker);

    batch_processor_retain(batch_worker_processor(found));
    batch_processor_lock(batch_worker_processor(found));
    return found;
}

static void leave(const struct batch_worker *worker)
{
    unlock(batch_worker_processor(worker));
    fake_loop_turn();
}

void processor_drain(struct processor_fixture *fixture, char worker)
{
    struct batch_worker *found = enter(fixture, worker);

    batch_worker_drain(found);
    leave(found);
}

enum fault_reason processor_run(struct processor_fixture *fixture, const char *key, unsigned number)
{
    struct fixture_run *run = &fixture->runs[number];
    struct batch_processor *processor = lock(fixture);

    if (!processor)
        return fixture->fault.reason;
    *run =
        (struct fixture_run){.operation = {.ended = on_ended, .data = text_bytes("data")}, .number = number};
    const enum fault_reason reason =
        batch_processor_run(processor, text_bytes(key), &run->operation, &fixture->fault);

    unlock(processor);
    return reason;
}

bool processor_cancel(struct processor_fixture *fixture, unsigned number)
{
    struct batch_processor *processor = lock(fixture);

    cr_assert_not_null(processor);
    const bool cancelled = batch_processor_cancel(&fixture->runs[number].operation);

    unlock(processor);
    return cancelled;
}

static void write_command(struct processor_fixture *fixture, char worker,
                          const struct worker_command *command)
{
    const unsigned long long batch = command->batch;

    switch (command->kind) {
    case WORKER_BEGIN:
        write_text(fixture, "%c begin %llu %.*s; ", worker, batch, (int)command->key.size,
                   (const char *)command->key.data);
        break;
    case WORKER_OPERATION:
        write_text(fixture, "%c run %llu.%llu %u; ", worker, batch, (unsigned long long)command->id,
                   container_of(command->operation, const struct fixture_run, operation)->number);
        break;
    case WORKER_FINISH:
        write_text(fixture, "%c finish %llu; ", worker, batch);
        break;
    case WORKER_ABORT:
        write_text(fixture, "%c abort %llu %s; ", worker, batch, command->reason);
        break;
    }
}

void processor_fetch_some(struct processor_fixture *fixture, char worker, unsigned count)
{
    struct batch_worker *found = enter(fixture, worker);
    struct worker_command command;

    while (count-- > 0 && batch_worker_next(found, &command))
        write_command(fixture, worker, &command);
    leave(found);
}

void processor_fetch(struct processor_fixture *fixture, char worker)
{
    processor_fetch_some(fixture, worker, UINT32_MAX);
}

void processor_loaded(struct processor_fixture *fixture, char worker, uint64_t batch)
{
    struct batch_worker *found = enter(fixture, worker);

    cr_assert_eq(batch_worker_loaded(found, batch, 7, &fixture->fault), FAULT_NONE);
    leave(found);
}

void processor_result(struct processor_fixture *fixture, char worker, uint64_t batch, uint64_t id)
{
    struct batch_worker *found = enter(fixture, worker);

    cr_assert_eq(batch_worker_result(found, batch, id, text_bytes("result"), NULL, &fixture->fault),
                 FAULT_NONE);
    leave(found);
}

void processor_saved(struct processor_fixture *fixture, char worker, uint64_t batch)
{
    struct batch_worker *found = enter(fixture, worker);

    cr_assert_eq(batch_worker_saved(found, batch, &fixture->fault), FAULT_NONE);
    leave(found);
}

void processor_failed(struct processor_fixture *fixture, char worker, uint64_t batch, const char *reason)
{
    struct batch_worker *found = enter(fixture, worker);
    const struct batch_error_text text = {.code = CODE_ABORTED, .reason = text_bytes(reason)};

    cr_assert_eq(batch_worker_failed(found, batch, &text, &fixture->fault), FAULT_NONE);
    leave(found);
}

void processor_aborted(struct processor_fixture *fixture, char worker, uint64_t batch)
{
    struct batch_worker *found = enter(fixture, worker);

    cr_assert_eq(batch_worker_aborted(found, batch, &fixture->fault), FAULT_NONE);
    leave(found);
}

static void on_stopped(void *ctx)
{
    ++*(unsigned *)ctx;
}

void processor_stop(struct processor_fixture *fixture)
{
    batch_processors_stop(fixture->processors, fake_now_ns() + NS_PER_S, on_stopped, &fixture->stopped);
    fake_loop_turn();
}

void processor_pass_ms(struct processor_fixture *fixture, int64_t ms)
{
    (void)fixture;
    fake_loop_pass(ms * NS_PER_MS);
}

void processor_expect(struct processor_fixture *fixture, const char *text)
{
    fixture->text[fixture->size > 0 ? fixture->size - 1 : 0] = '\0'; /* without the last space */
    cr_expect_str_eq(fixture->text, text, "%s\n", fixture->text);
    fixture->size = 0;
    fixture->text[0] = '\0';
}

void processor_close(struct processor_fixture *fixture)
{
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++)
        if (fixture->workers[i])
            processor_leave(fixture, (char)('A' + i));
    fake_loop_pass(4 * fixture->settings.deadline_ns);
    cr_assert(fake_loop_is_empty());
    cr_assert_eq(count_get(COUNT_LIVE_BATCH_PROCESSORS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_BATCH_WORKERS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_BATCH_BYTES), 0);
    batch_processors_free(fixture->processors);
}
