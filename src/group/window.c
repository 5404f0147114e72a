/* window.c - see window.h. */
#include "group/window.h"

#include <stdlib.h>

#define MIN_SLOTS 64u

void window_fini(struct window *window)
{
    free(window->slots);
    window->slots = NULL;
    window->mask = 0;
}

void window_rest(struct window *window)
{
    if (window->floor == window->top)
        window_fini(window);
}

void window_reset(struct window *window, uint64_t floor)
{
    if (window->slots)
        memset(window->slots, 0, ((size_t)window->mask + 1) * sizeof(*window->slots));
    window->floor = window->head = window->top = floor;
    window->ranges = window->settled = 0;
}

enum err window_reserve(struct window *window, uint64_t position)
{
    const uint64_t span = position - window->floor;
    size_t count = window->slots ? (size_t)window->mask + 1 : MIN_SLOTS;
    struct slot *slots = NULL;

    if (window->slots && span <= count)
        return ERR_OK;
    while (count < span)
        count *= 2;
    if (!(slots = calloc(count, sizeof(*slots))))
        return ERR_NO_MEMORY;
    for (uint64_t at = window->floor + 1; at <= window->top; at++)
        slots[at & (count - 1)] = *window_slot(window, at);
    free(window->slots);
    window->slots = slots;
    window->mask = (uint32_t)(count - 1);
    return ERR_OK;
}

/* The floor passes over what is settled. What was a range above it is none any more. */
static void raise_floor(struct window *window)
{
    while (window_is_settled(window, window->floor + 1)) {
        *window_slot(window, window->floor + 1) = (struct slot){.state = EVENT_FREE};
        window->floor++;
        window->settled--;
    }
    window->head = MAX_OF(window->head, window->floor);
}

void window_settle(struct window *window, uint64_t position, enum event_outcome outcome)
{
    struct slot *slot = window_slot(window, position);
    const bool left = window_is_settled(window, position - 1);
    const bool right = window_is_settled(window, position + 1);

    slot->state = EVENT_SETTLED;
    slot->outcome = (uint8_t)outcome;
    window->settled++;
    if (position != window->floor + 1) {
        window->top = MAX_OF(window->top, position);
        window->ranges += 1u - left - right;
        return;
    }
    window->ranges -= right;
    window->top = MAX_OF(window->top, position);
    raise_floor(window);
}

void window_pass(struct window *window, uint64_t last, enum event_outcome outcome)
{
    if (window->floor == window->head && window->top <= window->head) {
        window->floor = window->head = window->top = last;
        return;
    }
    while (window->head < last) {
        window->head++;
        window->top = MAX_OF(window->top, window->head);
        if (!window_is_settled(window, window->head))
            window_settle(window, window->head, outcome);
    }
}
