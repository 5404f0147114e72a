/* sub_start.c - where a stream begins: see sub_start.h. */
#include "client/tool/sub_start.h"

#include <string.h>

#include "base/quantity.h"
#include "client/tool/value.h"

#define MAX_LAST 1024u

/* The number behind the prefix. False: it is none, or out of its bounds. */
static bool read_number(const char *text, uint64_t max, uint64_t *number)
{
    char fault[QUANTITY_FAULT_CAPACITY];

    return quantity_parse(QUANTITY_NUMBER, text, (struct quantity_bounds){1, max}, number, fault);
}

static const char *read_last(const char *text, struct tributary_subscriber_options *options)
{
    uint64_t number = 0;

    if (!read_number(text, MAX_LAST, &number))
        return "last: needs a number, 1 to 1024";
    options->start_last = (uint32_t)number;
    return NULL;
}

static const char *read_sequence(const char *text, struct tributary_subscriber_options *options)
{
    uint64_t number = 0;

    if (!read_number(text, UINT64_MAX, &number))
        return "seq: needs a number, 1 or more";
    options->start = TRIBUTARY_START_SEQUENCE;
    options->start_value = number;
    return NULL;
}

static const char *read_duration(const char *text, uint64_t now_unix_nano,
                                 struct tributary_subscriber_options *options)
{
    char fault[QUANTITY_FAULT_CAPACITY];
    uint64_t before = 0;

    if (!quantity_parse(QUANTITY_DURATION, text, (struct quantity_bounds){1, INT64_MAX}, &before, fault))
        return "no duration, such as -15m or -2h";
    options->start = TRIBUTARY_START_TIME;
    options->start_value = before < now_unix_nano ? now_unix_nano - before : 0;
    return NULL;
}

const char *sub_start_read(const char *value, uint64_t now_unix_nano,
                           struct tributary_subscriber_options *options)
{
    uint64_t moment = 0;

    if (strcmp(value, "live") == 0)
        return NULL;
    if (strcmp(value, "earliest") == 0) {
        options->start = TRIBUTARY_START_EARLIEST;
        return NULL;
    }
    if (strncmp(value, "last:", 5) == 0)
        return read_last(value + 5, options);
    if (strncmp(value, "seq:", 4) == 0)
        return read_sequence(value + 4, options);
    if (value[0] == '-')
        return read_duration(value + 1, now_unix_nano, options);
    if (!moment_parse(value, &moment) || moment > INT64_MAX)
        return "must be live, earliest, last:N, seq:N, a time such as 2026-01-31T12:00:00Z, or -15m";
    options->start = TRIBUTARY_START_TIME;
    options->start_value = moment;
    return NULL;
}
