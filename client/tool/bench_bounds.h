/* bench_bounds.h - what the options of the bench verbs accept. The command line is read by it, so
 * a value beyond a bound is refused, with option, value and bound, before a server is contacted. */
#ifndef TRIBUTARY_TOOL_BENCH_BOUNDS_H
#define TRIBUTARY_TOOL_BENCH_BOUNDS_H

#include "client/tool/option.h"

#define BENCH_PUB_BOUNDS 5
#define BENCH_SUB_BOUNDS 3
#define BENCH_LATENCY_BOUNDS 4
#define BENCH_BATCH_BOUNDS 10

extern const struct option_bounds bench_pub_bounds[BENCH_PUB_BOUNDS];
extern const struct option_bounds bench_sub_bounds[BENCH_SUB_BOUNDS];
extern const struct option_bounds bench_latency_bounds[BENCH_LATENCY_BOUNDS];
extern const struct option_bounds bench_batch_bounds[BENCH_BATCH_BOUNDS];

#endif
