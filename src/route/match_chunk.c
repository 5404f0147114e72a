/* match_chunk.c - matches each event of a chunk to the routes that want it, and puts it into their
 * channels.
 *
 * The matcher says for each event which routes want it. Routes that ask the same form a ring, and
 * what is picked for one of them, its leader, is put to all. It is kept as runs of events that
 * follow each other. There is space for MAX_RUNS runs of all rings together, on the stack. When it
 * is used up everything is put, and picking goes on. So a chunk costs what is wanted of it, and
 * routes that want nothing cost nothing.
 *
 * A ring gets its runs in few puts. Large runs go by reference, each by itself. Small runs that
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
    bool second;           /* it is for routes that are `second`, or for those that are not */
    struct route *leaders; /* of rings that something was picked for, linked by `next_picked` */
    uint32_t matched;      /* routes that took something of the chunk */
    uint32_t used;
    struct chunk_run runs[MAX_RUNS]; /* the last one of a ring has RUN_NONE as its `next` */
};

static struct route *route_of(const struct list *alike)
{
    return container_of(alike, const struct match_entry, alike)->owner;
}

/* Whether the ring has a route that the picks are for. */
static bool has_route(const struct picks *picks, const struct list *ring)
{
    const struct list *node = ring;

    while (route_of(node)->second != picks->second) {
        node = node->next;
        if (node == ring)
            return false;
    }
    return true;
}

static void put_to(struct picks *picks, struct route *route, struct chunk *chunk, uint32_t first,
                   uint32_t last)
{
    if (route_put(route, chunk, first, last, picks->waiter) == ERR_CLOSED ||
        route->last_taken == picks->chunk->first_sequence)
        return;
    route->last_taken = picks->chunk->first_sequence;
    picks->matched++;
}

/* Puts events of the chunk to the leader's ring. */
static void put(struct picks *picks, const struct route *leader, struct chunk *chunk, uint32_t first,
                uint32_t last)
{
    const struct list *const ring = &leader->entry->alike;
    const struct list *node = ring;

    do {
        struct route *route = route_of(node);

        if (route->second == picks->second)
            put_to(picks, route, chunk, first, last);
        node = node->next;
    } while (node != ring);
}

static uint32_t run_bytes(const struct picks *picks, const struct chunk_run *run)
{
    return chunk_bytes(picks->chunk, run->first, run->last);
}

static void put_run(struct picks *picks, const struct route *leader, const struct chunk_run *run)
{
    OWNED(chunk_release) struct chunk *copy = NULL;
    struct chunk *chunk = picks->chunk;
    uint32_t bytes = run_bytes(picks, run);

    /* Without memory for a copy a reference is put, which only pins more. */
    if (bytes < MAX_COPY_BYTES && chunk->pinned > (uint64_t)bytes * COPY_PINNED_TIMES &&
        chunk_copy(chunk, run->first, run->last, &copy) == ERR_OK)
        put(picks, leader, copy, 0, run->last - run->first);
    else
        put(picks, leader, chunk, run->first, run->last);
}

/* Puts small runs that come after each other, from `at` up to `end`, as one chunk. A put for each
 * would cost too much. Together they have so many events and bytes. */
static void put_coalesced(struct picks *picks, const struct route *leader, uint32_t at, uint32_t end,
                          uint32_t events, uint32_t bytes)
{
    OWNED(chunk_release) struct chunk *coalesced = NULL;

    if (picks->runs[at].next != end && (coalesced = chunk_picked(events, bytes))) {
        chunk_pick_runs(coalesced, picks->chunk, picks->runs, at, end);
        put(picks, leader, coalesced, 0, coalesced->count);
        return;
    }
    for (; at != end; at = picks->runs[at].next)
        put_run(picks, leader, &picks->runs[at]);
}

static void put_picked(struct picks *picks, struct route *leader)
{
    uint32_t at = leader->first_run;

    leader->picked = false;
    if (!has_route(picks, &leader->entry->alike))
        return;
    if (at == leader->last_run) {
        put_run(picks, leader, &picks->runs[at]);
        return;
    }
    while (at != RUN_NONE) {
        uint32_t end = at, events = 0, bytes = 0;

        for (; end != RUN_NONE; end = picks->runs[end].next) {
            const struct chunk_run *run = &picks->runs[end];
            const uint32_t more = run_bytes(picks, run);

            if (more >= MAX_COPY_BYTES)
                break;
            events += run->last - run->first;
            bytes += more;
        }
        if (end != at) {
            put_coalesced(picks, leader, at, end, events, bytes);
        } else {
            put_run(picks, leader, &picks->runs[at]);
            end = picks->runs[at].next;
        }
        at = end;
    }
}

static void put_all(struct picks *picks)
{
    for (struct route *leader = picks->leaders; leader; leader = leader->next_picked)
        put_picked(picks, leader);
    picks->leaders = NULL;
    picks->used = 0;
}

/* Adds an event to the last run of the leader's ring, or begins another run. */
static inline void pick(struct picks *picks, struct route *leader, uint32_t event)
{
    struct chunk_run *last = &picks->runs[leader->last_run];

    if (leader->picked && last->last == event) {
        last->last++;
        return;
    }
    if (picks->used == MAX_RUNS)
        put_all(picks);
    if (leader->picked) {
        last->next = picks->used;
    } else {
        leader->picked = true;
        leader->first_run = picks->used;
        leader->next_picked = picks->leaders;
        picks->leaders = leader;
    }
    picks->runs[picks->used] = (struct chunk_run){event, event + 1, RUN_NONE};
    leader->last_run = picks->used++;
}

uint32_t match_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter, bool second)
{
    struct match_pass pass = {0};
    SCRATCH struct match_hit hits[MAX_HITS];
    SCRATCH struct picks picks;

    picks.chunk = chunk;
    picks.waiter = waiter;
    picks.second = second;
    picks.leaders = NULL;
    picks.matched = 0;
    picks.used = 0;
    while (!match_pass_is_over(&pass, chunk)) {
        uint32_t count = matcher_match_chunk(inlet->matcher, chunk, &pass, hits, MAX_HITS);

        for (uint32_t i = 0; i < count; i++)
            pick(&picks, hits[i].entry->owner, hits[i].event);
    }
    put_all(&picks);
    return picks.matched;
}
