/* sender_internal.h - the sender as its files see it: sender.c decides and sends, sender_view.c
 * shows how it stands. */
#ifndef TRIBUTARY_SERVER_WIRE_SENDER_INTERNAL_H
#define TRIBUTARY_SERVER_WIRE_SENDER_INTERNAL_H

#include "base/buf.h"
#include "flow/chan_batch.h"
#include "server/wire/credit.h"
#include "server/wire/event_rate.h"
#include "server/wire/sender_settings.h"
#include "server/wire/socket_poll.h"
#include "server/wire/thread.h"

struct sender {
    struct call *call;
    struct wire_thread *thread;
    struct cq_thread *cq; /* of that thread */
    struct sender_settings settings;
    const struct sender_port *port;
    void *ctx;
    struct cq_wake wake; /* any thread */
    /* Wire thread only. */
    bool woken; /* since the last post-poll hook */
    struct chan *chan;
    struct chan_batch batch;
    struct buf notes; /* for the next message */
    struct post_poll_hook decide_hook;
    struct cq_timer timer;
    int64_t waiting_since_ns; /* when events began to wait; INT64_MAX: none are known to wait */
    int64_t sent_at_ns;
    int64_t events_at_ns;       /* the last message with events; 0: there was none */
    bool more_due;              /* a channel that sorts had more for the last batch than it could hold */
    int64_t no_credit_since_ns; /* since when the credit allows no event; INT64_MAX: it allows some */
    struct socket_poll socket;
    struct event_rate rate;
    int64_t reported_at_ns; /* the last Progress */
    bool in_flight;
    bool moved;    /* a batch, a loss or a state was sent since the last Progress */
    bool mark;     /* a mark was written, and no Progress since */
    bool closing;  /* the next message has a Closing */
    bool finished; /* the last Progress of the stream was written */
    bool stopped, ended;
    struct credit credit;
};

#endif
