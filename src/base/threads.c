/* threads.c - see threads.h. */
#include "base/threads.h"

#include <signal.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"

int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx, const char *name)
{
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t blocked, before;

    sigfillset(&blocked);
    for (size_t i = 0; i < ARRAY_LEN(own_faults); i++)
        sigdelset(&blocked, own_faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = pthread_create(thread, NULL, run, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_setname_np(*thread, name);
    return failed;
}

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(cond, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        pthread_cond_wait(cond, lock);
        return true;
    }
    if (clock_mono_ns() >= deadline_ns)
        return false;

    const struct timespec deadline = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};

    pthread_cond_timedwait(cond, lock, &deadline);
    return true;
}
