/* load.c - the parent of the generator: two children, the phases, the readings, and the verdict.
 *
 * The phases: CONNECT, until both sides are ready; WARM_UP; MEASURE; STOP, until the producers have
 * ended and every consumer that reads has everything; END. The run ends early when a child fails or
 * dies, or when nothing moves any more. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/report.h"

enum { WAIT_MS = 5, REAP_MS = 20000, CHILDREN = 2 };

struct child {
    const char *name;
    int (*run)(struct load *load);
    pid_t process; /* 0: none */
    int handle;    /* a pidfd */
};

struct run {
    struct load *load;
    size_t load_bytes;
    struct child children[CHILDREN];
    struct report report;
};

/* ---- children ---- */

static bool start(struct run *run, struct child *child)
{
    pid_t parent = getpid();

    child->process = fork();
    if (child->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? child->run(run->load) : 1);
    }
    child->handle = child->process > 0 ? pidfd_open(child->process, 0) : -1;
    if (child->handle < 0)
        load_fail(run->load, "%s: cannot be started: %s", child->name, strerror(errno));
    return child->handle >= 0;
}

/* Waits for a child to end, and kills it if it takes too long. A child that was told to end, or has
 * failed, ends at once. */
static void reap(struct run *run, struct child *child)
{
    struct pollfd ended = {.fd = child->handle, .events = POLLIN};
    int status = 0;

    if (child->process <= 0)
        return;
    if (child->handle < 0 || poll(&ended, 1, REAP_MS) != 1)
        kill(child->process, SIGKILL);
    if (waitpid(child->process, &status, 0) == child->process && status != 0)
        load_fail(run->load, "%s ended with %s %d", child->name, WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (child->handle >= 0)
        close(child->handle);
    child->process = 0;
}

/* Sleeps until a wakeup, the end of a child, or the timeout. */
static void wait_for_events(struct run *run, int timeout_ms)
{
    struct pollfd watched[1 + CHILDREN] = {{.fd = run->load->wakeup_parent, .events = POLLIN}};
    uint64_t wakeups;

    for (int i = 0; i < CHILDREN; i++)
        watched[1 + i] = (struct pollfd){.fd = run->children[i].handle, .events = POLLIN};
    if (poll(watched, ARRAY_LEN(watched), timeout_ms) <= 0)
        return;
    if (watched[0].revents && read(run->load->wakeup_parent, &wakeups, sizeof(wakeups)) < 0 &&
        errno != EAGAIN)
        load_fail(run->load, "eventfd: %s", strerror(errno));
    for (int i = 0; i < CHILDREN; i++)
        if (watched[1 + i].revents)
            reap(run, &run->children[i]), load_fail(run->load, "%s ended early", run->children[i].name);
}

static void enter_phase(struct load *load, enum phase phase)
{
    atomic_store(&load->phase, phase);
    load_wake(load->wakeup_producers);
    load_wake(load->wakeup_consumers);
}

/* ---- waiting ---- */

static uint64_t delivered(const struct load *load)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < load->plan.consumers; i++)
        sum += atomic_load_explicit(&load->totals[i].events, memory_order_relaxed);
    return sum;
}

static bool all_ready(const struct load *load)
{
    return atomic_load(&load->ready) == (SIDE_PRODUCERS | SIDE_CONSUMERS);
}

/* How many events a consumer must have received in the end. */
static uint64_t expected_events(const struct load *load, uint32_t consumer)
{
    const struct plan *plan = &load->plan;
    uint64_t sum = 0, stride = plan->filter == FILTER_NONE ? 1 : plan->consumers,
             first = plan->filter == FILTER_NONE ? 0 : consumer;

    for (uint32_t i = 0; i < plan->producers; i++)
        if (plan_delivers(plan, i, consumer))
            sum += (load->published_by[i] + stride - 1 - first) / stride;
    return sum;
}

static bool all_arrived(const struct load *load)
{
    if (atomic_load(&load->finished) != SIDE_PRODUCERS)
        return false;
    for (uint32_t i = 0; i < load->plan.consumers - load->plan.stalled; i++)
        if (atomic_load_explicit(&load->totals[i].events, memory_order_relaxed) != expected_events(load, i))
            return false;
    return true;
}

static uint64_t progress(const struct load *load)
{
    uint64_t received = delivered(load);

    return received + atomic_load_explicit(&load->published, memory_order_relaxed) +
           atomic_load(&load->ready);
}

/* Waits until the condition is true, or without a condition until `until_ns` (0: no such time).
 * Fails the run if nothing moves for the plan's patience. */
