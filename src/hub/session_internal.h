/* session_internal.h - sessions as the files of this room see them.
 *
 * References: a session lives until it is unregistered, its last activation is freed, its last
 * offer has returned, and its last put waiter was notified. The ready list may hold it longer.
 *
 * Threads: the loop only, except references and what `struct session` says. */
#ifndef TRIBUTARY_HUB_SESSION_INTERNAL_H
#define TRIBUTARY_HUB_SESSION_INTERNAL_H

#include "flow/totals.h"
#include "hub/ending.h"
#include "hub/endpoint.h"
#include "hub/numbered_inlet.h"
#include "hub/producer_internal.h"
#include "hub/ready.h"
#include "hub/session_port.h"
#include "hub/shared_calls.h"
#include "loop/loop.h"
#include "route/history.h"

struct activation;
struct session;
struct session_kind;
struct session_params;

/* See the diagram in session_life.c. */
enum session_state { SESSION_WAITING, SESSION_LIVE, SESSION_CLOSING, SESSION_GONE };

struct session {
    struct producer producer;

    /* Constant. */
    const struct session_kind *kind;
    const struct session_port *port;
    void *port_ctx;
    struct pair *labels;           /* one piece of memory, with the topics and the bytes of both: */
    size_t text_bytes;             /* so large, in the budget */
    struct history_bounds history; /* of each stream of its own; zero: the usual one */
    struct bytes *topics;
    size_t topic_count;
    struct serve_entry *serve; /* in that memory, too */
    size_t serve_count;

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic int32_t paused; /* activations whose producer was asked to pause */
    /* Held while set_paused() of the port is called. No call of the hub is made under it. */
    pthread_mutex_t pause_lock;
    bool pauses_no_more; /* under that lock. GONE: set_paused() is not called any more */

    /* Any thread, under `lock`: the inlets by their numbers, see inlet_table.h. */
    pthread_mutex_t lock;
    struct numbered_inlet **slots;
    uint32_t slot_count, active_count;
    bool is_over; /* GONE: no offer finds an inlet */
    uint64_t last_number;
    struct totals published;
    struct totals lost; /* before it reached an activation, where there was a count */
    int64_t last_event_wall_ns;

    /* Loop only. */
    struct ready ready;
    enum session_state state;
    struct list link;            /* in hub->sessions */
    struct session *successor;   /* waits for the name of this one */
    struct session *predecessor; /* has the name that this one waits for */
    bool had_name;
    bool welcome_called, closing_called;
    bool abort_due;                   /* abort_call() is to be called */
    bool unregistered;                /* the port is not called any more */
    bool concluded;                   /* GONE, and everything that follows from it is done */
    bool late;                        /* CLOSING, and the deadline has passed */
    enum fault_reason closing_reason; /* of the gentle end */
    int64_t deadline_ns;
    struct timer deadline;
    struct ending ending; /* GONE: how it ended */
    struct endpoint endpoint;
    struct list activations;          /* by their in_session, in the order of their creation */
    struct list to_end;               /* GONE: those whose end is still to be requested, by the same */
    struct shared_calls shared_calls; /* BY_REQUEST only */
    uint64_t expired_activations;
};

static inline struct session *session_of(const struct producer *producer)
{
    return container_of(producer, struct session, producer);
}

static inline struct session *session_retain(struct session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void session_release(struct session *session); /* any thread; NULL is allowed */
OWNED_BY(session_release, struct session);

/* ---- session_make.c ---- */

/* A session that waits for its name, and that nobody knows. `ready_kind` is session_ready_kind.
 * NULL: memory or budget is used up. */
struct session *session_new(struct hub *hub, const struct session_kind *kind,
                            const struct ready_kind *ready_kind, const struct session_params *params);

/* ---- session_life.c ---- */

extern const struct ready_kind session_ready_kind;

/* Binds a waiting session and everybody who wants it, and notifies nobody. Activations that are to
 * begin are put into *created_out. Where there are many, and `at_once` is not set, the last ones
 * are made when the session is live. */
void session_prepare(struct session *session, struct list *created_out, bool at_once);

/* The session has its name now: welcome() follows, and the activations begin. After
 * session_prepare() and registry_add(). */
void session_go_live(struct session *session, struct list *created);

/* Begins a gentle end, or brings its deadline nearer. Does nothing where the session waits for its
 * name or is gone. */
void session_close(struct session *session, enum fault_reason reason, int64_t deadline_ns);

/* Ends the session: nothing more is accepted from it. When its activations have ended, its name
 * passes to the session that waits for it. `notify`: abort_call() follows. The first end counts. */
void session_over(struct session *session, const struct ending *ending, bool notify);

void session_drain(struct session *session, int64_t deadline_ns); /* the hub drains */
void session_abort(struct session *session);                      /* nobody is left to publish for */

/* ---- handover.c ---- */

/* STOP_FIRST: closes the older session and waits for its name. */
void session_wait_for(struct session *session, struct session *older);

/* Takes the name from its holder (NULL: nobody) at once. An older session ends as replaced. */
void session_take_name(struct session *session, struct producer *holder, struct list *created);

/* Every session kind's remove(). */
void session_remove(struct producer *producer, enum fault_reason reason, int64_t drain_ns);

#endif
