/* topic_load.c - a program that appends to a topic of a store: for figures, and to be killed.
 *
 *   topic_load bench FOLDER SECONDS [PRODUCERS [BATCH [BYTES [WINDOW]]]]
 *       what the log alone can do: durable events a second, with producers (4) that each have a
 *       window (4096) of events that are not confirmed, in batches (64) of events with so many
 *       bytes of data (128). One thread plays all of them, and does nothing else.
 *   topic_load write FOLDER
 *       four producers append numbered batches until the program is killed. Each line of its output
 *       is a producer and its last number that was confirmed. It goes on where the store stands.
 *   topic_load check FOLDER
 *       reads the whole topic: a line for each producer with its last number. Status 1 and a
 *       sentence: a number is missing, or there twice. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/sqlite/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"
#include "loop/loop.h"

#define MAX_PRODUCERS 64u
#define MAX_BATCHES 4096u /* in flight */
#define KILLED_BATCH 16u
#define KILLED_WINDOW 64u

struct load_batch {
    struct topic_append append;
    struct topic_part part;
    unsigned producer;
    int64_t begun_ns;
    struct load_batch *next;
    uint8_t *events;
};

struct load_producer {
    char name[16];
    uint64_t last, confirmed; /* number given; number answered */
};

static struct load_producer producers[MAX_PRODUCERS];
static unsigned producer_count = 4, batch_events = 64, data_bytes = 128, window = 4096;

static struct loop *loop;
static struct store *store;
static struct topic_port port;
static uint64_t topic;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct load_batch *answered; /* newest first */

static void fail(const char *text)
{
    fprintf(stderr, "topic_load: %s\n", text);
    exit(1);
}

/* ---- the store ---- */

static bool is_changed;

