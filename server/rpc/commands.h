/* commands.h - the commands to a session: RegisterResponse, command by command. For the files of
 * this room.
 *
 * Commands come from the loop and from channels, on any thread. They leave in the order in which
 * they came. They are gathered into messages of about 64 KiB, and one is in flight at a time, so a
 * session that reads slowly makes progress. One that takes nothing for the write timeout has its
 * call aborted with NOT_READING. So has one that takes nothing for a second while 16 MiB of
 * commands wait, not counting the consumers' requests, which are kept by reference.
 *
 * Threads: each function says. */
#ifndef TRIBUTARY_SERVER_RPC_COMMANDS_H
#define TRIBUTARY_SERVER_RPC_COMMANDS_H

#include <pthread.h>

#include "base/fault.h"
#include "hub/session_port.h"
#include "loop/loop.h"
#include "server/rpc/command_queue.h"
#include "server/rpc/heartbeat.h"
#include "server/wire/call.h"

struct stored_pipeline;

/* Embedded in what the call owns. */
struct commands {
    struct call *call;
    int64_t write_timeout_ns;
    /* Any thread, under the lock. */
    pthread_mutex_t lock;
    struct command_queue waiting;
    struct cq_wake wake; /* any thread */
    /* Wire thread only. */
    struct post_poll_hook flush_hook;
    struct cq_timer write_timer;
    struct heartbeat heartbeat;
    uint64_t confirmed;             /* messages of the session that are done */
    uint64_t reported;              /* the last `confirmed` that was sent */
    struct stored_pipeline *stored; /* what was stored since the last Confirm; NULL: nothing ever */
    size_t refused_bytes;           /* of refusals, which wait or are in flight */
    bool in_flight, stopped;
    const struct fault *last; /* commands_finish() was called with it */
    int64_t took_at_ns;       /* in flight: when the session last took something; with `last`: its call */
    size_t unread;            /* of its connection then, see call_writable() */
};

/* Wire thread. */
void commands_init(struct commands *commands, struct call *call, int64_t write_timeout_ns);
/* Wire thread, in a task that was posted after the last command: so no wake-up is on its way any
 * more. */
void commands_fini(struct commands *commands);

/* Any thread. Deadlines are clock_mono_ns(). */
void command_welcome(struct commands *commands, uint64_t epoch);
void command_start(struct commands *commands, const struct activation_params *params);
void command_stop(struct commands *commands, uint64_t activation, enum fault_reason reason,
                  int64_t deadline_ns);
void command_pause(struct commands *commands, uint64_t activation, bool pause);
void command_closing(struct commands *commands, enum fault_reason reason, int64_t deadline_ns);

/* Wire thread. A message of the session was refused; the session goes on. */
void command_refused(struct commands *commands, uint64_t message, const struct fault *fault);
/* Wire thread. So many refusals wait that no more messages should be read. It ends in
 * commands_sent(). */
bool commands_full_of_refusals(const struct commands *commands);

/* Wire thread. From now on an empty message follows each silence of `interval_ns`; 0: none. */
void commands_beat(struct commands *commands, int64_t interval_ns);
/* Wire thread. All messages up to this number are done. */
void commands_confirm(struct commands *commands, uint64_t message);
/* Wire thread; from the call's sent(). */
void commands_sent(struct commands *commands, bool ok);
/* Wire thread. Nothing waits and nothing is in flight. */
bool commands_all_sent(struct commands *commands);
/* Wire thread. Sends what waits, and then ends the call with `fault`, which stays the caller's and
 * must live as long as the call. The session has the write timeout for all that waits; beyond it
 * the call is aborted with the fault. Once; nothing happens after commands_stop(). */
void commands_finish(struct commands *commands, const struct fault *fault);
/* Wire thread. The call is lost or finished: nothing is sent any more. */
void commands_stop(struct commands *commands);

#endif
