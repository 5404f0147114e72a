/* budget.h - pieces of the fast path as work that is repeated, so that its instructions can be
 * counted from outside.
 *
 * A case is a piece of work with a shape. Its rounds are run by budget_counted(), which is what
 * callgrind is told to collect; all else (making messages, reading channels empty, checking)
 * happens outside of it. A program runs one case at a time, so works keep their scene in static
 * variables. */
#ifndef TRIBUTARY_TESTS_BUDGET_BUDGET_H
#define TRIBUTARY_TESTS_BUDGET_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flow/chan.h"

#define MAX_BUDGET_OUTLETS 256u
#define MAX_BUDGET_SOURCES 8u
#define MAX_BUDGET_MESSAGES 64u

/* A batch as consumers get it who ask for nothing else. */
#define BUDGET_BATCH_EVENTS 4096u
#define BUDGET_BATCH_BYTES (256u << 10)

/* What stands in an event beside its 128 bytes of data. */
enum budget_text {
    BUDGET_DATA,     /* nothing */
    BUDGET_KEYED,    /* topic and key, one of eight in turn, or of as many as there are routes */
    BUDGET_DISTINCT, /* topic, and a key that no other event of the round has */
    BUDGET_ENVELOPE, /* every field, two headers; ASCII */
    BUDGET_WIDE      /* the same, with characters of two to four bytes in each text */
};

enum budget_filter { BUDGET_ALL, BUDGET_BY_KEY, BUDGET_BY_TOPIC };

struct budget_shape {
    uint32_t messages, events; /* in a round; in a message */
    enum budget_text text;
    uint32_t routes;
    enum budget_filter filter; /* every event is wanted by one route, or by all */
    enum overflow overflow;
    bool pausable;
    uint32_t sources; /* in turn, message by message */
    bool picked;      /* each chunk as a filter leaves it: copied, with a list of its sequences */
};

struct budget_work {
    void (*open)(const struct budget_shape *shape);
    void (*ready)(void);  /* before each round; NULL: nothing */
    void (*round)(void);  /* counted */
    void (*settle)(void); /* after each round: checks, and makes room for the next; NULL: nothing */
    void (*close)(void);
};

struct budget_case {
    const char *name;
    const struct budget_work *work;
    struct budget_shape shape;
};

extern const struct budget_work scan_work, route_work, chan_work;

/* The program: `NAME` runs one case, nothing runs all, and says of each how many events were counted; `--about` says how it was built.
 * Returns the exit status. */
int budget_main(const struct budget_case *cases, size_t count, int argc, char **argv);

/* ---- message.c ---- */

/* The bytes of message `number` of a round. The buffer is empty before. */
void budget_message(const struct budget_shape *shape, uint32_t number, struct buf *message);
/* The same as a chunk of its own memory; source and sequences are not set. */
struct chunk *budget_chunk(const struct budget_shape *shape, uint32_t number);

#endif
