/* store_fixture.h - a store in a temporary folder, driven by a loop that the test turns. */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_STORE_FIXTURE_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_STORE_FIXTURE_H

#include "backend/sqlite/store.h"
#include "base/status.h"

#define KIND "endpoint"

struct store_fixture {
    struct loop *loop;
    struct store *store; /* NULL: not open */
    struct refusal refusal;
    char folder[64]; /* of the test; the store's is "state" in it */
    char path[96];
    int64_t timeout_ns;
    uint32_t max_waiting;
    int64_t ballast_bytes, max_wal_bytes;
};

/* One operation with copies of its texts, and what became of it. */
struct step {
    struct store_op op;
    struct store_fixture *fixture;
    char name[64], value[64];
    bool is_done, was_late;
};

void fixture_init(struct store_fixture *fixture);
/* Closes the store, and removes the folder. */
void fixture_fini(struct store_fixture *fixture);

/* Opens the store. fixture->refusal says why it was refused. */
MUST_CHECK enum err fixture_open(struct store_fixture *fixture);
void fixture_expect_open(struct store_fixture *fixture);
void fixture_close(struct store_fixture *fixture);
/* Both. */
void fixture_reopen(struct store_fixture *fixture);

/* Gives an operation to the store; `value` NULL: it removes the record. */
void step_begin(struct store_fixture *fixture, struct step *step, const char *name, const char *value);
/* Turns the loop until the operation is answered. */
enum store_outcome step_end(struct step *step);
/* Both. */
enum store_outcome put(struct store_fixture *fixture, const char *name, const char *value);
enum store_outcome removal(struct store_fixture *fixture, const char *name);

/* All records as "name=value name=value", in the order of names. Static. "refused: ..." where they
 * cannot be read. The store is open, and nothing was submitted. */
const char *fixture_records(struct store_fixture *fixture);

/* The path of a file in the store's folder. Static. */
const char *fixture_file(const struct store_fixture *fixture, const char *name);

/* Runs SQL on the file with a connection of its own. */
void fixture_sql(const struct store_fixture *fixture, const char *sql);

#endif
