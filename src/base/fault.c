/* fault.c - the table of reasons, and how a fault becomes a sentence. */
#include "base/fault.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define MAX_VALUE_BYTES 64u

static const struct {
    const char *name;
    const char *text;
    enum fault_code code;
} table[FAULT_COUNT] = {
    [FAULT_NONE] = {"NONE", "nothing is wrong", CODE_OK},
#define FAULT(reason, code, text) [FAULT_##reason] = {#reason, text, CODE_##code},
#include "base/fault.def"
#undef FAULT
};

/* A text that grows in memory of a fixed size. It is cut to fit, never inside a UTF-8 character. */
struct out {
    char *text;
    size_t size;
    size_t capacity; /* includes the closing NUL */
};

static void put(struct out *out, const char *text)
{
    size_t size = strlen(text);

    if (out->capacity == 0)
        return;
    if (size > out->capacity - 1 - out->size) {
        size = out->capacity - 1 - out->size;
        while (size > 0 && ((unsigned char)text[size] & 0xC0u) == 0x80u)
            size--;
    }
    memcpy(out->text + out->size, text, size);
    out->size += size;
    out->text[out->size] = '\0';
}

static void copy(char *to, size_t capacity, const char *text)
{
    struct out out = {to, 0, capacity};

    to[0] = '\0';
    if (text)
        put(&out, text);
}

/* Writes the byte as it appears in quotes; returns the length, 1 to 4. */
static size_t escape(uint8_t byte, char piece[5])
{
    static const char digits[] = "0123456789abcdef";
    static const char short_form[256] = {
        ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\'};
    size_t size = 0;

    if (short_form[byte]) {
        piece[size++] = '\\';
        piece[size++] = short_form[byte];
    } else if (byte < 0x20 || byte > 0x7E) {
        piece[size++] = '\\';
        piece[size++] = 'x';
        piece[size++] = digits[byte >> 4];
        piece[size++] = digits[byte & 15];
    } else {
        piece[size++] = (char)byte;
    }
    piece[size] = '\0';
    return size;
}

size_t quote_bytes(struct bytes value, size_t max, char *text, size_t capacity)
{
    static const size_t around = sizeof("\"\"..."); /* quotes, dots, NUL */
    size_t used = MIN_OF(value.size, max);
    struct out out = {text, 0, capacity};
    size_t i = 0;

    if (capacity < around) {
        if (capacity > 0)
            text[0] = '\0';
        return 0;
    }
    put(&out, "\"");
    for (; i < used; i++) {
        char piece[5];

        if (out.size + escape(value.data[i], piece) + around - 1 > capacity)
            break;
        put(&out, piece);
    }
    put(&out, i < value.size ? "\"..." : "\"");
    return out.size;
}

enum fault_reason fault_set(struct fault *fault, enum fault_reason reason, const char *field,
                            const char *bound)
{
    *fault = (struct fault){.reason = reason};
    copy(fault->field, sizeof(fault->field), field);
    copy(fault->bound, sizeof(fault->bound), bound);
    return reason;
}

enum fault_reason fault_bytes(struct fault *fault, enum fault_reason reason, const char *field,
                              struct bytes value, const char *bound)
{
    fault_set(fault, reason, field, bound);
    quote_bytes(value, MAX_VALUE_BYTES, fault->value, sizeof(fault->value));
    return reason;
}

enum fault_reason fault_number(struct fault *fault, enum fault_reason reason, const char *field,
                               uint64_t value, const char *bound)
{
    fault_set(fault, reason, field, bound);
    snprintf(fault->value, sizeof(fault->value), "%" PRIu64, value);
    return reason;
}

enum fault_reason fault_not_reading(struct fault *fault, const char *field, int64_t timeout_ns)
{
    return fault_number(fault, FAULT_NOT_READING, field, (uint64_t)(timeout_ns / NS_PER_MS),
                        "ms without progress");
}

void fault_within(struct fault *fault, const char *prefix)
{
    char field[sizeof(fault->field)];
    struct out out = {field, 0, sizeof(field)};

    field[0] = '\0';
    put(&out, prefix);
    put(&out, fault->field);
    memcpy(fault->field, field, sizeof(field));
}

static bool is_known(enum fault_reason reason)
{
    return (unsigned)reason < FAULT_COUNT;
}

const char *fault_reason_name(enum fault_reason reason)
{
    return is_known(reason) ? table[reason].name : "UNKNOWN";
}

const char *fault_text(enum fault_reason reason)
{
    return is_known(reason) ? table[reason].text : "an unknown fault";
}

enum fault_code fault_code(enum fault_reason reason)
{
    return is_known(reason) ? table[reason].code : CODE_UNKNOWN;
}

const char *fault_code_name(enum fault_code code)
{
    static const char *const names[] = {
        [CODE_OK] = "OK",
        [CODE_CANCELLED] = "CANCELLED",
        [CODE_UNKNOWN] = "UNKNOWN",
        [CODE_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [CODE_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [CODE_NOT_FOUND] = "NOT_FOUND",
        [CODE_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [CODE_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [CODE_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [CODE_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [CODE_ABORTED] = "ABORTED",
        [CODE_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [CODE_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [CODE_INTERNAL] = "INTERNAL",
        [CODE_UNAVAILABLE] = "UNAVAILABLE",
        [CODE_DATA_LOSS] = "DATA_LOSS",
        [CODE_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };

    return (unsigned)code < ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

size_t fault_message(const struct fault *fault, char *text, size_t capacity)
{
    struct out out = {text, 0, capacity};

    if (capacity == 0)
        return 0;
    text[0] = '\0';
    if (fault->field[0]) {
        put(&out, fault->field);
        put(&out, ": ");
    }
    put(&out, fault_text(fault->reason));
    if (fault->bound[0]) {
        put(&out, ": ");
        put(&out, fault->bound);
    }
    if (fault->value[0]) {
        put(&out, " (got ");
        put(&out, fault->value);
        put(&out, ")");
    }
    return out.size;
}
