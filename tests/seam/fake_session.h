/* fake_session.h - a session that the test plays: it writes down what it is notified of, and reacts
 * as the test has set it up. */
#ifndef TRIBUTARY_TESTS_SEAM_FAKE_SESSION_H
#define TRIBUTARY_TESTS_SEAM_FAKE_SESSION_H

#include "hub/session.h"
#include "seam/hub_fixture.h"

struct fake_session {
    struct hub_fixture *fixture;
    unsigned number;                /* in the transcript */
    struct session *session;        /* NULL: it was refused, or it has left */
    struct fault fault;             /* why it was refused, or aborted */
    struct session_failure failure; /* what it answers when it is asked for the last one */
    struct put_waiter waiter;
    struct session *offered; /* where the last put went: its waiter keeps it, also when it has left */
    uint64_t offered_to;     /* the activation */
    struct task unblocked;   /* posted when the wait of an activation is over, as users do */
    bool unblocks;           /* it is posted */
    struct offer offer;      /* of the last put */
    unsigned over;
    bool waits; /* offers to activations have the waiter: BY_REQUEST */
    /* What it was notified of. */
    struct buf transcript;
    uint64_t epoch;
    uint64_t latest; /* the number of the latest activation */
    char subscription[32];
    int64_t start_deadline_ns;
    unsigned welcomes, starts, stops, pauses, resumes, closings, aborts;
    /* How it reacts, from within the port. */
    bool ends_at_start, ends_at_stop; /* session_end() with OK */
    bool leaves_at_stop, leaves_at_closing, leaves_at_abort;
};

struct session_params fake_session_params(const char *name, enum session_mode mode);
enum fault_reason fake_session_try(struct fake_session *session, struct hub_fixture *fixture,
                                   struct session_params params);
/* Registers; it must not be refused. */
void fake_session_join(struct fake_session *session, struct hub_fixture *fixture,
                       struct session_params params);

/* Everything that it was notified of since the last call, separated by commas: `welcome`, `start N
 * "REQUEST"`, `stop N REASON in MS` (`now` where it has ended already), `pause N`, `resume N`,
 * `closing REASON in MS`, `abort REASON`. The text is valid until the next call. */
const char *fake_session_transcript(struct fake_session *session);

/* Publishes `count` events of topic `t`. Activation 0: to all consumers. */
enum err fake_session_put(struct fake_session *session, uint64_t activation, uint32_t count);
/* Publishes chunk_of_letters(). */
enum err fake_session_put_topics(struct fake_session *session, uint64_t activation, const char *topics);
void fake_session_end(struct fake_session *session, uint64_t activation, enum fault_code code,
                      const char *message);
void fake_session_end_by(struct fake_session *session, uint64_t activation, enum fault_code code,
                         enum session_end_rule rule);
void fake_session_report(struct fake_session *session, uint64_t activation, enum producer_state state,
                         uint32_t code, const char *message);
/* Calling it twice is harmless. The transcript stays until it joins again. */
void fake_session_leave(struct fake_session *session, enum fault_reason reason);
void fake_session_fini(struct fake_session *session); /* leaves, if it has not left */

#endif
