/* store_submit.c - operations as the loop sees them, and their deadlines. */
#include "backend/sqlite/record_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "base/log.h"

static void on_deadline(struct timer *timer);

/* Waits for the deadline of the oldest operation that is not late. Operations have the same
 * timeout, so late ones come first. */
static void set_timer(struct store *store)
{
    timer_stop(&store->deadline);
    list_each(node, safe, &store->in_flight) {
        const struct store_op *op = container_of(node, struct store_op, in_flight);

        if (op->is_late)
            continue;
        store->deadline.fired = on_deadline;
        if (timer_start(store->loop, &store->deadline, op->deadline_ns - clock_mono_ns()) != ERR_OK)
            log_write(LOG_ERROR, "store.not_timed", LOG_TEXT("reason", "out of memory"));
        return;
    }
}

static void answer(struct task *task)
{
    struct store_op *op = container_of(task, struct store_op, task);
    struct store *store = op->store;

    list_remove(&op->in_flight);
    set_timer(store);
    op->done(op);
}

/* ---- the thread's part ---- */

static void begun(struct store *store, struct topic_work *work)
{
    struct store_op *op = container_of(work, struct store_op, work);

    op->is_begun = true;
    store->waiting_count--;
    store->waiting_bytes -= work->bytes;
}

static enum db_result carry_out(struct store *store, struct topic_work *work)
{
    struct store_op *op = container_of(work, struct store_op, work);

    switch (op->verb) {
    case STORE_PUT:
        return record_put(&store->database, &op->record, &op->before);
    case STORE_REMOVE:
        return record_remove(&store->database, &op->record, &op->before);
    }
    return DB_OK;
}

static enum store_outcome outcome_of(enum db_result result, bool committed)
{
    switch (result) {
    case DB_OK:
        return STORE_DONE;
    case DB_FULL:
        return STORE_DISK_FULL;
    case DB_LOCKED:
        return STORE_LOCKED;
    case DB_NO_MEMORY:
        return STORE_NO_MEMORY;
    case DB_FAILED:
        break;
    }
    return committed ? STORE_UNKNOWN : STORE_FAILED;
}

static void give_answer(struct store *store, struct topic_work *work, enum db_result result, bool committed)
{
    struct store_op *op = container_of(work, struct store_op, work);

    op->outcome = outcome_of(result, committed);
    if (op->outcome != STORE_DONE) {
        buf_fini(&op->before.value);
        buf_fini(&op->before.owner);
        op->before = (struct store_before){.is_there = false};
    }
    loop_post(store->loop, &op->task);
}

const struct work_kind record_work = {.begun = begun, .carry_out = carry_out, .answer = give_answer};

/* ---- the loop's part ---- */

/* Takes it back from the thread. False: the thread has begun. */
static bool withdraw(struct store *store, struct store_op *op)
{
    pthread_mutex_lock(&store->lock);
    const bool waits = !op->is_begun;
    if (waits) {
        list_remove(&op->work.in_queue);
        begun(store, &op->work);
    }
    pthread_mutex_unlock(&store->lock);
    return waits;
}

static void expire(struct store *store, struct store_op *op)
{
    op->is_late = true;
    if (withdraw(store, op)) {
        op->outcome = STORE_TOO_LATE;
        loop_post(store->loop, &op->task);
    } else if (op->late) {
        op->late(op);
    }
}

static void on_deadline(struct timer *timer)
{
    struct store *store = container_of(timer, struct store, deadline);
    const int64_t now_ns = clock_mono_ns();

    list_each(node, safe, &store->in_flight) {
        struct store_op *op = container_of(node, struct store_op, in_flight);

        if (op->deadline_ns > now_ns)
            break;
        if (!op->is_late)
            expire(store, op);
    }
    set_timer(store);
}

/* Under the lock. */
static bool accept(struct store *store, struct store_op *op)
{
    if (store->health.state == STORE_IS_FAILED) {
        op->outcome = STORE_FAILED;
        return false;
    }
    if (store->closing || store->waiting_count >= store->params.max_waiting ||
        store->waiting_bytes + op->work.bytes > store->params.max_waiting_bytes) {
        op->outcome = STORE_QUEUE_FULL;
        return false;
    }
    list_append(&store->waiting, &op->work.in_queue);
    store->waiting_count++;
    store->waiting_bytes += op->work.bytes;
    op->is_begun = false;
    pthread_cond_signal(&store->changed);
    return true;
}

void store_submit(struct store *store, struct store_op *op)
{
    CHECK(op->record.name.size <= STORE_MAX_NAME_BYTES && op->record.value.size <= STORE_MAX_VALUE_BYTES);
    op->store = store;
    op->task.run = answer;
    op->before = (struct store_before){.is_there = false};
    op->is_late = false;
    op->is_begun = true;
    op->deadline_ns = clock_from_now_ns(store->params.timeout_ns);
    op->work = (struct topic_work){.kind = &record_work, .bytes = store_op_bytes(op)};
    list_init(&op->work.in_queue);
    list_append(&store->in_flight, &op->in_flight);
    pthread_mutex_lock(&store->lock);
    const bool is_accepted = accept(store, op);
    pthread_mutex_unlock(&store->lock);
    if (!is_accepted)
        loop_post(store->loop, &op->task);
    else if (!store->deadline.loop)
        set_timer(store);
}
