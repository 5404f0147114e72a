/* stress_stored_readers.c - a topic that is published to as fast as it goes, and consumers that are
 * ahead, behind and in between, all on threads of their own. Each gets every event, in order, once.
 * Some leave and come back with their position. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "hub/hub.h"
#include "hub/positions.h"
#include "hub/subscription.h"
#include "lib/events.h"
#include "topic/live_topic.h"
#include "topic/read_turns.h"

#define ROWS 3000u
#define MAX_EVENTS_OF_ROW 8u
#define CONSUMERS 4u
#define READERS 2u
#define RESUMES 20u

struct stored_row {
    struct topic_row row;
    struct buf data;
};

static struct {
    struct loop *loop;
    struct hub *hub;
    struct topic_port port;
    struct read_turns *turns;
    struct live_topic *topic;
    pthread_mutex_t lock; /* of the log and its steps */
    pthread_cond_t changed;
    struct stored_row rows[ROWS];
    uint32_t count;
    uint64_t next_seq;
    struct list steps;
    bool is_over, is_closed;
} all;

/* ---- the backend ---- */

static void on_read(void *ctx, struct topic_read *read)
{
    (void)ctx;
    pthread_mutex_lock(&all.lock);
    list_init(&read->node);
    list_append(&all.steps, &read->node);
    pthread_cond_signal(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

/* Under the lock. Rows that are there do not change. */
static void fill(struct topic_read *read)
{
    size_t offset = 0;

    buf_clear(&read->data);
    read->count = 0;
    read->outcome = TOPIC_DONE;
    read->first_seq = 1;
    read->next_seq = all.next_seq;
    if (read->start == START_LAST)
        read->value = read->next_seq - MIN_OF(read->value, read->next_seq - 1);
    for (uint32_t i = 0; i < all.count && read->count < read->max_rows; i++) {
        const struct topic_row *row = &all.rows[i].row;

        if (row->first_seq + row->count <= read->value)
            continue;
        buf_bytes(&read->data, all.rows[i].data.data, all.rows[i].data.size);
        read->rows[read->count] = *row;
        read->rows[read->count++].data.size = all.rows[i].data.size;
    }
    for (uint32_t i = 0; i < read->count; offset += read->rows[i++].data.size)
        read->rows[i].data.data = read->data.data + offset;
}

static void *read_steps(void *unused)
{
    struct list *node;

    pthread_mutex_lock(&all.lock);
    for (;;) {
        while (!(node = list_first(&all.steps)) && !all.is_closed)
            pthread_cond_wait(&all.changed, &all.lock);
        if (!node)
            break;
        list_remove(node);
        struct topic_read *read = container_of(node, struct topic_read, node);
        fill(read);
        pthread_mutex_unlock(&all.lock);
        read->done(read);
        pthread_mutex_lock(&all.lock);
    }
    pthread_mutex_unlock(&all.lock);
    return unused;
}

static void free_committed(struct committed *committed)
{
    free(committed);
}

static void commit(uint32_t count)
{
    struct chunk *chunk = sample_chunk(count, "orders", 16);
    const struct topic_run run = {text_of("web"), count, chunk_range(chunk, 0, count), false};
    struct committed *committed = calloc(1, sizeof(*committed));
    struct row_builder builder = {0};

    CHECK(committed && row_builder_add(&builder, &run));
    pthread_mutex_lock(&all.lock);
    struct stored_row *row = &all.rows[all.count];
    row->row = (struct topic_row){.first_seq = all.next_seq, .count = count};
    CHECK(row_builder_encode(&builder, &row->data));
    *committed = (struct committed){.chunk = chunk, .first_seq = all.next_seq, .over = free_committed};
    topic_tail_add(&all.topic->tail, committed);
    all.next_seq += count;
    all.count++;
    pthread_mutex_unlock(&all.lock);
    row_builder_fini(&builder);
    while (live_topic_deliver(all.topic))
        continue;
}

static void *publish_rows(void *unused)
{
    struct dice dice = {1};

    for (uint32_t i = 0; i < ROWS; i++) {
        commit(1 + (uint32_t)dice_roll(&dice, MAX_EVENTS_OF_ROW));
        if (dice_roll(&dice, 64) == 0)
            sched_yield();
    }
    pthread_mutex_lock(&all.lock);
    all.is_over = true;
    pthread_mutex_unlock(&all.lock);
    return unused;
}

/* ---- consumers ---- */

struct taker {
    pthread_t thread;
    uint32_t number, max_events, resumes;
    struct subscription *subscription; /* the loop's */
    struct chan *chan;
    uint64_t position;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_readable, has_begun;
    struct task task;
};

static void readable(void *ctx)
{
    struct taker *taker = ctx;

    pthread_mutex_lock(&taker->lock);
    taker->is_readable = true;
    pthread_cond_signal(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
}

static void closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    (void)ctx, (void)reason, (void)deadline_ns;
}

static void abort_call(void *ctx, const struct fault *fault)
{
    (void)ctx, (void)fault;
    CHECK(false);
}

static const struct subscription_port port = {.closing = closing, .abort_call = abort_call};

/* Leaves, where it was there, and joins behind its position. */
static void rejoin(struct task *task)
{
    struct taker *taker = container_of(task, struct taker, task);
    const struct resume_point point = {.source = text_of("@orders"), .epoch = 7, .sequence = taker->position};
    const struct selector selector = {.producer = text_of("*")};
    struct subscription_params params = {
        .limits = {.max_events = taker->max_events, .max_bytes = 1u << 20, .fallback = OVERFLOW_DROP_OLDEST},
        .callbacks = {readable, taker},
        .peer = "taker",
        .resume = &point,
        .resume_count = 1,
        .port = &port,
        .ctx = taker,
    };
    struct subscription_result result;
    struct fault fault;

    if (taker->subscription) {
        hub_unsubscribe(taker->subscription, FAULT_NONE);
        chan_release(taker->chan);
    }
    CHECK(filter_new(&selector, 1, NULL, 0, &params.filter, &fault) == FAULT_NONE);
    CHECK(hub_subscribe(all.hub, &params, &taker->subscription, &result, &fault) == FAULT_NONE);
    pthread_mutex_lock(&taker->lock);
    taker->chan = result.chan;
    taker->has_begun = true;
    pthread_cond_signal(&taker->changed);
    pthread_mutex_unlock(&taker->lock);
}

static void join(struct taker *taker)
{
    taker->has_begun = false;
    taker->task.run = rejoin;
    loop_post(all.loop, &taker->task);
    pthread_mutex_lock(&taker->lock);
    while (!taker->has_begun)
        pthread_cond_wait(&taker->changed, &taker->lock);
    pthread_mutex_unlock(&taker->lock);
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    (void)ctx, (void)note;
    CHECK(false);
}

static void dequeue_all(struct taker *taker, struct chan_batch *batch, struct dice *dice)
{
    bool more = true;

    while (more) {
        more =
            chan_dequeue(taker->chan, batch, 1 + (uint32_t)dice_roll(dice, taker->max_events), 1u << 20, 0);
        for (uint32_t i = 0; i < batch->count; i++)
            for (uint32_t event = batch->entries[i].first; event < batch->entries[i].last; event++)
                CHECK(chunk_sequence(batch->entries[i].chunk, event) == ++taker->position);
        chan_losses(taker->chan, 10, on_loss, NULL);
        chan_states(taker->chan, 10, NULL, NULL);
        chan_delivered(taker->chan, batch);
    }
}

static bool is_complete(const struct taker *taker)
{
    bool is_complete;

    pthread_mutex_lock(&all.lock);
    is_complete = all.is_over && taker->position + 1 == all.next_seq;
    pthread_mutex_unlock(&all.lock);
    return is_complete;
}

static void *consume(void *ctx)
{
    struct taker *taker = ctx;
    struct dice dice = {taker->number};
    struct chan_batch batch = {0};

    join(taker);
    while (!is_complete(taker)) {
        pthread_mutex_lock(&taker->lock);
        while (!taker->is_readable)
            pthread_cond_wait(&taker->changed, &taker->lock);
        taker->is_readable = false;
        pthread_mutex_unlock(&taker->lock);
        dequeue_all(taker, &batch, &dice);
        if (taker->resumes > 0 && dice_roll(&dice, 50) == 0) {
            taker->resumes--;
            join(taker);
        }
    }
    chan_batch_fini(&batch);
    return NULL;
}

/* ---- the test ---- */

static struct taker takers[CONSUMERS];

static void *publish_all(void *ctx)
{
    (void)publish_rows(ctx);
    for (uint32_t i = 0; i < CONSUMERS; i++)
        readable(&takers[i]); /* they may have all already */
    return NULL;
}

static _Atomic unsigned takers_left = CONSUMERS;

static void *consume_all(void *ctx)
{
    (void)consume(ctx);
    atomic_fetch_sub(&takers_left, 1);
    loop_stop(all.loop);
    return NULL;
}

static void open_all(void)
{
    const struct topic_info info = {
        .id = 1, .incarnation = 7, .name = text_of("orders"), .first_seq = 1, .next_seq = 1};

    CHECK(loop_new(&all.loop).code == ERR_OK && hub_new(all.loop, &all.hub).code == ERR_OK);
    CHECK(pthread_mutex_init(&all.lock, NULL) == 0 && pthread_cond_init(&all.changed, NULL) == 0);
    list_init(&all.steps);
    all.next_seq = 1;
    all.port = (struct topic_port){.read = on_read};
    all.turns = read_turns_new(all.loop, &all.port);
    CHECK(all.turns && live_topic_add(all.hub, &all.port, all.turns, &info, &all.topic) == ERR_OK);
}

static void close_all(pthread_t *readers)
{
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        hub_unsubscribe(takers[i].subscription, FAULT_NONE);
        chan_release(takers[i].chan);
    }
    live_topic_remove(all.topic, all.next_seq);
    pthread_mutex_lock(&all.lock);
    all.is_closed = true;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
    for (uint32_t i = 0; i < READERS; i++)
        CHECK(pthread_join(readers[i], NULL) == 0);
    for (uint32_t i = 0; i < all.count; i++)
        buf_fini(&all.rows[i].data);
    loop_turn(all.loop);
    hub_free(all.hub);
    loop_free(all.loop);
    read_turns_release(all.turns);
}

int main(void)
{
    static const uint32_t max_events[CONSUMERS] = {1, 7, 64, 100000};
    pthread_t publisher, readers[READERS];

    open_all();
    for (uint32_t i = 0; i < READERS; i++)
        CHECK(pthread_create(&readers[i], NULL, read_steps, NULL) == 0);
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        takers[i] = (struct taker){.number = i + 1, .max_events = max_events[i], .resumes = RESUMES};
        CHECK(pthread_mutex_init(&takers[i].lock, NULL) == 0);
        CHECK(pthread_cond_init(&takers[i].changed, NULL) == 0);
        CHECK(pthread_create(&takers[i].thread, NULL, consume_all, &takers[i]) == 0);
    }
    CHECK(pthread_create(&publisher, NULL, publish_all, NULL) == 0);
    while (atomic_load(&takers_left) > 0)
        loop_run(all.loop);
    CHECK(pthread_join(publisher, NULL) == 0);
    for (uint32_t i = 0; i < CONSUMERS; i++)
        CHECK(pthread_join(takers[i].thread, NULL) == 0);
    printf("%llu events to each of %u consumers\n", (unsigned long long)all.next_seq - 1, CONSUMERS);
    close_all(readers);
    return 0;
}
