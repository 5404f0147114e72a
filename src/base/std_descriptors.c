/* std_descriptors.c - see std_descriptors.h. */
#include "base/std_descriptors.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No library has begun yet, and no sanitizer: so these are system calls. */
__attribute__((no_sanitize("address", "thread", "undefined"))) void std_descriptors_keep(void)
{
    /* The lowest number that is free is given: those below are open already. */
    for (long fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (syscall(SYS_fcntl, fd, F_GETFD) < 0)
            syscall(SYS_openat, AT_FDCWD, "/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
