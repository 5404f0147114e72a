/* budget.h - pieces of the fast path as jobs that run many times, so that callgrind can count their
 * instructions from outside.
 *
 * A case is a job with a shape. budget_counted() runs its rounds, and callgrind collects only what
 * runs inside of that function. Everything else (making messages, emptying channels, checks) runs
 * outside of it. A program runs one case at a time, so each job keeps its state in a static
 * variable. */
#ifndef TRIBUTARY_TESTS_BUDGET_BUDGET_H
#define TRIBUTARY_TESTS_BUDGET_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flow/chan.h"

#define MAX_BUDGET_ROUTES 256u
#define MAX_BUDGET_SOURCES 8u
#define MAX_BUDGET_MESSAGES 64u

/* The default bounds of a consumer's batch. */
#define BUDGET_BATCH_EVENTS 4096u
#define BUDGET_BATCH_BYTES (256u << 10)

/* What an event has besides its 128 bytes of data. BUDGET_BARE: a key, and no data. */
enum budget_text {
    BUDGET_DATA,     /* nothing */
    BUDGET_KEYED,    /* topic and key, each one of 8 in turn, or of as many as there are routes */
    BUDGET_DISTINCT, /* topic, and a key that no other event of the round has */
    BUDGET_ENVELOPE, /* every text, two times, two headers; ASCII */
    BUDGET_WIDE,     /* the same, with characters of two to four bytes in each text */
    BUDGET_BARE
};

enum budget_filter { BUDGET_ALL, BUDGET_BY_KEY, BUDGET_BY_TOPIC };

struct budget_shape {
    uint32_t messages; /* of a round */
    uint32_t events;   /* of a message */
    enum budget_text text;
    uint32_t routes;
    enum budget_filter filter; /* one route wants each event; BUDGET_ALL: all of them do */
    uint32_t alike;            /* so many routes have the same filter; 0: one */
    enum overflow overflow;
    bool pausable;
    uint32_t sources; /* the messages come from them in turn */
    bool busy;        /* the wire thread is: small messages are coalesced */
    bool picked;      /* each chunk is one that a filter picked: a copy with a list of sequences */
};

struct budget_job {
    void (*open)(const struct budget_shape *shape);
    void (*ready)(void);  /* before each round; NULL: nothing */
    void (*round)(void);  /* counted */
    void (*finish)(void); /* after each round: checks, and prepares the next; NULL: nothing */
    void (*close)(void);
};

struct budget_case {
    const char *name;
    const struct budget_job *job;
    struct budget_shape shape;
};

extern const struct budget_job scan_job, route_job, chan_job;
extern const struct budget_job guard_large_job, guard_small_job, guard_updates_job, guard_out_job;

/* The program. `NAME` runs one case. Without an argument it runs all of them, and prints how many
 * events each has counted. `--about` prints how it was built. Returns the exit status. */
int budget_main(const struct budget_case *cases, size_t count, int argc, char **argv);

/* ---- message.c ---- */

/* Writes message `number` of a round into an empty buffer. */
void budget_message(const struct budget_shape *shape, uint32_t number, struct buf *message);

/* The same message as a chunk of its own memory. Source and sequences are not set. */
struct chunk *budget_chunk(const struct budget_shape *shape, uint32_t number);

#endif
