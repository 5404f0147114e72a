/* table.c - small helpers of the verbs that print what the server knows. */
#include "client/tool/table.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/tool/printer.h"
#include "client/tool/value.h"

void table_put_text(json_t *object, const char *name, const char *text)
{
    json_t *string = json_string(text);
    struct buf escaped = {0};

    if (!string) {
        escape_text(&escaped, tributary_text(text));
        string = json_stringn((const char *)escaped.data, escaped.size);
        buf_fini(&escaped);
    }
    json_object_set_new(object, name, string);
}

void table_put_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

void table_put_totals(json_t *object, const char *name, struct tributary_totals totals)
{
    json_t *inner = json_object();

    table_put_number(inner, "events", totals.events);
    table_put_number(inner, "bytes", totals.bytes);
    json_object_set_new(object, name, inner);
}

void table_put_moment(json_t *object, const char *name, uint64_t unix_nano)
{
    char text[MOMENT_CAPACITY];

    if (unix_nano == 0)
        return;
    moment_text(unix_nano, text);
    table_put_text(object, name, text);
}

void table_print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));

    if (text)
        puts(text);
    free(text);
    json_decref(object);
}

void table_age(uint64_t unix_nano, char *text, size_t capacity)
{
    const int64_t age_ns = clock_wall_ns() - (int64_t)unix_nano;
    char age[32];

    if (unix_nano == 0) {
        snprintf(text, capacity, "never");
        return;
    }
    duration_text(MAX_OF(age_ns, 0), age, sizeof(age));
    snprintf(text, capacity, "%s ago", age);
}
