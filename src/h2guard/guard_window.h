/* guard_window.h - the window of the connection: how much DATA the peer may send.
 *
 * DESIGN
 *
 * The core's window. gRPC core takes at most 64 KiB of DATA of a connection ahead, unless it probes
 * the connection. It announces more when it has received bytes, not when somebody has read them. So
 * a peer sends little more than 64 KiB in each round trip.
 *
 * Lending. Where that is the limit, the guard announces more to the peer than the core does. From
 * then on it holds back each DATA frame for which the core's window has no room, with all that
 * follows. The frame waits in the socket until the core announces more, which takes microseconds,
 * and for MAX_HELD_NS at most.
 * The windows of streams are the core's alone. So they still bound what an unread call keeps.
 *
 * When it lends. If the server cannot keep up, what is lent waits in the socket, and what comes
 * behind it waits too. So the guard lends only if the distance is the limit, and not the server. A
 * round begins when the core announces more. The peer may send up to `round_end` before it learns
 * of that. We have waited for the peer if it has sent exactly so much, the socket was read empty,
 * and then threads mostly slept until more came. The time since the round began is then a round
 * trip. After WAITS_TO_LEND such rounds in succession the guard lends LENT_FIRST bytes, and later
 * twice as many each time, until the window allows ENOUGH_PER_MS.
 *
 * When it takes back. If for BEHIND_NS no read has emptied the socket, and threads slept little,
 * then the server is the limit. While that lasts, the guard makes the core's own announcements
 * smaller, until nothing is lent.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_WINDOW_H
#define TRIBUTARY_H2GUARD_GUARD_WINDOW_H

#include "h2guard/guard_internal.h"
#include "h2guard/h2guard_window.h"

/* The window of a new connection. */
void guard_window_init(struct window *window);

/* The core has announced `bytes` more, as they were sent. A frame that was held back may fit now.
 */
void guard_window_announce(struct window *window, uint32_t bytes);

/* What the core takes: its own window. */
static inline int64_t guard_window_core(const struct window *window)
{
    return window->announced - window->used;
}

/* A DATA frame of the peer begins. The core refuses one for which its window has no room, and does
 * not count it. */
static inline void guard_window_use(struct window *window, uint32_t bytes)
{
    if (LIKELY(bytes <= guard_window_core(window)))
        window->used += bytes;
    window->passes = false;
}

/* Whether the next frame may have to be held back. */
static inline bool guard_window_is_tight(const struct window *window)
{
    return !LIKELY(window->lent == 0) && guard_window_core(window) < MAX_LENT_FRAME && !window->passes;
}

/* A turn begins. A frame that is held back for MAX_HELD_NS passes: the core announces within
 * microseconds, so its window is not what the guard knows, and the core decides. That happens where
 * the core has refused DATA without counting it. */
void guard_window_turn(struct window *window, int64_t now_ns);

#endif
