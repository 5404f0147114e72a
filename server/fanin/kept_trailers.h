/* kept_trailers.h - trailers that a call keeps until its end. There is space for as many as a call
 * may have; what is beyond is counted. So a call that lasts, with endpoints that come and go, keeps
 * no more than that.
 *
 * Threads: one. */
#ifndef TRIBUTARY_SERVER_FANIN_KEPT_TRAILERS_H
#define TRIBUTARY_SERVER_FANIN_KEPT_TRAILERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "event/pair_index.h"

/* Trailers of a call together, each with 32 bytes more. Many clients accept 8 KiB. */
#define MAX_TRAILER_BYTES 6144u
#define TRAILER_EXTRA_BYTES 32u

struct kept_trailer {
    struct list link;
    struct pair pair; /* points into `memory` */
    uint8_t memory[];
};

struct kept_trailers {
    struct list all; /* struct kept_trailer, in the order in which they came */
    size_t count, bytes;
    uint64_t left_out;
};

void kept_trailers_init(struct kept_trailers *trailers);
void kept_trailers_fini(struct kept_trailers *trailers);

/* Copies it. Where there is no space or no memory it is left out, and counted. */
void kept_trailers_add(struct kept_trailers *trailers, struct bytes name, struct bytes value);

#endif
