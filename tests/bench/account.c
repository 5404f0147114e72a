/* account.c - reads the CPU clocks of other processes, and two files of /proc. */
#include "bench/account.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

int64_t account_cpu_ns(pid_t process)
{
    struct timespec ran;
    clockid_t clock;
    int wrong = clock_getcpuclockid(process, &clock);

    if (wrong) {
        errno = wrong;
        return -1;
    }
    if (clock_gettime(clock, &ran) != 0)
        return -1;
    return ran.tv_sec * NS_PER_S + ran.tv_nsec;
}

int64_t account_rss_bytes(pid_t process)
{
    char path[64];
    long long size = 0, resident = -1;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)process);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%lld %lld", &size, &resident) != 2)
        resident = -1;
    fclose(file);
    return resident < 0 ? -1 : resident * sysconf(_SC_PAGESIZE);
}

bool account_machine(struct account_machine *machine_out)
{
    /* user, nice, system, idle, iowait, irq, softirq, steal. The time of guests is part of user. */
    long long ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "re");

    if (!file)
        return false;
    int count = fscanf(file, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &ticks[0], &ticks[1], &ticks[2],
                       &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    fclose(file);
    errno = EINVAL;
    if (count != ARRAY_LEN(ticks))
        return false;
    int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);
    machine_out->busy_ns = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * tick_ns;
    machine_out->steal_ns = ticks[7] * tick_ns;
    return true;
}
