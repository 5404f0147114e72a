/* shedder.h - what gives way when the budget is short (base/budget.h): history first, then what
 * waits in channels.
 *
 * The channel that pins most loses first (reason BUDGET). Where peers pin more than their share of
 * the budget, only their channels lose. It goes on until three quarters of the budget are used at
 * most, or nothing is left that may be lost (chan_shed() says what). Then it looks again 50 ms
 * later, or later still where a look takes long.
 *
 * Threads: the loop only. The budget notifies it from any thread. */
#ifndef TRIBUTARY_HUB_SHEDDER_H
#define TRIBUTARY_HUB_SHEDDER_H

struct hub;
struct shedder;

/* Begins to watch the budget, as the only shedder of the process. NULL: out of memory. */
struct shedder *shedder_new(struct hub *hub);
/* Nobody may make chunks any more. NULL is allowed. */
void shedder_free(struct shedder *shedder);

#endif
