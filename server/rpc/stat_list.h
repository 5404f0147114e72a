/* stat_list.h - the numbers behind a sentence of Explain, one after another. For the files of
 * this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_STAT_LIST_H
#define TRIBUTARY_SERVER_RPC_STAT_LIST_H

#include <stdint.h>

#include "base/base.h"
#include "base/clock.h"

/* Who gets them. */
struct stat_list {
    void (*each)(void *ctx, const char *name, int64_t value, const char *unit);
    void *ctx;
};

static inline void stat_add(const struct stat_list *list, const char *name, uint64_t value, const char *unit)
{
    list->each(list->ctx, name, (int64_t)MIN_OF(value, (uint64_t)INT64_MAX), unit);
}

/* Not where it is 0. */
static inline void stat_add_some(const struct stat_list *list, const char *name, uint64_t value,
                                 const char *unit)
{
    if (value > 0)
        stat_add(list, name, value, unit);
}

/* In milliseconds. Not where it is negative: it does not hold. */
static inline void stat_add_age(const struct stat_list *list, const char *name, int64_t age_ns)
{
    if (age_ns >= 0)
        list->each(list->ctx, name, age_ns / NS_PER_MS, "ms");
}

#endif
