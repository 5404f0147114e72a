/* client_call.h - one call as a client sees it, of any shape, from its start to its status.
 *
 *   CLOSED --open--> OPEN --status--> ENDING --all operations completed--> CLOSED
 *
 * Threads: the call's completion-queue thread, which may serve a server as well. */
#ifndef TRIBUTARY_GRPC_CLIENT_CALL_H
#define TRIBUTARY_GRPC_CLIENT_CALL_H

#include "base/base.h"
#include "grpc/call_base.h"

struct client_call;

/* How a call ended. The slices are valid during ended(). */
struct client_call_end {
    grpc_status_code code;
    grpc_slice message;
    const grpc_metadata_array *headers, *trailers;
};

/* What the owner of the call does. All must be set. */
struct client_call_port {
    /* The message of client_call_send() left (`ok`), or was lost with the call. Another one may be
     * sent while the call is open. */
    void (*sent)(struct client_call *call, bool ok);
    /* A message arrived. It is destroyed after the callback, unless the callee takes it and sets
     * *message to NULL. The next one comes only after client_call_read(). */
    void (*received)(struct client_call *call, grpc_byte_buffer **message);
    /* The call is closed, and no operation is in flight. Its owner may open it again or free it. */
    void (*ended)(struct client_call *call, const struct client_call_end *end);
};

enum client_call_state { CLIENT_CALL_CLOSED, CLIENT_CALL_OPEN, CLIENT_CALL_ENDING };

/* Embedded in the owner's object. */
struct client_call {
    struct call_base base;
    struct cq_thread *thread;
    const struct client_call_port *port;
    enum client_call_state state;
    struct op opened, half_closed, ended;
    grpc_metadata_array headers, trailers;
    grpc_status_code code;
    grpc_slice message;
};

struct client_call_opening {
    grpc_channel *channel;
    const char *method; /* "/package.Service/Method"; copied */
    /* Sent with the call. The memory must live until client_call_open() has returned. */
    grpc_metadata *metadata;
    size_t metadata_count;
    /* The only message of this side, which closes with it. NULL: messages follow by
     * client_call_send(). */
    const grpc_slice *first;
    int64_t deadline_ns;      /* clock_mono_ns(); INT64_MAX: none */
    bool wait_for_connection; /* false: the call fails if the first attempt to connect fails */
};

/* Makes a closed call. */
void client_call_init(struct client_call *call, struct cq_thread *thread,
                      const struct client_call_port *port);

/* Opens a closed call, and reads its first message. ended() follows in every case. */
void client_call_open(struct client_call *call, const struct client_call_opening *opening);

/* Reads the next message; at most one read at a time. Does nothing if the call is closed. */
void client_call_read(struct client_call *call);

/* Sends a message; the core takes a reference of its own. sent() follows. The call must be open,
 * and no message may be on its way. */
void client_call_send(struct client_call *call, grpc_slice message);

/* Closes this side: no message may follow. The call must be open, and no message may be on its
 * way. */
void client_call_half_close(struct client_call *call);

/* Ends the call with this status, unless it ends by itself first; ended() follows. Does nothing
 * unless the call is open. */
void client_call_cancel(struct client_call *call, grpc_status_code code, const char *message);

#endif
