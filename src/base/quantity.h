/* quantity.h - numbers, counts, sizes and durations, as people write them: the one grammar of the
 * daemon and the tool.
 *
 *   a number      digits
 *   a count       digits with k (or K), M, G or nothing: units of 1000
 *   bytes         digits with K, M, G, T or nothing: units of 1024. The letter may be small, and
 *                 "B" or "iB" may follow it
 *   a duration    digits with ns, us, ms, s, m or h; several of them add up, such as 1m30s. Digits
 *                 alone count seconds
 *
 * All but a number may have decimals, as long as the quantity is whole: 1.5K, and not 0.5 bytes.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_QUANTITY_H
#define TRIBUTARY_BASE_QUANTITY_H

#include <stdbool.h>

#include "base/base.h"

enum quantity_kind {
    QUANTITY_NUMBER,
    QUANTITY_COUNT,
    QUANTITY_BYTES,
    QUANTITY_DURATION,          /* in nanoseconds; at most INT64_MAX, which is 292 years */
    QUANTITY_DURATION_OR_NEVER, /* "never" is 0, whatever the bounds are */
};

/* Both are allowed. */
struct quantity_bounds {
    uint64_t min, max;
};

/* What the kind can hold. */
struct quantity_bounds quantity_any(enum quantity_kind kind);

/* Large enough for every text of these functions, its closing NUL included. */
#define QUANTITY_TEXT_CAPACITY 32u
#define QUANTITY_FAULT_CAPACITY 160u

/* Reads a quantity. False: `fault` says what is wrong, with the bounds where it is beyond them,
 * such as "must be 1K to 1M"; the caller names the field and the value. *value_out is unchanged
 * then. */
bool quantity_parse(enum quantity_kind kind, const char *text, struct quantity_bounds bounds,
                    uint64_t *value_out, char fault[QUANTITY_FAULT_CAPACITY]);

/* Writes a quantity as one may type it, in the largest unit that is exact: "64K", "90s". */
void quantity_text(enum quantity_kind kind, uint64_t value, char text[QUANTITY_TEXT_CAPACITY]);

/* Writes the bounds: "1ms to 1h, or never", "at least 1", "at most 1M". */
void quantity_bounds_text(enum quantity_kind kind, struct quantity_bounds bounds,
                          char text[QUANTITY_FAULT_CAPACITY]);

/* The grammar in a sentence without its full stop, for help texts. */
extern const char quantity_help_bytes[];
extern const char quantity_help_duration[];

#endif
