/* policy_internal.h - what becomes of events that are put: the bounds and the policies
 * (overflow.c), BLOCK (park.c), and LATEST_PER_KEY (latest.c).
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_POLICY_INTERNAL_H
#define TRIBUTARY_FLOW_POLICY_INTERNAL_H

#include <stdbool.h>

#include "base/status.h"
#include "flow/entry_internal.h"

struct chan;
struct feed;

/* ---- overflow.c ---- */

/* How many of the first events of the range fit within the bounds now. An event that is larger than
 * the bound fits where nothing waits. */
uint32_t chan_fitting(const struct chan *chan, const struct range *range);

/* The feed with most bytes waiting. Some feed must be open. */
struct feed *chan_heaviest(struct chan *chan);

/* DROP_OLDEST: drops until the bounds hold. Returns true when it dropped anything. */
bool chan_drop_oldest(struct chan *chan, enum loss reason);

/* Applies DROP_OLDEST, DROP_NEWEST or DISCONNECT: enqueues or drops the whole range. With
 * `may_enqueue` false, DROP_NEWEST and DISCONNECT drop all of it, because parked events come first.
 * Returns true when DROP_OLDEST had to trim. */
bool chan_apply(struct chan *chan, enum overflow overflow, const struct range *range, enum loss reason,
                bool may_enqueue);

/* The reason of events that the policy drops by itself. */
enum loss chan_reason(enum overflow overflow);

/* Drops events that are too old. The caller calls chan_update() afterwards. */
void chan_expire(struct chan *chan);

/* ---- park.c ---- */

/* BLOCK for a shared feed. ERR_OK: accepted, or fallen to the fallback. ERR_AGAIN: a part of it is
 * parked for `waiter`. */
enum err chan_block_shared(struct chan *chan, struct range range, struct put_waiter *waiter);
/* BLOCK for a pausable feed, with the same results. */
enum err chan_block_pausable(struct chan *chan, struct range range);
/* Lets pausable feeds have their share after DROP_OLDEST has trimmed for `reason`. */
void chan_admit_share(struct chan *chan, enum loss reason);
/* Some events no longer wait. At the low watermark: the fallback ends, and what fits is
 * admitted. */
void chan_update(struct chan *chan);

/* ---- latest.c ---- */

/* LATEST_PER_KEY. */
void chan_put_latest(struct chan *chan, const struct range *range);

#endif
