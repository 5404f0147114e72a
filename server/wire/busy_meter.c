/* busy_meter.c - measures the share of a processor that a thread uses. */
#include "server/wire/busy_meter.h"

#include <time.h>

#include "base/clock.h"

#define WINDOW_NS NS_PER_MS

static int64_t thread_cpu_ns(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}

void busy_meter_start(struct busy_meter *meter, int64_t now_ns)
{
    meter->window_began_ns = now_ns;
    meter->window_cpu_ns = thread_cpu_ns();
}

void busy_meter_update(struct busy_meter *meter, int64_t now_ns)
{
    int64_t wall_ns = now_ns - meter->window_began_ns;

    if (wall_ns < WINDOW_NS)
        return;
    int64_t cpu_ns = thread_cpu_ns();
    int share = (int)((cpu_ns - meter->window_cpu_ns) * 100 / wall_ns);
    meter->percent = (meter->percent + share) / 2;
    meter->window_began_ns = now_ns;
    meter->window_cpu_ns = cpu_ns;
}
