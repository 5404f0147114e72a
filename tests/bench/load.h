/* load.h - the load generator: publishers and a subscriber that share one thread, so what is in flight is known without asking anybody.
 *
 * Every payload carries its time, its producer and its number; the subscriber checks every sequence number and every payload. */
#ifndef TRIBUTARY_TESTS_LOAD_H
#define TRIBUTARY_TESTS_LOAD_H

#include <stdbool.h>

#include "base/base.h"
#include "lib/h2/h2.h"

enum { LOAD_PUBLISHERS_MOST = 64, LOAD_PAYLOAD_LEAST = 24, LOAD_NAME_BYTES = 32 };

/* A producer's name: our process, so that no earlier run's sequences go on, and the publisher's number. */
#define LOAD_NAME "load%d.%u"

struct load_plan {
    const char *server;
    uint32_t publishers;
    uint32_t per_message;    /* events */
    uint32_t payload_bytes;  /* at least LOAD_PAYLOAD_LEAST */
    uint32_t in_flight_most; /* events published and not yet received */
};

/* What both sides know. The first failure stays; a run with one is no result. */
struct load {
    struct load_plan plan;
    uint64_t published, received;
    int process;   /* in the producers' names */
    bool stopping; /* publish no more */
    char failure[512];
};

void load_fail(struct load *load, const char *text, ...) PRINTF_LIKE(2, 3);

/* The head of every payload; the rest is filler. */
struct load_mark {
    uint64_t time_ns;
    uint64_t producer;
    uint64_t number; /* from 0; the sequence is number + 1 */
};

/* ---- a publisher: one connection, one PublishStream ---- */

struct publisher;
struct publisher *publisher_new(struct load *load, uint32_t number); /* NULL, with load->failure, when it cannot connect */
void publisher_free(struct publisher *publisher);
struct h2 *publisher_connection(struct publisher *publisher);
void publisher_publish(struct publisher *publisher); /* as many messages as bounds and windows allow; half-closes when stopping */
bool publisher_done(const struct publisher *publisher);

/* ---- the subscriber: one connection, one Subscribe to everything ---- */

struct subscriber;
struct subscriber *subscriber_new(struct load *load);
void subscriber_free(struct subscriber *subscriber);
struct h2 *subscriber_connection(struct subscriber *subscriber);
bool subscriber_started(const struct subscriber *subscriber);
uint64_t subscriber_bytes(const struct subscriber *subscriber); /* of messages received */
uint64_t subscriber_messages(const struct subscriber *subscriber);

/* ---- gRPC's framing of messages, gathered from pieces ---- */

struct gather {
    uint8_t *bytes;
    size_t size, room;
};
void gather_fini(struct gather *gather);
/* Adds a piece; calls `each` for every message that is whole now. False: out of memory, or a compressed message. */
MUST_CHECK bool gather_add(struct gather *gather, struct bytes piece, void (*each)(void *ctx, struct bytes message), void *ctx);

/* Walks the fields of a protobuf message: number and wire type into *tag_out, a length-delimited value into *value_out, any other into
 * *number_out. False at the end; `at` NULL then means malformed. */
struct walk {
    const uint8_t *at, *end;
};
bool walk_next(struct walk *walk, uint64_t *tag_out, uint64_t *number_out, struct bytes *value_out);

#endif
