/* server_call.h - one call as a server sees it, of any shape, as a state machine.
 *
 *   OPEN --finish--> FINISHING --status written, peer lost--> ENDED
 *    | |                 |                                      ^
 *    | |  write timeout passed, abort                           |
 *    | |                 v                                      |
 *    | +----abort----> ABORTED ---------------------------------+
 *    +-----peer lost--------------------------------------------+
 *
 * After the last operation has completed and the last hold was dropped, closed() is called.
 *
 * Threads: the call's completion-queue thread. Only server_call_unhold() may call closed() before
 * it returns; no other function calls the port. */
#ifndef TRIBUTARY_GRPC_SERVER_CALL_H
#define TRIBUTARY_GRPC_SERVER_CALL_H

#include "base/base.h"
#include "grpc/call_base.h"

struct server_call;

/* What the owner of the call does. All must be set. */
struct server_call_port {
    /* One message arrived while the call was alive. It is destroyed after the callback, unless the
     * callee takes it and sets *message to NULL. The next one comes only after
     * server_call_read(). */
    void (*received)(struct server_call *call, grpc_byte_buffer **message);
    /* The peer will send no more messages (its half-close). The call is alive. */
    void (*half_closed)(struct server_call *call);
    /* The send has completed. ok: the transport accepted the message. Otherwise it did not, and the
     * call is about to end. */
    void (*sent)(struct server_call *call, bool ok);
    /* The peer is lost (cancel, deadline, connection), or server_call_abort() ended the call:
     * nothing more can be sent. Not called after server_call_finish(). closed() follows. */
    void (*lost)(struct server_call *call);
    /* The last callback, in every case, exactly once; the call may be freed. `ok`: the status was
     * written and the peer did not cancel. */
    void (*closed)(struct server_call *call, bool ok);
};

enum server_call_state { SERVER_CALL_OPEN, SERVER_CALL_FINISHING, SERVER_CALL_ABORTED, SERVER_CALL_ENDED };

/* Embedded in the owner's object. */
struct server_call {
    struct call_base base;
    const struct server_call_port *port;
    enum server_call_state state;
    /* True: the headers go out with the answer. False: with the first read or message. */
    bool headers_with_answer;
    const grpc_op *headers;
    bool headers_sent, answered_ok, lost_notified;
    int cancelled;
    int64_t write_timeout_ns;
    int64_t sent_at_ns; /* when the latest message was given to the core */
    struct op ended, status;
    struct cq_timer limit; /* of the status; or for a half-close that may be one */
    /* What the status says; set by server_call_finish(). */
    grpc_status_code code;
    char *text; /* NULL: no text, or no memory for it */
};

#define MAX_SERVER_TRAILERS 64u

struct server_status {
    grpc_status_code code;
    struct bytes text;
    struct bytes details;          /* of the trailer grpc-status-details-bin; empty: no trailer */
    const grpc_metadata *trailers; /* more of them */
    size_t trailer_count;          /* at most MAX_SERVER_TRAILERS */
};

struct server_call_params {
    const grpc_op *headers; /* the operation that sends them; outlives the call. NULL: none of ours */
    bool headers_with_answer;
    /* How long the peer may take for a message, and then for the status: server_call_finish(). */
    int64_t write_timeout_ns;
};

/* Opens a call that the core handed over on `thread`, and takes over `core`. */
void server_call_open(struct server_call *call, struct cq_thread *thread, const struct server_call_port *port,
                      grpc_call *core, const struct server_call_params *params);

/* Not finished, not aborted, and the peer is not lost. */
static inline bool server_call_alive(const struct server_call *call)
{
    return call->state == SERVER_CALL_OPEN;
}

/* Asks for the next message; at most one request at a time. Does nothing if the call is not
 * alive. */
void server_call_read(struct server_call *call);
/* Sends slices as one message; at most one at a time. sent() follows. The core takes references of
 * its own. False: the call is not alive, and sent() does not follow. */
bool server_call_send(struct server_call *call, grpc_slice *slices, size_t count);
/* The same, where another send follows at once: the core may keep the message until then, and
 * sent() says only that it has it. */
bool server_call_send_before_more(struct server_call *call, grpc_slice *slices, size_t count);
/* Sends `answer`, if there is one, and ends the call with a status. A message in flight comes
 * first, whole; sent() follows for it. The peer has the write timeout for that message, from its
 * beginning on, and then once more for the status. Beyond that the call is cancelled: the peer gets
 * code and text and no details, or CANCELLED in place of OK, perhaps in the middle of the message.
 * Does nothing if the call is not alive: the first ending counts. */
void server_call_finish(struct server_call *call, const struct server_status *status, grpc_slice *answer);
/* Ends the call without waiting for a peer that does not read. The peer gets code and text, or
 * CANCELLED in place of OK. It also ends a call whose status is still being written. */
void server_call_abort(struct server_call *call, grpc_status_code code, const char *text);

/* Delays closed(). The peer may be lost meanwhile; the functions above do nothing then. */
void server_call_hold(struct server_call *call);
/* Ends one hold. It may call closed(), so it is the holder's last line. */
void server_call_unhold(struct server_call *call);

#endif
