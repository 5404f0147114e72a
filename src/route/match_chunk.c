/* match_chunk.c - matches each event of a chunk to the routes that want it, and puts it into their
 * channels.
 *
 * The matcher says for each event which routes want it. What is picked for a route is kept as runs
 * of events that follow each other. There is space for MAX_RUNS runs of all routes together, on the
 * stack. When it is used up everything is put, and picking goes on. So a chunk costs what is wanted
 * of it, and routes that want nothing cost nothing.
 *
 * A route gets its runs in few puts. Large runs go by reference, each by itself. Small runs that
 * come after each other go as one chunk, which holds copies of their events and lists their
 * sequences. */
#include "route/match_chunk.h"

#include "route/route_put.h"

/* Runs that are kept before they are put, and hits that are asked for at once. */
#define MAX_RUNS 512u
#define MAX_HITS 64u
#define RUN_NONE UINT32_MAX

/* A run smaller than this is copied where its chunk pins more than COPY_PINNED_TIMES its bytes. */
#define MAX_COPY_BYTES 1024u
#define COPY_PINNED_TIMES 4u

struct picks {
    struct chunk *chunk;
    struct put_waiter *waiter;
    struct route *routes; /* routes that something was picked for, linked by `next_picked` */
    uint32_t matched;     /* routes that took something of the chunk */
    uint32_t used;
    struct chunk_run runs[MAX_RUNS]; /* the last one of a route has RUN_NONE as its `next` */
};

static void put(struct picks *picks, struct route *route, struct chunk *chunk, uint32_t first, uint32_t last)
{
    if (route_put(route, chunk, first, last, picks->waiter) == ERR_CLOSED ||
        route->last_taken == picks->chunk->first_sequence)
        return;
    route->last_taken = picks->chunk->first_sequence;
    picks->matched++;
}

static uint32_t run_bytes(const struct picks *picks, const struct chunk_run *run)
{
    return chunk_bytes(picks->chunk, run->first, run->last);
}

static void put_run(struct picks *picks, struct route *route, const struct chunk_run *run)
{
    OWNED(chunk_release) struct chunk *copy = NULL;
    struct chunk *chunk = picks->chunk;
    uint32_t bytes = run_bytes(picks, run);

    /* Without memory for a copy a reference is put, which only pins more. */
    if (bytes < MAX_COPY_BYTES && chunk->pinned > (uint64_t)bytes * COPY_PINNED_TIMES &&
        chunk_copy(chunk, run->first, run->last, &copy) == ERR_OK)
        put(picks, route, copy, 0, run->last - run->first);
    else
        put(picks, route, chunk, run->first, run->last);
}

/* Puts small runs that come after each other, from `at` up to `end`, as one chunk. A put for each
 * would cost too much. Together they have so many events and bytes. */
static void put_coalesced(struct picks *picks, struct route *route, uint32_t at, uint32_t end,
                          uint32_t events, uint32_t bytes)
{
    OWNED(chunk_release) struct chunk *coalesced = NULL;

    if (picks->runs[at].next != end && (coalesced = chunk_picked(events, bytes))) {
        chunk_pick_runs(coalesced, picks->chunk, picks->runs, at, end);
        put(picks, route, coalesced, 0, coalesced->count);
        return;
    }
    for (; at != end; at = picks->runs[at].next)
        put_run(picks, route, &picks->runs[at]);
}

static void put_picked(struct picks *picks, struct route *route)
{
    uint32_t at = route->first_run;

    route->picked = false;
    if (at == route->last_run) {
        put_run(picks, route, &picks->runs[at]);
        return;
    }
    while (at != RUN_NONE) {
        uint32_t end = at, events = 0, bytes = 0;

        while (end != RUN_NONE && run_bytes(picks, &picks->runs[end]) < MAX_COPY_BYTES) {
            events += picks->runs[end].last - picks->runs[end].first;
            bytes += run_bytes(picks, &picks->runs[end]);
            end = picks->runs[end].next;
        }
        if (end != at) {
            put_coalesced(picks, route, at, end, events, bytes);
        } else {
            put_run(picks, route, &picks->runs[at]);
            end = picks->runs[at].next;
        }
        at = end;
    }
}

static void put_all(struct picks *picks)
{
    for (struct route *route = picks->routes; route; route = route->next_picked)
        put_picked(picks, route);
    picks->routes = NULL;
    picks->used = 0;
}

/* Adds an event to the last run of the route, or begins another run. */
static inline void pick(struct picks *picks, struct route *route, uint32_t event)
{
    struct chunk_run *last = &picks->runs[route->last_run];

    if (route->picked && last->last == event) {
        last->last++;
        return;
    }
    if (picks->used == MAX_RUNS)
        put_all(picks);
    if (route->picked) {
        last->next = picks->used;
    } else {
        route->picked = true;
        route->first_run = picks->used;
        route->next_picked = picks->routes;
        picks->routes = route;
    }
    picks->runs[picks->used] = (struct chunk_run){event, event + 1, RUN_NONE};
    route->last_run = picks->used++;
}

/* Picks the event for each route of the ring that the entry stands for, and that is `second` or is
 * not. */
static inline void pick_for_ring(struct picks *picks, const struct match_entry *entry, uint32_t event,
                                 bool second)
{
    const struct list *node = &entry->alike;

    do {
        struct route *route = container_of(node, const struct match_entry, alike)->owner;

        if (route->second == second)
            pick(picks, route, event);
        node = node->next;
    } while (node != &entry->alike);
}

uint32_t match_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter, bool second)
{
    struct match_pass pass = {0};
    SCRATCH struct match_hit hits[MAX_HITS];
    SCRATCH struct picks picks;

    picks.chunk = chunk;
    picks.waiter = waiter;
    picks.routes = NULL;
    picks.matched = 0;
    picks.used = 0;
    while (!match_pass_is_over(&pass, chunk)) {
        uint32_t count = matcher_match_chunk(inlet->matcher, chunk, &pass, hits, MAX_HITS);

        for (uint32_t i = 0; i < count; i++)
            pick_for_ring(&picks, hits[i].entry, hits[i].event, second);
    }
    put_all(&picks);
    return picks.matched;
}