static bool wait_until(struct run *run, bool (*condition)(const struct load *load), int64_t until_ns,
                       const char *what)
{
    struct load *load = run->load;
    uint64_t seen = progress(load);
    int64_t moved_ns = clock_mono_ns();

    while (!load_failed(load)) {
        int64_t now_ns = clock_mono_ns(), left_ns = until_ns ? until_ns - now_ns : WAIT_MS * NS_PER_MS;
        if (condition ? condition(load) : left_ns <= 0)
            return true;
        if (progress(load) != seen || load->plan.idle)
            seen = progress(load), moved_ns = now_ns;
        if (now_ns - moved_ns > load->plan.patience_s * NS_PER_S)
            load_fail(load, "%s: nothing has moved for %u s (published %llu, received %llu)", what,
                      load->plan.patience_s, (unsigned long long)atomic_load(&load->published),
                      (unsigned long long)delivered(load));
        wait_for_events(run, (int)MIN_OF((left_ns + NS_PER_MS - 1) / NS_PER_MS, INT64_C(1000)));
    }
    return false;
}

/* ---- the run ---- */

static void read_rss(struct run *run, int64_t *rss_out)
{
    int pid = run->load->plan.server_pid;

    *rss_out = pid ? account_rss_bytes(pid) : -1;
    if (pid && *rss_out < 0)
        load_fail(run->load, "--pid %d: %s", pid, strerror(errno));
}

static bool measure(struct run *run)
{
    struct load *load = run->load;
    const struct plan *plan = &load->plan;
    struct report *report = &run->report;

    if (!wait_until(run, all_ready, 0, "connecting"))
        return false;
    if (!plan->idle)
        enter_phase(load, PHASE_WARM_UP);
    if (!wait_until(run, NULL, clock_mono_ns() + plan->warm_up_ms * NS_PER_MS, "warming up") ||
        !report_read(report, &report->begin, report->begin_events))
        return false;
    atomic_store(&load->end_ns, report->begin.time_ns + plan->measure_ns);
    atomic_store(&load->begin_ns, report->begin.time_ns);
    if (!plan->idle)
        enter_phase(load, PHASE_MEASURE);
    if (!wait_until(run, NULL, report->begin.time_ns + plan->measure_ns, "measuring") ||
        !report_read(report, &report->end, report->end_events))
        return false;
    read_rss(run, &report->rss_bytes);
    if (!plan->idle)
        enter_phase(load, PHASE_STOP);
    if (!plan->idle && report->end.delivered == report->begin.delivered)
        load_fail(load, "nothing arrived in the measured time");
    if (!plan->idle && !wait_until(run, all_arrived, 0, "waiting for the rest"))
        return false;
    enter_phase(load, PHASE_END);
    return true;
}

static int conclude(struct run *run)
{
    struct load *load = run->load;

    for (int i = 0; i < CHILDREN; i++)
        reap(run, &run->children[i]);
    if (load_failed(load)) {
        fprintf(stderr, "load: %s\n", load->failure);
        return 1;
    }
    report_print(&run->report);
    return fflush(stdout) == 0 ? 0 : 1;
}

/* Raises the limit of open files: one for each connection, and some more. */
static bool raise_files(const struct plan *plan, char *wrong, size_t capacity)
{
    struct rlimit files;
    rlim_t needed = MAX_OF(plan->producers, plan->consumers) + 32;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < needed) {
        files.rlim_cur = MIN_OF(needed, files.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= needed)
        return true;
    snprintf(wrong, capacity, "open files: %llu are needed, the limit is %llu", (unsigned long long)needed,
             (unsigned long long)files.rlim_max);
    return false;
}

static bool map_shared(struct run *run, const struct plan *plan)
{
    run->load_bytes = sizeof(struct load) + plan->consumers * sizeof(struct totals);
    run->load = mmap(NULL, run->load_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->load == MAP_FAILED)
        return false;
    run->load->plan = *plan;
    run->load->wakeup_producers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    run->load->wakeup_consumers = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    run->load->wakeup_parent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    run->report.load = run->load;
    run->report.begin_events = calloc(plan->consumers, sizeof(uint64_t));
    run->report.end_events = calloc(plan->consumers, sizeof(uint64_t));
    return run->load->wakeup_producers >= 0 && run->load->wakeup_consumers >= 0 &&
           run->load->wakeup_parent >= 0 && run->report.begin_events && run->report.end_events;
}

int main(int argc, char **argv)
{
    struct run run = {.children = {{.name = "consumers", .run = consumers_run, .handle = -1},
                                   {.name = "producers", .run = producers_run, .handle = -1}}};
    char wrong[256];
    struct plan plan;

    if (argc == 2 && !strcmp(argv[1], "--help"))
        return fputs(plan_usage, stdout) < 0;
    if (!plan_read(argc, argv, &plan, wrong, sizeof(wrong)) || !raise_files(&plan, wrong, sizeof(wrong))) {
        fprintf(stderr, "load: %s (load --help says more)\n", wrong);
        return 2;
    }
    if (!map_shared(&run, &plan)) {
        fprintf(stderr, "load: %s\n", strerror(errno));
        return 1;
    }
    read_rss(&run, &run.report.rss_before_bytes);
    bool started = !load_failed(run.load);
    for (int i = 0; i < CHILDREN && started; i++)
        started = start(&run, &run.children[i]);
    run.report.consumers = run.children[0].process;
    run.report.producers = run.children[1].process;
    if (started)
        (void)measure(&run);
    int status = conclude(&run);
    free(run.report.begin_events);
    free(run.report.end_events);
    return status;
}
