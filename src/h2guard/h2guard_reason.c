/* h2guard_reason.c - the table of reasons. */
#include "h2guard/h2guard_reason.h"

static const struct row {
    const char *name;
    const char *text;
    uint32_t code;
} rows[H2GUARD_REASON_COUNT] = {
    [H2GUARD_NO_REASON] = {"NONE", "nothing is wrong", 0},
#define REASON(id, code, text) [H2GUARD_##id] = {#id, text, code},
#include "h2guard/h2guard_reason.def"
#undef REASON
};

static const struct row unknown = {"UNKNOWN", "an unknown reason", 2};

static const struct row *row_of(enum h2guard_reason reason)
{
    return (unsigned)reason < H2GUARD_REASON_COUNT ? &rows[reason] : &unknown;
}

const char *h2guard_reason_name(enum h2guard_reason reason)
{
    return row_of(reason)->name;
}

const char *h2guard_reason_text(enum h2guard_reason reason)
{
    return row_of(reason)->text;
}

uint32_t h2guard_reason_code(enum h2guard_reason reason)
{
    return row_of(reason)->code;
}
