/* test_processor_reports.c - B32: each report of a worker in each state of its batch: accepted, or
 * BAD_REPORT with its field and nothing has changed. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "batch/processor_internal.h"
#include "unit/batch/processor_fixture.h"

static struct processor_fixture f;

enum state {
    UNFETCHED,      /* begin was not fetched */
    BEGUN,          /* it was */
    LOADED,         /* and loaded was reported; operations were not fetched */
    SENT,           /* two operations were; the first has its result */
    FINISHED,       /* finish was sent; the second operation has no result */
    ANSWERED,       /* all have one */
    LATE,           /* after SENT: the abort was decided, and not fetched */
    ABORTING,       /* it was */
    ABORTING_LOAD,  /* the same before loaded */
    ABORTING_WRITE, /* the same after ANSWERED */
    SAVED,          /* the batch is over */
    STATES
};

enum report { LOADED_AGAIN, RESULT_0, RESULT_1, RESULT_2, RESULT_3, SAVE, FAIL, ABORT, REPORTS };

/* For each state one character for each report: y accepted, n refused. */
static const char *const expected[STATES] = {
    [UNFETCHED] = "n nnnn n n y", /* an aborted of a batch that has crossed it is ignored */
    [BEGUN] = "y nnnn n y n",     [LOADED] = "n nnnn n y n",        [SENT] = "n nnyn n y n",
    [FINISHED] = "n nnyn n y n",  [ANSWERED] = "n nnnn y y n",      [LATE] = "n nnyn n y n",
    [ABORTING] = "n nnyn n y y",  [ABORTING_LOAD] = "y nnnn n y y", [ABORTING_WRITE] = "n nnnn y y y",
    [SAVED] = "n nnnn n n y",
};

static void go_to_finished(void)
{
    processor_pass_ms(&f, 100);
    processor_fetch(&f, 'A');
}

/* Two operations of one key, and its batch, which is number 1, in that state. */
static void go_to(enum state state)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "k", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "k", 2), FAULT_NONE);
    if (state == UNFETCHED)
        return;
    processor_fetch(&f, 'A');
    if (state == ABORTING_LOAD) {
        processor_pass_ms(&f, 201);
        processor_fetch(&f, 'A');
    }
    if (state == BEGUN || state == ABORTING_LOAD)
        return;
    processor_loaded(&f, 'A', 1);
    if (state == LOADED)
        return;
    processor_fetch(&f, 'A');
    processor_result(&f, 'A', 1, 1);
    if (state == SENT)
        return;
    if (state == LATE || state == ABORTING) {
        processor_pass_ms(&f, 201);
        if (state == ABORTING)
            processor_fetch(&f, 'A');
        return;
    }
    go_to_finished();
    if (state == FINISHED)
        return;
    processor_result(&f, 'A', 1, 2);
    if (state == ABORTING_WRITE) {
        processor_pass_ms(&f, 101);
        processor_fetch(&f, 'A');
    } else if (state == SAVED) {
        processor_saved(&f, 'A', 1);
    }
}

static enum fault_reason report(struct batch_worker *worker, enum report report)
{
    const struct batch_error_text text = {.code = CODE_INTERNAL, .reason = text_bytes("BROKEN")};

    switch (report) {
    case LOADED_AGAIN:
        return batch_worker_loaded(worker, 1, 8, &f.fault);
    case RESULT_0:
    case RESULT_1:
    case RESULT_2:
    case RESULT_3:
        return batch_worker_result(worker, 1, report - RESULT_0, text_bytes("x"), NULL, &f.fault);
    case SAVE:
        return batch_worker_saved(worker, 1, &f.fault);
    case FAIL:
        return batch_worker_failed(worker, 1, &text, &f.fault);
    case ABORT:
    case REPORTS:
        break;
    }
    return batch_worker_aborted(worker, 1, &f.fault);
}

/* The bytes of all that a report could change. */
struct picture {
    unsigned char bytes[4096];
    size_t size;
};

static void add(struct picture *picture, const void *from, size_t size)
{
    cr_assert_leq(picture->size + size, sizeof(picture->bytes));
    memcpy(picture->bytes + picture->size, from, size);
    picture->size += size;
}

