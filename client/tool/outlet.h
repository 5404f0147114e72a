/* outlet.h - where `tributary pub` puts its events: a publisher, or with --name a session that is shared. */
#ifndef TRIBUTARY_TOOL_OUTLET_H
#define TRIBUTARY_TOOL_OUTLET_H

#include <stdatomic.h>

#include "client/lib/tributary.h"
#include "client/tool/stop.h"

struct outlet {
    /* Set by the caller. */
    bool quiet;
    struct stop *stop; /* told where a session ends by itself */

    /* Its own. */
    struct tributary_publisher *publisher; /* one of both */
    struct tributary_session *session;
    _Atomic int refused_code; /* of the last refused events; written by the client thread */
    _Atomic int ended_code;   /* of a session that ended by itself */
};

struct outlet_sums {
    uint64_t accepted, confirmed, refused, bytes;
};

/* `registration` NULL: publish under the name `producer` (NULL: the server's choice). */
enum tributary_code outlet_open(struct outlet *outlet, struct tributary *client, const char *producer,
                                const struct tributary_session_options *registration, struct tributary_status *status);

/* As tributary_publish(): DEADLINE_EXCEEDED where the queue stayed full for OUTLET_PATIENCE_NS. */
#define OUTLET_PATIENCE_NS INT64_C(200000000)
enum tributary_code outlet_publish(struct outlet *outlet, const struct tributary_event *event);

/* True: everything is confirmed or refused; false: not within OUTLET_PATIENCE_NS. */
bool outlet_flush(struct outlet *outlet);

void outlet_sums(struct outlet *outlet, struct outlet_sums *sums_out);

/* A session is ended gently, but for what was not confirmed. */
void outlet_close(struct outlet *outlet);

#endif
