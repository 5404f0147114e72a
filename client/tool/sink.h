/* sink.h - the destination of the events of `tributary pub`: a publisher; one for each producer;
 * or, with --name, a shared session. Main thread. */
#ifndef TRIBUTARY_TOOL_SINK_H
#define TRIBUTARY_TOOL_SINK_H

#include <stdatomic.h>

#include "tributary/tributary.h"
#include "client/tool/publisher_table.h"
#include "client/tool/stop.h"

struct sink {
    /* Set by the caller. */
    bool quiet;
    bool keeps_producers;                 /* each event has its producer: a publisher for each of them */
    enum tributary_confirm confirm;       /* of a publisher, or of each */
    struct tributary_numbering numbering; /* likewise */
    struct stop *stop;                    /* ended when a session ends by itself */

    /* Set by sink_open(). */
    struct tributary_publisher *publisher; /* NULL where `session` or `keeps_producers` is set */
    struct tributary_session *session;
    struct publisher_table table; /* where `keeps_producers` is set */
    uint64_t mark;                /* see sink_mark(); of a publisher or session */
    int64_t interrupted_ns;       /* the latest notice; the client thread's */
    _Atomic int refused_code;     /* code of the latest refusal; 0: none; the client thread writes it */
    _Atomic bool has_lost;        /* events were refused that the server never took; likewise */
    _Atomic uint64_t unknown;     /* refused events that it may have taken nevertheless; likewise */
    _Atomic int ended_code;       /* code of a session that ended by itself; 0: none; likewise */
};

struct sink_stats {
    uint64_t accepted, confirmed, refused, bytes;
    uint64_t duplicates; /* confirmed ones that had been stored before */
};

/* Opens a session where `registration` is set. Where it is NULL, opens a publisher under the name
 * `producer` (NULL: the server chooses one). */
enum tributary_code sink_open(struct sink *sink, struct tributary *client, const char *producer,
                              const struct tributary_session_options *registration,
                              struct tributary_status *status);

/* As tributary_publish(). `producer` is for a sink that keeps producers; it has no NUL. Waits for
 * at most SINK_WAIT_NS while the queue is full, and returns DEADLINE_EXCEEDED then. */
#define SINK_WAIT_NS INT64_C(200000000)
enum tributary_code sink_publish(struct sink *sink, struct tributary_bytes producer,
                                 const struct tributary_event *event);

/* Remembers what was accepted so far; and whether none of that need be sent again: the server has
 * confirmed it, or refused it for good. It is never done once events were lost because there was no
 * server. */
void sink_mark(struct sink *sink);
bool sink_mark_is_done(struct sink *sink);

/* Waits for at most SINK_WAIT_NS. True: every event is confirmed or refused. */
bool sink_flush(struct sink *sink);

void sink_stats(struct sink *sink, struct sink_stats *stats_out);

/* Ends a session gently where every event is confirmed or refused, else at once. Frees both
 * kinds. */
void sink_close(struct sink *sink);

#endif
