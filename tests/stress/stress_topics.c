/* stress_topics.c - topics of a store with threads: one appends, the store's commits and trims, and
 * four read without a rest. Readers see every row, in order, but for those that retention removed
 * before them; SQLite's log stays bounded, because the gate keeps readers out now and then.
 *
 *   stress_topics [SECONDS]     2 s by default */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "loop/loop.h"

#define BATCHES 200u /* in flight */
#define BATCH_EVENTS 16u
#define EVENT_BYTES 1000u
#define READERS 4u
#define KEPT_BYTES (16u << 20)
#define MAX_WAL_BYTES (64 << 20)

struct stress_batch {
    struct topic_append append;
    struct topic_part part;
};

static struct topic_port port;
static uint8_t events[BATCH_EVENTS * (EVENT_BYTES + 3)];
static struct stress_batch batches[BATCHES];
static struct topic_read reads[READERS];
static _Atomic uint64_t topic, appended, rows_read;
static _Atomic unsigned in_flight;
static atomic_bool is_over;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

static void finish_one(void)
{
    pthread_mutex_lock(&lock);
    in_flight--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* ---- appends ---- */

static void on_appended(struct topic_append *append)
{
    CHECK(append->outcome == TOPIC_DONE);
    appended += BATCH_EVENTS;
    if (is_over) {
        finish_one();
        return;
    }
    CHECK(port.append(port.ctx, append) == ERR_OK);
}

static void begin_appends(void)
{
    for (size_t i = 0; i < BATCH_EVENTS; i++) {
        uint8_t *event = events + i * (EVENT_BYTES + 3);

        memset(event, '.', EVENT_BYTES + 3);
        event[0] = 0x0a;
        event[1] = (uint8_t)(EVENT_BYTES | 128);
        event[2] = (uint8_t)(EVENT_BYTES >> 7);
    }
    for (unsigned i = 0; i < BATCHES; i++) {
        batches[i].part = (struct topic_part){
            .topic = topic,
            .run = {.origin = text_bytes("a"), .count = BATCH_EVENTS, .events = {events, sizeof(events)}}};
        batches[i].append =
            (struct topic_append){.parts = &batches[i].part, .part_count = 1, .done = on_appended};
        in_flight++;
        CHECK(port.append(port.ctx, &batches[i].append) == ERR_OK);
    }
}

/* ---- readers ---- */

/* The rows follow the place where the step began, or the topic begins behind it by now. */
static void check_rows(struct topic_read *read)
{
    for (uint32_t i = 0; i < read->count; i++) {
        const struct topic_row *row = &read->rows[i];

        CHECK(row->first_seq == read->value ||
              (i == 0 && read->value < read->first_seq && row->first_seq == read->first_seq));
        read->value = row->first_seq + row->count;
    }
    rows_read += read->count;
}

static void on_read(struct topic_read *read)
{
    CHECK(read->outcome == TOPIC_DONE);
    check_rows(read);
    if (is_over && read->value == read->next_seq)
        finish_one();
    else
        port.read(port.ctx, read);
}

static void begin_reads(void)
{
    for (unsigned i = 0; i < READERS; i++) {
        reads[i] = (struct topic_read){.topic = topic,
                                       .start = START_SEQUENCE,
                                       .value = 1,
                                       .max_rows = MAX_READ_ROWS,
                                       .max_bytes = 1u << 20,
                                       .done = on_read};
        in_flight++;
        port.read(port.ctx, &reads[i]);
    }
}

/* ---- the store ---- */

static void on_changed(struct topic_change *change)
{
    CHECK(change->outcome == TOPIC_DONE);
    topic = change->id;
    finish_one();
}

static void wait_for_all(void)
{
    pthread_mutex_lock(&lock);
    while (in_flight > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void make_topic(void)
{
    static struct topic_change change = {
        .verb = TOPIC_CREATE, .settings = {.max_bytes = KEPT_BYTES}, .done = on_changed};

    change.name = text_bytes("stress");
    in_flight++;
    port.change(port.ctx, &change);
    wait_for_all();
}

/* The largest size of SQLite's log until then. */
static int64_t run_for(double seconds, const char *wal)
{
    const int64_t end_ns = clock_from_now_ns((int64_t)(seconds * 1e9));
    int64_t largest = 0;

    while (clock_mono_ns() < end_ns) {
        struct stat status;

        if (stat(wal, &status) == 0)
            largest = MAX_OF(largest, (int64_t)status.st_size);
        usleep(10000);
    }
    return largest;
}

static void remove_all(const char *folder)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "store.lock"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    CHECK(rmdir(folder) == 0);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/tributary-stress-XXXXXX", wal[64];
    struct store_params params = {
        .timeout_ns = 10 * NS_PER_S, .max_waiting = 10, .max_waiting_bytes = 1u << 20};
    struct refusal refusal;
    struct store *store;
    struct loop *loop;

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cond_init(&changed);
    CHECK(mkdtemp(folder));
    params.path = folder;
    snprintf(wal, sizeof(wal), "%s/store.db-wal", folder);
    CHECK(loop_new(&loop).code == ERR_OK);
    CHECK(store_open(loop, &params, &store, &refusal) == ERR_OK);
    port = store_topics(store, NULL, NULL);
    make_topic();
    begin_appends();
    begin_reads();
    const int64_t largest = run_for(argc > 1 ? strtod(argv[1], NULL) : 2, wal);
    is_over = true;
    wait_for_all();
    for (unsigned i = 0; i < READERS; i++)
        buf_fini(&reads[i].data);
    CHECK(store_stop(store, 30 * NS_PER_S));
    loop_turn(loop);
    store_free(store);
    loop_free(loop);
    remove_all(folder);
    printf("%llu events appended, %llu rows read, at most %lld KiB of SQLite's log\n",
           (unsigned long long)appended, (unsigned long long)rows_read, (long long)(largest >> 10));
    CHECK(appended > 0 && rows_read > 0 && largest < MAX_WAL_BYTES);
    return 0;
}
