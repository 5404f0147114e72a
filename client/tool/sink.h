/* sink.h - where `tributary pub` puts its events: a publisher, or with --name a session that is shared.
 */
#ifndef TRIBUTARY_TOOL_SINK_H
#define TRIBUTARY_TOOL_SINK_H

#include <stdatomic.h>

#include "tributary/tributary.h"
#include "client/tool/stop.h"

struct sink {
    /* Set by the caller. */
    bool quiet;
    struct stop *stop; /* told where a session ends by itself */

    /* Its own. */
    struct tributary_publisher *publisher; /* one of both */
    struct tributary_session *session;
    _Atomic int refused_code; /* of the last refused events; written by the client thread */
    _Atomic int ended_code;   /* of a session that ended by itself */
};

struct sink_stats {
    uint64_t accepted, confirmed, refused, bytes;
};

/* `registration` NULL: publish under the name `producer` (NULL: the server's choice). */
enum tributary_code sink_open(struct sink *sink, struct tributary *client, const char *producer,
                              const struct tributary_session_options *registration,
                              struct tributary_status *status);

/* As tributary_publish(): DEADLINE_EXCEEDED where the queue stayed full for SINK_PATIENCE_NS. */
#define SINK_PATIENCE_NS INT64_C(200000000)
enum tributary_code sink_publish(struct sink *sink, const struct tributary_event *event);

/* True: everything is confirmed or refused; false: not within SINK_PATIENCE_NS. */
bool sink_flush(struct sink *sink);

void sink_stats(struct sink *sink, struct sink_stats *stats_out);

/* A session is ended gently, but for what was not confirmed. */
void sink_close(struct sink *sink);

#endif
