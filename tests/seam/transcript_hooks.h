/* transcript_hooks.h - what the linker puts in the place of two functions, so that a transcript
 * holds what the hub logs, and is the same in every run. */
#ifndef TRIBUTARY_TESTS_SEAM_TRANSCRIPT_HOOKS_H
#define TRIBUTARY_TESTS_SEAM_TRANSCRIPT_HOOKS_H

#include <sys/types.h>

#include "base/log.h"

extern bool transcript_with_log; /* in transcript.c; see transcript_begin() */

void __real_log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);
void __wrap_log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t count);
ssize_t __real_getrandom(void *into, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *into, size_t size, unsigned flags);

#endif
