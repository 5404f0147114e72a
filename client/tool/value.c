/* value.c - reads and writes durations, sizes and moments. */
#include "client/tool/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"

struct unit {
    const char *name;
    uint64_t size;
};

bool number_parse(const char *text, uint64_t *number_out)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        const uint64_t digit = (uint64_t)(*text - '0');

        if (*text < '0' || *text > '9' || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *number_out = number;
    return true;
}

/* Reads a decimal number as a whole part and billionths; further decimals are ignored. Returns its
 * end. NULL: there is none, or it is too large. */
static const char *decimal(const char *next, uint64_t *whole_out, uint64_t *billionths_out)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    uint64_t scale = UINT64_C(1000000000);

    if (!isdigit((unsigned char)*next))
        return NULL;
    for (; isdigit((unsigned char)*next); next++) {
        if (whole > UINT64_MAX / 20)
            return NULL;
        whole = whole * 10 + (uint64_t)(*next - '0');
    }
    if (*next == '.') {
        next++;
        if (!isdigit((unsigned char)*next))
            return NULL;
        for (; isdigit((unsigned char)*next); next++) {
            scale /= 10;
            part += (uint64_t)(*next - '0') * scale;
        }
    }
    *whole_out = whole;
    *billionths_out = part;
    return next;
}

/* The longest unit that the text `next` begins with. NULL: none. */
static const struct unit *unit_at(const char *next, const struct unit *units, size_t count)
{
    const struct unit *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strncmp(next, units[i].name, strlen(units[i].name)) == 0 &&
            (!found || strlen(units[i].name) > strlen(found->name)))
            found = &units[i];
    }
    return found;
}

bool duration_parse(const char *text, int64_t *ns_out)
{
    static const struct unit units[] = {{"ns", 1},
                                        {"us", 1000},
                                        {"ms", 1000000},
                                        {"s", 1000000000},
                                        {"m", UINT64_C(60000000000)},
                                        {"h", UINT64_C(3600000000000)}};
    uint64_t sum = 0;
    uint64_t whole = 0;
    uint64_t part = 0;
    const char *next = text;

    do {
        const struct unit *unit = &units[3];

        next = decimal(next, &whole, &part);
        if (!next)
            return false;
        if (*next != '\0' || sum != 0) {
            unit = unit_at(next, units, ARRAY_LEN(units));
            if (!unit)
                return false;
            next += strlen(unit->name);
        }
        if (whole > (uint64_t)INT64_MAX / unit->size)
            return false;
        sum += whole * unit->size + (uint64_t)((double)part * (double)unit->size / 1e9);
        if (sum > (uint64_t)INT64_MAX)
            return false;
    } while (*next != '\0');
    *ns_out = (int64_t)sum;
    return true;
}

bool count_parse(const char *text, uint64_t *count_out)
{
    static const struct unit units[] = {{"k", 1000}, {"K", 1000}, {"M", 1000000}, {"G", 1000000000}};
    uint64_t whole = 0;
    uint64_t part = 0;
    const char *next = decimal(text, &whole, &part);
    const struct unit *unit = next ? unit_at(next, units, ARRAY_LEN(units)) : NULL;
    const uint64_t size = unit ? unit->size : 1;

    if (!next || next[unit ? 1 : 0] != '\0' || part * size % NS_PER_S != 0 || whole > UINT64_MAX / size - 1)
        return false;
    *count_out = whole * size + part * size / NS_PER_S;
    return true;
}

bool bytes_parse(const char *text, uint64_t *bytes_out)
{
    static const char *const endings[] = {"", "B", "iB"};
    static const char letters[] = "KMG";
    uint64_t whole = 0;
    uint64_t part = 0;
    unsigned shift = 0;
    const char *next = decimal(text, &whole, &part);
    const char *letter = NULL;

    if (!next)
        return false;
    letter = *next != '\0' ? strchr(letters, toupper((unsigned char)*next)) : NULL;
    if (letter) {
        shift = 10 * (unsigned)(letter - letters + 1);
        next++;
    }
    if (whole > UINT64_MAX >> shift || (part != 0 && shift == 0))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (strcmp(next, endings[i]) == 0 && (i < 2 || shift > 0)) {
            *bytes_out = (whole << shift) + ((part << shift) / 1000000000 & (shift > 0 ? UINT64_MAX : 0));
            return true;
        }
    }
    return false;
}

