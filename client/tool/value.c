/* value.c - reads and writes moments; writes durations and sizes. */
#include "client/tool/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/quantity.h"

void moment_text(uint64_t unix_nano, char text[MOMENT_CAPACITY])
{
    const time_t seconds = (time_t)(unix_nano / NS_PER_S);
    struct tm utc;
    size_t size = 0;

    gmtime_r(&seconds, &utc);
    size = strftime(text, MOMENT_CAPACITY, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + size, MOMENT_CAPACITY - size, ".%09" PRIu64 "Z", unix_nano % NS_PER_S);
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

/* Reads `count` digits. NULL: there are fewer. */
static const char *digits(const char *next, unsigned count, int *number_out)
{
    int number = 0;

    for (unsigned i = 0; i < count; i++, next++) {
        if (*next < '0' || *next > '9')
            return NULL;
        number = number * 10 + (*next - '0');
    }
    *number_out = number;
    return next;
}

/* Reads a number of two digits that follows `before` and lies within its bounds. */
static const char *pair(const char *next, char before, int min, int max, int *number_out)
{
    next = next && *next == before ? digits(next + 1, 2, number_out) : NULL;
    return next && *number_out >= min && *number_out <= max ? next : NULL;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Reads "2026-01-31T12:00:00". NULL: it is no such text, or there is no such day. */
static const char *read_seconds(const char *text, struct tm *tm)
{
    int year = 0;
    int month = 0;
    const char *next = digits(text, 4, &year);

    next = pair(next, '-', 1, 12, &month);
    next = next ? pair(next, '-', 1, days_of(year, month), &tm->tm_mday) : NULL;
    if (!next || !strchr("Tt ", *next) || *next == '\0')
        return NULL;
    next = pair(next, *next, 0, 23, &tm->tm_hour);
    next = pair(next, ':', 0, 59, &tm->tm_min);
    next = pair(next, ':', 0, 60, &tm->tm_sec);
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    return next;
}

/* Reads ".5" or nothing, as nanoseconds. Digits behind the ninth are left out. */
static const char *read_fraction(const char *next, uint64_t *ns_out)
{
    uint64_t scale = NS_PER_S;

    *ns_out = 0;
    if (*next != '.')
        return next;
    if (next[1] < '0' || next[1] > '9')
        return NULL;
    for (next++; *next >= '0' && *next <= '9'; next++) {
        scale /= 10;
        *ns_out += scale * (uint64_t)(*next - '0');
    }
    return next;
}

/* Reads "Z", "+hh:mm" or "-hh:mm", up to the end of the text. */
static bool read_offset(const char *next, int64_t *seconds_out)
{
    const int sign = *next == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;

    *seconds_out = 0;
    if (strcmp(next, "Z") == 0 || strcmp(next, "z") == 0)
        return true;
    if (*next != '+' && *next != '-')
        return false;
    next = pair(next, *next, 0, 23, &hours);
    next = pair(next, ':', 0, 59, &minutes);
    *seconds_out = sign * (int64_t)(hours * 3600 + minutes * 60);
    return next && *next == '\0';
}

bool moment_parse(const char *text, uint64_t *unix_nano_out)
{
    struct tm tm = {0};
    char fault[QUANTITY_FAULT_CAPACITY];
    uint64_t number = 0;
    int64_t offset = 0;

    if (quantity_parse(QUANTITY_NUMBER, text, quantity_any(QUANTITY_NUMBER), &number, fault))
        return moment_of_number(number, unix_nano_out);

    const char *next = read_seconds(text, &tm);

    next = next ? read_fraction(next, &number) : NULL;
    if (!next || !read_offset(next, &offset))
        return false;

    /* A leap second ends a day in UTC. The clock of Unix counts it as the first second after it. */
    const bool is_leap = tm.tm_sec == 60;
    const int64_t seconds = (int64_t)timegm(&tm) - offset;

    if (seconds < 0 || (is_leap && seconds % 86400 != 0) ||
        (uint64_t)seconds > (UINT64_MAX - number) / NS_PER_S)
        return false;
    *unix_nano_out = (uint64_t)seconds * NS_PER_S + number;
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