static void on_changed(struct topic_change *change)
{
    topic = change->id;
    pthread_mutex_lock(&lock);
    is_changed = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void open_store(const char *folder)
{
    static struct topic_change change = {.verb = TOPIC_CREATE, .done = on_changed};
    const struct store_params params = {
        .path = folder, .timeout_ns = 10 * NS_PER_S, .max_waiting = 10, .max_waiting_bytes = 1u << 20};
    struct refusal refusal;

    log_setup(LOG_OFF, LOG_AS_TEXT, STDERR_FILENO);
    cond_init(&changed);
    if (loop_new(&loop).code != ERR_OK)
        fail("no loop");
    if (store_open(loop, &params, &store, &refusal) != ERR_OK)
        fail(refusal.text);
    port = store_topics(store, NULL, NULL);
    change.name = text_bytes("load");
    port.change(port.ctx, &change);
    pthread_mutex_lock(&lock);
    while (!is_changed)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    if (topic == 0)
        fail("no topic");
}

static void close_store(void)
{
    if (!store_stop(store, 10 * NS_PER_S))
        fail("the store does not end");
    loop_turn(loop);
    store_free(store);
    loop_free(loop);
}

/* ---- batches ---- */

static void on_appended(struct topic_append *append)
{
    struct load_batch *batch = container_of(append, struct load_batch, append);

    pthread_mutex_lock(&lock);
    batch->next = answered;
    if (!answered)
        pthread_cond_signal(&changed);
    answered = batch;
    pthread_mutex_unlock(&lock);
}

/* Tag, length of two bytes, the event's data: a number of eight digits and padding. */
static size_t event_bytes(void)
{
    return 3 + data_bytes;
}

static void write_events(struct load_batch *batch, uint64_t first)
{
    uint8_t *next = batch->events;

    for (unsigned i = 0; i < batch_events; i++, next += event_bytes()) {
        uint64_t number = first + i;

        next[0] = 0x0a;
        next[1] = (uint8_t)(data_bytes | 128);
        next[2] = (uint8_t)(data_bytes >> 7);
        for (int digit = 7; digit >= 0; digit--, number /= 10)
            next[3 + digit] = (uint8_t)('0' + number % 10);
    }
}

static struct load_batch *batch_new(unsigned producer)
{
    struct load_batch *batch = calloc(1, sizeof(*batch));
    const size_t size = batch_events * event_bytes();

    if (!batch || !(batch->events = malloc(size)))
        fail("no memory");
    memset(batch->events, '.', size);
    batch->producer = producer;
    batch->part = (struct topic_part){.topic = topic,
                                      .run = {.origin = text_bytes(producers[producer].name),
                                              .count = batch_events,
                                              .events = {batch->events, size}}};
    batch->append = (struct topic_append){.parts = &batch->part,
                                          .part_count = 1,
                                          .producer = batch->part.run.origin,
                                          .publisher = text_bytes("load"),
                                          .life = 1,
                                          .done = on_appended};
    return batch;
}

static void batch_free(struct load_batch *batch)
{
    free(batch->events);
    free(batch);
}

static void begin(struct load_batch *batch)
{
    struct load_producer *producer = &producers[batch->producer];

    write_events(batch, producer->last + 1);
    batch->append.first_number = producer->last + 1;
    batch->begun_ns = clock_mono_ns();
    producer->last += batch_events;
    if (port.append(port.ctx, &batch->append) != ERR_OK)
        fail("an append was refused");
}

/* Waits for answers. Returns them, oldest first. */
static struct load_batch *await(void)
{
    struct load_batch *first = NULL;

    pthread_mutex_lock(&lock);
    while (!answered)
        pthread_cond_wait(&changed, &lock);
    struct load_batch *list = answered;
    answered = NULL;
    pthread_mutex_unlock(&lock);
    while (list) {
        struct load_batch *next = list->next;

        list->next = first;
        first = list;
        list = next;
    }
    for (struct load_batch *batch = first; batch; batch = batch->next) {
        if (batch->append.outcome != TOPIC_DONE)
            fail("an append was not done");
        producers[batch->producer].confirmed += batch_events;
    }
    return first;
}

static unsigned begin_all(void)
{
    const unsigned each = MAX_OF(window / batch_events, 1u);

    if (each * producer_count > MAX_BATCHES)
        fail("too many batches in flight");
    for (unsigned i = 0; i < each; i++)
        for (unsigned j = 0; j < producer_count; j++)
            begin(batch_new(j));
    return each * producer_count;
}

static void name_producers(void)
{
    for (unsigned i = 0; i < producer_count; i++)
        snprintf(producers[i].name, sizeof(producers[i].name), "p%u", i);
}

/* ---- figures ---- */

static int64_t waits_ns[1u << 20];

static int order(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void bench(double seconds)
{
    const int64_t begun_ns = clock_mono_ns(), end_ns = begun_ns + (int64_t)(seconds * 1e9);
    const double begun_cpu_s = cpu_s();
    unsigned in_flight = begin_all();
    uint64_t events = 0;
    size_t waits = 0;

    while (in_flight > 0) {
        const int64_t now_ns = clock_mono_ns();

        for (struct load_batch *batch = await(), *next; batch; batch = next) {
            next = batch->next;
            events += batch_events;
            if (waits < ARRAY_LEN(waits_ns))
                waits_ns[waits++] = clock_mono_ns() - batch->begun_ns;
            if (now_ns < end_ns) {
                begin(batch);
            } else {
                batch_free(batch);
                in_flight--;
            }
        }
    }
    const double wall_s = (double)(clock_mono_ns() - begun_ns) / 1e9;
    const size_t median = waits / 2, late = waits * 99 / 100;

    qsort(waits_ns, waits, sizeof(*waits_ns), order);
    printf("%.0f events/s, answers p50 %.2f ms p99 %.2f ms, %.3f CPU s per million events (generator "
           "included)\n",
           (double)events / wall_s, (double)waits_ns[median] / 1e6, (double)waits_ns[late] / 1e6,
           (cpu_s() - begun_cpu_s) / ((double)events / 1e6));
}

/* ---- what is there ---- */

static bool is_read;

static void on_read(struct topic_read *read)
{
    (void)read;
    pthread_mutex_lock(&lock);
    is_read = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void check_run(struct topic_run run)
{
    const unsigned i = run.origin.size > 1 ? (unsigned)(run.origin.data[1] - '0') : MAX_PRODUCERS;

    if (i >= producer_count)
        fail("an event of a producer that there is not");
    for (uint32_t j = 0; j < run.count; j++) {
        char digits[9] = "";

        memcpy(digits, run.events.data + 3, 8);
        if (strtoull(digits, NULL, 10) != producers[i].last + 1)
            fail("a number is missing, or there twice");
        producers[i].last++;
        if (!events_skip(&run.events, 1))
            fail("an event is malformed");
    }
}

static void check(void)
{
    static struct topic_read read = {
        .start = START_SEQUENCE, .max_rows = MAX_READ_ROWS, .max_bytes = 1u << 20, .done = on_read};

    read.topic = topic;
    do {
        is_read = false;
        port.read(port.ctx, &read);
        pthread_mutex_lock(&lock);
        while (!is_read)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        if (read.outcome != TOPIC_DONE)
            fail("the topic cannot be read");
        for (uint32_t i = 0; i < read.count; i++) {
            struct row_walk walk;
            struct topic_run run;

            if (!row_walk_begin(&walk, &read.rows[i]))
                fail("a row is malformed");
            while (row_walk_next(&walk, &run))
                check_run(run);
            read.value = read.rows[i].first_seq + read.rows[i].count;
        }
    } while (read.count > 0);
    buf_fini(&read.data);
    for (unsigned i = 0; i < producer_count; i++)
        producers[i].confirmed = producers[i].last;
}

/* ---- to be killed ---- */

/* Until somebody kills it. A line is written after the answer, in one piece. */
static void write_for_ever(void)
{
    check(); /* from there on */
    (void)begin_all();
    for (;;)
        for (struct load_batch *batch = await(), *next; batch; batch = next) {
            char line[64];
            const int size = snprintf(line, sizeof(line), "%u %llu\n", batch->producer,
                                      (unsigned long long)producers[batch->producer].confirmed);

            next = batch->next;
            if (write(STDOUT_FILENO, line, (size_t)size) != size)
                fail("nobody reads");
            begin(batch);
        }
}

static unsigned argument(int argc, char **argv, int i, unsigned default_value)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : default_value;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";

    if (strcmp(verb, "bench") == 0 && argc > 3) {
        producer_count = argument(argc, argv, 4, producer_count);
        batch_events = argument(argc, argv, 5, batch_events);
        data_bytes = argument(argc, argv, 6, data_bytes);
        window = argument(argc, argv, 7, window);
    } else if (strcmp(verb, "write") == 0 || strcmp(verb, "check") == 0) {
        batch_events = KILLED_BATCH;
        window = KILLED_WINDOW;
    } else {
        fail("bench FOLDER SECONDS ..., write FOLDER or check FOLDER");
    }
    if (producer_count == 0 || producer_count > MAX_PRODUCERS || batch_events == 0 || data_bytes < 128 ||
        data_bytes > 16383)
        fail("1 to 64 producers, batches of 1 event or more with 128 to 16383 bytes each");
    name_producers();
    open_store(argv[2]);
    if (strcmp(verb, "bench") == 0)
        bench(strtod(argv[3], NULL));
    else if (strcmp(verb, "write") == 0)
        write_for_ever();
    else
        check();
    close_store();
    for (unsigned i = 0; i < producer_count && strcmp(verb, "check") == 0; i++)
        printf("%u %llu\n", i, (unsigned long long)producers[i].last);
    return 0;
}
