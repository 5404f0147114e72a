/* call.h - one call as the server sees it, of any shape. It moves bytes and knows no domain: the
 * method's port says what the bytes mean. The state machine is grpc/server_call.h.
 *
 * After the last operation has completed and the last hold was dropped, closed() is called and the
 * call is freed.
 *
 * Threads: everything runs on the call's wire thread. Only call_open(), call_notify_all_draining()
 * and call_unhold() may call the port before they return. */
#ifndef TRIBUTARY_SERVER_WIRE_CALL_H
#define TRIBUTARY_SERVER_WIRE_CALL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/peer.h"
#include "event/pair_index.h"
#include "server/wire/thread.h"

struct call;
struct message; /* message.h */
struct shared_bytes;

/* What a method does with its calls. Every function but `opened` may be NULL. */
struct call_port {
    /* A call came in. The method gives it an object with call_own(), and usually calls
     * call_read(). */
    void (*opened)(struct call *call, void *ctx);
    /* One message arrived. It is valid during the callback, and may be refused: message_check().
     * The next one comes only after call_read(). */
    void (*message)(struct call *call, struct message *message);
    /* The peer will send no more messages (its half-close). */
    void (*half_closed)(struct call *call);
    /* The write that call_send() or call_send_slices() started has completed. ok: the transport
     * accepted the message. Otherwise it did not, and the call is about to end. */
    void (*sent)(struct call *call, bool ok);
    /* The peer is lost (cancel, deadline, connection), or call_abort() ended the call: nothing more
     * can be sent. Not called after call_finish(). closed() follows. */
    void (*lost)(struct call *call);
    /* The server drains: finish the call soon. */
    void (*draining)(struct call *call);
    /* The last callback, in every case, exactly once: free the object that call_own() was given.
     * `ok`: the status was written and the peer did not cancel. `call` is dead afterwards. */
    void (*closed)(struct call *call, bool ok);
    /* True: the headers go out with the answer. False: they go out with the first call_read() or
     * message. */
    bool unary;
    /* A call may lead to upstream calls. One that has come through this process is refused
     * (DIALS_ITSELF): it could lead to another one, and so on without end. */
    bool leads_to_calls;
};

/* How a call ends, in the words of another server. */
struct call_status {
    const struct fault *fault; /* instead of the next three; NULL or FAULT_NONE: these count */
    uint32_t code;             /* 0 to 16 */
    struct bytes text;
    struct bytes details;        /* of grpc-status-details-bin; empty: none */
    const struct pair *trailers; /* legal ones (server/dial/metadata_names.h) */
    size_t trailer_count;        /* at most MAX_CALL_TRAILERS */
};
#define MAX_CALL_TRAILERS 64u

/* A method: its path, and the port that serves it. */
struct method {
    const char *path; /* "/package.Service/Method" */
    const struct call_port *port;
    void *ctx; /* for the port's opened() */
};

/* The mark of connections (h2socket_mark()) whose calls are all served by one method. */
#define MARK_ANY_METHOD 1u

/* What may serve a call. */
struct methods {
    const struct method *method; /* of its path; NULL: nobody serves it */
    const struct method *any;    /* of connections with MARK_ANY_METHOD; NULL: nobody */
};

/* A call that the core handed over. */
struct core_call {
    grpc_call *core;
    const grpc_call_details *details;
    const grpc_metadata_array *metadata;
};

/* The path, and a pair of the metadata; during opened() only. False: there are no more pairs. */
struct bytes call_path(const struct call *call);
bool call_metadata(const struct call *call, size_t index, struct pair *pair_out);
/* Sets the object that the method keeps for this call; call_owned() returns it. */
void call_own(struct call *call, void *own);
void *call_owned(const struct call *call);
struct wire_thread *call_thread(const struct call *call);
struct cq_thread *call_cq(const struct call *call);     /* wire_cq() of that thread */
struct shared_bytes *call_via(const struct call *call); /* what it has come through (via.h); NULL: nothing */
const char *call_peer(const struct call *call); /* "127.0.0.1:5000", "unix:"; lives as long as the call */
struct peer_key call_peer_key(const struct call *call); /* whom what the call makes is charged to */
int64_t call_deadline_ns(const struct call *call);      /* as clock_mono_ns(); INT64_MAX: none */
bool call_alive(const struct call *call); /* not finished, not aborted, and the peer is not lost */
/* Why the call is not alive: the reason that call_finish() or call_abort() was given; why the guard
 * or the core has ended its connection (connection_end.h); DEADLINE; else CANCELLED, where the peer
 * has cancelled or its connection is gone. FAULT_NONE: it is alive, or was finished with OK. */
enum fault_reason call_end_reason(const struct call *call);

/* Asks for the next message; at most one at a time. Does nothing if the call is not alive. */
void call_read(struct call *call);
/* Sends one message; at most one at a time. sent() follows. The call takes the memory of `bytes`,
 * which is empty afterwards. False: the call is not alive, and sent() does not follow. */
bool call_send(struct call *call, struct buf *bytes);
/* Sends slices as one message, by the same rules. The call takes its own references to them. */
bool call_send_slices(struct call *call, grpc_slice *slices, size_t count);
/* The same with one slice, where another send follows at once: the core may keep the message until
 * then, and sent() says only that it has it. */
bool call_send_before_more(struct call *call, grpc_slice slice);
/* How many bytes the call's connection accepts now without waiting for its peer: 0 where less than
 * a quarter of the socket's buffer is free, SIZE_MAX where that is not known. *unread_out: bytes
 * of the connection that the peer's system has not taken yet. */
size_t call_writable(const struct call *call, size_t *unread_out);
/* Ends the call with a status. `fault` NULL or FAULT_NONE: OK. A message in flight comes first,
 * whole; sent() follows for it. The peer has the write timeout for that message, from its beginning
 * on, and then once more for the status. Beyond that the call is cancelled: the peer gets code and
 * message of the fault alone, or CANCELLED in place of OK. Nothing happens if it is not alive. */
void call_finish(struct call *call, const struct fault *fault);
/* The same with a status of somebody else's, or with trailers. */
void call_finish_as(struct call *call, const struct call_status *status);
/* Keeps the call's memory and delays its closed() while another thread (the loop) works for it.
 * The peer may be lost meanwhile; the functions above do nothing then. */
void call_hold(struct call *call);
void call_unhold(struct call *call); /* ends one hold; may free the call, so it is the holder's last line */
/* For a unary call: sends the answer and the status OK. Takes the memory of `bytes`. */
void call_answer(struct call *call, struct buf *bytes);
/* Ends the call without waiting for a peer that does not read. The peer gets code and message, no
 * details. It also ends a call whose status is still being written. */
void call_abort(struct call *call, const struct fault *fault);

/* For call_acceptor.c. Opens a call that the core handed over on `thread` and takes over `core`.
 * The call stands in `live` until it is freed. A call with too much metadata is refused, and its
 * method does not see it. */
void call_open(struct wire_thread *thread, struct list *live, const struct methods *methods,
               const struct core_call *from, bool draining);
/* For call_acceptor.c. Calls draining() of every open call in `live`. */
void call_notify_all_draining(struct list *live);
/* For call_acceptor.c. Aborts every open call in `live`: DRAINING. */
void call_abort_all_draining(struct list *live);

/* Writes a fault as the bytes of google.rpc.Status. server/rpc sets it, once. */
extern void (*call_fault_details)(const struct fault *fault, struct buf *details);

#endif
