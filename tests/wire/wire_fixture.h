/* wire_fixture.h - one wire thread, and a client of the core's own at the other end of a
 * socketpair, both in this process.
 *
 * The test's thread is the client: it serves the client's queue while it waits, and brings work
 * onto the wire thread with house_run(). What the server's side saw stands in a `struct record`; a
 * test waits for it with house_until(). */
#ifndef TRIBUTARY_TESTS_WIRE_FIXTURE_H
#define TRIBUTARY_TESTS_WIRE_FIXTURE_H

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/counters.h"
#include "server/wire/call.h"
#include "server/wire/message.h"

/* Nothing that should happen may take longer. */
#define DEADLINE_NS (20 * NS_PER_S)

struct house {
    struct wire_thread *thread;
    grpc_completion_queue *queue; /* the client's */
    grpc_channel *channel;
    _Atomic bool down;
    int64_t alive_when_down; /* calls; read after `down` */
    struct task *last;       /* posted by the thread itself when it is down; NULL: none */
};

void house_open(struct house *house, const struct method *methods, size_t count);
grpc_channel *house_connect(struct house *house); /* one more connection; the caller destroys it */
/* The test's calls and other connections must be closed. Checks that nothing is left behind. */
void house_close(struct house *house);
void house_down(struct house *house); /* waits until the thread, which was told to shut down, says so */
/* Runs `act` on the wire thread and waits until it returned. */
void house_run(struct house *house, void (*act)(void *ctx), void *ctx);
void house_turn(struct house *house); /* serves the client's queue for a millisecond or less */
#define house_until(house, condition)                                                                        \
    do {                                                                                                     \
        for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; !(condition); house_turn(house))              \
            cr_assert_lt(clock_mono_ns(), limit_ns, "waited in vain for: %s", #condition);                   \
    } while (0)

/* Serves the client's queue for so long: only where something must NOT happen. */
void house_watch(struct house *house, int64_t span_ns);

/* What a method saw of its calls, and how it behaves. The fields above the line are set before the
 * house opens. */
struct record {
    bool mute;  /* does not ask for a first message */
    bool stops; /* does not ask for another message after one */
    void (*on_opened)(struct call *call, struct record *record);
    void (*on_message)(struct call *call, struct message *message, struct record *record);
    void (*on_half_closed)(struct call *call, struct record *record);
    void (*on_sent)(struct call *call, struct record *record);
    void *own;
    /* ---- Wire thread only. */
    struct call *call; /* the last one that was opened; NULL once it was closed */
    /* Any thread. */
    _Atomic int opened, messages, half_closed, sent, unsent, lost, draining, closed, closed_ok;
};
extern const struct call_port unary_port, stream_port;

/* Verbs for house_run(), on a record's call. */
void act_hold(void *record);
void act_drop(void *record);
void act_answer(void *record); /* with "answer" */
void act_finish(void *record); /* OK */
void act_refuse(void *record); /* OUT_OF_BOUNDS, with field, value and bound */
void act_cut(void *record);    /* NOT_READING */
void act_send(void *record);   /* 8 MiB: more than any window */

/* A batch of the client's: its address is the tag. */
struct tag {
    bool pending, ok;
};

struct client {
    struct house *house;
    grpc_call *core;
    struct tag opened, sent, read, half_closed, ended;
    grpc_byte_buffer *message;
    grpc_metadata_array initial, trailing;
    grpc_status_code code; /* once `ended` is no longer pending */
    grpc_slice said;
};

void client_open(struct client *client, struct house *house, const char *path);
void client_open_on(struct client *client, struct house *house, grpc_channel *channel, const char *path,
                    int64_t timeout_ns);
void client_begin_send(struct client *client, const void *bytes, size_t size);
bool client_send(struct client *client, const void *bytes, size_t size); /* waits until it was sent */
bool client_say(struct client *client, const char *text);
void client_half_close(struct client *client);
/* The next message, in one piece; false: there is none. `bytes` is overwritten. */
bool client_read(struct client *client, struct buf *bytes);
void client_cancel(struct client *client);
/* waits for the status; what was not read is read and counted as nothing */
grpc_status_code client_end(struct client *client);
grpc_status_code client_status(struct client *client);                /* waits for it without reading */
void client_said(struct client *client, char *text, size_t capacity); /* the status's message */
bool client_details(struct client *client, struct buf *bytes);        /* grpc-status-details-bin */
void client_close(struct client *client);                             /* cancels it if it is alive */

#endif
