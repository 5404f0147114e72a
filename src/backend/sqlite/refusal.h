/* refusal.h - why a store cannot be opened, as one plain sentence that names path and cause. For
 * the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BACKEND_SQLITE_REFUSAL_H
#define TRIBUTARY_BACKEND_SQLITE_REFUSAL_H

#include <stdbool.h>

#include "base/base.h"

#define REFUSAL_CAPACITY 1024u

struct refusal {
    char text[REFUSAL_CAPACITY]; /* empty: nothing was refused */
};

/* Writes the sentence, cut to fit. Returns false, for `return refuse(...)`. errno is unchanged. */
bool refuse(struct refusal *refusal, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
