/* chan.h - the channel: the bounded queue of one subscription. It is the only place where data
 * crosses threads.
 *
 * Putters put events in: they are the calls of producers, on any thread. One taker takes events
 * out: the thread that serves the consumer. A channel holds ranges (chunk, first, last), so a
 * policy can keep one part of a chunk and drop the other.
 *
 * An event is accepted once. From then on it is in exactly one place: it waits, it is in flight, it
 * was delivered, or it was dropped for a reason. At all times, in events and in bytes,
 *
 *     accepted = delivered + dropped + queued          (queued = waiting + in flight)
 *
 * The bounds limit what waits. One batch may be in flight beside it. With BLOCK, what the bounds
 * refuse is parked outside of the equation. It is accepted when it is admitted, or when it is
 * dropped.
 *
 * Every wait of a putter is bounded. Shared feeds are blocked for at most block_timeout_ns. Then
 * the fallback becomes active, until the channel is down at its low watermark. Putters of pausable
 * feeds never wait: their producers are asked to pause, and what they may still put is bounded.
 *
 * The other headers of the channel: feed.h (one source's share), shared_feed.h (feeds that the
 * channel makes by itself), feed_catch.h (stored topics), chan_batch.h (taking out), chan_report.h
 * (losses, positions, states, marks), chan_stats.h, put_waiter.h.
 *
 * Threads: any, under the channel's own lock, where a function does not say otherwise. Callbacks
 * are made after that lock was released. */
#ifndef TRIBUTARY_FLOW_CHAN_H
#define TRIBUTARY_FLOW_CHAN_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"
#include "flow/chan_limits.h"
#include "flow/chan_port.h"

struct chan;
struct chunk;
struct feed;
struct put_waiter;

/* Copies both. The caller holds the one reference. NULL: out of memory. */
struct chan *chan_new(const struct chan_limits *limits, const struct chan_callbacks *callbacks);
struct chan *chan_retain(struct chan *chan);
/* The last reference closes the channel and frees it with all its feeds. Nothing may be in
 * flight. NULL is allowed. */
void chan_release(struct chan *chan);

/* Puts events [first, last) of `chunk` into a feed, first < last. `feed` NULL: into the shared feed
 * of the chunk's source (shared_feed.h). Retains the chunk for what it keeps. Puts to one feed come
 * one after another. `waiter` is NULL for a pausable feed, and where nobody needs to know when
 * parked events are gone.
 *
 *   ERR_OK      accepted. The policy may have dropped some or all of it; that is accounted for.
 *   ERR_AGAIN   accepted, but a part of it is parked (BLOCK). It is admitted later, or falls to the
 *               fallback, without another call. `waiter` is notified then, or set_paused() was
 *               called.
 *   ERR_CLOSED  the channel is drained, closed, or broken by DISCONNECT. Nothing was accepted or
 *               counted. The put that breaks the channel still returns ERR_OK. */
MUST_CHECK enum err chan_put(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first,
                             uint32_t last, struct put_waiter *waiter);

/* chan_put() into the shared feed of the chunk's source, for one route of a channel whose routes
 * are changed. `generation` is that of the route, or GENERATION_WILDCARD. Events of the source that
 * were put already are left out.
 *   ERR_CLOSED  also: routes of this generation do not put now, or no event is left. Nothing was
 *               accepted or counted. */
#define GENERATION_WILDCARD 0u
MUST_CHECK enum err chan_put_shared(struct chan *chan, uint32_t generation, struct chunk *chunk,
                                    uint32_t first, uint32_t last, struct put_waiter *waiter);

/* From now on chan_put_shared() puts for routes of this generation, and for wildcards where
 * `wildcard` says so. What other routes put is refused. So many routes change at one moment, while
 * their sources go on. A new channel puts for wildcards only. `mark` above 0: chan_mark() at the
 * same moment. */
void chan_change_over(struct chan *chan, uint32_t generation, bool wildcard, uint32_t mark);

/* The putter stops waiting. What this waiter has parked in the feed falls to the fallback (reason
 * BLOCK_TIMEOUT), and so does what the feed parked before it. Does nothing where the waiter has
 * nothing parked here. waiter->over() follows as usual. */
void chan_give_up(struct chan *chan, struct feed *feed, const struct put_waiter *waiter);

/* When the fallback becomes active because shared feeds are blocked too long: clock_mono_ns(), or
 * INT64_MAX where none is blocked. Taker only. */
int64_t chan_blocked_until(struct chan *chan);

/* Activates the fallback if `now_ns` is past that moment. Taker only. */
void chan_tick(struct chan *chan, int64_t now_ns);

/* Since when nothing was dequeued, after shared feeds were blocked until the fallback became
 * active: clock_mono_ns(). INT64_MAX: the fallback did not become active, or ended with a dequeue;
 * or the block timeout is 0, so that nobody waited; or the channel is not open. Taker only. */
int64_t chan_fallback_since(struct chan *chan);

/* While the budget is short, a channel in which nothing waits gives back what it keeps for later.
 * It does so by itself whenever it is used; this is for those that are not. Any thread. */
void chan_trim(struct chan *chan);

/* About how many bytes in memory belong to events that wait or are parked and that chan_shed() may
 * drop: all but those of pausable feeds that BLOCK applies to. */
uint64_t chan_sheddable(struct chan *chan);

/* The server is short of memory: drops the oldest events of the heaviest feeds (reason BUDGET)
 * until chan_sheddable() is at most `max_bytes`, or `max_entries` ranges were dropped. With
 * DISCONNECT, as policy or fallback, it breaks the channel, since the consumer wants no stream with
 * such a loss. The caller keeps the taker alive. Returns how many ranges were dropped. */
uint32_t chan_shed(struct chan *chan, uint64_t max_bytes, uint32_t max_entries);

/*   OPEN --drain--> DRAINING --close--> CLOSED
 *     |---break---> BROKEN ----close------^
 *     `-------------close-----------------'
 *
 * A draining and a broken channel accept nothing, and still give out what waits. */
enum chan_state { CHAN_OPEN, CHAN_DRAINING, CHAN_BROKEN, CHAN_CLOSED };
enum chan_state chan_state(struct chan *chan);

/* Breaks the channel, as DISCONNECT does. Does nothing where it is not open. */
void chan_disconnect(struct chan *chan);

/* Admits what is parked, whatever the bounds say. So every put waiter is notified. Does nothing
 * where the channel is not open. */
void chan_drain(struct chan *chan);

/* Drops what waits and what is parked, for `reason`. What is in flight stays the taker's. Every
 * put waiter is notified. Does nothing where the channel is closed already. */
void chan_close(struct chan *chan, enum loss reason);

/* True when nothing waits, is parked, or is in flight. */
bool chan_idle(struct chan *chan);

#endif
