/* spawn.h - a command whose standard output we read. It runs in a process group of its own, so that
 * its children can be ended with it. One thread. */
#ifndef TRIBUTARY_TOOL_SPAWN_H
#define TRIBUTARY_TOOL_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn {
    pid_t pid; /* 0: none */
    int fd;    /* its standard output */
};

/* Runs `command` with /bin/sh and an empty standard input. Returns 0, or an errno. */
int spawn_start(struct spawn *spawn, const char *command);

/* The same, but the command reads these bytes from its standard input. */
int spawn_start_with(struct spawn *spawn, const char *command, const void *input, size_t size);

/* The same, but the command reads from a pipe, whose other end *input_out is: the caller writes to
 * it without blocking, and closes it. */
int spawn_start_piped(struct spawn *spawn, const char *command, int *input_out);

/* Sends a signal to the whole process group. */
void spawn_signal(const struct spawn *spawn, int signal);

/* Whether the command has ended. It is still to be stopped or reaped. Does not wait. A command must
 * have been started. */
bool spawn_has_ended(const struct spawn *spawn);

/* True: the command has ended, *status_out is as from waitpid(), and what it left running in its
 * process group was ended with SIGKILL. Does not wait. `fd` stays open. */
bool spawn_reap(struct spawn *spawn, int *status_out);

/* Waits for a command that has closed its output. After a second it is ended as by spawn_stop(),
 * with a second more.
 * Returns its exit code, or 128 plus the signal that ended it. */
int spawn_wait(struct spawn *spawn);

/* Ends the whole process group: SIGTERM, and SIGKILL when the command has ended, at the latest
 * after `grace_ns`. Waits for the command. Does nothing where no command runs. */
void spawn_stop(struct spawn *spawn, int64_t grace_ns);

#endif
