/* endpoint_requests.c - see endpoint_requests.h. */
#include "client/tool/endpoint_requests.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/file_bytes.h"

/* The value of a hex digit. -1: it is none. */
static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool hex_read(struct buf *buf, const char *text)
{
    for (const char *next = text; *next != '\0'; next++) {
        const int high = digit_value(*next);

        if (isspace((unsigned char)*next))
            continue;
        if (high < 0 || digit_value(next[1]) < 0)
            return false;
        buf_byte(buf, (uint8_t)(high << 4 | digit_value(next[1])));
        next++;
    }
    return true;
}

/* Appends the bytes of one option. */
static int read_one(const struct verb *verb, const struct series_item *item, struct buf *bytes)
{
    if (strcmp(item->option, "request-file") == 0)
        return file_bytes_read(item->text, MAX_REQUESTS_BYTES, bytes) ? EXITS_OK : EXITS_ERROR;
    if (strcmp(item->option, "request") == 0)
        buf_text(bytes, item->text);
    else if (!hex_read(bytes, item->text))
        return cli_wrong(verb, "--request-hex '%.60s': must be pairs of hex digits, such as 0a03666f6f",
                         item->text);
    return EXITS_OK;
}

/* Standard input has one end, so it is one request. */
static int check(const struct verb *verb, const struct text_series *series)
{
    unsigned inputs = 0;

    if (series->count > MAX_ENDPOINT_REQUESTS)
        return cli_wrong(verb, "--request: %zu of them are over %u, the files and the hex ones included",
                         series->count, MAX_ENDPOINT_REQUESTS);
    for (size_t i = 0; i < series->count; i++)
        inputs +=
            strcmp(series->items[i].option, "request-file") == 0 && strcmp(series->items[i].text, "-") == 0;
    return inputs > 1 ? cli_wrong(verb, "--request-file '-': at most once") : EXITS_OK;
}

/* Sets where the requests are. The buffer must not move any more. */
static void point_into(struct endpoint_requests *requests)
{
    size_t place = 0;

    for (size_t i = 0; i < requests->count; i++) {
        if (requests->items[i].size > 0)
            requests->items[i].data = requests->bytes.data + place;
        place += requests->items[i].size;
    }
}

int endpoint_requests_read(const struct verb *verb, const struct text_series *series,
                           struct endpoint_requests *requests)
{
    int result = check(verb, series);

    for (size_t i = 0; i < series->count && result == EXITS_OK; i++) {
        const size_t before = requests->bytes.size;

        result = read_one(verb, &series->items[i], &requests->bytes);
        requests->items[requests->count++].size = requests->bytes.size - before;
        if (result == EXITS_OK && requests->bytes.size > MAX_REQUESTS_BYTES)
            result = cli_wrong(verb, "--%s '%.60s': the requests have over %u bytes together",
                               series->items[i].option, series->items[i].text, MAX_REQUESTS_BYTES);
    }
    if (result == EXITS_OK && requests->bytes.broken) {
        fprintf(stderr, "tributary: out of memory\n");
        result = EXITS_ERROR;
    }
    point_into(requests);
    return result;
}

void endpoint_requests_fini(struct endpoint_requests *requests)
{
    buf_fini(&requests->bytes);
}
