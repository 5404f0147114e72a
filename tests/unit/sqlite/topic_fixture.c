/* topic_fixture.c - topics of a store, driven from one thread. */
#include "topic_fixture.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 65536u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

void answer_is_there(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&lock);
}

void answer_await(const bool *flag)
{
    pthread_mutex_lock(&lock);
    while (!*flag)
        pthread_cond_wait(&answered, &lock);
    pthread_mutex_unlock(&lock);
}

struct topic_port topics_of(struct store_fixture *fixture)
{
    return store_topics(fixture->store, NULL, NULL);
}

/* ---- changes ---- */

struct change_step {
    struct topic_change change;
    bool is_done;
};

static void on_changed(struct topic_change *change)
{
    answer_is_there(&container_of(change, struct change_step, change)->is_done);
}

struct topic_change change_topic(struct store_fixture *fixture, enum topic_verb verb, const char *name,
                                 struct topic_settings settings)
{
    const struct topic_port port = topics_of(fixture);
    struct change_step step = {
        .change = {.verb = verb, .name = text_bytes(name), .settings = settings, .done = on_changed}};

    port.change(port.ctx, &step.change);
    answer_await(&step.is_done);
    return step.change;
}

uint64_t make_topic(struct store_fixture *fixture, const char *name)
{
    const struct topic_change change =
        change_topic(fixture, TOPIC_CREATE, name, (struct topic_settings){.max_events = 0});

    cr_assert_eq(change.outcome, TOPIC_DONE);
    return change.id;
}

/* ---- appends ---- */

static void on_appended(struct topic_append *append)
{
    answer_is_there(&container_of(append, struct batch, append)->is_done);
}

static void add_event(struct buf *events, char producer, uint64_t number, size_t padding)
{
    char text[32];
    const size_t size = (size_t)snprintf(text, sizeof(text), "%c%lu", producer, (unsigned long)number),
                 all = size + padding;

    buf_byte(events, 0x0a);
    if (all >= 128)
        buf_byte(events, (uint8_t)(all | 128));
    buf_byte(events, (uint8_t)(all >= 128 ? all >> 7 : all));
    buf_bytes(events, text, size);
    memset(buf_extend(events, padding), '.', padding);
}

void batch_init(struct batch *batch, struct batch_params params)
{
    *batch = (struct batch){.producer = params.producer};
    for (uint32_t i = 0; i < params.count; i++)
        add_event(&batch->events, params.producer, params.first + i, params.padding);
    batch->part = (struct topic_part){.topic = params.topic,
                                      .run = {.origin = {(const uint8_t *)&batch->producer, 1},
                                              .count = params.count,
                                              .events = {batch->events.data, batch->events.size}}};
    batch->append = (struct topic_append){.parts = &batch->part,
                                          .part_count = 1,
                                          .producer = batch->part.run.origin,
                                          .publisher = text_bytes(params.life > 0 ? "x" : ""),
                                          .life = params.life,
                                          .first_number = params.first,
                                          .done = on_appended};
}

void batch_begin(struct store_fixture *fixture, struct batch *batch)
{
    const struct topic_port port = topics_of(fixture);

    cr_assert_eq(port.append(port.ctx, &batch->append), ERR_OK);
}

enum topic_outcome batch_end(struct batch *batch)
{
    answer_await(&batch->is_done);
    buf_fini(&batch->events);
    return batch->append.outcome;
}

enum topic_outcome append(struct store_fixture *fixture, uint64_t topic, char producer, uint64_t life,
                          uint64_t first, uint32_t count)
{
    struct batch batch;

    batch_init(&batch, (struct batch_params){topic, producer, life, first, count, 0});
    batch_begin(fixture, &batch);
    return batch_end(&batch);
}

/* ---- reads ---- */

struct read_state {
    struct topic_read read;
    bool is_done;
};

static void on_read(struct topic_read *read)
{
    answer_is_there(&container_of(read, struct read_state, read)->is_done);
}

void read_step(struct store_fixture *fixture, struct topic_read *read)
{
    const struct topic_port port = topics_of(fixture);
    struct read_state *state = malloc(sizeof(*state));

    cr_assert(state);
    *state = (struct read_state){.read = *read};
    state->read.done = on_read;
    port.read(port.ctx, &state->read);
    answer_await(&state->is_done);
    *read = state->read;
    free(state);
}

