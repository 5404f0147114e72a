/* bench_mark.h - what the first bytes of a bench's payload say: who sent it, in which run, as which
 * number, and when. Any thread.
 *
 * The moment is on CLOCK_MONOTONIC, which all processes of one machine share and no other machine
 * does: `host` tells whose it is. */
#ifndef TRIBUTARY_TOOL_BENCH_MARK_H
#define TRIBUTARY_TOOL_BENCH_MARK_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tributary/event.h"

#define MARK_BYTES 32u
#define MARK_MAGIC UINT32_C(0x6d627274) /* "trbm" in the payload */

struct mark {
    uint16_t producer; /* its number within the run, from 0 */
    uint16_t host;     /* mark_host() of the sender */
    uint64_t run;      /* mark_run() of the sender */
    uint64_t number;   /* of the event within its producer, from 0 */
    int64_t time_ns;   /* clock_mono_ns() */
};

/* A number for one run: the time of its beginning, clock_wall_ns(), but for the last 16 bits, which
 * are random. */
uint64_t mark_run(void);

/* A number that processes of one machine share until it is started anew; two machines have the same
 * one once in 65536 times. */
uint16_t mark_host(void);

/* All in little endian: magic, producer, host, run, number, time. */
static inline void mark_write(uint8_t at[MARK_BYTES], const struct mark *mark)
{
    const uint64_t words[4] = {
        htole64(MARK_MAGIC | (uint64_t)mark->producer << 32 | (uint64_t)mark->host << 48),
        htole64(mark->run),
        htole64(mark->number),
        htole64((uint64_t)mark->time_ns),
    };

    memcpy(at, words, sizeof(words));
}

/* False: the payload carries none. */
static inline bool mark_read(struct tributary_bytes payload, struct mark *mark_out)
{
    uint64_t words[4];

    if (payload.size < MARK_BYTES)
        return false;
    memcpy(words, payload.data, sizeof(words));
    words[0] = le64toh(words[0]);
    mark_out->producer = (uint16_t)(words[0] >> 32);
    mark_out->host = (uint16_t)(words[0] >> 48);
    mark_out->run = le64toh(words[1]);
    mark_out->number = le64toh(words[2]);
    mark_out->time_ns = (int64_t)le64toh(words[3]);
    return (uint32_t)words[0] == MARK_MAGIC;
}

#endif
