/* marked_events.c - batches of events with ids and times. */
#include "marked_events.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 65536u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

/* ---- batches ---- */

static void on_done(struct topic_append *append)
{
    pthread_mutex_lock(&lock);
    container_of(append, struct marked, append)->is_done = true;
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&lock);
}

void marked_init(struct marked *batch, uint64_t topic)
{
    *batch = (struct marked){.part = {.topic = topic, .run = {.origin = text_bytes("web")}}};
}

static void put_text(struct buf *out, uint8_t tag, const char *text)
{
    if (!text)
        return;
    buf_byte(out, tag);
    buf_byte(out, (uint8_t)strlen(text));
    buf_text(out, text);
}

static void put_time(struct buf *out, uint8_t tag, int64_t wall_ns)
{
    const uint64_t time = htole64((uint64_t)wall_ns);

    if (wall_ns == 0)
        return;
    buf_byte(out, tag);
    buf_bytes(out, &time, sizeof(time));
}

/* The fields id (1), data (8), expires (9), deliver_after (10). */
static void add(struct marked *batch, const char *data, const char *id, int64_t deliver_wall_ns,
                int64_t expires_wall_ns)
{
    OWNED(buf_fini) struct buf event = {0};

    put_text(&event, 0x0a, id);
    put_text(&event, 0x42, data);
    put_time(&event, 0x49, expires_wall_ns);
    put_time(&event, 0x51, deliver_wall_ns);
    cr_assert_lt(event.size, 128u);
    buf_byte(&batch->events, 0x0a);
    buf_byte(&batch->events, (uint8_t)event.size);
    buf_bytes(&batch->events, event.data, event.size);
    batch->count++;
}

void marked_add(struct marked *batch, const char *data, const char *id, int64_t deliver_wall_ns)
{
    add(batch, data, id, deliver_wall_ns, 0);
}

void marked_add_expiring(struct marked *batch, const char *data, int64_t deliver_wall_ns,
                         int64_t expires_wall_ns)
{
    add(batch, data, NULL, deliver_wall_ns, expires_wall_ns);
}

enum topic_outcome marked_append(struct store_fixture *fixture, struct marked *batch)
{
    const struct topic_port port = topics_of(fixture);

    batch->part.run.count = batch->count;
    batch->part.run.events = (struct bytes){batch->events.data, batch->events.size};
    batch->append = (struct topic_append){.parts = &batch->part, .part_count = 1, .done = on_done};
    if (batch->number > 0) {
        batch->append.producer = text_bytes("web");
        batch->append.publisher = text_bytes("x");
        batch->append.life = 1;
        batch->append.first_number = batch->number;
    }
    cr_assert_eq(port.append(port.ctx, &batch->append), ERR_OK);
    pthread_mutex_lock(&lock);
    while (!batch->is_done)
        pthread_cond_wait(&answered, &lock);
    pthread_mutex_unlock(&lock);
    buf_fini(&batch->events);
    return batch->append.outcome;
}

enum topic_outcome marked_one(struct store_fixture *fixture, uint64_t topic, struct marked *batch,
                              const char *data, const char *id, int64_t deliver_wall_ns)
{
    marked_init(batch, topic);
    marked_add(batch, data, id, deliver_wall_ns);
    return marked_append(fixture, batch);
}

/* ---- what is there ---- */

/* Adds the data of each event, which is field 8. */
static void show(struct bytes events, uint64_t seq, char *text, size_t capacity)
{
    for (size_t at = 0; at < events.size;) {
        const uint8_t *event = events.data + at + 2;
        const size_t size = events.data[at + 1];

        for (size_t i = 0; i < size;) {
            const size_t used = strlen(text);

            if (event[i] == 0x42 && seq > 0)
                snprintf(text + used, capacity - used, "%s%lu:%.*s", used > 0 ? " " : "",
                         (unsigned long)seq++, event[i + 1], (const char *)event + i + 2);
            else if (event[i] == 0x42)
                snprintf(text + used, capacity - used, "%s%.*s", used > 0 ? " " : "", event[i + 1],
                         (const char *)event + i + 2);
            i += event[i] == 0x49 || event[i] == 0x51 ? 9 : 2u + event[i + 1];
        }
        at += 2 + size;
    }
}

/* Calls `each` for every run of a topic. */
static void each_run(struct store_fixture *fixture, uint64_t topic,
                     void (*each)(const struct topic_run *run, char *text, size_t capacity), char *text)
{
    struct topic_read read = {
        .topic = topic, .start = START_SEQUENCE, .value = 1, .max_rows = 64, .max_bytes = 1u << 20};

    text[0] = '\0';
    do {
        read_step(fixture, &read);
        cr_assert_eq(read.outcome, TOPIC_DONE);
        for (uint32_t i = 0; i < read.count; i++) {
            struct row_walk walk;
            struct topic_run run;

            cr_assert(row_walk_begin(&walk, &read.rows[i]));
            while (row_walk_next(&walk, &run))
                each(&run, text, SHOWN_BYTES);
            read.value = read.rows[i].first_seq + read.rows[i].count;
        }
    } while (read.count > 0);
    buf_fini(&read.data);
}

static void show_data(const struct topic_run *run, char *text, size_t capacity)
{
    show(run->events, 0, text, capacity);
}

const char *marked_text(struct store_fixture *fixture, uint64_t topic)
{
    static char text[SHOWN_BYTES];

    each_run(fixture, topic, show_data, text);
    return text;
}

static void show_expires(const struct topic_run *run, char *text, size_t capacity)
{
    const size_t used = strlen(text);

    snprintf(text + used, capacity - used, "%s", run->expires ? "e" : "-");
}

const char *expiring_text(struct store_fixture *fixture, uint64_t topic)
{
    static char text[SHOWN_BYTES];

    each_run(fixture, topic, show_expires, text);
    return text;
}

/* ---- what appears ---- */

static char appeared[SHOWN_BYTES];

static void on_appeared(void *arg, const struct topic_appeared *what)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    cr_assert_gt(what->incarnation, 0u);
    cr_assert_eq(what->run.origin.size, 3u);
    show(what->run.events, what->first_seq, appeared, sizeof(appeared));
    pthread_mutex_unlock(&lock);
}

void appeared_listen(struct store_fixture *fixture)
{
    const struct topic_port port = topics_of(fixture);

    appeared[0] = '\0';
    port.listen(port.ctx, on_appeared, NULL);
}

const char *appeared_text(void)
{
    static char text[SHOWN_BYTES];

    pthread_mutex_lock(&lock);
    memcpy(text, appeared, sizeof(text));
    pthread_mutex_unlock(&lock);
    return text;
}
