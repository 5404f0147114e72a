/* ignored_signal.h - what nohup(1) does to a program: it ignores SIGHUP from the start, and should
 * go on to. */
#ifndef TRIBUTARY_BASE_IGNORED_SIGNAL_H
#define TRIBUTARY_BASE_IGNORED_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the process ignores the signal now. Any thread. */
static inline bool signal_is_ignored(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

#endif
