/* worker_state.h - the inside of a worker.
 *
 *   worker.c         what any thread may call
 *   worker_make.c    options; making and freeing
 *   worker_state.c   its states
 *   worker_hello.c   the first message
 *   worker_stream.c  the call: client thread
 *   worker_orders.c  what the server orders: client thread
 *   work.c           one batch: threads of the pool
 *   work_result.c    what callbacks may call for a batch
 *   worker_report.c  what is sent about batches */
#ifndef TRIBUTARY_CLIENT_WORKER_STATE_H
#define TRIBUTARY_CLIENT_WORKER_STATE_H

#include "base/map.h"
#include "client/lib/batch/pool.h"
#include "client/lib/core/client.h"
#include "client/lib/core/stream.h"
#include "client/lib/processor/packed.h"

struct fsm;
struct order;

#define MAX_WORKER_BATCHES 10000u

/*   OPENING --welcome--> LIVE --finish, closing--> LEAVING
 *    ^  |                 |                          |
 *  timer| lost, late      | lost                     | lost, closed
 *    |  v                 v                          v
 *   BACKOFF <-------------+<-----------closing-------+
 *   Every state with a call can be cancelled: CANCELLING. Where no call is left and none follows,
 *   STOPPING waits for the batches, and ENDED follows. */
enum worker_state {
    WORKER_OPENING,
    WORKER_LIVE,
    WORKER_LEAVING,
    WORKER_BACKOFF,
    WORKER_CANCELLING,
    WORKER_STOPPING,
    WORKER_ENDED
};

struct tributary_worker {
    /* Set once. */
    struct tributary *client;
    struct tributary_worker_options options; /* defaults filled in; without the texts */
    char *processor;
    struct pool pool;

    /* Client thread only. */
    enum worker_state state;
    struct stream stream;
    /* BACKOFF: the next attempt. OPENING: the limit for the welcome. LEAVING: the limit for the
     * batches. */
    struct cq_timer retry;
    uint32_t attempt;
    bool hello_sent;
    bool welcomed; /* at least once: the name is this worker's */
    bool draining_sent;
    bool finishing;               /* the end is the program's; otherwise it is the server's */
    char name[257];               /* empty: none yet */
    struct tributary_status last; /* how the last stream ended */
    struct list jobs;             /* to be added to the pool, once the lock is free */

    struct post begin, work, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t life;         /* of the stream: what batches of an earlier one report is dropped */
    struct map by_number;  /* batches of this stream */
    struct map by_key;     /* those that are worked on, of any stream */
    struct list batches;   /* all of them */
    uint32_t batch_count;  /* all of them */
    struct packed reports; /* to be sent */
    bool idle;             /* the next report must wake the client thread */
    bool no_memory;        /* for a report: the stream must end */
    bool wants_finish, wants_cancel, is_freed;
    int64_t drain_ns;
    bool ended;    /* ended() has returned, and `final` is set */
    bool released; /* nothing on the client thread refers to the worker any more */
    struct tributary_status final;
    struct tributary_worker_stats stats;
};

/* worker_hello.c. Writes the first message of a stream. */
void worker_write_hello(const struct tributary_worker *worker, struct buf *request);

/* worker_stream.c. */
void worker_stream_init(struct tributary_worker *worker);

#define WORKER_STATUS_LIMIT_NS (5 * NS_PER_S) /* for the server's status after its deadline */

/* worker_state.c. Client thread. */
extern const struct fsm worker_machine;
/* The server has welcomed the worker, or ends. */
void worker_welcomed(struct tributary_worker *worker, struct bytes name);
void worker_closing(struct tributary_worker *worker, int64_t deadline_ns);
/* From now on it leaves: batches are finished for at most `limit_ns`. */
void worker_leave_within(struct tributary_worker *worker, int64_t limit_ns);

/* worker_orders.c. Client thread. Returns why the stream must end, as static text; NULL: it need
 * not. */
const char *worker_handle_orders(struct tributary_worker *worker, struct bytes message);
/* The stream is gone. Batches that have all their operations go on, the others end. Returns how
 * many there are. */
uint32_t worker_orphan(struct tributary_worker *worker);
/* No batch is saved any more but those whose save() has begun. */
void worker_abort_all(struct tributary_worker *worker);

/* worker_report.c. Under the lock. Each drops what is of an earlier stream. Returns whether the
 * client thread must be woken. */
struct tributary_worker_batch;
struct work_operation;
bool worker_report_loaded(struct tributary_worker *worker, const struct tributary_worker_batch *batch);
bool worker_report_result(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                          const struct work_operation *operation);
bool worker_report_saved(struct tributary_worker *worker, const struct tributary_worker_batch *batch);
bool worker_report_aborted(struct tributary_worker *worker, const struct tributary_worker_batch *batch);
bool worker_report_failed(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                          const struct tributary_status *status);
bool worker_report_draining(struct tributary_worker *worker);

#endif
