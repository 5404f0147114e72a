/* start.h - where a subscriber begins with stored topics. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_START_H
#define TRIBUTARY_START_H

/* All other producers begin with new events. */
enum tributary_start {
    TRIBUTARY_START_LIVE = 0, /* with new events, or as `start_last` and `resume_token` say */
    TRIBUTARY_START_EARLIEST, /* with the first event that is kept */
    /* with the event of sequence `start_value`, at least 1. Where that is kept no more, the
     * subscriber ends with OUT_OF_RANGE, and "TRIMMED" as the reason. */
    TRIBUTARY_START_SEQUENCE,
    TRIBUTARY_START_TIME /* with what was stored at `start_value` or later, nanoseconds since 1970 */
};

#endif
