/* store_groups.c - the store as the backend of consumer groups. */
#include "backend/sqlite/store_groups.h"

#include "backend/sqlite/store_internal.h"

static void change(void *ctx, struct group_change *change)
{
    change->work = (struct topic_work){.kind = &group_change_work,
                                       .bytes = sizeof(*change) + change->name.size + change->settings.size};
    if (store_accept_change(ctx, &change->work))
        return;
    change->outcome = TOPIC_CLOSED;
    change->done(change);
}

static enum err save(void *ctx, struct group_save *save)
{
    struct store *store = ctx;
    size_t bytes = sizeof(*save);
    uint64_t events = save->cursor_count;

    for (uint32_t i = 0; i < save->cursor_count; i++)
        bytes += sizeof(save->cursors[i]) + save->cursors[i].cursor.size + save->cursors[i].counts.size;
    if (save->dead) {
        store_measure(save->dead);
        bytes += save->dead->work.bytes;
        events += save->dead->work.events;
    }
    save->work = (struct topic_work){.kind = &group_save_work,
                                     .bytes = bytes,
                                     .events = (uint32_t)MIN_OF(MAX_OF(events, 1u), MAX_PIECE_EVENTS)};
    return store_accept(store, &save->work, &store->save_refused);
}

static void list(void *ctx, void (*each)(void *arg, const struct group_info *info), void *arg)
{
    struct store *store = ctx;

    pthread_mutex_lock(&store->lock);
    map_each(node, following, &store->groups.by_name)
    {
        const struct stored_group *group = container_of(node, struct stored_group, by_name);
        const struct group_info info = {.name = group_name(group),
                                        .settings = group_settings(group),
                                        .incarnation = group->id,
                                        .created_wall_ns = group->created_ns};

        each(arg, &info);
    }
    pthread_mutex_unlock(&store->lock);
}

struct group_port store_groups(struct store *store, void (*writable)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&store->lock);
    store->save_writable = writable;
    store->save_writable_ctx = ctx;
    pthread_mutex_unlock(&store->lock);
    return (struct group_port){.change = change, .save = save, .list = list, .ctx = store};
}
