/* wire_fixture.h - one wire thread, and a client of gRPC core at the other end of a socketpair,
 * both in this process.
 *
 * The test's thread is the client: it serves the client's queue while it waits, and runs functions
 * on the wire thread with wire_fixture_run(). A `struct record` holds what the server's side saw; a
 * test waits for it with wire_fixture_until(). */
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

/* A test fails if something that it waits for takes longer. */
#define DEADLINE_NS (20 * NS_PER_S)

/* The write timeout of a call that was finished. */
#define STATUS_LIMIT_NS (2 * NS_PER_S)

/* The limit of a message, for us and for gRPC core. */
#define MESSAGE_BYTES (1024 * 1024)
#define CORE_MESSAGE_BYTES (2 * MESSAGE_BYTES)

/* What the metadata of a call may take. */
#define MAX_HEADER_BYTES 8192

struct wire_fixture {
    struct wire_thread *thread;
    grpc_completion_queue *queue; /* the client's */
    grpc_channel *channel;
    _Atomic bool down;
    int64_t live_calls_when_down; /* read after `down` */
    struct task *last;            /* the thread posts it to itself when it is down; NULL: none */
};

void wire_fixture_open(struct wire_fixture *fixture, const struct method *methods, size_t count);
/* Makes one more connection. The caller destroys it. */
grpc_channel *wire_fixture_connect(struct wire_fixture *fixture);
/* Checks that nothing is left behind. The test must have closed its calls and other connections. */
void wire_fixture_close(struct wire_fixture *fixture);
/* Waits until the thread is down, after wire_thread_shutdown(). */
void wire_fixture_wait_down(struct wire_fixture *fixture);
/* Runs `act` on the wire thread and waits until it has returned. */
void wire_fixture_run(struct wire_fixture *fixture, void (*act)(void *ctx), void *ctx);
/* Serves the client's queue for a millisecond or less. */
void wire_fixture_turn(struct wire_fixture *fixture);
#define wire_fixture_until(fixture, condition)                                                               \
    do {                                                                                                     \
        for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; !(condition); wire_fixture_turn(fixture))     \
            cr_assert_lt(clock_mono_ns(), limit_ns, "waited in vain for: %s", #condition);                   \
    } while (0)

/* Serves the client's queue for so long. Only for tests that something does NOT happen. */
void wire_fixture_wait(struct wire_fixture *fixture, int64_t span_ns);

/* What a method saw of its calls, and how it behaves. */
struct record {
    /* Set before the fixture opens. */
    bool reads_nothing; /* does not ask for a first message */
    bool reads_once;    /* does not ask for another message after one */
    void (*on_opened)(struct call *call, struct record *record);
    void (*on_message)(struct call *call, struct message *message, struct record *record);
    void (*on_half_closed)(struct call *call, struct record *record);
    void (*on_sent)(struct call *call, struct record *record);
    void *own;
    /* Wire thread only. */
    struct call *call; /* the last one that was opened; NULL once it was closed */
    /* Any thread. */
    _Atomic int opened, messages, half_closed, sent, unsent, lost, draining, closed, closed_ok;
};
extern const struct call_port unary_port, stream_port;

/* Functions for wire_fixture_run(), on a record's call. */
void act_hold(void *record);
void act_drop(void *record);
void act_answer(void *record); /* with "answer" */
void act_finish(void *record); /* OK */
void act_refuse(void *record); /* OUT_OF_BOUNDS, with field, value and bound */
void act_abort(void *record);  /* NOT_READING */
void act_send(void *record);   /* 8 MiB: more than any window */

/* An operation of the client. Its address is the tag. */
struct tag {
    bool pending, ok;
};

struct client {
    struct wire_fixture *fixture;
    grpc_call *core;
    struct tag opened, sent, read, half_closed, ended;
    grpc_byte_buffer *message;
    grpc_metadata_array initial, trailing;
    grpc_status_code code; /* set when `ended` is no longer pending */
    grpc_slice status_message;
};

void client_open(struct client *client, struct wire_fixture *fixture, const char *path);
void client_open_on(struct client *client, struct wire_fixture *fixture, grpc_channel *channel,
                    const char *path, int64_t timeout_ns);
void client_begin_send(struct client *client, const void *bytes, size_t size);
/* Sends a message and waits until it was sent. False: it could not be sent. */
bool client_send(struct client *client, const void *bytes, size_t size);
bool client_send_text(struct client *client, const char *text);
void client_half_close(struct client *client);
/* The next message, in one piece; false: there is none. `bytes` is overwritten. */
bool client_read(struct client *client, struct buf *bytes);
void client_cancel(struct client *client);
/* Reads and ignores the messages that are left, then waits for the status. */
grpc_status_code client_end(struct client *client);
/* Waits for the status without reading. */
grpc_status_code client_status(struct client *client);
/* Writes the message of the status. */
void client_status_message(struct client *client, char *text, size_t capacity);
/* Reads the trailer grpc-status-details-bin; false: there is none. */
bool client_details(struct client *client, struct buf *bytes);
/* Cancels the call if it is alive, and frees it. */
void client_close(struct client *client);

#endif
