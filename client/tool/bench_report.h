/* bench_report.h - what the benches share: measuring a run's time and processor time,
 * printing its progress, printing its summary. Main thread, where nothing else is said. */
#ifndef TRIBUTARY_TOOL_BENCH_REPORT_H
#define TRIBUTARY_TOOL_BENCH_REPORT_H

#include <jansson.h>

#include "client/tool/bench_check.h"
#include "client/tool/stop.h"

#define PROGRESS_NS INT64_C(1000000000)

/* How a run is reported. */
struct report_params {
    bool json, progress, quiet;
};

/* Rows for a verb's table of options. `base` is the offset of a struct report_params in its
 * settings. */
#define REPORT_OPTIONS(base)                                                                                 \
    {0,                                                                                                      \
     "json",                                                                                                 \
     OPTION_FLAG,                                                                                            \
     "",                                                                                                     \
     (base) + offsetof(struct report_params, json),                                                          \
     "the summary as one JSON object"},                                                                      \
        {0,                                                                                                  \
         "progress",                                                                                         \
         OPTION_FLAG,                                                                                        \
         "",                                                                                                 \
         (base) + offsetof(struct report_params, progress),                                                  \
         "a line on standard error every second, also where that is no terminal"},                           \
    {                                                                                                        \
        'q', "quiet", OPTION_FLAG, "", (base) + offsetof(struct report_params, quiet),                       \
            "no progress and no notices on standard error"                                                   \
    }

/* User and system time that this process has used so far. Any thread. */
int64_t report_cpu_ns(void);

/* Lines of progress on standard error, one a second. */
struct progress {
    bool on;
    const char *what; /* "published", "received" */
    int64_t began_ns, last_ns;
    uint64_t last_events;
};

/* Begins the progress. `what` must outlive it. */
void progress_begin(struct progress *progress, const struct report_params *params, const char *what);

/* The time until the next line is due; 0: it is due. */
int64_t progress_left_ns(const struct progress *progress);

/* Prints a line where one is due. `events` and `bytes` count from the beginning. The line ends with
 * `more`, which may be NULL. */
void progress_report(struct progress *progress, uint64_t events, uint64_t bytes, const char *more);

/* What was done within a time, and what it cost. */
struct throughput {
    uint64_t events, bytes, messages; /* bytes of payload */
    int64_t took_ns;
    int64_t cpu_ns; /* of the whole process */
};

void throughput_put_rates(json_t *object, const struct throughput *throughput); /* without processor time */
void throughput_put_json(json_t *object, const struct throughput *throughput);
void throughput_print(const struct throughput *throughput);
void throughput_print_line(const struct throughput *throughput,
                           uint32_t number); /* of one subscriber of several */

/* Adds a number with a fraction. table_print_json() writes nine significant digits. */
void report_put_real(json_t *object, const char *name, double value);

/* Reports p50, p90, p99, p99.9 and the maximum, in microseconds. With `slots`, the JSON form also
 * holds the whole histogram. */
void report_put_latency(json_t *object, const struct histogram *latency, bool slots);
void report_print_latency(const struct histogram *latency);
/* The same for other durations than the latency of events. */
void report_put_quantiles(json_t *object, const char *name, const struct histogram *durations, bool slots);
void report_print_quantiles(const char *title, const struct histogram *durations);

/* Reports holes, disorder and losses. The text form leaves out counts of 0. */
void report_put_stats(json_t *object, const struct check_stats *stats);
void report_print_stats(const struct check_stats *stats);

#endif
