/* fault.h - what is wrong with a request, and why something ended.
 *
 * A fault names its reason, the field, the value (quoted, escaped, from at most 64 bytes) and the
 * bound, so that one message tells a client what to change. The reason alone also says why a call,
 * a context or a session ended.
 *
 * fault.def is the only place where a reason has its name, its gRPC code and its text. The code,
 * the documentation (`tributaryd --errors`) and the tests are generated from it.
 *
 * A fault is a plain value: nobody owns it, nothing is freed.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_FAULT_H
#define TRIBUTARY_BASE_FAULT_H

#include "base/base.h"

enum fault_reason {
    FAULT_NONE = 0, /* nothing is wrong */
#define FAULT(reason, code, text) FAULT_##reason,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

/* The canonical gRPC status codes, with the values that they have on the wire. */
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
    char bound[96];   /* such as "at most 256 bytes"; empty: the reason's text says everything */
    int64_t retry_ns; /* a new attempt makes sense after this time; 0: unknown */
};

/* Each overwrites the whole fault and returns `reason`, so a caller can `return fault_set(...)`.
 * `field` and `bound` are copied, and cut to fit (never inside a UTF-8 character). NULL counts as
 * empty.
 *   fault_set     sets no value
 *   fault_bytes   sets the value to `value`, quoted and escaped
 *   fault_number  sets the value to `value`, in decimal */
enum fault_reason fault_set(struct fault *fault, enum fault_reason reason, const char *field,
                            const char *bound);
enum fault_reason fault_bytes(struct fault *fault, enum fault_reason reason, const char *field,
                              struct bytes value, const char *bound);
enum fault_reason fault_number(struct fault *fault, enum fault_reason reason, const char *field,
                               uint64_t value, const char *bound);
/* NOT_READING: for `timeout_ns` the peer has not read what `field` says. */
enum fault_reason fault_not_reading(struct fault *fault, const char *field, int64_t timeout_ns);

/* Puts `prefix` in front of the field, as the caller that knows the outer path does: the field
 * "topic" within "events[3]." becomes "events[3].topic". The result is cut to fit. */
void fault_within(struct fault *fault, const char *prefix);

/* What fault.def says of a reason: its name ("EVENT_TOO_LARGE"), its text, and its gRPC code. The
 * texts are static. For a value outside of the enum: "UNKNOWN", "an unknown fault",
 * CODE_UNKNOWN. */
const char *fault_reason_name(enum fault_reason reason);
const char *fault_text(enum fault_reason reason);
enum fault_code fault_code(enum fault_reason reason);

/* The name of a gRPC code ("INVALID_ARGUMENT"), or "UNKNOWN"; static text. */
const char *fault_code_name(enum fault_code code);

/* Writes the fault as one sentence, "field: text: bound (got value)". An empty part is left out.
 * Example: events[3].topic: a value is too long: at most 256 bytes (got "aaaa"...)
 * `capacity` includes the closing NUL; a longer sentence is cut. Returns the length written. */
size_t fault_message(const struct fault *fault, char *text, size_t capacity);

/* Writes `value` in quotes, and then "..." where not all of it is shown. It reads at most `max`
 * bytes of the value. Everything outside printable ASCII is escaped (\n, \xNN). `capacity` includes
 * the closing NUL: 4 * max + 6 is always enough, with less fewer bytes are shown, and below 6 the
 * text is empty. Returns the length written. */
size_t quote_bytes(struct bytes value, size_t max, char *text, size_t capacity);

#endif
