/* call.h - one server call, of any shape, as one machine. It knows bytes and no domain: a method's
 * port says what they mean.
 *
 *   OPEN --call_finish--> FINISHING --status landed--> ENDED
 *     |                       | peer lost, 1 s passed     ^
 *     +---peer lost, cut------+---------------------------+     then, when the last tag has landed, closed() and free
 *
 * Threads: everything on the call's wire thread. No callback is made from within a verb. */
#ifndef TRIBUTARY_SERVER_WIRE_CALL_H
#define TRIBUTARY_SERVER_WIRE_CALL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"
#include "server/wire/thread.h"

struct call;
struct message; /* message.h */

/* What a method does with its calls. Every entry but `opened` may be NULL. */
struct call_port {
    /* A call came in: call_own() what belongs to it, then usually call_read(). */
    void (*opened)(struct call *call, void *ctx);
    /* One message, valid during the callback. The next comes after call_read(). */
    void (*message)(struct call *call, struct message *message);
    /* The peer will send no more (its half-close). */
    void (*half_closed)(struct call *call);
    /* What call_send() was given was accepted by the transport; ok false: it was not, and the call
     * is about to end. */
    void (*sent)(struct call *call, bool ok);
    /* The peer is lost (cancel, deadline, connection), or call_abort() ended it: nothing more can
     * be sent. Not after call_finish(). closed() follows when the last tag has landed. */
    void (*lost)(struct call *call);
    /* The server is draining: finish soon. */
    void (*draining)(struct call *call);
    /* The last callback, in every case, once: free what call_own() was given. `call` is dead
     * afterwards. */
    void (*closed)(struct call *call, bool ok);
    bool unary; /* the headers go with the answer; false: they go at once */
};

/* A method and who serves it. */
struct method {
    const char *path; /* "/package.Service/Method" */
    const struct call_port *port;
    void *ctx;
};

void call_own(struct call *call, void *own);
void *call_owned(const struct call *call);
struct wire_thread *call_thread(const struct call *call);
const char *call_peer(const struct call *call);    /* "127.0.0.1:5000", "unix:"; valid as long as the call */
int64_t call_deadline_ns(const struct call *call); /* clock_mono_ns(); INT64_MAX: none */
bool call_alive(const struct call *call);          /* neither finished nor lost */

/* asks for the next message; at most one at a time; nothing on a call that is not alive */
void call_read(struct call *call);
/* Sends one message; at most one at a time, sent() follows. Takes the bytes out of `bytes`, which
 * is empty afterwards. False: the call is not alive. */
bool call_send(struct call *call, struct buf *bytes);
/* Bytes that the call's connection takes now without waiting for its peer; 0 where less than a
 * quarter of its socket's buffer is free; SIZE_MAX where that is not known. *unread_out: bytes of
 * the connection that the peer's system has not taken yet. */
size_t call_writable(const struct call *call, size_t *unread_out);
bool call_send_slices(struct call *call, grpc_slice *slices, size_t count); /* takes its own references */
/* Ends the call: NULL or FAULT_NONE is OK. A status that cannot be written within 1 s becomes a
 * plain cancel. Only the first call of it counts. */
void call_finish(struct call *call, const struct fault *fault);
/* Keeps the call's memory, and its closed() callback back, while work for it is elsewhere (the
 * loop). Verbs on a call that was lost meanwhile do nothing. */
void call_hold(struct call *call);
void call_drop(struct call *call); /* the last line of the holder: the call may be freed */
/* For unary: the answer and OK in one. */
void call_answer(struct call *call, struct buf *bytes);
/* Ends it without waiting for a peer that does not read: it sees code and message, no details. */
void call_abort(struct call *call, const struct fault *fault);

/* For calls.c: a call that the core handed over, on `thread`; `live` is the list that it stands in
 * while it lives. `method` NULL: not served. Takes over `core`. */
void call_open(struct wire_thread *thread, struct list *live, const struct method *method, grpc_call *core,
               const grpc_call_details *details, bool draining);
void calls_notify_draining(struct list *live);

/* Set once by server/rpc: turns a fault into the bytes of google.rpc.Status. */
extern void (*call_fault_details)(const struct fault *fault, struct buf *details);

#endif
