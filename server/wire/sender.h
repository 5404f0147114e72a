/* sender.h - the sender of one consumer. It dequeues a batch from the consumer's channel, puts
 * runs, losses and states into one EventBatch, sends it, and accounts for it when the write has
 * completed.
 *
 * One message is in flight at any time. The sender sends at the end of each turn, or gathers
 * events: for up to `linger_ns`, or until a batch is full. It gathers on a busy thread
 * (wire_busy()), in two cases. Either the turn handled as many operations as it may
 * (cq_is_behind()): then more events are there already. Or the consumer gets many events
 * (event_rate.h): then large messages save more than the delay costs.
 *
 * A *note* is one encoded field of an EventBatch other than a run: Started, Lost, Progress and so
 * on. Notes stand in front of the runs of a message.
 *
 * Threads: the call's wire thread, except sender_wake(). */
#ifndef TRIBUTARY_SERVER_WIRE_SENDER_H
#define TRIBUTARY_SERVER_WIRE_SENDER_H

#include "base/buf.h"
#include "flow/chan.h"
#include "server/wire/call.h"
#include "server/wire/sender_settings.h"

struct sender;

struct sender_port {
    /* Append a Progress to `note` where something moved. Called right after the batch was
     * dequeued, so that positions and totals belong to it. `last`: the stream ends with the message
     * that is being gathered. It is called with `last` at most once. */
    void (*progress)(void *ctx, struct chan *chan, bool last, struct buf *note);
    /* Append the Closing that sender_add_closing() asked for. Called after progress(), so its token
     * is that of the whole message. */
    void (*closing)(void *ctx, struct buf *note);
    /* The channel passed a mark: append the note that the mark stands for. progress() follows for
     * the same message. */
    void (*marked)(void *ctx, uint32_t mark, struct buf *note);
    /* The peer's socket has taken nothing for the write timeout, and no message is in flight:
     * finish the call with this fault. Once; ended() does not follow. */
    void (*not_reading)(void *ctx, const struct fault *fault);
    /* `limit_events` events were delivered: finish the call. Once; ended() does not follow. */
    void (*limit)(void *ctx);
    /* The channel has ended, and all of it was sent or accounted for: finish the call and return
     * true. Return false when the reason for the end has not arrived yet: the sender then calls
     * ended() again after the next sender_add_note() or sender_add_closing(). */
    bool (*ended)(void *ctx, enum chan_state how);
};

/* Makes a sender. The caller owns it. It takes no reference to the call. NULL: out of memory. */
struct sender *sender_new(struct call *call, const struct sender_settings *settings,
                          const struct sender_port *port, void *ctx);
/* Any thread. The `readable` callback of the channel; `ctx` is the sender. */
void sender_wake(void *ctx);
/* Adds credit: so many more events and bytes may be sent. Events and bytes are unbounded until a
 * call gives them a number above 0; that call bounds them from the beginning of the stream on. A
 * call with 0 and 0 bounds the events too: none may be sent. */
void sender_credit(struct sender *sender, uint64_t events, uint64_t bytes);
/* No more credit can come. The stream must be ending. What waits beyond the credit is lost at once,
 * for DRAIN_CUT: the channel closes. */
void sender_end_credit(struct sender *sender);
/* Starts sending. Takes a reference of its own to the channel. */
void sender_begin(struct sender *sender, struct chan *chan);
/* Adds a note (Started, AckResult, ...) to the next message. Copies it. */
void sender_add_note(struct sender *sender, struct buf *note);
/* The next message has a Closing: see struct sender_port. */
void sender_add_closing(struct sender *sender);
size_t sender_backlog(const struct sender *sender); /* bytes of notes that wait for the next message */
void sender_sent(struct sender *sender, bool ok);   /* call it from the call's sent() */
/* The call was finished. Nothing more is sent. What is in flight counts by how its write ends. */
void sender_end(struct sender *sender);
/* The call is lost or closed. What is in flight counts as CONSUMER_GONE. Nothing is sent
 * afterwards. */
void sender_stop(struct sender *sender);
bool sender_in_flight(const struct sender *sender);

/* How the sender stands, for those who ask what limits its consumer. Moments are clock_mono_ns();
 * INT64_MAX: it does not hold. */
struct sender_view {
    bool begun;                  /* sender_begin() was called; otherwise all else is zero */
    int64_t in_flight_since_ns;  /* since when a message is in flight */
    int64_t unwritable_since_ns; /* since when the connection takes nothing */
    uint64_t unread_bytes;       /* of the connection, at the last poll */
    bool has_bound;              /* the consumer gives credit */
    uint64_t events_left;        /* of its credit; UINT64_MAX: it does not bound events */
    uint64_t bytes_left;         /* likewise */
    int64_t starved_since_ns;    /* since when events wait for credit: not earlier than it ran out */
    int64_t events_at_ns;        /* when the last events were sent; 0: never */
    int64_t runnable_ns;         /* of its thread: wire_runnable_ns() */
};
struct sender_view sender_view(struct sender *sender);

/* Nothing may be in flight, and the channel may have no putters any more (left() of its port).
 * NULL allowed. */
void sender_free(struct sender *sender);

#endif
