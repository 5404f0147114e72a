/* budget.h - the memory that peers make the server keep, and its bound (`--memory-limit`).
 *
 * Whoever keeps memory for a peer takes it from the budget, and gives it back when it is freed. The
 * kind of the memory is the counter `live.*_bytes` that shows it. There is one budget for the
 * process.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_BUDGET_H
#define TRIBUTARY_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/counters.h"

/* What was taken already stays taken, also where it is above the new limit. 0: no limit. */
void budget_set(uint64_t limit_bytes);
uint64_t budget_limit(void);
/* So large a part of the limit: 8 is an eighth. UINT64_MAX: there is no limit. */
uint64_t budget_part(unsigned part);
uint64_t budget_used(void);

/* Takes `bytes`, all or nothing. So a large request that fails cannot make a small one on another
 * thread fail too. False: that would exceed the limit, and nothing was taken. */
MUST_CHECK bool budget_take(enum counter kind, uint64_t bytes);
/* Takes `bytes` even where that exceeds the limit: for what is bounded by something else, and
 * cannot be refused. */
void budget_add(enum counter kind, uint64_t bytes);
/* Gives back what was taken. */
void budget_give(enum counter kind, uint64_t bytes);

/* Zeroed memory that is in the budget; budget_free() frees it, with the same kind and size. NULL:
 * memory or budget is used up. */
void *budget_calloc(enum counter kind, size_t bytes);
void budget_free(enum counter kind, void *memory, size_t bytes); /* NULL is allowed */

/* The budget is short while more than four fifths of it are used. */
bool budget_is_short(void);

/* Who hears that the budget is short. */
struct budget_callbacks {
    /* Called after each time that memory was taken and the budget is short, on the thread that
     * takes it. It may hold locks, so this only notes the fact or posts a task. */
    void (*is_short)(struct budget_callbacks *callbacks);
};

/* One for the process; NULL: nobody. Call it while nobody takes memory. */
void budget_notify(struct budget_callbacks *callbacks);

#endif
