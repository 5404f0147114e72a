/* model.h - what should happen: sessions, consumers, and who is asked for whom, in a few arrays and
 * plain words.
 *
 * It knows nothing of routes, contexts, locks or timers. Each verb is told to it beside the hub; it
 * says which notices must follow, and what each consumer must read. Time is told too, in steps that
 * end where something of its own comes due. */
#ifndef TRIBUTARY_TESTS_SEAM_MODEL_MODEL_H
#define TRIBUTARY_TESTS_SEAM_MODEL_MODEL_H

#include <stdbool.h>

#include "base/clock.h"
#include "event/filter.h"
#include "hub/subscription_port.h"

#define SESSIONS 6
#define CONSUMERS 5
#define NAMES 3
#define SOURCES (SESSIONS + NAMES) /* of shared events: a session, or the transient producer of a name */

#define FORGET_NS (10 * NS_PER_S)

struct notice {
    enum kind { WELCOME, START, STOP, CLOSING, ABORT, CONSUMER_CLOSING, CONSUMER_ABORT } kind;
    int session, consumer;
    int reason; /* a fault_reason, or an enum closing */
    int64_t deadline_ns;
    int64_t at_ns;   /* actual ones: when it came */
    uint64_t number; /* actual ones of START */
    bool may;        /* expected ones: it need not come */
};

#define MAX_NOTICES 256
struct notices {
    struct notice list[MAX_NOTICES];
    unsigned count;
};
void notice_add(struct notices *notices, struct notice notice);

/* What a session does when it is told something. */
enum at_stop { IGNORES, ENDS, LEAVES };

struct model_session {
    enum { S_NONE, S_WAITING, S_LIVE, S_CLOSING, S_GONE } life;
    int name;
    bool per_consumer, named;
    bool ends_at_start, leaves_at_closing, leaves_at_abort;
    enum at_stop at_stop;
    int successor, predecessor; /* -1: none */
    int reason;
    int64_t deadline_ns;
};

struct model_filter {
    const char *producers; /* a pattern */
    const char *topic;     /* NULL: all */
};

struct model_consumer {
    enum { C_NONE, C_LIVE, C_DRAINING, C_CLOSED } life;
    struct model_filter filter;
    bool ends, begun, leaves_at_end;
    int64_t own_deadline_ns, deadline_ns;
    int closing; /* an enum closing; 0: not so far */
    int held;
};

struct model_pair {
    enum { P_NONE, P_ACTIVE, P_STOPPING, P_RETRYING, P_ENDED } state;
    uint64_t number; /* as the session was told */
    int64_t deadline_ns, started_ns;
    int64_t retry_from_ns, retry_until_ns;
    int failures;
};

struct model {
    struct model_session sessions[SESSIONS];
    struct model_consumer consumers[CONSUMERS];
    struct model_pair pairs[SESSIONS][CONSUMERS];
    int64_t forget_ns[NAMES];        /* of transient producers; 0: there is none */
    bool routes[SOURCES][CONSUMERS]; /* who gets a shared source's events */
    bool draining, emptied;
    int64_t now_ns;
    struct notices expected;
};

extern const char *const model_names[NAMES];

bool model_matches(const struct model_filter *filter, int name);
/* the session that has it; -1: none */
int model_holder(const struct model *model, int name);
/* an activation that takes events is there */
bool model_asked(const struct model *model, int session, int consumer);

/* ---- verbs ---- */

void model_register(struct model *model, int session, const struct model_session *params, bool start_first);
void model_unregister(struct model *model, int session);
void model_end(struct model *model, int session, int consumer, bool failed);
void model_retried(struct model *model, int session, int consumer, int64_t at_ns);
void model_remove(struct model *model, int name, int64_t drain_ns);
void model_publish(struct model *model, int name); /* a transient producer's call, from beginning to end */

void model_subscribe(struct model *model, int consumer, const struct model_consumer *params);
void model_unsubscribe(struct model *model, int consumer, int reason);
void model_finish(struct model *model, int consumer, int reason, int64_t drain_ns);
void model_kick(struct model *model, int consumer);
void model_select(struct model *model, int consumer, struct model_filter filter);

void model_drain(struct model *model, int64_t drain_ns);
int64_t model_next(const struct model *model);        /* when something comes due; INT64_MAX: nothing does */
void model_time(struct model *model, int64_t now_ns); /* at most model_next() */

#endif
