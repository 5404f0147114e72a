/* h2guard_reason.h - why the guard ends a connection. h2guard_reason.def lists the reasons.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2GUARD_H2GUARD_REASON_H
#define TRIBUTARY_H2GUARD_H2GUARD_REASON_H

#include "base/base.h"

enum h2guard_reason {
    H2GUARD_NO_REASON = 0, /* the connection was not ended */
#define REASON(id, code, text) H2GUARD_##id,
#include "h2guard/h2guard_reason.def"
#undef REASON
    H2GUARD_REASON_COUNT
};

/* What h2guard_reason.def says of a reason: its name ("MESSAGE_TOO_LARGE"), its text, and its
 * HTTP/2 error code. The texts are static. For H2GUARD_NO_REASON: "NONE", "nothing is wrong", 0.
 * For a value outside of the enum: "UNKNOWN", "an unknown reason", 2 (INTERNAL_ERROR). */
const char *h2guard_reason_name(enum h2guard_reason reason);
const char *h2guard_reason_text(enum h2guard_reason reason);
uint32_t h2guard_reason_code(enum h2guard_reason reason);

#endif
