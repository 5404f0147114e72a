/* threads.h - what threads of this project have in common: how one starts, and conditions that wait
 * on the clock of clock_mono_ns(). */
#ifndef TRIBUTARY_BASE_THREADS_H
#define TRIBUTARY_BASE_THREADS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts a thread that blocks all signals but those that a thread causes itself (SIGSEGV and the
 * like), so that the kernel delivers signals to other threads. `name` has at most 15 bytes. Returns
 * 0 or an errno. */
int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx, const char *name);

/* Creates a condition for cond_wait_until(). */
void cond_init(pthread_cond_t *cond);

/* Waits for `cond`. The caller holds `lock`. False: `deadline_ns` (clock_mono_ns()) had passed
 * before the call. INT64_MAX waits without a limit. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);

#endif
