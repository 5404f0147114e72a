/* unary.h - a unary call that the loop answers: decoded on its wire thread, answered on the loop,
 * sent on its wire thread. For the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_UNARY_H
#define TRIBUTARY_SERVER_RPC_UNARY_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/fault.h"
#include "loop/loop.h"
#include "loop/peer_turns.h"
#include "base/peer_charge.h"
#include "server/wire/call.h"

struct rpc;
struct unary_method;

/* One call on its way. Whichever thread runs its task owns it. */
struct unary_call {
    struct rpc *rpc;
    struct call *call;
    const struct unary_method *method;
    struct task task;
    ProtobufCMessage *request;
    void *prepared; /* by the method; it frees it when the call is closed */
    struct buf answer;
    struct peer_charge charge; /* for the answer, until it has left */
    struct fault fault;        /* reason NONE: `answer` is sent */
    /* Loop. For an answer that may take long: goes on a little with `answer`, and returns whether
     * to call it again. The peers take turns (loop/peer_turns.h). NULL: the answer is there. */
    bool (*step)(struct unary_call *unary);
    bool waits;       /* on_loop() sets it: rpc_unary_finish() follows, in a later turn */
    void *state;      /* of `step`; freed with the call */
    size_t max_bytes; /* with `step`: about the most that `answer` may take */
    struct peer_work work;
};

/* What a method's calls have in common. It is the `ctx` of rpc_unary_port. */
struct unary_method {
    struct rpc *rpc;
    const ProtobufCMessageDescriptor *type;
    void (*on_loop)(struct unary_call *unary); /* loop; sets `answer`, `fault` or `step` */
    /* What takes too long for the loop, on the wire thread, before on_loop(). It may set `fault`:
     * then the call ends. Both are NULL where there is nothing to prepare. */
    void (*prepare)(struct unary_call *unary);
    void (*discard)(void *prepared); /* NULL is allowed */
};

extern const struct call_port rpc_unary_port;

/* Loop. Answers a call that `waits`. It may be gone afterwards. */
void rpc_unary_finish(struct unary_call *unary);

#endif