typedef void event_function(void *ctx, uint64_t seq, char producer, uint64_t number);

static void show_run(struct topic_run run, uint64_t seq, event_function *each, void *ctx)
{
    for (uint32_t i = 0; i < run.count; i++) {
        struct bytes rest = run.events;
        char text[24] = "";

        cr_assert(events_skip(&rest, 1));
        const size_t header = run.events.data[1] & 128 ? 3 : 2;
        const size_t size = (size_t)(rest.data - run.events.data) - header;
        memcpy(text, run.events.data + header, MIN_OF(size, sizeof(text) - 1));
        cr_assert_eq(text[0], run.origin.data[0], "an event of another origin");
        each(ctx, seq + i, text[0], strtoull(text + 1, NULL, 10));
        run.events = rest;
    }
    cr_assert_eq(run.events.size, 0u);
}

static void show_row(const struct topic_row *row, event_function *each, void *ctx)
{
    uint64_t seq = row->first_seq;
    struct row_walk walk;
    struct topic_run run;

    cr_assert(row_walk_begin(&walk, row));
    while (row_walk_next(&walk, &run)) {
        show_run(run, seq, each, ctx);
        seq += run.count;
    }
}

enum topic_outcome topic_each(struct store_fixture *fixture, uint64_t topic,
                              void (*each)(void *ctx, uint64_t seq, char producer, uint64_t number),
                              void *ctx)
{
    struct topic_read read = {.topic = topic, .start = START_SEQUENCE, .max_rows = 7, .max_bytes = 100000};

    do {
        read_step(fixture, &read);
        for (uint32_t i = 0; i < read.count; i++)
            show_row(&read.rows[i], each, ctx);
        if (read.count > 0)
            read.value = read.rows[read.count - 1].first_seq + read.rows[read.count - 1].count;
    } while (read.outcome == TOPIC_DONE && read.count > 0);
    buf_fini(&read.data);
    return read.outcome;
}

/* Events that follow each other, as one word. */
struct words {
    char text[SHOWN_BYTES];
    size_t size;
    char producer;
    uint64_t first, last, seq;
};

static void end_word(struct words *words)
{
    if (words->producer != '\0')
        words->size += (size_t)snprintf(words->text + words->size, SHOWN_BYTES - words->size,
                                        words->first == words->last ? "%s%c%lu" : "%s%c%lu-%lu",
                                        words->size > 0 ? " " : "", words->producer,
                                        (unsigned long)words->first, (unsigned long)words->last);
    words->producer = '\0';
    cr_assert_lt(words->size, SHOWN_BYTES);
}

static void add_word(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    struct words *words = ctx;
    const bool follows = words->seq == 0 || seq == words->seq + 1;

    words->seq = seq;
    if (follows && words->producer == producer && number == words->last + 1) {
        words->last = number;
        return;
    }
    end_word(words);
    if (!follows)
        words->size += (size_t)snprintf(words->text + words->size, SHOWN_BYTES - words->size, "|");
    words->producer = producer;
    words->first = words->last = number;
}

const char *topic_text(struct store_fixture *fixture, uint64_t topic)
{
    static struct words words;

    words = (struct words){.size = 0};
    const enum topic_outcome outcome = topic_each(fixture, topic, add_word, &words);
    end_word(&words);
    if (outcome != TOPIC_DONE)
        snprintf(words.text, sizeof(words.text), "outcome %d", (int)outcome);
    return words.text;
}

/* ---- the list ---- */

struct wanted {
    uint64_t topic;
    struct topic_info info;
};

static void find_info(void *arg, const struct topic_info *info)
{
    struct wanted *wanted = arg;

    if (info->id == wanted->topic)
        wanted->info = *info;
}

struct topic_info topic_info_of(struct store_fixture *fixture, uint64_t topic)
{
    const struct topic_port port = topics_of(fixture);
    struct wanted wanted = {.topic = topic};

    port.list(port.ctx, find_info, &wanted);
    wanted.info.name = (struct bytes){NULL, 0};
    return wanted.info;
}
