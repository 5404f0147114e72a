/* change_log.h - the latest changes of producers and subscriptions: one bounded log for all who
 * read it.
 *
 * Each change has a number and is kept once, however many read. A reader is a place in the log. The
 * log keeps at most MAX_CHANGES, which take at most MAX_CHANGE_BYTES. A reader that is farther
 * behind has missed the rest, and is told how many. While nobody reads nothing is kept.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_CHANGE_LOG_H
#define TRIBUTARY_HUB_CHANGE_LOG_H

#include "base/base.h"
#include "base/list.h"
#include "base/status.h"
#include "flow/producer_state.h"
#include "hub/session_port.h"

#define MAX_CHANGES 4096u
#define MAX_CHANGE_BYTES (UINT64_C(1) << 20)

struct loop;

/* Numbers as in the API's enum Change.Kind. */
enum change_kind { CHANGE_ADDED = 2, CHANGE_STATE = 3, CHANGE_REMOVED = 4 };

struct change {
    uint64_t number;
    int64_t wall_ns;
    enum change_kind kind;
    bool is_subscription;
    struct bytes name;  /* of the producer; of a subscription its id */
    const char *peer;   /* never NULL */
    const char *reason; /* CHANGE_REMOVED; static text */
    /* Of producers. */
    enum producer_state state;
    uint64_t epoch;
    bool is_session, is_endpoint, is_relayed, is_topic, per_consumer;
    struct session_failure failure; /* code 0: none */
    /* Of subscriptions. */
    struct bytes own_name;
    int64_t started_wall_ns;
};

struct change_log;
struct change_reader;

/* NULL: out of memory. */
struct change_log *change_log_new(struct loop *loop);
void change_log_free(struct change_log *log); /* no reader may be left. NULL is allowed */

/* Whether anybody reads. Otherwise changes need not be made. */
bool change_log_is_read(const struct change_log *log);
/* How many changes there were, kept or not. */
uint64_t change_log_count(const struct change_log *log);
/* Rises by 1 each time that the first reader comes. What was noted before may be stale. */
uint32_t change_log_period(const struct change_log *log);

/* Appends a change, which is copied, but for number and time, which the log sets. Where nobody
 * reads, and where memory or budget is used up, it only counts: then all readers have missed it. */
void change_log_add(struct change_log *log, const struct change *change);

/* Embedded. */
struct change_reader {
    struct list link; /* in log->waiting, or in no list */
    uint64_t next;    /* the number of the change that it reads next */
    /* There is something to read. Called in a later turn than change_log_wait(), once for it. It
     * may only start slices with loop_slice_later(). */
    void (*readable)(struct change_reader *reader);
};

/* Begins behind the latest change. ERR_NO_MEMORY: memory or budget is used up; nothing is begun. */
MUST_CHECK enum err change_log_begin(struct change_log *log, struct change_reader *reader);
void change_log_end(struct change_log *log, struct change_reader *reader);

/* How many changes the reader has missed since the last call; it goes on behind them. */
uint64_t change_log_missed(struct change_log *log, struct change_reader *reader);
/* The next change, valid until one is added; after change_log_missed(). NULL: there is none. */
const struct change *change_log_next(struct change_log *log, struct change_reader *reader);
/* Goes on behind the latest change. */
void change_log_skip(struct change_log *log, struct change_reader *reader);
/* Calls readable() when a change comes, or soon where one is there. */
void change_log_wait(struct change_log *log, struct change_reader *reader);

#endif
