/* session.h - sessions and activations inside this room.
 *
 * Reference: a session lives until it is unregistered, its last offer has returned and its last
 * stall is over. An activation lives while both its session and its subscription want it, on the
 * loop; an offer that runs on another thread holds the lock of its inlet, and the loop takes an
 * activation out of the session's table, then that lock, before it frees it.
 *
 * Re-entrance: a session's port may call session_end() and hub_unregister() from within. So whoever
 * calls a port holds a reference to the session, and walks lists from their first node, which each
 * step takes out. */
#ifndef TRIBUTARY_HUB_SESSION_H
#define TRIBUTARY_HUB_SESSION_H

#include "hub/hub_internal.h"

enum session_state { SESSION_WAITING, SESSION_LIVE, SESSION_CLOSING, SESSION_GONE, SESSION_STATE_COUNT };

struct session {
    struct producer producer;
    enum session_mode mode; /* constant, like the port */
    const struct session_port *port;
    void *port_ctx;
    struct pair *labels; /* with the topics and all their bytes in one piece of memory */
    struct bytes *topics;
    size_t label_count, topic_count;

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic int32_t paused; /* activations that a channel holds back */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    struct activation **slots; /* by number */
    uint32_t slot_count, reported_count;
    uint64_t last_number;
    struct totals published;
    int64_t last_event_wall_ns;

    /* Loop only. */
    enum session_state state;
    struct list link;            /* in hub->sessions */
    struct session *successor;   /* waits for the name */
    struct session *predecessor; /* has the name that this one waits for */
    bool left;                   /* unregistered: the port is told nothing any more */
    enum fault_reason reason;    /* of its end */
    int64_t deadline_ns;
    struct timer deadline;
    struct list active;   /* activations that may be stopped */
    struct list stopping; /* those that were told to */
    uint64_t expired_activations;
};

enum activation_state {
    ACTIVATION_STARTING,
    ACTIVATION_ACTIVE,
    ACTIVATION_STOPPING,
    ACTIVATION_RETRYING,
    ACTIVATION_ENDED,
    ACTIVATION_STATE_COUNT
};

struct activation {
    struct session *session;
    struct subscription *subscription;
    struct activation *next; /* in the session's table, under its lock */
    uint64_t number;         /* 0: not told; the loop changes it while it is in no table */
    _Atomic bool paused;

    /* Loop only. */
    enum activation_state state;
    bool open;              /* inlet and route are there */
    uint8_t failures;       /* in a row */
    struct list in_session; /* in ->active or ->stopping */
    struct list in_subscription;
    struct ctx ctx;
    struct heap_node due;
    int64_t started_ns;

    struct inlet inlet;
    struct route route;
};

static inline struct session *session_retain(struct session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void session_release(struct session *session); /* any thread */
OWNED_BY(session_release, struct session);

/* ---- session.c ---- */

/* Waiting, and known to nobody. NULL: out of memory. */
struct session *session_new(struct hub *hub, const struct session_params *params);
/* Joins everybody who wants it, without telling anybody: activations that are to begin are put into
 * *made_out. ERR_NO_MEMORY: nothing changed. */
MUST_CHECK enum err session_prepare(struct session *session, struct list *made_out);
/* after both, and after its name was published */
void session_go_live(struct session *session, struct list *made);

/* No more activations are there: a closing one is over then. */
void session_update(struct session *session);
/* A gentle end, or a nearer deadline for one. */
void session_close(struct session *session, enum fault_reason reason, int64_t deadline_ns);
/* The end: nothing more is taken from it, its name goes on to who waits for it. `notify`: the port
 * hears of it (cut). */
struct ending;
void session_over(struct session *session, const struct ending *ending, bool notify);

void sessions_drain(struct hub *hub, int64_t deadline_ns);
void sessions_abort(struct hub *hub); /* nobody is left to publish for */

/* ---- handover.c ---- */

void session_remove(struct session *session, int64_t drain_ns); /* hub_remove() of a session */

/* ---- numbers.c ---- */

/* the next one; offers find it from now on. False: out of memory */
bool activation_table_add(struct activation *activation);
/* no offer finds it any more; one that runs still holds the inlet's lock */
void activation_table_remove(struct activation *activation);

/* ---- activation.c ---- */

/* How an activation ends. */
struct ending {
    enum fault_reason reason; /* what stop() and the log say; NONE: it ended by itself */
    uint32_t state, code;     /* what the consumer is told */
    const char *message;
    bool notify;  /* stop() may be told, where it was not yet */
    bool expired; /* those that were told to stop had their time */
};

/* Without a number, not told. NULL: out of memory. */
struct activation *activation_new(struct session *session, struct subscription *subscription,
                                  const struct filter_part *part, const struct since *since);
/* Starts all that bind_pair() made. */
void activations_begin(struct list *made);
/* Ends it and frees it; session and subscription are settled, and may be gone afterwards where
 * nobody holds them. */
void activation_end(struct activation *activation, const struct ending *ending);

/* The producer says that it has ended. */
void activation_ended_by_producer(struct activation *activation, uint32_t code, const char *message);
void activations_due(struct timer *timer); /* hub->due_timer */

#endif
