/* engine_fixture.c - see engine_fixture.h. */
#include "unit/batch/engine_fixture.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

static void write_text(struct engine_fixture *fixture, const char *format, ...) PRINTF_LIKE(2, 3);

static void write_text(struct engine_fixture *fixture, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fixture->size +=
        (size_t)vsnprintf(fixture->text + fixture->size, sizeof(fixture->text) - fixture->size, format, args);
    va_end(args);
    cr_assert_lt(fixture->size, sizeof(fixture->text));
}

static char name_of(const struct keyed_batch *batch)
{
    return (char)batch_key(batch).data[0];
}

static unsigned number_of(const struct batch_operation *operation)
{
    return container_of(operation, struct fixture_operation, operation)->number;
}

static void on_load(void *ctx, struct keyed_batch *batch)
{
    struct engine_fixture *fixture = ctx;

    write_text(fixture, "load %c; ", name_of(batch));
    fixture->batches[name_of(batch) - 'a'] = batch;
    if (fixture->load != ANSWER_LATER)
        batch_loaded(batch, fixture->load == ANSWER_OK);
}

static void on_operate(void *ctx, struct keyed_batch *batch, struct batch_operation *operation)
{
    struct engine_fixture *fixture = ctx;

    write_text(fixture, "operate %c %u; ", name_of(batch), number_of(operation));
    if (fixture->operate != ANSWER_LATER)
        batch_operated(operation, fixture->operate == ANSWER_OK);
}

static void on_save(void *ctx, struct keyed_batch *batch)
{
    struct engine_fixture *fixture = ctx;

    write_text(fixture, "save %c; ", name_of(batch));
    if (fixture->save != ANSWER_LATER)
        batch_saved(batch, fixture->save == ANSWER_OK ? BATCH_SAVE_OK : BATCH_SAVE_ERROR);
}

static void on_unload(void *ctx, struct keyed_batch *batch)
{
    struct engine_fixture *fixture = ctx;

    write_text(fixture, "unload %c; ", name_of(batch));
    if (!fixture->unloads_late)
        batch_unloaded(batch);
}

static void on_ended(void *ctx, struct keyed_batch *batch, struct list *operations,
                     enum batch_outcome outcome, const struct batch_record *record)
{
    static const char *const names[] = {"SAVED", "LOAD_FAILED", "SAVE_FAILED",
                                        "LOST",  "STOPPED",     "NOT_LOADED"};
    struct engine_fixture *fixture = ctx;

    write_text(fixture, "end %c %s", name_of(batch), names[outcome]);
    list_each(node, next, operations) {
        struct batch_operation *operation = container_of(node, struct batch_operation, node);

        list_remove(node);
        write_text(fixture, " %u%s", number_of(operation), operation->failed ? "!" : "");
    }
    write_text(fixture, "; ");
    if (!record)
        return;
    fixture->batches[name_of(batch) - 'a'] = NULL;
    fixture->record_operations = record->operations;
    fixture->record_loads = record->loads;
    fixture->record_saves = record->saves;
    fixture->record_load_ns = record->load_ns;
    fixture->record_save_ns = record->save_ns;
    fixture->record_total_ns = record->total_ns;
}

static void on_expired(void *ctx, struct keyed_batch *batch)
{
    write_text(ctx, "expired %c; ", name_of(batch));
}

static int64_t now_ns(void *ctx)
{
    return ((struct engine_fixture *)ctx)->now_ns;
}

static void wake_at(void *ctx, int64_t at_ns)
{
    ((struct engine_fixture *)ctx)->wake_ns = at_ns;
}

static void on_stopped(void *ctx)
{
    ((struct engine_fixture *)ctx)->stopped++;
}

void fixture_open(struct engine_fixture *fixture, const struct batch_settings *settings)
{
    struct batch_settings complete = settings ? *settings : (struct batch_settings){0};
    const bool with_expired = fixture->with_expired;

    memset(fixture, 0, sizeof(*fixture));
    fixture->now_ns = NS_PER_S;
    fixture->wake_ns = INT64_MAX;
    cr_assert_eq(batch_settings_complete(&complete, &fixture->fault), FAULT_NONE);
    fixture->engine = batch_engine_new(&complete,
                                       &(struct batch_port){.load = on_load,
                                                            .operate = on_operate,
                                                            .save = on_save,
                                                            .unload = on_unload,
                                                            .ended = on_ended,
                                                            .expired = with_expired ? on_expired : NULL,
                                                            .now_ns = now_ns,
                                                            .wake_at = wake_at,
                                                            .stopped = on_stopped,
                                                            .ctx = fixture},
                                       24);
    cr_assert_not_null(fixture->engine);
}

void fixture_close(struct engine_fixture *fixture)
{
    struct batch_stats stats;

    batch_engine_stats(fixture->engine, &stats);
    cr_assert_eq(stats.keys, 0);
    cr_assert_eq(stats.batches, 0);
    cr_assert_eq(stats.waiters, 0);
    batch_engine_free(fixture->engine);
}

enum fault_reason fixture_run_bytes(struct engine_fixture *fixture, const char *key, unsigned number,
                                    uint64_t bytes)
{
    struct fixture_operation *operation = &fixture->operations[number];

    *operation = (struct fixture_operation){.operation = {.bytes = bytes}, .number = number};
    return batch_engine_run(fixture->engine, text_bytes(key), &operation->operation, &fixture->fault);
}

enum fault_reason fixture_run(struct engine_fixture *fixture, const char *key, unsigned number)
{
    return fixture_run_bytes(fixture, key, number, 1);
}

bool fixture_cancel(struct engine_fixture *fixture, unsigned number)
{
    return batch_engine_cancel(&fixture->operations[number].operation);
}

void fixture_loaded(struct engine_fixture *fixture, const char *key, bool ok)
{
    batch_loaded(fixture->batches[key[0] - 'a'], ok);
}

void fixture_operated(struct engine_fixture *fixture, unsigned number, bool ok)
{
    batch_operated(&fixture->operations[number].operation, ok);
}

void fixture_saved(struct engine_fixture *fixture, const char *key, enum batch_save result)
{
    batch_saved(fixture->batches[key[0] - 'a'], result);
}

void fixture_unloaded(struct engine_fixture *fixture, const char *key)
{
    batch_unloaded(fixture->batches[key[0] - 'a']);
}

void fixture_pass_ms(struct engine_fixture *fixture, int64_t ms)
{
    const int64_t until_ns = fixture->now_ns + ms * NS_PER_MS;

    while (fixture->wake_ns <= until_ns) {
        fixture->now_ns = MAX_OF(fixture->now_ns, fixture->wake_ns);
        batch_engine_tick(fixture->engine);
    }
    fixture->now_ns = until_ns;
}

void fixture_expect(struct engine_fixture *fixture, const char *text)
{
    fixture->text[fixture->size > 0 ? fixture->size - 1 : 0] = '\0'; /* without the last space */
    cr_expect_str_eq(fixture->text, text);
    fixture->size = 0;
    fixture->text[0] = '\0';
}