void moment_text(uint64_t unix_nano, char text[MOMENT_CAPACITY])
{
    const time_t seconds = (time_t)(unix_nano / NS_PER_S);
    struct tm utc;
    size_t size = 0;

    gmtime_r(&seconds, &utc);
    size = strftime(text, MOMENT_CAPACITY, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + size, MOMENT_CAPACITY - size, ".%09" PRIu64 "Z", unix_nano % NS_PER_S);
}

/* Reads "Z", "+hh:mm" or "-hh:mm", up to the end of the text. */
static bool offset_parse(const char *next, int64_t *seconds_out)
{
    unsigned hours = 0;
    unsigned minutes = 0;
    int size = 0;

    *seconds_out = 0;
    if (strcmp(next, "Z") == 0 || strcmp(next, "z") == 0)
        return true;
    if ((*next != '+' && *next != '-') || sscanf(next + 1, "%2u:%2u%n", &hours, &minutes, &size) != 2 ||
        size != 5 || next[6] != '\0')
        return false;
    *seconds_out = (int64_t)(hours * 3600 + minutes * 60) * (*next == '-' ? -1 : 1);
    return hours < 24 && minutes < 60;
}

/* 2001-01-01 in nanoseconds. A smaller number is one of seconds or milliseconds. */
#define FIRST_PLAUSIBLE (UINT64_C(978307200) * NS_PER_S)

bool moment_of_number(uint64_t number, uint64_t *unix_nano_out)
{
    if (number > 0 && number < FIRST_PLAUSIBLE)
        return false;
    *unix_nano_out = number;
    return true;
}

/* Reads date and time, up to the fraction. NULL: it is neither. */
static const char *seconds_parse(const char *text, struct tm *utc)
{
    const char *next = strptime(text, "%Y-%m-%d", utc);

    return next && (*next == 'T' || *next == 't') ? strptime(next + 1, "%H:%M:%S", utc) : NULL;
}

bool moment_parse(const char *text, uint64_t *unix_nano_out)
{
    struct tm utc = {0};
    const char *next = seconds_parse(text, &utc);
    uint64_t whole = 0;
    uint64_t part = 0;
    int64_t offset = 0;

    if (!next)
        return number_parse(text, &whole) && moment_of_number(whole, unix_nano_out);
    if (*next == '.') {
        char fraction[16] = "0.";
        size_t size = 0;

        for (next++; isdigit((unsigned char)*next) && size < 9; next++)
            fraction[2 + size++] = *next;
        while (isdigit((unsigned char)*next))
            next++;
        if (!decimal(fraction, &whole, &part))
            return false;
    }
    if (!offset_parse(next, &offset))
        return false;

    const int64_t seconds = (int64_t)timegm(&utc) - offset;

    if (seconds < 0 || (uint64_t)seconds > (UINT64_MAX - part) / NS_PER_S)
        return false;
    *unix_nano_out = (uint64_t)seconds * NS_PER_S + part;
    return true;
}

void duration_text(int64_t ns, char *text, size_t capacity)
{
    const int64_t seconds = ns / NS_PER_S;

    if (ns < NS_PER_S)
        snprintf(text, capacity, "%.3g ms", (double)ns / 1e6);
    else if (ns < 10 * NS_PER_S)
        snprintf(text, capacity, "%.3g s", (double)ns / 1e9);
    else if (seconds < 120)
        snprintf(text, capacity, "%" PRId64 " s", seconds);
    else if (seconds < 3600)
        snprintf(text, capacity, "%" PRId64 " min", seconds / 60);
    else if (seconds < 86400)
        snprintf(text, capacity, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
    else
        snprintf(text, capacity, "%" PRId64 " d %" PRId64 " h", seconds / 86400, seconds / 3600 % 24);
}

void bytes_text(uint64_t bytes, char *text, size_t capacity)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, capacity, "%" PRIu64 " B", bytes);
        return;
    }
    for (value /= 1024; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        value /= 1024;
    snprintf(text, capacity, "%.1f %s", value, units[unit]);
}
