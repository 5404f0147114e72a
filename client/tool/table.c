/* table.c - small helpers of the verbs that print what the server knows. */
#include "client/tool/table.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/tool/exits.h"
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

/* The object as one line, which the caller frees. Releases the reference. NULL: out of memory. */
static char *json_text(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));

    json_decref(object);
    return text;
}

void table_print_json(json_t *object, FILE *out)
{
    char *text = json_text(object);

    if (text)
        fprintf(out, "%s\n", text);
    free(text);
}

void table_add_json(json_t *object, struct buf *out)
{
    char *text = json_text(object);

    if (text) {
        buf_text(out, text);
        buf_byte(out, '\n');
    }
    free(text);
}

void list_init(struct text_table *table, const struct text_column *columns, size_t count, enum list_form form)
{
    text_table_init(table, columns, form == LIST_JSON ? 0 : count, form == LIST_WIDE);
}

void list_json_cell(struct text_table *table, json_t *object)
{
    char *text = json_text(object);

    text_table_cell(table, text ? text : "");
    free(text);
}

int list_print(struct text_table *table, FILE *out, struct display_size size, const char *none)
{
    if (table->row_count == 0 && !table->text.broken) {
        if (table->column_count > 0)
            fprintf(out == stdout ? stderr : out, "%s\n", none);
        return EXITS_OK;
    }
    if (text_table_print(table, out, size.columns))
        return EXITS_OK;
    fprintf(stderr, "tributary: out of memory\n");
    return EXITS_ERROR;
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
