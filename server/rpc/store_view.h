/* store_view.h - what Info says of the store. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_STORE_VIEW_H
#define TRIBUTARY_SERVER_RPC_STORE_VIEW_H

#include "backend/sqlite/store.h"
#include "tributary/v1/admin.pb-c.h"

struct endpoint_edits;
struct topics;

#define MAX_NOT_LOADED 100u
#define NOT_LOADED_NAME_CAPACITY 257u

/* The message, and what it points to. */
struct store_view {
    Tributary__V1__Info__Store message;
    struct store_health health;
    Tributary__V1__Info__Store__NotLoaded not_loaded[MAX_NOT_LOADED];
    Tributary__V1__Info__Store__NotLoaded *pointers[MAX_NOT_LOADED];
    char names[MAX_NOT_LOADED][NOT_LOADED_NAME_CAPACITY];
    unsigned count;
};

/* Fills in the view. Returns its message, or NULL: there is no store. Valid until the loop goes
 * on. */
Tributary__V1__Info__Store *store_view_fill(struct store_view *view, const struct endpoint_edits *edits,
                                            const struct topics *topics);

#endif
