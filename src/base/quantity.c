/* quantity.c - see quantity.h. */
#include "base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define KIB UINT64_C(1024)
#define MAX_DECIMALS 18

struct unit {
    const char *name;
    uint64_t size;
};

/* The units of each kind, the largest one first. A unit that begins with another one's name stands
 * before it. */
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit count_units[] = {{"G", 1000000000}, {"M", 1000000}, {"k", 1000},
                                          {"K", 1000},       {"", 1},        {NULL, 0}};
static const struct unit byte_units[] = {
    {"T", KIB *KIB *KIB *KIB}, {"G", KIB *KIB *KIB}, {"M", KIB *KIB}, {"K", KIB}, {"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {{"h", 3600 * NS_PER_S},
                                             {"ms", NS_PER_MS},
                                             {"m", 60 * NS_PER_S},
                                             {"s", NS_PER_S},
                                             {"us", NS_PER_US},
                                             {"ns", 1},
                                             {NULL, 0}};

const char quantity_help_bytes[] = "bytes are a number with nothing, K, M, G or T (units of 1024)";
const char quantity_help_duration[] =
    "a duration is a number with ns, us, ms, s, m or h, such as 500ms or 1m30s; without a unit it counts "
    "seconds";

static const char *const wrong_forms[] = {
    [QUANTITY_NUMBER] = "must be a number of digits",
    [QUANTITY_COUNT] = "must be a number, with k, M or G or without",
    [QUANTITY_BYTES] = "must be bytes: a number, with K, M, G or T or without",
    [QUANTITY_DURATION] = "must be a duration: a number with ns, us, ms, s, m or h, such as 500ms",
    [QUANTITY_DURATION_OR_NEVER] = "must be a duration, such as 500ms or 1h, or never",
};

enum outcome { READ, WRONG_FORM, NOT_WHOLE, TOO_LARGE };

static bool is_duration(enum quantity_kind kind)
{
    return kind == QUANTITY_DURATION || kind == QUANTITY_DURATION_OR_NEVER;
}

struct quantity_bounds quantity_any(enum quantity_kind kind)
{
    return (struct quantity_bounds){0, is_duration(kind) ? (uint64_t)INT64_MAX : UINT64_MAX};
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* A decimal number: `digits` / 10^`decimals`. */
struct decimal {
    uint64_t digits;
    unsigned decimals;
};

/* Reads a decimal number. Moves *next behind it. */
static enum outcome read_decimal(const char **next, struct decimal *number_out)
{
    struct decimal number = {0};
    const char *letter = *next;
    bool in_fraction = false;

    if (!is_digit(*letter))
        return WRONG_FORM;
    for (; is_digit(*letter) || (*letter == '.' && !in_fraction); letter++) {
        if (*letter == '.') {
            in_fraction = true;
            if (!is_digit(letter[1]))
                return WRONG_FORM;
            continue;
        }
        const uint64_t digit = (uint64_t)(*letter - '0');

        if (number.digits > (UINT64_MAX - digit) / 10)
            return in_fraction ? NOT_WHOLE : TOO_LARGE;
        number.digits = number.digits * 10 + digit;
        number.decimals += in_fraction;
        if (number.decimals > MAX_DECIMALS)
            return NOT_WHOLE;
    }
    *number_out = number;
    *next = letter;
    return READ;
}

/* Adds a number of units to *sum. */
static enum outcome add(struct decimal number, uint64_t unit, uint64_t *sum)
{
    __extension__ unsigned __int128 product = number.digits;
    uint64_t divisor = 1;

    product *= unit;
    for (unsigned i = 0; i < number.decimals; i++)
        divisor *= 10;
    if (product % divisor != 0)
        return NOT_WHOLE;
    product = product / divisor + *sum;
    if (product > UINT64_MAX)
        return TOO_LARGE;
    *sum = (uint64_t)product;
    return READ;
}

/* The unit that the text begins with. Moves *next behind it. NULL: none. */
static const struct unit *read_unit(const struct unit *units, const char **next)
{
    for (const struct unit *unit = units; unit->name; unit++) {
        const size_t size = strlen(unit->name);

        if (strncmp(*next, unit->name, size) == 0) {
            *next += size;
            return unit;
        }
    }
    return NULL;
}

static enum outcome read_duration(const char *text, uint64_t *value_out)
{
    const char *next = text;
    uint64_t sum = 0;
    bool is_first = true;

    do {
        struct decimal number;
        const enum outcome outcome = read_decimal(&next, &number);

        if (outcome != READ)
            return outcome;

        const bool has_no_unit = is_first && *next == '\0';
        const struct unit *unit = has_no_unit ? NULL : read_unit(duration_units, &next);

        if (!unit && !has_no_unit)
            return WRONG_FORM;

        const enum outcome added = add(number, unit ? unit->size : NS_PER_S, &sum);

        if (added != READ)
            return added;
        is_first = false;
    } while (*next != '\0');
    *value_out = sum;
    return READ;
}

/* Reads a unit of bytes, whose letter may be small, and "B" or "iB" behind it. */
static const struct unit *read_byte_unit(const char **next)
{
    const char letter[2] = {**next >= 'a' && **next <= 'z' ? (char)(**next - 'a' + 'A') : **next, '\0'};
    const char *upper = letter;
    const struct unit *unit = read_unit(byte_units, &upper);

    if (unit && unit->size > 1) {
        ++*next;
        if (strncmp(*next, "iB", 2) == 0)
            ++*next;
    }
    if (**next == 'B')
        ++*next;
    return unit;
}

static enum outcome read_simple(enum quantity_kind kind, const char *text, uint64_t *value_out)
{
    const char *next = text;
    struct decimal number;
    const enum outcome outcome = read_decimal(&next, &number);

    if (outcome != READ)
        return outcome;

    const struct unit *unit = kind == QUANTITY_BYTES
                                  ? read_byte_unit(&next)
                                  : read_unit(kind == QUANTITY_COUNT ? count_units : no_units, &next);

    if (!unit || *next != '\0' || (kind == QUANTITY_NUMBER && number.decimals > 0))
        return WRONG_FORM;
    *value_out = 0;
    return add(number, unit->size, value_out);
}

bool quantity_parse(enum quantity_kind kind, const char *text, struct quantity_bounds bounds,
                    uint64_t *value_out, char fault[QUANTITY_FAULT_CAPACITY])
{
    uint64_t value = 0;

    if (kind == QUANTITY_DURATION_OR_NEVER && strcmp(text, "never") == 0) {
        *value_out = 0;
        return true;
    }

    const enum outcome outcome =
        is_duration(kind) ? read_duration(text, &value) : read_simple(kind, text, &value);

    if (outcome == WRONG_FORM) {
        snprintf(fault, QUANTITY_FAULT_CAPACITY, "%s", wrong_forms[kind]);
    } else if (outcome == NOT_WHOLE) {
        snprintf(fault, QUANTITY_FAULT_CAPACITY, "must be a whole number%s",
                 is_duration(kind) ? " of nanoseconds" : "");
    } else if (outcome == TOO_LARGE || value < bounds.min || value > bounds.max) {
        char text_of_bounds[QUANTITY_FAULT_CAPACITY];

        quantity_bounds_text(kind, bounds, text_of_bounds);
        snprintf(fault, QUANTITY_FAULT_CAPACITY, "must be %.140s", text_of_bounds);
    } else {
        *value_out = value;
        return true;
    }
    return false;
}

/* The largest unit that is exact. Minutes are left out: "90s" is easier to read beside "30s". */
static const struct unit *exact_unit(enum quantity_kind kind, uint64_t value)
{
    const struct unit *units = is_duration(kind)        ? duration_units
                               : kind == QUANTITY_BYTES ? byte_units
                               : kind == QUANTITY_COUNT ? count_units
                                                        : no_units;
    const struct unit *best = NULL;

    for (const struct unit *unit = units; unit->name; unit++) {
        if (value % unit->size == 0 && (!best || unit->size > best->size) && strcmp(unit->name, "m") != 0)
            best = unit;
    }
    return best;
}

void quantity_text(enum quantity_kind kind, uint64_t value, char text[QUANTITY_TEXT_CAPACITY])
{
    const struct unit *unit = exact_unit(kind, value);

    if (kind == QUANTITY_DURATION_OR_NEVER && value == 0)
        snprintf(text, QUANTITY_TEXT_CAPACITY, "never");
    else if (value == 0)
        snprintf(text, QUANTITY_TEXT_CAPACITY, "%s", is_duration(kind) ? "0s" : "0");
    else
        snprintf(text, QUANTITY_TEXT_CAPACITY, "%" PRIu64 "%s", value / unit->size, unit->name);
}

void quantity_bounds_text(enum quantity_kind kind, struct quantity_bounds bounds,
                          char text[QUANTITY_FAULT_CAPACITY])
{
    const char *never = kind == QUANTITY_DURATION_OR_NEVER ? ", or never" : "";
    const bool has_max = bounds.max < quantity_any(kind).max;
    char min[QUANTITY_TEXT_CAPACITY];
    char max[QUANTITY_TEXT_CAPACITY];

    quantity_text(is_duration(kind) ? QUANTITY_DURATION : kind, bounds.min, min);
    if (has_max || !is_duration(kind))
        quantity_text(is_duration(kind) ? QUANTITY_DURATION : kind, bounds.max, max);
    else
        snprintf(max, sizeof(max), "292 years");
    if (has_max && bounds.min > 0)
        snprintf(text, QUANTITY_FAULT_CAPACITY, "%s to %s%s", min, max, never);
    else if (bounds.min > 0)
        snprintf(text, QUANTITY_FAULT_CAPACITY, "at least %s, and at most %s%s", min, max, never);
    else
        snprintf(text, QUANTITY_FAULT_CAPACITY, "at most %s%s", max, never);
}
