/* protocol.h - what a protocol does for the generator: connections that publish and connections
 * that receive.
 *
 * A producer lays out its message once, as a template. For each message that it sends, only the
 * marks are written anew. Every function calls load_fail() for what it finds wrong. */
#ifndef TRIBUTARY_TESTS_PROTOCOL_H
#define TRIBUTARY_TESTS_PROTOCOL_H

#include "bench/checker.h"
#include "bench/load.h"

/* A message with its framing. The mark of event i is at first_mark + i * mark_step. */
struct layout {
    uint8_t *bytes;
    size_t size, first_mark, mark_step;
    /* With a filter, `label_digits` digits hold number % consumers; they stand `label_before` bytes
     * before the mark. 0 digits: no filter. */
    size_t label_before, label_digits;
    size_t time_at; /* the event's time field is so far behind the mark; 0: it has none */
};

struct producer {
    struct load *load;
    uint32_t number;
    int fd;        /* to wait for; producer_read() may put another one in its place */
    uint64_t next; /* the next event's number */
    struct layout layout;
    bool ready;     /* may publish */
    bool pending;   /* output waits for the socket */
    bool finishing; /* will publish no more */
    bool done;      /* the server has received everything, and confirmed it if the protocol can */
};

struct consumer {
    struct checker checker;
    int fd;
    bool started; /* the consumer receives everything that is published from now on */
    bool pending; /* output waits for the socket */
};

struct protocol {
    const char *name;
    bool packs; /* a message may hold several events; otherwise one, whatever the plan says */
    const struct dialect *dialect; /* pubsub.c */

    /* Connects, lays out the message, and writes what is sent first. NULL: it failed. */
    struct producer *(*producer_new)(struct load *load, uint32_t number);
    /* Reads until the socket is empty. */
    void (*producer_read)(struct producer *producer);
    /* Returns where the next `layout.size` bytes go; NULL: the connection takes none now. */
    uint8_t *(*producer_reserve)(struct producer *producer);
    /* Writes what the socket takes, and sets `pending`. */
    void (*producer_flush)(struct producer *producer);
    /* Nothing more will be published. `done` follows. */
    void (*producer_finish)(struct producer *producer);
    void (*producer_free)(struct producer *producer);

    /* Connects and subscribes. NULL: it failed. */
    struct consumer *(*consumer_new)(struct load *load, uint32_t number);
    void (*consumer_read)(struct consumer *consumer); /* reads once, checks what came */
    void (*consumer_flush)(struct consumer *consumer);
    void (*consumer_free)(struct consumer *consumer);
};

extern const struct protocol protocol_tributary, protocol_dialled, protocol_raw, protocol_nats,
    protocol_redis;

#endif
