/* spawn.h - a command whose standard output is read. It runs in a process group of its own, which
 * is ended with us. */
#ifndef TRIBUTARY_TOOL_SPAWN_H
#define TRIBUTARY_TOOL_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spawn {
    pid_t pid; /* 0: none */
    int fd;    /* its standard output */
};

/* Runs `command` with /bin/sh. 0, or an errno. */
int spawn_start(struct spawn *spawn, const char *command);

/* The same, and the command reads these bytes on its standard input. */
int spawn_start_with(struct spawn *spawn, const char *command, const void *input, size_t size);

/* Sends a signal to the whole group. */
void spawn_signal(const struct spawn *spawn, int signal);

/* Whether it has ended; then whatever it left running is told to end, too, and *status_out is as
 * from waitpid(). Does not wait. */
bool spawn_reap(struct spawn *spawn, int *status_out);

/* Waits for a command that closed its output; a second later it is told to end. Its exit code; 128
 * + signal. */
int spawn_wait(struct spawn *spawn);

/* Tells the whole group to end, and waits: SIGTERM, after a second SIGKILL. Harmless where nothing
 * runs. */
void spawn_stop(struct spawn *spawn);

#endif
