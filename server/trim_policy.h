/* trim_policy.h - when memory that malloc() keeps is worth giving back to the system. It reads
 * nothing and trims nothing.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_SERVER_TRIM_POLICY_H
#define TRIBUTARY_SERVER_TRIM_POLICY_H

#include <stdbool.h>

#include "base/base.h"

/* Less than this is not worth a trim, nor is less than this part of what is allocated: the more
 * there is, the longer a trim takes. */
#define TRIM_FROM_BYTES (INT64_C(2) << 20)
#define TRIM_FROM_PART 16

/* malloc_trim() keeps every other thread from allocating in the part of the memory that it trims.
 * So it may take one part in so many of the time. */
#define TRIM_TIME_SHARE 100

/* Zeroed it is ready. */
struct trim_policy {
    bool has_seen;
    int64_t residue_bytes; /* what no trim gives back: the lowest that was seen since the last trim */
    int64_t latest_bytes;
    int64_t not_before_ns;
};

/* Notes how many bytes of the process are resident and not allocated now, which may be a negative
 * number, while so many are allocated. Call it at even distances, such as each second. True: trim
 * now, because twice in a row there was more than no trim gives back, by as much as above. */
bool trim_policy_sample(struct trim_policy *policy, int64_t unused_bytes, int64_t allocated_bytes,
                        int64_t now_ns);

/* Notes that a trim has run, and what is still resident and not allocated. */
void trim_policy_trimmed(struct trim_policy *policy, int64_t unused_bytes, int64_t began_ns, int64_t now_ns);

#endif
