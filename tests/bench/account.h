/* account.h - how much processes and the machine have used, as the kernel accounts for it. */
#ifndef TRIBUTARY_TESTS_ACCOUNT_H
#define TRIBUTARY_TESTS_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"

/* The processor time of all threads of a process, also of those that have ended: the scheduler's
 * account, exact to the nanosecond. -1, with errno: there is no such process. */
int64_t account_cpu_ns(pid_t process);
int64_t account_rss_bytes(pid_t process); /* -1, with errno */

/* The machine, all processors together. */
struct account_machine {
    int64_t busy_ns;  /* in any process, the kernel or an interrupt */
    int64_t steal_ns; /* while a virtual processor wanted to run and was not allowed to */
};
MUST_CHECK bool account_machine(struct account_machine *machine_out); /* false, with errno */

#endif
