/* transcript.h - the transcript: what a test does to the hub, and what the hub calls in return,
 * line by line and in order. Two builds whose transcripts are equal call their ports alike.
 *
 *   step 17: select consumer 3 a* x        a step of the test
 *     session 2 stop 5 FINISHED now        what the hub calls: its ports, its log
 *     at 12.500000001                      virtual time has passed before the next line
 *
 * A transcript is the same in every run and in every build of the same code. So it holds no
 * pointer and no wall clock. Epochs and the ids of subscriptions are numbered in the order in which
 * they first appear (e1, s1). A deadline is the time that is left.
 *
 * There is one transcript for each process. It costs one branch for each line while none is
 * recorded. Threads: one, while a transcript is recorded. */
#ifndef TRIBUTARY_TESTS_SEAM_TRANSCRIPT_H
#define TRIBUTARY_TESTS_SEAM_TRANSCRIPT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"

/* Read only. True between transcript_begin() and transcript_end(). */
extern bool transcript_on;

/* Begins an empty transcript. The virtual time of its lines is counted from now. `with_log`: the
 * lines that the hub logs are part of it. */
void transcript_begin(bool with_log);
void transcript_end(void); /* the text stays until the next transcript_begin() */

/* Adds a line, which ends without a newline here. The arguments are evaluated only while a
 * transcript is recorded. */
#define transcript(...)                                                                                      \
    do {                                                                                                     \
        if (__builtin_expect(transcript_on, 0))                                                              \
            transcript_line(__VA_ARGS__);                                                                    \
    } while (0)
void transcript_line(const char *format, ...) PRINTF_LIKE(1, 2);

struct bytes transcript_text(void);
uint64_t transcript_digest(void);        /* FNV-1a of the text, 64 bits */
void transcript_write(const char *path); /* writes the text to this file */

/* ---- arguments of a line ---- */

/* The number of an epoch, and of a subscription's id. 0 stays 0. */
unsigned transcript_epoch(uint64_t epoch);
unsigned transcript_subscription(const char *id);

/* Each returns a text that is valid until the fourth next call of any of them. Deadlines: `now`,
 * `some day`, `in NANOSECONDS`; `in a while` where the clock is real. */
const char *transcript_deadline(int64_t deadline_ns);
const char *transcript_fault(const struct fault *fault);
const char *transcript_bytes(struct bytes bytes); /* quoted */

/* ---- what a program may define ---- */

/* The clock is virtual: transcripts hold times. */
int64_t transcript_clock_ns(void) __attribute__((weak));
/* The name of the test case that runs. */
const char *transcript_case(void) __attribute__((weak));

/* Begins the transcript of a test case at its first call, where TRIBUTARY_TRANSCRIPT names a
 * folder. transcript_case_write() writes it to FOLDER/SUITE.CASE.txt, from its beginning each
 * time. */
void transcript_case_begin(void);
void transcript_case_write(void);

#endif
