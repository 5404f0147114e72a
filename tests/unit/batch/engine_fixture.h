/* engine_fixture.h - an engine on a clock that the test moves, with a port that writes a
 * transcript: "load a; operate a 1; save a; end a SAVED 1;". Operations have numbers, keys are
 * short texts. */
#ifndef TRIBUTARY_TESTS_UNIT_BATCH_ENGINE_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_BATCH_ENGINE_FIXTURE_H

#include "base/clock.h"
#include "batch/batch_engine.h"

#define FIXTURE_KEYS 8
#define FIXTURE_OPERATIONS 4096

struct fixture_operation {
    struct batch_operation operation;
    unsigned number;
};

/* What is answered from within the port's function. */
enum fixture_answer { ANSWER_LATER, ANSWER_OK, ANSWER_ERROR };

struct engine_fixture {
    struct batch_engine *engine;
    int64_t now_ns, wake_ns;
    unsigned stopped;
    enum fixture_answer load, operate, save;
    bool unloads_late;
    struct keyed_batch *batches[FIXTURE_KEYS]; /* that load() was called for last, by key */
    struct fixture_operation operations[FIXTURE_OPERATIONS];
    char text[1 << 18];
    size_t size;
    uint64_t record_operations, record_loads, record_saves; /* of the last record */
    int64_t record_load_ns, record_save_ns, record_total_ns;
    bool with_expired;
    struct fault fault;
};

/* `settings` NULL: the defaults. */
void fixture_open(struct engine_fixture *fixture, const struct batch_settings *settings);
void fixture_close(struct engine_fixture *fixture); /* checks that no key is left */

/* Key "a" is 0, "b" is 1 and so on. */
enum fault_reason fixture_run(struct engine_fixture *fixture, const char *key, unsigned number);
enum fault_reason fixture_run_bytes(struct engine_fixture *fixture, const char *key, unsigned number,
                                    uint64_t bytes);
bool fixture_cancel(struct engine_fixture *fixture, unsigned number);
void fixture_loaded(struct engine_fixture *fixture, const char *key, bool ok);
void fixture_operated(struct engine_fixture *fixture, unsigned number, bool ok);
void fixture_saved(struct engine_fixture *fixture, const char *key, enum batch_save result);
void fixture_unloaded(struct engine_fixture *fixture, const char *key);
/* Moves the clock, and calls batch_engine_tick() at each time that the engine wants. */
void fixture_pass_ms(struct engine_fixture *fixture, int64_t ms);

/* Compares what was written since the last time, and forgets it. */
void fixture_expect(struct engine_fixture *fixture, const char *text);

#endif
