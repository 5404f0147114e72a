/* report.h - readings at both ends of the measured time, and the JSON of their difference. */
#ifndef TRIBUTARY_TESTS_REPORT_H
#define TRIBUTARY_TESTS_REPORT_H

#include <sys/types.h>

#include "bench/account.h"
#include "bench/load.h"

struct report_reading {
    int64_t time_ns;
    uint64_t published, delivered, messages;
    int64_t server_ns, producers_ns, consumers_ns, parent_ns;
    struct account_machine machine;
};

struct report {
    struct load *load;
    pid_t producers, consumers;
    int64_t rss_before_bytes, rss_bytes;
    struct report_reading begin, end;
    uint64_t *begin_events; /* of each consumer, at `begin` */
    uint64_t *end_events;
};

/* Takes a reading. False: something could not be read; load_fail() was called. */
MUST_CHECK bool report_read(const struct report *report, struct report_reading *reading_out,
                            uint64_t *events_out);
void report_print(const struct report *report);

#endif
