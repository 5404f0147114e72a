/* stop.c - signals and wakeups are descriptors, so that one poll() waits for everything. */
#include "client/tool/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/ignored_signal.h"

void stop_begin(struct stop *stop, int64_t for_ns)
{
    stop->until_ns = for_ns > 0 ? clock_mono_ns() + for_ns : INT64_MAX;
}

bool stop_init(struct stop *stop, int64_t for_ns)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (!signal_is_ignored(SIGHUP))
        sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *stop = (struct stop){.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                          .wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    stop_begin(stop, for_ns);
    return stop->signal_fd >= 0 && stop->wakeup_fd >= 0;
}

void stop_fini(struct stop *stop)
{
    if (stop->signal_fd >= 0)
        close(stop->signal_fd);
    if (stop->wakeup_fd >= 0)
        close(stop->wakeup_fd);
}

void stop_wake(struct stop *stop)
{
    const uint64_t one = 1;
    const ssize_t written = write(stop->wakeup_fd, &one, sizeof(one));

    (void)written; /* it fails where the counter is full, and then a wakeup is pending */
}

void stop_end(struct stop *stop)
{
    atomic_store(&stop->over, true);
    stop_wake(stop);
}

bool stop_requested(const struct stop *stop)
{
    return stop->signals > 0 || atomic_load(&stop->over) || clock_mono_ns() >= stop->until_ns;
}

static void read_signals(struct stop *stop)
{
    struct signalfd_siginfo info;

    while (read(stop->signal_fd, &info, sizeof(info)) == sizeof(info))
        stop->signals++;
}

bool stop_wait(struct stop *stop, int fd, int64_t max_ns)
{
    struct pollfd fds[3] = {{.fd = stop->signal_fd, .events = POLLIN},
                            {.fd = stop->wakeup_fd, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};
    const int64_t now_ns = clock_mono_ns();
    /* an end that was reached ends no further wait */
    const int64_t left_ns = stop->until_ns > now_ns ? stop->until_ns - now_ns : INT64_MAX;
    const int64_t wait_ns = MIN_OF(left_ns, max_ns);
    const int64_t wait_ms =
        wait_ns == INT64_MAX ? -1 : MIN_OF((wait_ns + NS_PER_MS - 1) / NS_PER_MS, INT64_C(1000000000));
    uint64_t count = 0;

    if (poll(fds, 3, (int)wait_ms) < 0 && errno != EINTR)
        return false;
    if (fds[0].revents != 0)
        read_signals(stop);
    if (fds[1].revents != 0)
        (void)!read(stop->wakeup_fd, &count, sizeof(count)); /* wakeups are not counted */
    return fds[2].revents != 0;
}
