/* stream.h - what the parts of `stream` share (stream.c). One thread, one completion queue; the
 * address of a `struct op` is the tag. */
#ifndef TRIBUTARY_TESTS_BENCH_STREAM_H
#define TRIBUTARY_TESTS_BENCH_STREAM_H

#include <stdbool.h>

#include "base/base.h"

#include <grpc/grpc.h>

#define STREAM_METHOD "/bench.Stream/Read"

struct op {
    void (*done)(struct op *op, bool ok);
};

/* What a client asks for, in its bytes. */
struct request {
    int64_t run_ns;
    uint64_t size, rate; /* of the messages; 0: as fast as they are read */
};

/* The head of every message; filler follows. */
struct mark {
    int64_t due_ns; /* stream_now_ns() */
    uint64_t id;    /* the source's process, and behind it the number of the message, from 0 */
};
#define MARK_NUMBER_BITS 40

extern grpc_completion_queue *stream_queue;

int64_t stream_now_ns(void);
void stream_start(grpc_call *call, const grpc_op *ops, size_t count, struct op *op);
void stream_ignore(struct op *op, bool ok);
/* As the server has them for its upstreams and its clients. */
const grpc_channel_args *stream_args(void);
grpc_channel *stream_dial(const char *address);

/* Serves until SIGTERM. Returns 1: it cannot. */
int stream_serve(bool is_proxy, const char *listen, const char *ready);

#endif
