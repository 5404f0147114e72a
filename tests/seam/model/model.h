/* model.h - what the hub should do: sessions, consumers, and their activations, in a few plain
 * arrays.
 *
 * The model knows nothing of routes, contexts, locks or timers. Each step is made on the hub and on
 * the model. The model says which notices must follow, and what each consumer must read. Time is a
 * step too; it ends where something comes due. */
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
    int reason; /* an enum fault_reason, or an enum closing */
    int64_t deadline_ns;
    int64_t at_ns;   /* of notices that came: when */
    uint64_t number; /* of a START that came */
    bool may;        /* of expected notices: it may be missing */
};

#define MAX_NOTICES 256
struct notices {
    struct notice list[MAX_NOTICES];
    unsigned count;
};
void notice_add(struct notices *notices, struct notice notice);

/* What a session does when an activation is stopped. */
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
    int closing; /* an enum closing; 0: it does not end gently, so far */
    int held;
};

struct model_pair {
    enum { P_NONE, P_ACTIVE, P_STOPPING, P_RETRYING, P_ENDED } state;
    uint64_t number; /* as in start() */
    int64_t deadline_ns, started_ns;
    int64_t retry_from_ns, retry_until_ns;
    int failures;
};

struct model {
    struct model_session sessions[SESSIONS];
    struct model_consumer consumers[CONSUMERS];
    struct model_pair pairs[SESSIONS][CONSUMERS];
    int64_t forget_ns[NAMES];        /* when the transient producer is forgotten; 0: there is none */
    bool routes[SOURCES][CONSUMERS]; /* which consumers get a shared source's events */
    bool draining, emptied;
    int64_t now_ns;
    struct notices expected;
};

extern const char *const model_names[NAMES];

bool model_matches(const struct model_filter *filter, int name);
/* The session that has the name; -1: none. */
int model_holder(const struct model *model, int name);
/* There is an activation that accepts events. */
bool model_asked(const struct model *model, int session, int consumer);

/* ---- steps ---- */

void model_register(struct model *model, int session, const struct model_session *params, bool start_first);
void model_unregister(struct model *model, int session);
void model_end(struct model *model, int session, int consumer, bool failed);
void model_retried(struct model *model, int session, int consumer, int64_t at_ns);
void model_remove(struct model *model, int name, int64_t drain_ns);
void model_publish(struct model *model, int name); /* a whole call of a transient producer */

void model_subscribe(struct model *model, int consumer, const struct model_consumer *params);
void model_unsubscribe(struct model *model, int consumer, int reason);
void model_finish(struct model *model, int consumer, int reason, int64_t drain_ns);
void model_kick(struct model *model, int consumer);
void model_select(struct model *model, int consumer, struct model_filter filter);

void model_drain(struct model *model, int64_t drain_ns);
int64_t model_next(const struct model *model);        /* when something comes due; INT64_MAX: never */
void model_time(struct model *model, int64_t now_ns); /* at most model_next() */

#endif
