/* top_text.c - rows become cells. */
#include "client/tool/top_text.h"

#include "client/tool/table.h"
#include "client/tool/text_table.h"

enum { HEAD_CAPACITY = 32 };

bool top_print(FILE *out, const struct top_view *view, const struct top_row *const *rows, size_t count,
               bool is_marked, unsigned width)
{
    size_t column_count = 0;
    const struct top_column *columns = top_columns(view->list, &column_count);
    struct text_column heads[TOP_MAX_COLUMNS];
    char head[HEAD_CAPACITY];
    char cell[TOP_TEXT_CAPACITY];
    struct text_table table;
    bool done = false;

    for (size_t i = 0; i < column_count; i++)
        heads[i] = (struct text_column){columns[i].name, columns[i].flags};
    if (is_marked) {
        snprintf(head, sizeof(head), "%s*", columns[view->sort].name);
        heads[view->sort].name = head;
    }
    text_table_init(&table, heads, column_count, false);
    for (size_t i = 0; i < count; i++) {
        text_table_row(&table, "", 0);
        for (unsigned column = 0; column < column_count; column++) {
            top_cell(&columns[column], rows[i], column, cell, sizeof(cell));
            text_table_cell(&table, cell);
        }
    }
    done = text_table_print(&table, out, width);
    text_table_fini(&table);
    return done;
}

static json_t *json_of(const struct top_column *column, const struct top_row *row, unsigned index)
{
    const double value = row->values[index];

    if (value < 0)
        return json_null();
    return column->kind == TOP_RATE || column->kind == TOP_BYTE_RATE ? json_real(value)
                                                                     : json_integer((json_int_t)value);
}

void top_add_json(json_t *array, enum top_list list, const struct top_row *const *rows, size_t count)
{
    size_t column_count = 0;
    const struct top_column *columns = top_columns(list, &column_count);

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();

        for (unsigned column = 0; column < column_count; column++) {
            if (columns[column].kind == TOP_TEXT)
                table_put_text(object, columns[column].json, rows[i]->texts[column]);
            else
                json_object_set_new(object, columns[column].json, json_of(&columns[column], rows[i], column));
        }
        json_array_append_new(array, object);
    }
}
