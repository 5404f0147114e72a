/* bench_mark.h - the mark at the beginning of a bench's payload: producer, machine, run, number and
 * time of the event. Any thread.
 *
 * The time is that of CLOCK_MONOTONIC. All processes of one machine share this clock; two machines
 * do not. `host` identifies the machine. */
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
    uint64_t number;   /* of the event, counted for each producer from 0 */
    int64_t time_ns;   /* clock_mono_ns() */
};

/* Makes the number of a run: the time at which it begins, from clock_wall_ns(), with random bits in
 * place of the last 16. */
uint64_t mark_run(void);

/* The number of this machine. All its processes get the same number until the next boot. Two
 * machines have the same number with a probability of 1 in 65536. */
uint16_t mark_host(void);

/* Writes magic, producer, host, run, number and time, all in little endian. */
static inline void mark_write(uint8_t payload[MARK_BYTES], const struct mark *mark)
{
    const uint64_t words[4] = {
        htole64(MARK_MAGIC | (uint64_t)mark->producer << 32 | (uint64_t)mark->host << 48),
        htole64(mark->run),
        htole64(mark->number),
        htole64((uint64_t)mark->time_ns),
    };

    memcpy(payload, words, sizeof(words));
}

/* Reads a mark. False: the payload carries none, and *mark_out is not to be used. */
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
