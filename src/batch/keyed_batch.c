/* keyed_batch.c - how a key comes and goes, and how a batch begins and ends. */
#include "batch/keyed_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const struct fsm keyed_batch_machine = {
    .name = "keyed_batch",
    .states = {[PENDING] = {"PENDING", BIT(LOADING)},
               [LOADING] = {"LOADING", BIT(BACKOFF) | BIT(OPEN) | BIT(OVER)},
               [BACKOFF] = {"BACKOFF", BIT(LOADING) | BIT(OVER)},
               [OPEN] = {"OPEN", BIT(SAVING) | BIT(UNLOADING) | BIT(OVER)},
               [SAVING] = {"SAVING", BIT(UNLOADING) | BIT(OVER)},
               [UNLOADING] = {"UNLOADING", BIT(LOADING) | BIT(OVER)},
               [OVER] = {"OVER", BIT(PENDING)}}};

static struct keyed_batch *new_zeroed(size_t size)
{
    const size_t alignment = alignof(struct keyed_batch);
    const size_t whole = (size + alignment - 1) / alignment * alignment;
    struct keyed_batch *batch = aligned_alloc(alignment, whole);

    if (batch)
        memset(batch, 0, size);
    return batch;
}

struct keyed_batch *keyed_batch_new(struct batch_engine *engine, struct bytes key)
{
    const bool is_short = key.size <= sizeof(((struct keyed_batch *)NULL)->short_key);
    struct keyed_batch *batch = NULL;
    unsigned char *place = NULL;

    if (heap_reserve(&engine->timers, engine->keys.count + 1) != ERR_OK ||
        map_reserve(&engine->keys) != ERR_OK)
        return NULL;
    batch = new_zeroed(sizeof(*batch) + engine->user_bytes + (is_short ? 0 : key.size));
    if (!batch)
        return NULL;
    place = is_short ? batch->short_key : batch->user + engine->user_bytes;
    batch->engine = engine;
    list_init(&batch->ready);
    list_init(&batch->turn);
    list_init(&batch->waiting);
    list_init(&batch->operations);
    if (key.size > 0)
        memcpy(place, key.data, key.size);
    batch->node.key = (struct bytes){place, key.size};
    CHECK(map_add(&engine->keys, &batch->node) == ERR_OK);
    list_append(&engine->turns, &batch->turn);
    return batch;
}

void keyed_batch_ready(struct keyed_batch *batch)
{
    if (list_empty(&batch->ready))
        list_append(&batch->engine->ready, &batch->ready);
}

void keyed_batch_next_turn(struct batch_engine *engine)
{
    struct list *first = list_first(&engine->turns);

    if (first && engine->batches < engine->settings.max_batches && !engine->stopping)
        keyed_batch_ready(container_of(first, struct keyed_batch, turn));
}

void keyed_batch_free(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    CHECK(list_empty(&batch->waiting) && list_empty(&batch->operations));
    list_remove(&batch->ready);
    list_remove(&batch->turn);
    heap_remove(&engine->timers, &batch->timer);
    map_remove(&engine->keys, &batch->node);
    atomic_fetch_sub(engine->all_keys, 1);
    free(batch);
    keyed_batch_next_turn(engine);
}

void keyed_batch_begin(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    list_remove(&batch->turn);
    list_append(&engine->begun, &batch->turn);
    engine->batches++;
    keyed_batch_next_turn(engine);
    batch->started_ns = engine->now_ns;
    batch->until_ns = clock_add_ns(engine->now_ns, engine->settings.window_ns);
    batch->deadline_ns = clock_add_ns(engine->now_ns, engine->settings.deadline_ns);
    batch->closes_idle = engine->settings.window == BATCH_ADAPTIVE;
    keyed_batch_load(batch);
}

void keyed_batch_load(struct keyed_batch *batch)
{
    fsm_move(&keyed_batch_machine, batch, LOADING);
    batch->loads++;
    batch->unwanted = false;
    batch->since_ns = batch->engine->now_ns;
    batch->engine->port.load(batch->engine->port.ctx, batch);
}

static void reset(struct keyed_batch *batch)
{
    const size_t first = offsetof(struct keyed_batch, closed), last = offsetof(struct keyed_batch, timer);

    memset((char *)batch + first, 0, last - first); /* the present batch */
    memset(batch->user, 0, batch->engine->user_bytes);
    list_init(&batch->operations);
}

void keyed_batch_hand_back(const struct list *waiting)
{
    list_each(node, next, waiting)
        container_of(node, struct batch_operation, node)->state = OPERATION_NEW;
}

void keyed_batch_end(struct keyed_batch *batch, enum batch_outcome outcome)
{
    struct batch_engine *engine = batch->engine;
    struct batch_record record = {.key = batch->node.key,
                                  .started_ns = batch->started_ns,
                                  .load_ns = batch->load_ns,
                                  .save_ns = batch->save_ns,
                                  .total_ns = engine->now_ns - batch->started_ns,
                                  .operations = batch->started,
                                  .loads = batch->loads,
                                  .saves = batch->saves,
                                  .outcome = outcome};

    fsm_move(&keyed_batch_machine, batch, OVER);
    if (outcome == BATCH_LOAD_FAILED && batch->started == 0 && !batch->skipped) {
        keyed_batch_hand_back(&batch->waiting);
        list_move_all(&batch->waiting, &batch->operations);
        engine->waiters -= batch->waiters;
        batch->waiters = 0;
        batch->waiting_bytes = 0;
    }
    engine->batches--;
    engine->port.ended(engine->port.ctx, batch, &batch->operations, outcome, &record);
    CHECK(list_empty(&batch->operations));
    reset(batch);
    heap_remove(&engine->timers, &batch->timer);
    fsm_move(&keyed_batch_machine, batch, PENDING);
    list_remove(&batch->turn);
    list_append(&engine->turns, &batch->turn);
    if (list_empty(&batch->waiting))
        keyed_batch_free(batch);
    else
        keyed_batch_next_turn(engine);
}
