/* chan_report.h - what the taker reports to its peer beside the events: losses, positions, states
 * of sources, and marks.
 *
 * Everything here is reported once, then forgotten. The order in one batch is: chan_marked(),
 * chan_dequeue(), chan_losses(), chan_catches() (feed_catch.h), chan_states().
 *
 * Threads: the taker only, except chan_mark(). `each` runs under the channel's lock and may only
 * write down what it is given; that is valid during the call. `max` bounds how often it is called.
 * The functions return how often it was. */
#ifndef TRIBUTARY_FLOW_CHAN_REPORT_H
#define TRIBUTARY_FLOW_CHAN_REPORT_H

#include <stdbool.h>

#include "event/chunk.h"
#include "event/encode.h"

struct chan;

/* Reports the losses. A loss whose source is NULL is of sources for which there was no memory. Call
 * it after chan_dequeue() and send both in one message: then a source's loss never comes later than
 * its next event. */
uint32_t chan_losses(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct lost_note *note),
                     void *ctx);

/* Reports the positions that moved since they were last reported. A position means: everything of
 * the source up to here was dequeued, filtered out, or reported as lost. Feeds that `max` left out
 * come first next time. */
uint32_t chan_positions(struct chan *chan, uint32_t max,
                        void (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx);

/* Shared sources that the channel gets, whether it has a feed of them or not. */
struct chan_sources {
    /* Gives the next source, and what was routed of it; false: there are no more. It runs under the
     * channel's lock. */
    bool (*next)(void *ctx, const struct source **source_out, uint64_t *routed_out);
    void *ctx;
};

/* Gives every position above 0, whether it was reported or not: of the feeds first, then of
 * `sources` that have no feed. NULL: there are none. Nothing is noted as reported. `each` returns
 * false when it needs no more. Any thread. False: a feed has no position yet (feed_unplaced()); not
 * all of them were given. */
bool chan_all_positions(struct chan *chan, const struct chan_sources *sources,
                        bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx);

/* The same of `sources` that have no feed. */
void chan_idle_positions(struct chan *chan, const struct chan_sources *sources,
                         bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx);

struct feed_change {
    const struct source *source; /* NULL: RESYNC, states of shared sources were left out */
    uint32_t state, code;
    const char *message; /* never NULL */
};

/* Reports the states that changed; a feed's first state counts as a change. Call it after
 * chan_losses() and send both in one message. A closed feed that is empty and has no loss to report
 * is freed afterwards. `each` may be NULL where nobody wants to know. */
uint32_t chan_states(struct chan *chan, uint32_t max,
                     void (*each)(void *ctx, const struct feed_change *change), void *ctx);

/* Sets a mark (above 0) behind everything that was put so far. A later mark replaces one that was
 * not passed yet. Any thread. */
void chan_mark(struct chan *chan, uint32_t mark);

/* Returns the mark that was passed, and forgets it; 0: none. A mark is passed when nothing that was
 * put before it waits or is parked.
 *
 * Call it before chan_dequeue() and report it in the same batch. A batch ends at a mark that is
 * passed, and chan_dequeue() gives nothing while one was passed and not yet asked for. So the
 * mark is reported after the last event from before it, and before the first event from after
 * it. There is one exception. A shared feed to which DROP_OLDEST applies (as its policy or as
 * the active fallback) does not wait for the parked events of pausable feeds. So some events
 * that it put after the mark may come before it. */
uint32_t chan_marked(struct chan *chan);

#endif
