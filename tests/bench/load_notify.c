/* load_notify.c - how the three processes notify each other: wakeups, and the first failure. */
#include "bench/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void load_fail(struct load *load, const char *text, ...)
{
    va_list arguments;
    int unset = 0;

    if (!atomic_compare_exchange_strong(&load->failed, &unset, 1))
        return;
    va_start(arguments, text);
    vsnprintf(load->failure, sizeof(load->failure), text, arguments);
    va_end(arguments);
    atomic_store(&load->failed, 2);
    load_wake(load->wakeup_parent);
}

void load_wake(int wakeup)
{
    uint64_t one = 1;

    CHECK(write(wakeup, &one, sizeof(one)) == sizeof(one) ||
          errno == EAGAIN); /* full: a wakeup is pending already */
}

void load_notify(struct load *load, _Atomic unsigned *which, enum side side)
{
    atomic_fetch_or(which, (unsigned)side);
    load_wake(load->wakeup_parent);
}
