/* bench_report.h - what the three benches have in common: the time and the processor that a run
 * took, its lines of progress, its summary. */
#ifndef TRIBUTARY_TOOL_BENCH_REPORT_H
#define TRIBUTARY_TOOL_BENCH_REPORT_H

#include <jansson.h>

#include "client/tool/bench_check.h"
#include "client/tool/stop.h"

#define PROGRESS_NS INT64_C(1000000000)

/* Says how a run is told. */
struct report_params {
    bool json, progress, quiet;
};

/* Rows for a verb's table; `at` is the offset of a struct report_params in its settings. */
#define REPORT_OPTIONS(at)                                                                                   \
    {0,                                                                                                      \
     "json",                                                                                                 \
     OPTION_FLAG,                                                                                            \
     "",                                                                                                     \
     (at) + offsetof(struct report_params, json),                                                            \
     "the summary as one JSON object"},                                                                      \
        {0,                                                                                                  \
         "progress",                                                                                         \
         OPTION_FLAG,                                                                                        \
         "",                                                                                                 \
         (at) + offsetof(struct report_params, progress),                                                    \
         "a line on standard error every second, also where that is no terminal"},                           \
    {                                                                                                        \
        'q', "quiet", OPTION_FLAG, "", (at) + offsetof(struct report_params, quiet),                         \
            "no progress and no notices on standard error"                                                   \
    }

/* User and system time of this process so far. */
int64_t report_cpu_ns(void);

/* The lines of progress, one a second. Main thread. */
struct progress {
    bool on;
    const char *what; /* "published", "received" */
    int64_t began_ns, last_ns;
    uint64_t last_events;
};

void progress_begin(struct progress *progress, const struct report_params *params, const char *what);

/* How long until the next line is due. */
int64_t progress_left_ns(const struct progress *progress);

/* Prints it where it is due; `bytes` are those of all `events` so far; `more` NULL: nothing
 * more. */
void progress_report(struct progress *progress, uint64_t events, uint64_t bytes, const char *more);

/* What was done within a time, and what it took. */
struct yield {
    uint64_t events, bytes, messages; /* bytes of payload */
    int64_t took_ns;
    int64_t cpu_ns; /* of this whole process */
};

void yield_put_rates(json_t *object, const struct yield *yield); /* all but the processor */
void yield_put_json(json_t *object, const struct yield *yield);
void yield_print(const struct yield *yield);
void yield_print_line(const struct yield *yield, uint32_t number); /* of one subscriber among many */

/* Seconds, microseconds, or a ratio: with nine digits. */
void report_put_real(json_t *object, const char *name, double value);

/* p50, p90, p99, p99.9 and the most, in microseconds. With `slots` also how often each duration was
 * seen. */
void report_put_latency(json_t *object, const struct histogram *latency, bool slots);
void report_print_latency(const struct histogram *latency);

/* Holes, disorder and losses; the text only says what there was. */
void report_put_stats(json_t *object, const struct check_stats *stats);
void report_print_stats(const struct check_stats *stats);

#endif
