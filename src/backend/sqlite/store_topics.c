/* store_topics.c - the store as the backend of topics. */
#include "backend/sqlite/store_internal.h"

enum topic_outcome topic_outcome_of(enum db_result result, bool committed)
{
    switch (result) {
    case DB_OK:
        return TOPIC_DONE;
    case DB_FULL:
        return TOPIC_DISK_FULL;
    case DB_LOCKED:
        return TOPIC_LOCKED;
    case DB_NO_MEMORY:
        return TOPIC_NO_MEMORY;
    case DB_FAILED:
        break;
    }
    return committed ? TOPIC_UNKNOWN : TOPIC_FAILED;
}

void store_measure(struct topic_append *append)
{
    size_t bytes = sizeof(*append);
    uint64_t events = 0;

    for (uint32_t i = 0; i < append->part_count; i++) {
        bytes += append->parts[i].run.events.size + append->parts[i].run.origin.size;
        events += append->parts[i].run.count;
    }
    /* one at least: it counts, whatever it holds */
    append->work = (struct topic_work){.kind = &append_work,
                                       .bytes = bytes,
                                       .events = (uint32_t)MIN_OF(MAX_OF(events, 1u), MAX_PIECE_EVENTS)};
}

/* Under the lock. The first one is always accepted, however large it is. */
static enum err accept(struct store *store, struct topic_work *work, bool *refused_out)
{
    if (store->closing)
        return ERR_CLOSED;
    if (store->appends_wait || (store->uncommitted_events > 0 &&
                                (store->uncommitted_bytes + work->bytes > MAX_UNCOMMITTED_BYTES ||
                                 store->uncommitted_events + work->events > MAX_UNCOMMITTED_EVENTS))) {
        *refused_out = true;
        return ERR_FULL;
    }
    store->uncommitted_bytes += work->bytes;
    store->uncommitted_events += work->events;
    const bool was_empty = list_empty(&store->waiting);
    list_append(&store->waiting, &work->in_queue);
    if (was_empty)
        pthread_cond_signal(&store->changed);
    return ERR_OK;
}

enum err store_accept(struct store *store, struct topic_work *work, bool *refused_out)
{
    pthread_mutex_lock(&store->lock);
    const enum err err = accept(store, work, refused_out);
    pthread_mutex_unlock(&store->lock);
    return err;
}

static enum err append_events(void *ctx, struct topic_append *append)
{
    struct store *store = ctx;

    store_measure(append);
    return store_accept(store, &append->work, &store->append_refused);
}

bool store_accept_change(struct store *store, struct topic_work *work)
{
    pthread_mutex_lock(&store->lock);
    const bool is_closed = store->closing;
    if (!is_closed) {
        list_append(&store->waiting, &work->in_queue);
        pthread_cond_signal(&store->changed);
    }
    pthread_mutex_unlock(&store->lock);
    return !is_closed;
}

static void change(void *ctx, struct topic_change *change)
{
    change->work = (struct topic_work){.kind = &change_work, .bytes = sizeof(*change) + change->name.size};
    if (store_accept_change(ctx, &change->work))
        return;
    change->outcome = TOPIC_CLOSED;
    change->done(change);
}

static void read_topic(void *ctx, struct topic_read *read)
{
    struct store *store = ctx;

    readers_submit(&store->readers, read);
}

/* Under the lock. */
static struct topic_info info_of(const struct stored_topic *topic)
{
    return (struct topic_info){.id = topic->id,
                               .incarnation = topic->incarnation,
                               .name = topic_name(topic),
                               .settings = topic->settings,
                               .first_seq = topic->kept.first_seq,
                               .next_seq = topic->kept.next_seq,
                               .bytes = topic->kept.end_bytes - topic->kept.first_bytes,
                               .created_wall_ns = topic->created_ns,
                               .ancestors = topic->ancestors,
                               .ancestor_count = topic->ancestor_count,
                               .delayed = topic->delayed,
                               .ids_forgotten_early = topic->ids_forgotten_early};
}

static void list(void *ctx, void (*each)(void *arg, const struct topic_info *info), void *arg)
{
    struct store *store = ctx;

    pthread_mutex_lock(&store->lock);
    map_each(node, following, &store->log.by_id)
    {
        const struct topic_info info = info_of(container_of(node, struct stored_topic, by_id));

        each(arg, &info);
    }
    pthread_mutex_unlock(&store->lock);
}

bool store_is_heard(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool is_heard = store->appeared;
    pthread_mutex_unlock(&store->lock);
    return is_heard;
}

void store_appeared(struct store *store, const struct topic_appeared *appeared)
{
    pthread_mutex_lock(&store->lock);
    void (*const notify)(void *arg, const struct topic_appeared *appeared) = store->appeared;
    void *const arg = store->appeared_arg;
    pthread_mutex_unlock(&store->lock);
    if (notify)
        notify(arg, appeared);
}

static void listen_to(void *ctx, void (*appeared)(void *arg, const struct topic_appeared *appeared),
                      void *arg)
{
    struct store *store = ctx;

    pthread_mutex_lock(&store->lock);
    store->appeared = appeared;
    store->appeared_arg = arg;
    pthread_mutex_unlock(&store->lock);
}

static bool show(void *ctx, uint64_t id, struct topic_info *info_out)
{
    struct store *store = ctx;

    pthread_mutex_lock(&store->lock);
    const struct stored_topic *topic = log_find(&store->log, id);
    const bool is_there = topic;
    if (is_there) {
        const struct bytes name = info_out->name;

        *info_out = info_of(topic);
        info_out->name = name;
    }
    pthread_mutex_unlock(&store->lock);
    return is_there;
}

struct topic_port store_topics(struct store *store, void (*writable)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&store->lock);
    store->writable = writable;
    store->writable_ctx = ctx;
    pthread_mutex_unlock(&store->lock);
    return (struct topic_port){.append = append_events,
                               .change = change,
                               .read = read_topic,
                               .list = list,
                               .listen = listen_to,
                               .info = show,
                               .ctx = store};
}
