/* window.h - the events of one source from the first unfinished one on: what became of each, the
 * floor, and the ranges of finished events above it. Inside of src/group only.
 *
 *   1 .. floor           finished, all of them; the floor may be committed
 *   floor + 1 .. head    were offered: each is open or settled. floor + 1 is open
 *   head + 1 .. top      not offered; what an earlier life has settled is settled already
 *
 * Events have a slot each, in a ring that grows to twice its size. A slot has links to two other
 * slots; a link is a position's lowest 31 bits and 1, so it survives the growth.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_WINDOW_H
#define TRIBUTARY_GROUP_WINDOW_H

#include "base/base.h"
#include "base/status.h"
#include "group/event_state.h"

struct slot {
    uint32_t next, prev; /* links; 0: none. Of a returned event: its sibling and its child in the heap */
    uint32_t bytes;
    uint16_t shard;
    uint16_t attempt; /* deliveries before this one */
    uint8_t state, outcome, reason;
    int64_t time_ns;       /* WAITING: from when on; SENT: since when; others: nothing */
    int64_t first_sent_ns; /* 0: never */
};

struct window {
    struct slot *slots;
    uint32_t mask; /* slots - 1; with no memory yet: 0 and `slots` NULL */
    uint64_t floor, head, top;
    uint32_t ranges;  /* of settled events above the floor */
    uint32_t settled; /* events above the floor that are settled */
};

/* Frees the memory. */
void window_fini(struct window *window);

/* Forgets all events; the next one is floor + 1. Keeps the memory. O(window). */
void window_reset(struct window *window, uint64_t floor);

/* Frees the memory where no event is open or remembered. The next ones get it again. */
void window_rest(struct window *window);

/* Makes memory for slots up to the position, which is above the floor by at most MAX_GROUP_WINDOW.
 * O(window) where it grows, which is O(1) for each new slot.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err window_reserve(struct window *window, uint64_t position);

/* The slot of a position from floor + 1 to top, or of one that was reserved. */
static inline struct slot *window_slot(const struct window *window, uint64_t position)
{
    return &window->slots[position & window->mask];
}

static inline uint32_t link_of(uint64_t position)
{
    return (uint32_t)(position & INT32_MAX) + 1;
}

static inline struct slot *link_slot(const struct window *window, uint32_t link)
{
    return &window->slots[(link - 1) & window->mask];
}

/* The link's place after the floor, which orders links as their positions are ordered. */
static inline uint32_t link_offset(const struct window *window, uint32_t link)
{
    return (link - 1 - (uint32_t)window->floor) & INT32_MAX;
}

static inline uint64_t link_position(const struct window *window, uint32_t link)
{
    return window->floor + link_offset(window, link);
}

/* Settles an event from floor + 1 to head, or beyond it one that an earlier life has settled. It is
 * in no queue. Raises the floor over all that is settled. O(1) for each event. */
void window_settle(struct window *window, uint64_t position, enum event_outcome outcome);

/* Passes over the events after the head up to `last`, which are settled by that. Where an event is
 * open, or an earlier life has settled some, all have slots. Where not, the floor moves at once.
 * O(events) or O(1). */
void window_pass(struct window *window, uint64_t last, enum event_outcome outcome);

/* Whether the position was settled above the floor. */
static inline bool window_is_settled(const struct window *window, uint64_t position)
{
    return position > window->floor && position <= window->top &&
           window_slot(window, position)->state == EVENT_SETTLED;
}

#endif
