/* plan.h - the plan of one run of the generator, as its command line gives it. */
#ifndef TRIBUTARY_TESTS_PLAN_H
#define TRIBUTARY_TESTS_PLAN_H

#include <stdbool.h>

#include "base/base.h"

enum {
    MAX_PLAN_PRODUCERS = 1024,
    MAX_PLAN_CONSUMERS = 1024,
    MAX_PLAN_IDLE = 10000,
    MIN_PLAN_PAYLOAD = 16, /* a mark */
    MAX_PLAN_MESSAGE = 128 << 10,
    PLAN_ROUND_EVENTS = 256 /* the most in one write of a producer, in the closed loop */
};

enum filter { FILTER_NONE, FILTER_KEY, FILTER_TYPE, FILTER_TOPIC };
enum overflow {
    OVERFLOW_BLOCK = 1,
    OVERFLOW_DROP_OLDEST,
    OVERFLOW_DROP_NEWEST,
    OVERFLOW_DISCONNECT,
    OVERFLOW_LATEST_PER_KEY
}; /* numbers as in the API */

/* How the server dials the producers, and what it makes of their messages. */
enum endpoint { ENDPOINT_SHARED, ENDPOINT_PER_CONSUMER, ENDPOINT_RAW };

struct protocol;

struct plan {
    const struct protocol *protocol;
    const char *server; /* HOST:PORT or unix:PATH */
    int server_pid;
    int run;                       /* our process: makes the names of this run unlike those of other runs */
    uint32_t producers, consumers; /* the flooder is one of the producers, the last one */
    uint32_t per_message;          /* events */
    uint32_t payload_bytes;        /* of each event */
    uint32_t in_flight;            /* closed loop: the most events published and not yet arrived */
    double rate;                   /* open loop: events per second over all producers; 0: closed loop */
    uint32_t warm_up_ms;
    int64_t measure_ns;
    enum filter filter;
    enum overflow overflow;
    enum endpoint endpoint; /* with the protocol dialled */
    uint32_t stalled;       /* how many of the last consumers stop reading when the measured time begins */
    bool idle;
    uint32_t flood; /* events in a message of the flooder; 0: there is no flooder */
    /* The last consumer receives what the flooder publishes and nothing else. The other consumers
     * do not receive it. */
    bool flood_apart;
    bool timed;              /* events have a time, behind their payload */
    uint32_t sort_window_ms; /* consumers get events in the order of their times; 0: as they come */
    uint32_t patience_s;     /* the run fails when nothing has moved for so long */
};

/* Whether the producer is the flooder: it publishes as fast as its connection takes messages. */
static inline bool plan_floods(const struct plan *plan, uint32_t producer)
{
    return plan->flood && producer == plan->producers - 1;
}

/* How many events a message of the producer has. */
static inline uint32_t plan_message_events(const struct plan *plan, uint32_t producer)
{
    return plan_floods(plan, producer) ? plan->flood : plan->per_message;
}

/* The bytes of an event behind its payload: its time, a fixed64 in field 7. */
#define PLAN_TIME_BYTES 9u
static inline uint32_t plan_tail_bytes(const struct plan *plan)
{
    return plan->timed ? PLAN_TIME_BYTES : 0;
}

/* Whether the consumer receives what the producer publishes. */
static inline bool plan_delivers(const struct plan *plan, uint32_t producer, uint32_t consumer)
{
    return !plan->flood_apart || plan_floods(plan, producer) == (consumer == plan->consumers - 1);
}

/* Reads the command line. False: *plan_out is unchanged, and `wrong` says what is wrong. */
MUST_CHECK bool plan_read(int argc, char **argv, struct plan *plan_out, char *wrong, size_t capacity);
extern const char plan_usage[];

#endif
