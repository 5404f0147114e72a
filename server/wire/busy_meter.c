/* busy_meter.c - measures for which share of the time a thread runs or could run. */
#include "server/wire/busy_meter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define WINDOW_NS NS_PER_MS

static int64_t thread_cpu_ns(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}

/* For how long the thread could have run while other threads did. It is the second number in the
 * file. The first one is the thread's processor time, but as of the latest tick of the kernel. 0
 * where there is no such file. */
static int64_t thread_delayed_ns(const struct busy_meter *meter)
{
    char text[80];
    char *end = text;
    ssize_t size = meter->file < 0 ? -1 : pread(meter->file, text, sizeof(text) - 1, 0);

    if (size <= 0)
        return 0;
    text[size] = '\0';
    (void)strtoll(text, &end, 10);
    return strtoll(end, NULL, 10);
}

int64_t busy_meter_runnable_ns(const struct busy_meter *meter)
{
    return thread_cpu_ns() + thread_delayed_ns(meter);
}

void busy_meter_start(struct busy_meter *meter, int64_t now_ns)
{
    meter->file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    meter->window_began_ns = now_ns;
    meter->window_runnable_ns = busy_meter_runnable_ns(meter);
}

void busy_meter_stop(struct busy_meter *meter)
{
    if (meter->file >= 0)
        close(meter->file);
    meter->file = -1;
}

void busy_meter_update(struct busy_meter *meter, int64_t now_ns)
{
    int64_t wall_ns = now_ns - meter->window_began_ns;

    if (wall_ns < WINDOW_NS)
        return;
    int64_t now_runnable_ns = busy_meter_runnable_ns(meter);
    int share = (int)((now_runnable_ns - meter->window_runnable_ns) * 100 / wall_ns);
    meter->percent = (meter->percent + share) / 2;
    meter->window_began_ns = now_ns;
    meter->window_runnable_ns = now_runnable_ns;
}
