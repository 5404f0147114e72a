/* left_positions.h - where a subscription stood in its shared sources when it left them. A source
 * that has a feed in the channel is not in it: the feed keeps the position. The budget is charged
 * for the list.
 *
 * Threads: the caller's lock. */
#ifndef TRIBUTARY_HUB_LEFT_POSITIONS_H
#define TRIBUTARY_HUB_LEFT_POSITIONS_H

#include <stdint.h>

struct source;

/* A resume token has space for no more. */
#define MAX_LEFT_POSITIONS 6000u

/* A zeroed one is empty. */
struct left_positions {
    struct left_position {
        struct source *source; /* a reference */
        uint64_t sequence;
    } * list;
    uint32_t count, capacity;
    uint64_t left_out; /* positions beyond the bound, or for which there was no memory or no budget */
};

/* Adds source->routed of this moment, if it is above 0. */
void left_positions_add(struct left_positions *positions, struct source *source);
void left_positions_fini(struct left_positions *positions);

#endif
