/* processor_fixture.h - one processor "p" on the fake loop, with workers and operations that write
 * a transcript: "A begin 1 k; A run 1.1 7; A finish 1; end 7 OK;". Operation 7 of key "k" is the
 * first of batch 1 there. A '?' after an end says that the operation may have run.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_UNIT_BATCH_PROCESSOR_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_BATCH_PROCESSOR_FIXTURE_H

#include "batch/worker.h"
#include "unit/batch/fake_loop.h"

#define FIXTURE_WORKERS 4 /* "A" to "D" */
#define FIXTURE_RUNS 2048

struct fixture_run {
    struct processor_operation operation;
    unsigned number, ends;
};

struct processor_fixture {
    struct batch_processors *processors;
    struct batch_settings settings;
    struct batch_worker *workers[FIXTURE_WORKERS];
    unsigned wakes[FIXTURE_WORKERS];
    struct fixture_run runs[FIXTURE_RUNS];
    unsigned records, stopped;
    enum batch_outcome outcome; /* of the last record */
    bool record_has_error;
    char text[1 << 16];
    size_t size;
    struct fault fault;
};

/* `settings` NULL: the defaults, pipelined. */
void processor_open_with(struct processor_fixture *fixture, const struct batch_settings *settings);
/* Workers leave, and what is left ends. Checks that nothing is left. */
void processor_close(struct processor_fixture *fixture);

enum fault_reason processor_join(struct processor_fixture *fixture, char worker, uint32_t max_batches);
void processor_leave(struct processor_fixture *fixture, char worker);
void processor_drain(struct processor_fixture *fixture, char worker);
struct batch_worker *processor_worker(const struct processor_fixture *fixture, char worker);

enum fault_reason processor_run(struct processor_fixture *fixture, const char *key, unsigned number);
bool processor_cancel(struct processor_fixture *fixture, unsigned number);
/* The worker fetches up to so many commands. */
void processor_fetch_some(struct processor_fixture *fixture, char worker, unsigned count);
void processor_fetch(struct processor_fixture *fixture, char worker); /* all */

/* Reports, which must be accepted. */
void processor_loaded(struct processor_fixture *fixture, char worker, uint64_t batch);
void processor_result(struct processor_fixture *fixture, char worker, uint64_t batch, uint64_t id);
void processor_saved(struct processor_fixture *fixture, char worker, uint64_t batch);
void processor_failed(struct processor_fixture *fixture, char worker, uint64_t batch, const char *reason);
void processor_aborted(struct processor_fixture *fixture, char worker, uint64_t batch);

void processor_stop(struct processor_fixture *fixture);
void processor_pass_ms(struct processor_fixture *fixture, int64_t ms);
/* Compares what was written since the last time, and forgets it. */
void processor_expect(struct processor_fixture *fixture, const char *text);

#endif
