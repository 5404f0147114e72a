/* deliver.h - the pump of one consumer: takes from its channel, lays runs, losses and states into
 * one EventBatch, sends it, and accounts for it when its tag lands.
 *
 * One message is in flight at any time. It sends at the end of the tick when the thread is idle;
 * under load it gathers up to `linger_ns`, or until a batch is full.
 *
 * Threads: the call's wire thread, except sender_wake(). */
#ifndef TRIBUTARY_SERVER_WIRE_SENDER_H
#define TRIBUTARY_SERVER_WIRE_SENDER_H

#include "base/buf.h"
#include "flow/chan.h"
#include "server/wire/call.h"

struct sender;

struct sender_settings {
    int64_t linger_ns;
    int64_t heartbeat_ns;     /* 0: none */
    int64_t write_timeout_ns; /* a write that takes longer ends the call: NOT_READING */
    int64_t progress_ns;      /* between two Progress */
    uint32_t batch_events;    /* at most, in one message */
    uint32_t batch_bytes;
    bool states;           /* tell ProducerStatus */
    uint64_t limit_events; /* end after so many were delivered; 0: no limit */
};

struct sender_port {
    /* Appends a Progress block, where something moved: called right after a take, so positions and
     * sums belong to the batch. */
    void (*progress)(void *ctx, struct chan *chan, struct buf *block);
    /* A mark of the channel was passed: append what stands for it. */
    void (*marked)(void *ctx, uint32_t mark, struct buf *block);
    /* limit_events were delivered: finish the call. Once; ended() does not follow. */
    void (*limit)(void *ctx);
    /* The channel came to its end and everything of it was sent or accounted for: finish the call.
     * False: the reason is not known yet; it is asked again after the next sender_block(). */
    bool (*ended)(void *ctx, enum chan_state how);
};

/* NULL: out of memory. The pump is the caller's; it retains nothing of the call. */
struct sender *sender_new(struct call *call, const struct sender_settings *settings,
                          const struct sender_port *port, void *ctx);
/* Any thread: the chan_callbacks for the channel; `ctx` is the pump. */
void sender_wake(void *ctx);
/* More may be sent: both rise, and with the first call the stream is bounded, from its beginning
 * on; a kind that was never given is not. */
void sender_credit(struct sender *sender, uint64_t events, uint64_t bytes);
/* Begins. Takes its own reference to the channel. */
void sender_begin(struct sender *sender, struct chan *chan);
/* Adds a block (Started, Closing, ...) to the next message. */
void sender_block(struct sender *sender, struct buf *block);
size_t sender_backlog(const struct sender *sender); /* bytes of blocks that wait */
void sender_sent(struct sender *sender, bool ok);   /* from the call's sent() */
/* The call is lost or closed: what is in flight is CONSUMER_GONE. Nothing is sent afterwards. */
void sender_stop(struct sender *sender);
bool sender_in_flight(const struct sender *sender);
/* Nothing may be in flight, and the channel must have no putters any more (after
 * hub_unsubscribe()). NULL allowed. */
void sender_free(struct sender *sender);

#endif