static void draw(struct picture *picture)
{
    const struct batch_worker *worker = processor_worker(&f, 'A');
    const struct batch_processor *processor = worker->processor;
    const struct list *first = list_first(&worker->batches);
    const int64_t bytes = count_get(COUNT_LIVE_BATCH_BYTES);
    struct batch_stats stats;

    picture->size = 0;
    add(picture, worker, offsetof(struct batch_worker, peer));
    if (first)
        add(picture, container_of(first, struct worker_batch, link), sizeof(struct worker_batch));
    add(picture, &f.runs[1].operation, sizeof(f.runs[1].operation));
    add(picture, &f.runs[2].operation, sizeof(f.runs[2].operation));
    batch_engine_stats(processor->engine, &stats);
    add(picture, &stats, sizeof(stats));
    add(picture, &processor->saved, sizeof(processor->saved));
    add(picture, &processor->failed, sizeof(processor->failed));
    add(picture, &bytes, sizeof(bytes));
}

static bool same(const struct picture *one, const struct picture *other)
{
    return one->size == other->size && memcmp(one->bytes, other->bytes, one->size) == 0;
}

static void try_report(enum state state, enum report which, bool accepted)
{
    static const char *const fields[REPORTS] = {"loaded.batch", "result.id",    "result.id",
                                                "result.id",    "result.id",    "saved.batch",
                                                "failed.batch", "aborted.batch"};
    static struct picture before, after;
    const bool is_there = state != UNFETCHED && state != SAVED;

    go_to(state);
    draw(&before);
    struct batch_processor *processor = batch_worker_processor(processor_worker(&f, 'A'));

    batch_processor_lock(processor);
    const enum fault_reason reason = report(processor_worker(&f, 'A'), which);

    if (accepted) {
        cr_expect_eq(reason, FAULT_NONE, "state %d, report %d: %s", state, which, f.fault.field);
    } else {
        const bool is_result = which >= RESULT_0 && which <= RESULT_3;

        cr_expect_eq(reason, FAULT_BAD_REPORT, "state %d, report %d: %d", state, which, reason);
        cr_expect_str_eq(f.fault.field, is_result && !is_there ? "result.batch" : fields[which],
                         "state %d, report %d: %s", state, which, f.fault.field);
    }
    draw(&after);
    if (!accepted || !is_there)
        cr_expect(same(&before, &after), "state %d, report %d: changed", state, which);
    batch_processor_unlock(processor);
    processor_close(&f);
    for (unsigned i = 1; i <= 2; i++)
        cr_expect_eq(f.runs[i].ends, 1, "state %d, report %d: operation %u ended %u times", state, which, i,
                     f.runs[i].ends);
}

Test(processor_reports, B32_each_report_in_each_state_is_accepted_or_changes_nothing)
{
    for (enum state state = 0; state < STATES; state++) {
        const char *at = expected[state];

        for (enum report which = 0; which < REPORTS; which++, at++) {
            at += strspn(at, " ");
            try_report(state, which, *at == 'y');
        }
    }
}

static void expect_all_refused(struct batch_worker *worker, uint64_t batch, bool is_old)
{
    const struct batch_error_text text = {.code = CODE_INTERNAL};

    cr_expect_eq(batch_worker_loaded(worker, batch, 0, &f.fault), FAULT_BAD_REPORT);
    cr_expect_eq(batch_worker_result(worker, batch, 1, (struct bytes){0}, NULL, &f.fault), FAULT_BAD_REPORT);
    cr_expect_str_eq(f.fault.field, "result.batch");
    cr_expect_eq(batch_worker_saved(worker, batch, &f.fault), FAULT_BAD_REPORT);
    cr_expect_eq(batch_worker_failed(worker, batch, &text, &f.fault), FAULT_BAD_REPORT);
    cr_expect_eq(batch_worker_aborted(worker, batch, &f.fault), is_old ? FAULT_NONE : FAULT_BAD_REPORT);
}

Test(processor_reports, B32_a_worker_reports_only_its_own_batches)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "k", 1), FAULT_NONE);
    cr_assert_eq(processor_join(&f, 'B', 4), FAULT_NONE);
    processor_fetch(&f, 'A');
    expect_all_refused(processor_worker(&f, 'B'), 1, true);
    expect_all_refused(processor_worker(&f, 'A'), 0, false);
    expect_all_refused(processor_worker(&f, 'A'), 2, false);
    expect_all_refused(processor_worker(&f, 'A'), UINT64_MAX, false);
    processor_loaded(&f, 'A', 1);
    processor_fetch(&f, 'A');
    processor_result(&f, 'A', 1, 1);
    go_to_finished();
    processor_saved(&f, 'A', 1);
    expect_all_refused(processor_worker(&f, 'A'), 1, true);
    processor_expect(&f, "A begin 1 k; A run 1.1 1; A finish 1; end 1 OK;");
    processor_close(&f);
}
