/* bell.c - how the three processes tell each other: bells, and the first failure. */
#include "bench/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void load_fail(struct load *load, const char *text, ...)
{
    va_list arguments;
    int nobody = 0;

    if (!atomic_compare_exchange_strong(&load->failed, &nobody, 1))
        return;
    va_start(arguments, text);
    vsnprintf(load->failure, sizeof(load->failure), text, arguments);
    va_end(arguments);
    atomic_store(&load->failed, 2);
    load_ring(load->bell_parent);
}

void load_ring(int wakeup)
{
    uint64_t one = 1;

    CHECK(write(wakeup, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN); /* full: it rings already */
}

void load_tell(struct load *load, _Atomic unsigned *which, enum side side)
{
    atomic_fetch_or(which, (unsigned)side);
    load_ring(load->bell_parent);
}
