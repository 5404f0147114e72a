/* table.c - small helpers of the verbs that ask the server. */
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

    if (string == NULL) {
        escape_text(&escaped, tributary_text(text));
        string = json_stringn((const char *)escaped.at, escaped.size);
        buf_fini(&escaped);
    }
    json_object_set_new(object, name, string);
}

void table_put_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

void table_put_tally(json_t *object, const char *name, struct tributary_tally tally)
{
    json_t *inner = json_object();

    table_put_number(inner, "events", tally.events);
    table_put_number(inner, "bytes", tally.bytes);
    json_object_set_new(object, name, inner);
}

void table_put_moment(json_t *object, const char *name, uint64_t unix_nano)
{
    char text[MOMENT_ROOM];

    if (unix_nano == 0)
        return;
    moment_text(unix_nano, text);
    table_put_text(object, name, text);
}

void table_print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));

    if (text != NULL)
        puts(text);
    free(text);
    json_decref(object);
}

void table_age(uint64_t unix_nano, char *text, size_t room)
{
    const int64_t age_ns = clock_wall_ns() - (int64_t)unix_nano;
    char age[32];

    if (unix_nano == 0) {
        snprintf(text, room, "never");
        return;
    }
    duration_text(MAX_OF(age_ns, 0), age, sizeof(age));
    snprintf(text, room, "%s ago", age);
}
