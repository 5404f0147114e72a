/* ledger.h - per producer: what it published while we listened, what reached us, what was dropped.
 * Any thread: it has a lock. */
#ifndef TRIBUTARY_TOOL_TOTALS_H
#define TRIBUTARY_TOOL_TOTALS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/map.h"
#include "tributary/tributary.h"

#define MAX_TOTALS_SOURCES 10000u /* further ones are summed up in one row */

struct source_totals {
    pthread_mutex_t lock;
    struct map sources;
    uint64_t delivered, dropped; /* of everybody */
    bool unknown;                /* a loss that nobody can count was reported */
    struct entry *others;        /* beyond MAX_TOTALS_SOURCES */
};

void source_totals_init(struct source_totals *totals);
void source_totals_fini(struct source_totals *totals);

void source_totals_delivered(struct source_totals *totals, const struct tributary_delivery *delivery);
void source_totals_lost(struct source_totals *totals, const struct tributary_lost *lost);

/* Asks the server how far each producer is. Waits for at most 2 s; not from a callback of
 * `client`. */
void source_totals_fetch(struct source_totals *totals, struct tributary *client);

/* The table. */
void source_totals_print(struct source_totals *totals, FILE *out);

#endif
