/* pick.c - what the filters want of a chunk, and how it comes to their channels.
 *
 * Event by event the sieve says who wants it. What is picked for an outlet is kept as runs of events that follow each other, in room for
 * RUNS_MOST of them all together, on the stack; where that is used up everything is put, and picking goes on. So a chunk costs
 * what is wanted of it, and outlets that want nothing cost nothing.
 *
 * An outlet gets its runs in few puts: large runs by reference, each by itself, and small ones that come after each other as one chunk,
 * which holds copies of their events and lists their sequences. */
#include "hub/inlet.h"

/* Runs that are kept before they are put. */
#define RUNS_MOST 512u
#define RUN_NONE UINT32_MAX

/* A run smaller than this is copied where its chunk pins more than so many times its bytes. */
#define COPY_BYTES_MOST 1024u
#define COPY_PINNED_TIMES 4u

struct run {
    uint32_t first, last; /* events */
    uint32_t next;        /* of the same outlet; RUN_NONE: the last */
};

struct picks {
    struct chunk *chunk;
    struct stall *stall;
    struct outlet *outlets; /* for whom something was picked, by `next_picked` */
    uint32_t matched;       /* outlets that took something of the chunk */
    uint32_t used;
    struct run runs[RUNS_MOST];
};

static void put(struct picks *picks, struct outlet *outlet, struct chunk *chunk, uint32_t first, uint32_t last)
{
    if (chan_put(outlet->chan, outlet->feed, chunk, first, last, picks->stall) == ERR_CLOSED ||
        outlet->took == picks->chunk->first_sequence)
        return;
    outlet->took = picks->chunk->first_sequence;
    picks->matched++;
}

static uint32_t run_bytes(const struct picks *picks, const struct run *run)
{
    return chunk_bytes(picks->chunk, run->first, run->last);
}

static void put_run(struct picks *picks, struct outlet *outlet, const struct run *run)
{
    OWNED(chunk_release) struct chunk *copy = NULL;
    struct chunk *chunk = picks->chunk;
    uint32_t bytes = run_bytes(picks, run);

    /* Without memory for a copy, the reference does as well: it only pins more. */
    if (bytes < COPY_BYTES_MOST && chunk->pinned > (uint64_t)bytes * COPY_PINNED_TIMES &&
        chunk_copy(chunk, run->first, run->last, &copy) == ERR_OK)
        put(picks, outlet, copy, 0, run->last - run->first);
    else
        put(picks, outlet, chunk, run->first, run->last);
}

/* Small runs that come after each other, from `at` up to `end`: as one chunk, for what a put costs is not worth it for each. */
static void put_together(struct picks *picks, struct outlet *outlet, uint32_t at, uint32_t end)
{
    OWNED(chunk_release) struct chunk *together = NULL;
    uint32_t events = 0, bytes = 0;

    for (uint32_t i = at; i != end; i = picks->runs[i].next) {
        events += picks->runs[i].last - picks->runs[i].first;
        bytes += run_bytes(picks, &picks->runs[i]);
    }
    together = picks->runs[at].next != end ? chunk_picked(events, bytes) : NULL;
    for (; at != end; at = picks->runs[at].next) {
        if (together)
            chunk_pick(together, picks->chunk, picks->runs[at].first, picks->runs[at].last);
        else
            put_run(picks, outlet, &picks->runs[at]);
    }
    if (together)
        put(picks, outlet, together, 0, together->count);
}

static void put_picked(struct picks *picks, struct outlet *outlet)
{
    uint32_t at = outlet->first_run;

    outlet->picked = false;
    if (at == outlet->last_run) {
        put_run(picks, outlet, &picks->runs[at]);
        return;
    }
    while (at != RUN_NONE) {
        uint32_t end = at;

        while (end != RUN_NONE && run_bytes(picks, &picks->runs[end]) < COPY_BYTES_MOST)
            end = picks->runs[end].next;
        if (end != at) {
            put_together(picks, outlet, at, end);
        } else {
            put_run(picks, outlet, &picks->runs[at]);
            end = picks->runs[at].next;
        }
        at = end;
    }
}

static void put_all(struct picks *picks)
{
    for (struct outlet *outlet = picks->outlets; outlet; outlet = outlet->next_picked)
        put_picked(picks, outlet);
    picks->outlets = NULL;
    picks->used = 0;
}

/* The last run of the outlet grows, or another one begins. */
static void pick(struct picks *picks, struct outlet *outlet, uint32_t event)
{
    if (outlet->picked && picks->runs[outlet->last_run].last == event) {
        picks->runs[outlet->last_run].last++;
        return;
    }
    if (picks->used == RUNS_MOST)
        put_all(picks);
    picks->runs[picks->used] = (struct run){event, event + 1, RUN_NONE};
    if (outlet->picked) {
        picks->runs[outlet->last_run].next = picks->used;
    } else {
        outlet->picked = true;
        outlet->first_run = picks->used;
        outlet->next_picked = picks->outlets;
        picks->outlets = outlet;
    }
    outlet->last_run = picks->used++;
}

uint32_t pick_events(struct inlet *inlet, struct chunk *chunk, struct stall *stall)
{
    SCRATCH struct picks picks;

    picks.chunk = chunk;
    picks.stall = stall;
    picks.outlets = NULL;
    picks.matched = 0;
    picks.used = 0;
    for (uint32_t event = 0; event < chunk->count; event++) {
        struct sieve_seat *hit = sieve_event(inlet->sieve, chunk_range(chunk, event, event + 1));

        for (; hit; hit = hit->next_hit) {
            struct list *node = &hit->alike;

            do {
                pick(&picks, container_of(node, struct sieve_seat, alike)->owner, event);
                node = node->next;
            } while (node != &hit->alike);
        }
    }
    put_all(&picks);
    return picks.matched;
}
