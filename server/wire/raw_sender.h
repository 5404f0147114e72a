/* raw_sender.h - the sender of a call whose answers are raw: it dequeues a batch from the call's
 * channel and sends each event of it as one message, as it is.
 *
 * One message is in flight at any time. Only a socket that can take more gets a batch: what waits
 * beyond that stays in the channel, under its bounds and its policy.
 *
 * Threads: the call's wire thread, except raw_sender_wake(). */
#ifndef TRIBUTARY_SERVER_WIRE_RAW_SENDER_H
#define TRIBUTARY_SERVER_WIRE_RAW_SENDER_H

#include <stdbool.h>

#include "base/fault.h"
#include "flow/chan.h"
#include "flow/chan_report.h"

struct call;
struct raw_sender;

/* No function may end the sender. */
struct raw_sender_port {
    /* Under the channel's lock: only write it down. A loss, or a new state of an endpoint. Where it
     * is an end, its last message was dequeued. */
    void (*lost)(void *ctx, const struct lost_note *note);
    void (*state)(void *ctx, const struct feed_change *change);
    /* No message is in flight, and everything that was reported came before. True: the call is to
     * end now, and was finished. */
    bool (*is_over)(void *ctx);
    /* The peer's socket has taken nothing for the write timeout, and no message is in flight:
     * finish the call with this fault. Once; ended() does not follow. */
    void (*not_reading)(void *ctx, const struct fault *fault);
    /* The channel has ended, and all of it was sent or accounted for: finish the call and return
     * true. False: the reason has not arrived yet; call raw_sender_decide() then. */
    bool (*ended)(void *ctx, enum chan_state how);
};

/* NULL: out of memory. The caller owns it. */
struct raw_sender *raw_sender_new(struct call *call, int64_t write_timeout_ns,
                                  const struct raw_sender_port *port, void *ctx);
/* Any thread. The `readable` callback of the channel; `ctx` is the sender. */
void raw_sender_wake(void *ctx);
/* Starts sending. Takes a reference of its own to the channel. `sorts`: the channel holds events to
 * sort them (chan_limits.sort). */
void raw_sender_begin(struct raw_sender *sender, struct chan *chan, bool sorts);
/* Decides again at the end of this turn. */
void raw_sender_decide(struct raw_sender *sender);
void raw_sender_sent(struct raw_sender *sender, bool ok); /* from the call's sent() */
/* The call was finished, or is lost: nothing more is sent. What is in flight counts when its write
 * has ended, the rest of its batch as CONSUMER_GONE. */
void raw_sender_stop(struct raw_sender *sender);
bool raw_sender_in_flight(const struct raw_sender *sender);
/* Reports the losses and states that no batch has brought yet. Not from within lost() and
 * state(). */
void raw_sender_report(struct raw_sender *sender);
/* Messages that were sent. */
uint64_t raw_sender_messages(const struct raw_sender *sender);
/* Nothing may be in flight, and the channel may have no putters any more. NULL allowed. */
void raw_sender_free(struct raw_sender *sender);

#endif
