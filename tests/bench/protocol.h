/* protocol.h - what a protocol does for the generator: connections that publish, connections that
 * receive.
 *
 * A producer's message is laid out once, as a template; for each one sent only the marks are
 * written anew. Every function that finds something wrong tells load_fail(). */
#ifndef TRIBUTARY_TESTS_PROTOCOL_H
#define TRIBUTARY_TESTS_PROTOCOL_H

#include "bench/checker.h"
#include "bench/load.h"

/* A message with its framing; event i's mark is at first_mark + i * mark_step. */
struct layout {
    uint8_t *bytes;
    size_t size, first_mark, mark_step;
    /* filters: so many digits, so far before the mark, hold number % consumers; 0 digits: none */
    size_t label_before, label_digits;
};

struct producer {
    struct load *load;
    uint32_t number;
    int fd;
    uint64_t next; /* the next event's number */
    struct layout layout;
    bool ready;     /* may publish */
    bool pending;   /* output waits for the socket */
    bool finishing; /* will publish no more */
    bool done;      /* the server has taken everything, and said so where the protocol can */
};

struct consumer {
    struct checker checker;
    int fd;
    bool started; /* what is published from now on arrives */
    bool pending; /* output waits for the socket */
};

struct protocol {
    const char *name;
    bool packs;                    /* several events in one message; otherwise one, whatever the plan says */
    const struct dialect *dialect; /* pubsub.c */

    /* Connects, lays out its message, and notes what is to be said first. NULL: failed. */
    struct producer *(*producer_new)(struct load *load, uint32_t number);
    /* Reads until nothing more is there. */
    void (*producer_read)(struct producer *producer);
    /* Where the next `layout.size` bytes go; NULL: there is no room now. */
    uint8_t *(*producer_room)(struct producer *producer);
    /* Writes what it can; sets `pending`. */
    void (*producer_flush)(struct producer *producer);
    /* Nothing more is published: `done` will follow. */
    void (*producer_finish)(struct producer *producer);
    void (*producer_free)(struct producer *producer);

    /* Connects and subscribes. NULL: failed. */
    struct consumer *(*consumer_new)(struct load *load, uint32_t number);
    void (*consumer_read)(struct consumer *consumer); /* reads once, checks what came */
    void (*consumer_flush)(struct consumer *consumer);
    void (*consumer_free)(struct consumer *consumer);
};

extern const struct protocol protocol_tributary, protocol_raw, protocol_nats, protocol_redis;

#endif
