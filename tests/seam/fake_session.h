/* actor.h - a producer that dialled in, played by the test: it writes down what it is told, and
 * does as it was bidden. */
#ifndef TRIBUTARY_TESTS_SEAM_FAKE_SESSION_H
#define TRIBUTARY_TESTS_SEAM_FAKE_SESSION_H

#include "hub/session.h"
#include "seam/hub_fixture.h"

struct fake_session {
    struct hub_fixture *fixture;
    struct session *session; /* NULL: refused, or it has left */
    struct fault fault;      /* why it was refused, or cut */
    struct put_waiter waiter;
    struct offer offer; /* the last answer */
    unsigned over;
    /* What it was told. */
    struct buf transcript;
    uint64_t epoch;
    uint64_t latest; /* the number of the latest activation */
    char subscription[32];
    int64_t start_deadline_ns;
    unsigned welcomes, starts, stops, pauses, resumes, closings, aborts;
    /* What it does from within. */
    bool ends_at_start, ends_at_stop; /* session_end() with OK */
    bool leaves_at_stop, leaves_at_closing, leaves_at_abort;
};

struct session_params fake_session_params(const char *name, enum session_mode mode);
enum fault_reason fake_session_try(struct fake_session *session, struct hub_fixture *fixture,
                                   struct session_params params);
/* must not be refused */
void fake_session_join(struct fake_session *session, struct hub_fixture *fixture,
                       struct session_params params);

/* Everything it was told since it was asked last, with commas: `welcome`, `start N "REQUEST"`,
 * `stop N WHY in MS` (`now` where it is cut already), `pause N`, `resume N`, `closing WHY in MS`,
 * `cut WHY`. Valid until the next call. */
const char *fake_session_transcript(struct fake_session *session);

/* Publishes `count` events of topic `t`; activation 0: for all. */
enum err fake_session_put(struct fake_session *session, uint64_t activation, uint32_t count);
/* as chunk_of_letters() */
enum err fake_session_put_topics(struct fake_session *session, uint64_t activation, const char *topics);
void fake_session_end(struct fake_session *session, uint64_t activation, enum fault_code code,
                      const char *message);
/* idempotent; what it heard can still be asked for, until it joins again */
void fake_session_leave(struct fake_session *session, enum fault_reason reason);
void fake_session_fini(struct fake_session *session); /* leaves, where it has not */

#endif
