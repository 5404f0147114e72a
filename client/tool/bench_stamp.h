/* bench_stamp.h - what an operation of `bench batch` carries: when it was due. The worker answers
 * with a stamp that holds when the first operation of its batch was due. Times are those of
 * CLOCK_MONOTONIC, so runner and worker are on one machine. Any thread. */
#ifndef TRIBUTARY_TOOL_BENCH_STAMP_H
#define TRIBUTARY_TOOL_BENCH_STAMP_H

#include <endian.h>
#include <string.h>

#include "tributary/event.h"

#define BENCH_STAMP_BYTES 16u
#define BENCH_STAMP_MAGIC UINT64_C(0x3163747362627274)

static inline void stamp_write(uint8_t stamp[BENCH_STAMP_BYTES], int64_t time_ns)
{
    const uint64_t words[2] = {htole64(BENCH_STAMP_MAGIC), htole64((uint64_t)time_ns)};

    memcpy(stamp, words, sizeof(words));
}

/* The time of a stamp; 0: there is none. */
static inline int64_t stamp_read(struct tributary_bytes bytes)
{
    uint64_t words[2];

    if (bytes.size < sizeof(words))
        return 0;
    memcpy(words, bytes.data, sizeof(words));
    return le64toh(words[0]) == BENCH_STAMP_MAGIC ? (int64_t)le64toh(words[1]) : 0;
}

#endif
