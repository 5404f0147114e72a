/* session_internal.h - sessions as the files of this room see them.
 *
 * References: a session lives until it is unregistered, its last offer has returned, and its last
 * put waiter was notified.
 *
 * Re-entrance: a session's port may call session_end() and hub_unregister() from within. So a
 * caller of a port holds a reference to the session. It walks a list from its first node, and each
 * step takes that node out.
 *
 * Threads: the loop only, except references and what `struct session` says. */
#ifndef TRIBUTARY_HUB_SESSION_INTERNAL_H
#define TRIBUTARY_HUB_SESSION_INTERNAL_H

#include "hub/hub_internal.h"
#include "hub/session_port.h"

struct activation;
struct ending;

/* See the diagram in session.c. */
enum session_state { SESSION_WAITING, SESSION_LIVE, SESSION_CLOSING, SESSION_GONE };

struct session {
    struct producer producer;

    /* Constant. */
    enum session_mode mode;
    const struct session_port *port;
    void *port_ctx;
    struct pair *labels; /* one piece of memory, with the topics and the bytes of both */
    struct bytes *topics;
    size_t label_count, topic_count;

    /* Any thread. */
    _Atomic uint32_t refs;
    _Atomic int32_t paused; /* activations whose producer was asked to pause */

    /* Any thread, under `lock`: the table of activations, see activation_table.h. */
    pthread_mutex_t lock;
    struct activation **slots;
    uint32_t slot_count, active_count;
    uint64_t last_number;
    struct totals published;
    int64_t last_event_wall_ns;

    /* Loop only. */
    enum session_state state;
    struct list link;            /* in hub->sessions */
    struct session *successor;   /* waits for the name of this one */
    struct session *predecessor; /* has the name that this one waits for */
    bool unregistered;           /* the port is not called any more */
    enum fault_reason reason;    /* of its end */
    int64_t deadline_ns;
    struct timer deadline;
    struct list active;   /* activations that can be stopped */
    struct list stopping; /* activations that were stopped and have not ended */
    uint64_t expired_activations;
};

static inline struct session *session_retain(struct session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void session_release(struct session *session); /* any thread; NULL is allowed */
OWNED_BY(session_release, struct session);

/* ---- session.c ---- */

/* Binds a waiting session and everybody who wants it, and notifies nobody. Activations that are to
 * begin are put into *created_out. ERR_NO_MEMORY: nothing has changed. */
MUST_CHECK enum err session_prepare(struct session *session, struct list *created_out);

/* The session has its name now: welcomes it and begins the activations. After session_prepare() and
 * registry_add(). */
void session_go_live(struct session *session, struct list *created);

/* An activation has ended. A closing session without activations is over. */
void session_update(struct session *session);

/* Begins a gentle end, or brings its deadline nearer. */
void session_close(struct session *session, enum fault_reason reason, int64_t deadline_ns);

/* Ends the session: nothing more is accepted from it, and its name passes to the session that waits
 * for it. `notify`: abort_call() is called. */
void session_over(struct session *session, const struct ending *ending, bool notify);

void sessions_drain(struct hub *hub, int64_t deadline_ns);
void sessions_abort(struct hub *hub); /* nobody is left to publish for */

/* ---- handover.c ---- */

/* STOP_FIRST: closes the older session and waits for its name. */
void session_wait_for(struct session *session, struct session *older);

/* Takes the name from its holder (NULL: nobody) at once. An older session ends as replaced. */
void session_take_name(struct session *session, struct producer *holder, struct list *created);

#endif
