/* bench_bounds.c - see bench_bounds.h. */
#include "client/tool/bench_bounds.h"

#include "base/clock.h"
#include "client/tool/bench_mark.h"
#include "client/tool/bench_stamp.h"

#define MAX_CLIENTS 1000u /* each has a connection, a publisher a thread, too */
#define MAX_SIZE 1000000u /* a server with default settings takes 1 MiB for a whole event */
#define MAX_DAY_NS (24 * 3600 * NS_PER_S)

const struct option_bounds bench_pub_bounds[BENCH_PUB_BOUNDS] = {
    {"publishers", 1, MAX_CLIENTS},    {"size", MARK_BYTES, MAX_SIZE},
    {"rate", 0, UINT64_C(1000000000)}, /* 0: unlimited */
    {"window", 1, 1u << 24},           {"batch", 1, 65536},
};

/* The server has bounds of its own for the buffer, and names them. */
const struct option_bounds bench_sub_bounds[BENCH_SUB_BOUNDS] = {
    {"subscribers", 1, MAX_CLIENTS},
    {"buffer-events", 1, UINT32_MAX},
    {"buffer-bytes", 1, UINT64_MAX},
};

const struct option_bounds bench_latency_bounds[BENCH_LATENCY_BOUNDS] = {
    {"rate", 1, 1000000},
    {"size", MARK_BYTES, MAX_SIZE},
    {"max-time", 1, MAX_DAY_NS},
    {"warmup", 0, MAX_DAY_NS},
};

const struct option_bounds bench_batch_bounds[BENCH_BATCH_BOUNDS] = {
    {"runners", 0, MAX_CLIENTS}, /* 0: only work */
    {"keys", 1, 100000000},
    {"rate", 0, UINT64_C(1000000000)}, /* 0: unlimited */
    {"size", BENCH_STAMP_BYTES, MAX_SIZE},
    {"in-flight", 1, 1u << 20},
    {"window", (uint64_t)NS_PER_MS, 3600 * NS_PER_S},
    {"save-delay", 0, 60 * NS_PER_S},
    {"threads", 1, 1024},
    {"max-batches", 1, 10000},
    {"max-time", 1, MAX_DAY_NS},
};
