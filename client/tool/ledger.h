/* ledger.h - per producer: what it published while we listened, what reached us, what was dropped. Any thread: it has a lock. */
#ifndef TRIBUTARY_TOOL_LEDGER_H
#define TRIBUTARY_TOOL_LEDGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/map.h"
#include "client/lib/tributary.h"

#define LEDGER_SOURCES_MOST 10000u /* further ones are summed up in one row */

struct ledger {
    pthread_mutex_t lock;
    struct map sources;
    uint64_t delivered, dropped; /* of everybody */
    bool unknown;                /* a loss that nobody can count was reported */
    struct entry *others;        /* beyond LEDGER_SOURCES_MOST */
};

void ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);

void ledger_delivered(struct ledger *ledger, const struct tributary_delivery *delivery);
void ledger_lost(struct ledger *ledger, const struct tributary_lost *lost);

/* Asks the server how far each producer is. Waits for at most 2 s; not from a callback of `client`. */
void ledger_ask(struct ledger *ledger, struct tributary *client);

/* The table. */
void ledger_print(struct ledger *ledger, FILE *out);

#endif
