/* id_window.h - the ids of a topic's latest events, in memory: hashes with a secret key, in the
 * order in which they came.
 *
 * Ids have numbers that rise: those of the window are [first, next). A transaction adds ids at the
 * end. If it fails, id_window_undo() removes them.
 *
 * For the files of this room. Threads: the store's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_ID_WINDOW_H
#define TRIBUTARY_BACKEND_SQLITE_ID_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct id_entry {
    uint64_t hash;
    int64_t at_ns; /* wall clock */
};

/* Zeroed it is empty. */
struct id_window {
    struct id_entry *entries; /* number n stands at n % capacity */
    uint32_t *slots;          /* two for each entry: the place of an entry, and 1; 0: empty */
    uint32_t capacity;        /* a power of two; 0: nothing */
    uint64_t first, next;
    uint64_t kept_next; /* of the last commit */
};

void id_window_fini(struct id_window *window);

static inline uint64_t id_window_count(const struct id_window *window)
{
    return window->next - window->first;
}

MUST_CHECK bool id_window_has(const struct id_window *window, uint64_t hash);

/* Adds an id that is not there. False: out of memory. */
MUST_CHECK bool id_window_add(struct id_window *window, uint64_t hash, int64_t at_ns);

/* Removes the oldest one. It must not be of the open transaction. */
void id_window_drop_first(struct id_window *window);

static inline const struct id_entry *id_window_at(const struct id_window *window, uint64_t number)
{
    return &window->entries[number & (window->capacity - 1)];
}

/* The transaction is over. */
void id_window_keep(struct id_window *window);
void id_window_undo(struct id_window *window);

#endif
