/* store_view.c - what Info says of the store. */
#include "server/rpc/store_view.h"

#include <stdio.h>

#include "server/rpc/endpoint_edits.h"
#include "topic/topics.h"

static Tributary__V1__Info__Store__State state_of(enum store_state state)
{
    switch (state) {
    case STORE_HEALTHY:
        return TRIBUTARY__V1__INFO__STORE__STATE__HEALTHY;
    case STORE_IS_FULL:
        return TRIBUTARY__V1__INFO__STORE__STATE__FULL;
    case STORE_IS_FAILED:
        break;
    }
    return TRIBUTARY__V1__INFO__STORE__STATE__FAILED;
}

/* A record's name is printable UTF-8, but for one that no server has written. */
static void add(void *ctx, struct bytes name, const char *cause)
{
    struct store_view *view = ctx;
    Tributary__V1__Info__Store__NotLoaded *message = &view->not_loaded[view->count];
    char *text = view->names[view->count];

    tributary__v1__info__store__not_loaded__init(message);
    snprintf(text, NOT_LOADED_NAME_CAPACITY, "%.*s", (int)name.size, (const char *)name.data);
    message->name = text;
    message->message = (char *)cause;
    view->pointers[view->count++] = message;
}

Tributary__V1__Info__Store *store_view_fill(struct store_view *view, const struct endpoint_edits *edits,
                                            const struct topics *topics)
{
    struct store *store = endpoint_edits_store(edits);

    if (!store)
        return NULL;
    tributary__v1__info__store__init(&view->message);
    view->health = store_health(store);
    view->count = 0;
    endpoint_edits_not_loaded(edits, MAX_NOT_LOADED, add, view);
    const struct store_sizes sizes = store_sizes(store);
    view->message.database_bytes = (uint64_t)sizes.database;
    view->message.free_bytes = (uint64_t)sizes.free;
    view->message.log_bytes = (uint64_t)sizes.log;
    view->message.ballast_bytes = (uint64_t)sizes.ballast;
    view->message.path = (char *)store_path(store);
    view->message.uuid = (char *)store_uuid(store);
    view->message.state = state_of(view->health.state);
    view->message.code = (char *)view->health.code;
    view->message.message = view->health.message;
    view->message.n_not_loaded = view->count;
    view->message.not_loaded = view->pointers;
    view->message.topics = topics ? topics_count(topics) : 0;
    return &view->message;
}
