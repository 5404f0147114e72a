/* fake_log.c - see fake_log.h. */
#include "seam/fake_log.h"

#include <stdlib.h>

struct fake_row {
    struct topic_row row;
    struct buf data;
};

static void enqueue(void *ctx, struct topic_read *read)
{
    struct fake_log *log = ctx;

    list_init(&read->node);
    list_append(&log->asked, &read->node);
    if (log->answers_at_once)
        while (fake_log_answer(log) || fake_log_query(log))
            continue;
}

void fake_log_open(struct fake_log *log, struct hub_fixture *fixture)
{
    *log = (struct fake_log){.fixture = fixture, .next_seq = 1};
    const struct topic_info info = {.id = 3,
                                    .incarnation = FAKE_LOG_INCARNATION,
                                    .name = text_of("orders"),
                                    .first_seq = 1,
                                    .next_seq = 1};

    log->port = (struct topic_port){.read = enqueue, .ctx = log};
    list_init(&log->asked);
    list_init(&log->looked);
    log->turns = read_turns_new(fixture->loop, &log->port);
    CHECK(log->turns);
    CHECK(live_topic_add(fixture->hub, &log->port, log->turns, &info, &log->topic) == ERR_OK);
}

void fake_log_remove_topic(struct fake_log *log)
{
    live_topic_remove(log->topic, log->next_seq);
    log->topic = NULL;
}

void fake_log_close(struct fake_log *log)
{
    if (log->topic)
        fake_log_remove_topic(log);
    fake_log_settle(log);
    read_turns_release(log->turns);
    for (size_t i = 0; i < log->count; i++)
        buf_fini(&log->rows[i].data);
    free(log->rows);
}

/* ---- writing ---- */

static void free_committed(struct committed *committed)
{
    free(committed);
}

static void add_to_tail(struct fake_log *log, struct chunk *chunk, const char *origin, bool expires)
{
    struct committed *committed = calloc(1, sizeof(*committed));

    CHECK(committed);
    chunk->origin = source_new(text_of(origin), 0);
    *committed = (struct committed){
        .chunk = chunk, .first_seq = log->next_seq, .expires = expires, .over = free_committed};
    topic_tail_add(&log->topic->tail, committed);
}

uint64_t fake_log_commit(struct fake_log *log, uint32_t count, const char *origin)
{
    return fake_log_commit_expiring(log, count, origin, NULL);
}

uint64_t fake_log_commit_expiring(struct fake_log *log, uint32_t count, const char *origin,
                                  const uint64_t *expires_unix_nano)
{
    struct chunk *chunk = sample_chunk_expiring(count, "orders", 16, expires_unix_nano);
    const struct topic_run run = {text_of(origin), count, chunk_range(chunk, 0, count), !!expires_unix_nano};
    const uint64_t first = log->next_seq;
    struct row_builder builder = {0};
    struct fake_row *row;

    log->rows = reallocarray(log->rows, log->count + 1, sizeof(*log->rows));
    CHECK(log->rows && row_builder_add(&builder, &run));
    row = &log->rows[log->count++];
    *row = (struct fake_row){.row = {.first_seq = first, .count = count, .appended_ns = (int64_t)first}};
    CHECK(row_builder_encode(&builder, &row->data));
    row_builder_fini(&builder);
    add_to_tail(log, chunk, origin, !!expires_unix_nano);
    log->next_seq += count;
    return first;
}

void fake_log_deliver(struct fake_log *log)
{
    while (live_topic_deliver(log->topic))
        continue;
}

bool fake_log_trim(struct fake_log *log)
{
    const bool trims = log->trimmed < log->count;

    log->trimmed += trims;
    return trims;
}

/* ---- reading ---- */

static uint64_t last_of(const struct fake_row *row)
{
    return row->row.first_seq + row->row.count - 1;
}

static uint64_t sequence_of(const struct fake_log *log, const struct topic_read *read)
{
    switch (read->start) {
    case START_SEQUENCE:
        break;
    case START_LAST:
        return read->next_seq - MIN_OF(read->value, read->next_seq - read->first_seq);
    case START_TIME:
        for (size_t i = log->trimmed; i < log->count; i++)
            if ((uint64_t)log->rows[i].row.appended_ns >= read->value)
                return log->rows[i].row.first_seq;
        return read->next_seq;
    }
    return read->value;
}

uint64_t fake_log_first(const struct fake_log *log)
{
    return log->trimmed < log->count ? log->rows[log->trimmed].row.first_seq : log->next_seq;
}

static void query(const struct fake_log *log, struct topic_read *read)
{
    uint64_t sequence;

    buf_clear(&read->data);
    read->count = 0;
    read->outcome = log->topic ? TOPIC_DONE : TOPIC_NOT_FOUND;
    read->incarnation = FAKE_LOG_INCARNATION;
    read->next_seq = log->next_seq;
    read->first_seq = fake_log_first(log);
    if (!log->topic)
        return;
    sequence = sequence_of(log, read);
    for (size_t i = log->trimmed; i < log->count && read->count < read->max_rows; i++) {
        const struct fake_row *row = &log->rows[i];

        if (last_of(row) < sequence)
            continue;
        if (log->damaged >= row->row.first_seq && log->damaged <= last_of(row)) {
            read->value = row->row.first_seq;
            read->outcome = read->count > 0 ? TOPIC_DONE : TOPIC_DAMAGED;
            break;
        }
        if (read->count > 0 && read->data.size + row->data.size > read->max_bytes)
            break;
        buf_bytes(&read->data, row->data.data, row->data.size);
        read->rows[read->count] = row->row;
        read->rows[read->count++].data.size = row->data.size;
    }
    for (size_t i = 0, offset = 0; i < read->count; offset += read->rows[i++].data.size)
        read->rows[i].data.data = read->data.data + offset;
}

static struct topic_read *first_of(struct list *list)
{
    struct list *node = list_first(list);

    if (!node)
        return NULL;
    list_remove(node);
    return container_of(node, struct topic_read, node);
}

bool fake_log_query(struct fake_log *log)
{
    struct topic_read *read = first_of(&log->asked);

    if (!read)
        return false;
    query(log, read);
    list_append(&log->looked, &read->node);
    return true;
}

bool fake_log_answer(struct fake_log *log)
{
    struct topic_read *read = first_of(&log->looked);

    if (!read)
        return false;
    log->steps++;
    read->done(read);
    return true;
}

void fake_log_settle(struct fake_log *log)
{
    loop_turn(log->fixture->loop);
    while (fake_log_answer(log) || fake_log_query(log))
        loop_turn(log->fixture->loop);
}
