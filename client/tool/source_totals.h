/* source_totals.h - counts for each producer what it published while we were subscribed, what was
 * delivered to us and what was dropped. Any thread: it has a lock. */
#ifndef TRIBUTARY_TOOL_SOURCE_TOTALS_H
#define TRIBUTARY_TOOL_SOURCE_TOTALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/map.h"
#include "tributary/tributary.h"

#define MAX_TOTALS_SOURCES 10000u /* further ones share one row */

struct source_totals {
    pthread_mutex_t lock;
    struct map sources;
    uint64_t delivered, dropped; /* of all sources */
    bool unknown;                /* a loss without a count was reported */
    struct entry *others;        /* of the sources beyond MAX_TOTALS_SOURCES; NULL: none */
};

void source_totals_init(struct source_totals *totals);
void source_totals_fini(struct source_totals *totals);

/* Counts one event. */
void source_totals_delivered(struct source_totals *totals, const struct tributary_delivery *delivery);

/* Counts one loss. */
void source_totals_lost(struct source_totals *totals, const struct tributary_lost *lost);

/* Gets the latest sequence of each producer from the server. Waits for at most 2 s. Do not call it
 * from a callback of `client`. */
void source_totals_fetch(struct source_totals *totals, struct tributary *client);

/* Prints the table. `width` is the number of columns of the terminal; 0: no bound. */
void source_totals_print(struct source_totals *totals, FILE *out, unsigned width);

#endif
