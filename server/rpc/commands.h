/* commands.h - what a session is told: RegisterResponse, command by command. For the files of this
 * room.
 *
 * Commands come from the loop and from channels on any thread; they leave in that order, gathered,
 * one message in flight.
 *
 * Threads: each function says. */
#ifndef TRIBUTARY_SERVER_RPC_COMMANDS_H
#define TRIBUTARY_SERVER_RPC_COMMANDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/fault.h"
#include "hub/session_port.h"
#include "loop/loop.h"
#include "server/wire/call.h"

struct commands {
    struct call *call;
    int64_t write_timeout_ns;
    /* Any thread, under the lock. */
    pthread_mutex_t lock;
    struct buf waiting;
    /* Any thread. */
    _Atomic bool posted; /* `wake` is on its way */
    struct task wake;
    /* Wire thread only. */
    struct post_poll_hook ready;
    struct wire_timer limit;
    uint64_t confirmed, reported; /* messages of the session that were dealt with */
    int64_t sent_at_ns;
    bool in_flight, stopped;
};

void commands_init(struct commands *commands, struct call *call, int64_t write_timeout_ns);
/* Wire thread, in a task that was posted after the last command: then no wake is on its way any
 * more. */
void commands_fini(struct commands *commands);

/* Any thread. */
void command_welcome(struct commands *commands, uint64_t epoch);
void command_start(struct commands *commands, const struct activation_params *params);
void command_stop(struct commands *commands, uint64_t activation, enum fault_reason reason,
                  int64_t deadline_ns);
void command_pause(struct commands *commands, uint64_t activation, bool pause);
void command_closing(struct commands *commands, enum fault_reason reason, int64_t deadline_ns);

/* Wire thread. */
/* up to this message all was dealt with */
void commands_confirm(struct commands *commands, uint64_t message);
void commands_sent(struct commands *commands, bool ok); /* from the call's sent() */
bool commands_all_sent(struct commands *commands);      /* nothing waits, nothing is on its way */
/* the call is lost or finished: nothing is sent any more */
void commands_stop(struct commands *commands);

#endif
