/* account.h - what processes and the machine have used, from the kernel. */
#ifndef TRIBUTARY_TESTS_ACCOUNT_H
#define TRIBUTARY_TESTS_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"

/* What all threads of a process have run, those that have ended included: the scheduler's account,
 * to the nanosecond. -1, with errno: there is no such process. */
int64_t account_cpu_ns(pid_t process);
int64_t account_rss_bytes(pid_t process); /* -1, with errno */

/* The machine, all processors together. */
struct account_machine {
    int64_t busy_ns;  /* in any process, the kernel or an interrupt */
    int64_t steal_ns; /* when a virtual processor wanted to run, and was not let */
};
MUST_CHECK bool account_machine(struct account_machine *machine_out); /* false, with errno */

#endif
