/* loss_notices.h - the lines of `tributary sub` about lost events. A flood of losses must not
 * become a flood of lines, so losses are summed: by source and reason, for a second at a time.
 *
 * The first loss of a source is printed at once. What follows within a second is printed as one
 * line when the second is over. At most MAX_LOSS_LINES lines are printed in a second; one more line
 * has the rest. At the end there is a total.
 *
 * Any thread: it has a lock. */
#ifndef TRIBUTARY_TOOL_LOSS_NOTICES_H
#define TRIBUTARY_TOOL_LOSS_NOTICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/map.h"
#include "tributary/tributary.h"

#define MAX_LOSS_LINES 20u  /* in a second */
#define MAX_LOSS_ROWS 1000u /* sources and reasons that are told apart within a second */

struct loss_totals {
    uint64_t losses; /* how often events were lost */
    uint64_t events, bytes;
    bool unknown; /* nobody can say how many there are */
};

struct loss_notices {
    pthread_mutex_t lock;
    FILE *out;
    bool by_second; /* false: each loss has its own line, and there is no total */
    int64_t due_ns; /* clock_mono_ns() at which this second is over; INT64_MAX: none has begun */
    unsigned lines; /* printed in this second */
    struct map rows;
    struct loss_totals rest;  /* of this second, of what has no row */
    struct loss_totals total; /* of everything */
};

/* `by_second` false: each loss is printed as it comes, for programs that read the lines. */
void loss_notices_init(struct loss_notices *notices, FILE *out, bool by_second);
void loss_notices_fini(struct loss_notices *notices);

/* Takes one loss, at `now_ns` of clock_mono_ns(). True: `due_ns` may have changed, so the thread
 * that calls loss_notices_print() must look again. */
bool loss_notices_add(struct loss_notices *notices, const struct tributary_lost *lost, int64_t now_ns);

/* Prints what is due at `now_ns`. Returns when to call it again; INT64_MAX: not before the next
 * loss. */
int64_t loss_notices_print(struct loss_notices *notices, int64_t now_ns);

/* Prints what waits, and the total where there was more than one loss. */
void loss_notices_end(struct loss_notices *notices);

#endif
