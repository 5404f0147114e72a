/* guard.h - pieces of the fast path as work that is repeated, so that its instructions can be counted from outside.
 *
 * A case is a piece of work with a shape. Its rounds are run by guard_counted(), which is what callgrind is told to collect; all else
 * (making messages, reading channels empty, checking) happens outside of it. A program runs one case at a time, so works keep their scene
 * in static variables. */
#ifndef TRIBUTARY_TESTS_GUARD_GUARD_H
#define TRIBUTARY_TESTS_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flow/chan.h"

#define GUARD_OUTLETS_MOST 256u
#define GUARD_SOURCES_MOST 8u
#define GUARD_MESSAGES_MOST 64u

/* A batch as consumers get it who ask for nothing else. */
#define GUARD_BATCH_EVENTS 4096u
#define GUARD_BATCH_BYTES (256u << 10)

/* What stands in an event beside its 128 bytes of data. */
enum guard_text {
    GUARD_DATA,     /* nothing */
    GUARD_KEYED,    /* topic and key, one of eight in turn, or of as many as there are outlets */
    GUARD_DISTINCT, /* topic, and a key that no other event of the round has */
    GUARD_ENVELOPE, /* every field, two headers; ASCII */
    GUARD_WIDE      /* the same, with characters of two to four bytes in each text */
};

enum guard_filter { GUARD_ALL, GUARD_BY_KEY, GUARD_BY_TOPIC };

struct guard_shape {
    uint32_t messages, events; /* in a round; in a message */
    enum guard_text text;
    uint32_t outlets;
    enum guard_filter filter; /* every event is wanted by one outlet, or by all */
    enum overflow overflow;
    bool paced;
    uint32_t sources; /* in turn, message by message */
    bool picked;      /* each chunk as a filter leaves it: copied, with a list of its sequences */
};

struct guard_work {
    void (*open)(const struct guard_shape *shape);
    void (*ready)(void);  /* before each round; NULL: nothing */
    void (*round)(void);  /* counted */
    void (*settle)(void); /* after each round: checks, and makes room for the next; NULL: nothing */
    void (*close)(void);
};

struct guard_case {
    const char *name;
    const struct guard_work *work;
    struct guard_shape shape;
};

extern const struct guard_work scan_work, route_work, chan_work;

/* The program: `NAME` runs one case, nothing runs all, and says of each how many events were counted; `--about` says how it was built.
 * Returns the exit status. */
int guard_main(const struct guard_case *cases, size_t count, int argc, char **argv);

/* ---- message.c ---- */

/* The bytes of message `number` of a round. The buffer is empty before. */
void guard_message(const struct guard_shape *shape, uint32_t number, struct buf *message);
/* The same as a chunk of its own memory; source and sequences are not set. */
struct chunk *guard_chunk(const struct guard_shape *shape, uint32_t number);

#endif
