/* fanin_internal.h - a call of --fan-in as the two files see it that make it: fanin_call.c has its
 * life and the client's messages, fanin_end.c how it ends.
 *
 * Threads: the call's wire thread, except what says otherwise. */
#ifndef TRIBUTARY_SERVER_FANIN_FANIN_INTERNAL_H
#define TRIBUTARY_SERVER_FANIN_FANIN_INTERNAL_H

#include "base/shared_bytes.h"
#include "hub/subscription.h"
#include "loop/loop.h"
#include "server/dial/served_call.h"
#include "server/fanin/fanin.h"
#include "server/fanin/outcome.h"
#include "server/wire/raw_sender.h"

struct fanin_call {
    const struct call_port *port; /* the first: see fanin_port.c */
    struct fanin *fanin;
    struct call *call;
    enum fanin_state { FANIN_OPENING, FANIN_LIVE, FANIN_LEAVING, FANIN_GONE } state;
    enum fault_reason reason; /* of the end, for the hub */
    struct fanin_request request;
    struct served_call *served;
    struct outcome outcome;
    struct raw_sender *sender;
    /* The first message, until the subscription has it; and the one that waits for the upstreams.
     * NULL: there is none. What the client is charged for: the one that waits, and the one before,
     * which the upstreams send. */
    struct shared_bytes *first, *later;
    struct peer_charge later_charge, passed_charge;
    bool begun, half_closed; /* begun: the first message has come */
    struct subscription *subscription;
    struct subscription_result result;
    struct fault fault; /* why the subscription was refused; then the loop's, for `abort_notice` */
    struct task task;   /* goes to the loop and comes back */
    struct task closing_notice, abort_notice, lost_notice;
    enum closing closing; /* the loop's until `closing_notice` has run */
    bool closing_known;
};

static inline struct called *called_of(const struct fanin_call *fanin_call)
{
    return served_call_called(fanin_call->served);
}

/* Two kinds of calls: those that endpoints answer, and those of reflection. The object of each
 * begins with its port. */
extern const struct call_port fanin_call_port, fanin_reflection_port;

/* What the sender calls; its ctx is the call. */
extern const struct raw_sender_port fanin_sender_port;

/* Gives the upstreams what waits for them, when they have sent what was before. */
void fanin_pass_on(struct fanin_call *fanin_call);

/* The call is over: the subscription ends for this reason. Does nothing unless it is LIVE. */
void fanin_leave(struct fanin_call *fanin_call, enum fault_reason reason);

/* Ends the call with a fault of this server. Where the call is lost already, its own reason
 * counts. */
void fanin_refuse(struct fanin_call *fanin_call, const struct fault *fault);

#endif
