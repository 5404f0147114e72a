/* test_wal_size.c - the log of the database (-wal) stays small, and where somebody keeps it from
 * being made empty, appends wait. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "topic_fixture.h"

#define MIB (INT64_C(1) << 20)
#define BATCH 4u
#define EVENT_BYTES 15000u
#define PATIENCE_NS (20 * NS_PER_S)

static struct store_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(wal_size, .init = begin, .fini = end);

static int64_t wal_bytes(void)
{
    struct stat file;

    return stat(fixture_file(&fixture, "store.db-wal"), &file) == 0 ? file.st_size : 0;
}

/* ---- a shell that reads for long ---- */

static atomic_int writable_calls;

static void on_writable(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&writable_calls, 1);
}

static sqlite3 *begin_to_read(void)
{
    sqlite3 *shell;

    cr_assert_eq(sqlite3_open_v2(fixture_file(&fixture, "store.db"), &shell, SQLITE_OPEN_READONLY, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_exec(shell, "BEGIN; SELECT count(*) FROM meta", NULL, NULL, NULL), SQLITE_OK);
    return shell;
}

/* Appends until that is refused. Returns how many batches are there. */
static uint64_t append_until_full(const struct topic_port *port, uint64_t topic)
{
    struct batch batch;
    uint64_t n = 0;
    enum err err = ERR_OK;

    while (err == ERR_OK && n < 5000) {
        batch_init(&batch, (struct batch_params){topic, 'a', 0, n * BATCH + 1, BATCH, EVENT_BYTES});
        err = port->append(port->ctx, &batch.append);
        if (err == ERR_OK) {
            cr_assert_eq(batch_end(&batch), TOPIC_DONE);
            n++;
        }
    }
    cr_assert_eq(err, ERR_FULL);
    buf_fini(&batch.events);
    return n;
}

Test(wal_size, appends_wait_while_another_program_keeps_the_log)
{
    fixture.max_wal_bytes = 24 * MIB;
    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders");
    const struct topic_port port = store_topics(fixture.store, on_writable, NULL);
    sqlite3 *shell = begin_to_read();
    const uint64_t n = append_until_full(&port, topic);

    cr_assert_geq(wal_bytes(), fixture.max_wal_bytes);
    cr_assert_leq(wal_bytes(), fixture.max_wal_bytes + MIB);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE, "records do not wait");
    const int calls = writable_calls;
    cr_assert_eq(sqlite3_close(shell), SQLITE_OK);
    const int64_t deadline_ns = clock_from_now_ns(PATIENCE_NS);
    while (writable_calls == calls && clock_mono_ns() < deadline_ns)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    cr_assert_eq(writable_calls, calls + 1, "once");
    cr_assert_eq(append(&fixture, topic, 'a', 0, n * BATCH + 1, 1), TOPIC_DONE);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, n * BATCH + 2);
}

/* ---- readers that never rest ---- */

#define READERS 3

static atomic_bool reads_end;
static atomic_ulong steps;

struct busy_read {
    struct topic_read read;
    struct topic_port port;
    atomic_bool is_over;
};

static void on_step(struct topic_read *read)
{
    struct busy_read *busy = container_of(read, struct busy_read, read);

    atomic_fetch_add(&steps, 1);
    cr_assert_eq(read->outcome, TOPIC_DONE);
    read->value = read->count > 0 ? read->rows[read->count - 1].first_seq + 1 : 0;
    if (reads_end)
        busy->is_over = true;
    else
        busy->port.read(busy->port.ctx, read);
}

Test(wal_size, the_log_stays_small_while_readers_never_rest)
{
    static struct busy_read reads[READERS];
    int64_t largest = 0;

    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders");
    cr_assert_eq(
        change_topic(&fixture, TOPIC_UPDATE, "orders", (struct topic_settings){.max_bytes = 32 * MIB})
            .outcome,
        TOPIC_DONE);
    for (unsigned i = 0; i < READERS; i++) {
        reads[i] = (struct busy_read){.port = topics_of(&fixture)};
        reads[i].read = (struct topic_read){
            .topic = topic, .start = START_SEQUENCE, .max_rows = 64, .max_bytes = 1u << 20, .done = on_step};
        reads[i].port.read(reads[i].port.ctx, &reads[i].read);
    }
    for (uint64_t n = 0; n < 2500; n++) { /* 150 MiB */
        struct batch batch;

        batch_init(&batch, (struct batch_params){topic, 'a', 0, n * BATCH + 1, BATCH, EVENT_BYTES});
        batch_begin(&fixture, &batch);
        cr_assert_eq(batch_end(&batch), TOPIC_DONE);
        largest = MAX_OF(largest, wal_bytes());
    }
    reads_end = true;
    for (unsigned i = 0; i < READERS; i++) {
        while (!reads[i].is_over)
            nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        buf_fini(&reads[i].read.data);
    }
    cr_assert_gt(steps, 100u);
    cr_assert_leq(largest, 24 * MIB, "the log had %ld bytes", (long)largest);
    cr_assert_eq(store_health(fixture.store).state, STORE_HEALTHY);
}
