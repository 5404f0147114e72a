/* fake_log.h - the log of one topic in memory, behind a topic_port, and its tail. The test decides
 * when a step of a reader is looked up, when it is answered, and when what was committed is
 * delivered. */
#ifndef TRIBUTARY_TESTS_SEAM_FAKE_LOG_H
#define TRIBUTARY_TESTS_SEAM_FAKE_LOG_H

#include "seam/hub_fixture.h"
#include "topic/live_topic.h"
#include "topic/read_turns.h"

#define FAKE_LOG_INCARNATION UINT64_C(7)

struct fake_log {
    struct hub_fixture *fixture;
    struct topic_port port;
    struct read_turns *turns;
    struct live_topic *topic; /* NULL: it was removed */
    struct fake_row *rows;    /* all that there ever were */
    size_t count, trimmed;
    uint64_t next_seq;
    uint64_t damaged;   /* the row that holds it is bad; 0: none */
    struct list asked;  /* steps, by topic_read.node */
    struct list looked; /* those that have been looked up */
    unsigned steps;     /* that were answered */
    bool answers_at_once;
    const struct topic_ancestor *ancestors;
    uint32_t ancestor_count;
};

/* The log is empty, and the topic "orders" is in the hub. */
void fake_log_open(struct fake_log *log, struct hub_fixture *fixture);
/* All steps were answered. */
void fake_log_close(struct fake_log *log);
void fake_log_remove_topic(struct fake_log *log);

/* Commits events of `origin`, whose keys are "0", "1" and so on, as one row. They are delivered by
 * fake_log_deliver(). Returns the sequence of the first one. */
uint64_t fake_log_commit(struct fake_log *log, uint32_t count, const char *origin);
/* The same; event i expires at expires_unix_nano[i]. NULL: none does. */
uint64_t fake_log_commit_expiring(struct fake_log *log, uint32_t count, const char *origin,
                                  const uint64_t *expires_unix_nano);
void fake_log_deliver(struct fake_log *log);
/* The first sequence that is kept. */
uint64_t fake_log_first(const struct fake_log *log);
/* The oldest row leaves. False: there is none. */
bool fake_log_trim(struct fake_log *log);

/* Looks up the oldest step that was asked for; answers the oldest that was looked up. False: there
 * is none. */
bool fake_log_query(struct fake_log *log);
bool fake_log_answer(struct fake_log *log);
/* Turns the loop and answers, until nothing is asked for. */
void fake_log_settle(struct fake_log *log);

#endif
