/* fault.h - what is wrong with a request, said once and in full.
 *
 * A fault names its reason, the field, the value (quoted, escaped, at most 64 bytes) and the bound.
 * The table in fault.c is the only place
 * where a reason, its gRPC code, its text and its meaning stand; code, documentation (`tributaryd --errors`) and tests read it.
 */
#ifndef TRIBUTARY_BASE_FAULT_H
#define TRIBUTARY_BASE_FAULT_H

#include "base/base.h"

enum fault_reason {
    FAULT_NONE = 0,
#define FAULT(reason, code, text) FAULT_##reason,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

/* The canonical gRPC status codes. */
enum fault_code {
    CODE_OK = 0,
    CODE_CANCELLED = 1,
    CODE_UNKNOWN = 2,
    CODE_INVALID_ARGUMENT = 3,
    CODE_DEADLINE_EXCEEDED = 4,
    CODE_NOT_FOUND = 5,
    CODE_ALREADY_EXISTS = 6,
    CODE_PERMISSION_DENIED = 7,
    CODE_RESOURCE_EXHAUSTED = 8,
    CODE_FAILED_PRECONDITION = 9,
    CODE_ABORTED = 10,
    CODE_OUT_OF_RANGE = 11,
    CODE_UNIMPLEMENTED = 12,
    CODE_INTERNAL = 13,
    CODE_UNAVAILABLE = 14,
    CODE_DATA_LOSS = 15,
    CODE_UNAUTHENTICATED = 16,
};

struct fault {
    enum fault_reason reason;
    char field[96];   /* a path such as events[3].headers["a"]; empty: no field */
    char value[272];  /* quoted and escaped, from at most 64 bytes of input; empty: no value */
    char bound[96];   /* such as "at most 256 bytes"; empty: the reason's text says it all */
    int64_t retry_ns; /* when trying again makes sense; 0: not said */
};

/* Each sets the whole of *fault and returns its reason, so a caller can `return fault_set(...)`.
 * `field` and `bound` are formats' results or static text, copied and cut to fit. */
enum fault_reason fault_set(struct fault *fault, enum fault_reason reason, const char *field,
                            const char *bound);
enum fault_reason fault_bytes(struct fault *fault, enum fault_reason reason, const char *field,
                              struct bytes value, const char *bound);
enum fault_reason fault_number(struct fault *fault, enum fault_reason reason, const char *field,
                               uint64_t value, const char *bound);

/* Puts "prefix" before the field: "events[3]." + "topic". */
void fault_within(struct fault *fault, const char *prefix);

const char *fault_reason_name(enum fault_reason reason); /* "EVENT_TOO_LARGE"; static */
const char *fault_text(enum fault_reason reason);        /* one sentence; static */
enum fault_code fault_code(enum fault_reason reason);
const char *fault_code_name(enum fault_code code); /* "INVALID_ARGUMENT"; static */

/* field: text: bound (got value), such as `events[3].topic: a value is too long: at most 256 bytes
 * (got "aaaa"...)`; what is empty is left out. Returns the length written, cut to `capacity` with a
 * closing NUL. */
size_t fault_message(const struct fault *fault, char *text, size_t capacity);

/* Writes `value` quoted, with everything outside printable ASCII escaped (\n, \xNN), from at most
 * `max` bytes of it, then "..." where it was cut. `capacity` of 4 * most + 6 always suffices; with
 * less, less is shown, and under 6 nothing. Returns the length. */
size_t quote_bytes(struct bytes value, size_t max, char *text, size_t capacity);

#endif
