/* endpoint_names.h - the names of endpoints that the store has, and of those that are being edited.
 * For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_NAMES_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_NAMES_H

#include "base/list.h"
#include "base/map.h"

/* A name is there while the store has a record of it, or an edit of it is under way. */
struct endpoint_name {
    struct map_node node;
    struct list edits;      /* in their order; the first one is under way */
    struct list not_loaded; /* of the names whose `cause` is set */
    bool is_recorded;       /* the store has it, or may have it */
    char *cause;            /* why the record is not in effect since the start; NULL: it may be */
    uint8_t text[];
};

struct endpoint_names {
    struct map by_name;
    struct list not_loaded;
};

void endpoint_names_init(struct endpoint_names *names);
void endpoint_names_fini(struct endpoint_names *names); /* no edit may be under way */

/* Finds or makes a name. NULL: out of memory. */
struct endpoint_name *endpoint_names_get(struct endpoint_names *names, struct bytes name);
/* Frees a name that is there for nothing. */
void endpoint_names_rest(struct endpoint_names *names, struct endpoint_name *name);

/* The record is not in effect, or, with NULL, it may be. `cause` is copied; without memory it is
 * left out. */
void endpoint_name_set_cause(struct endpoint_names *names, struct endpoint_name *name, const char *cause);

#endif
