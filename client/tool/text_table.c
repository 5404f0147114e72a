/* text_table.c - collects, sorts, fits and prints rows.
 *
 * DESIGN. A column is as wide as its widest cell. Where the table is wider than the terminal, the
 * widest flexible column loses a column, again and again, down to MIN_FLEXIBLE. Spare columns get
 * what is left then. A column of width 0 is not shown. Two spaces stand between columns. Nothing
 * stands behind the last one. */
#include "client/tool/text_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/display.h"
#include "client/tool/printer.h"

#define GAP 2u
#define MIN_FLEXIBLE 8u
#define MIN_SPARE 12u

struct text_row {
    size_t name;  /* what it is sorted by: its place in `text` */
    size_t cells; /* the place of its first cell in `text` */
    size_t cell_count;
    uint64_t number;
    size_t parent; /* its own index, or that of the row that it follows */
};

void text_table_init(struct text_table *table, const struct text_column *columns, size_t count, bool is_wide)
{
    CHECK(count <= MAX_TEXT_COLUMNS);
    *table = (struct text_table){.columns = columns, .column_count = count, .is_wide = is_wide};
}

void text_table_fini(struct text_table *table)
{
    buf_fini(&table->text);
    free(table->rows);
}

/* Adds a row without cells. NULL: memory ran out, and `text` is broken. */
static struct text_row *add(struct text_table *table)
{
    if (table->row_count == table->row_capacity) {
        const size_t capacity = MAX_OF(2 * table->row_capacity, 32);
        struct text_row *rows = realloc(table->rows, capacity * sizeof(*rows));

        table->text.broken |= !rows;
        if (!rows)
            return NULL;
        table->rows = rows;
        table->row_capacity = capacity;
    }
    table->rows[table->row_count] = (struct text_row){.cells = table->text.size, .parent = table->row_count};
    return &table->rows[table->row_count++];
}

void text_table_row(struct text_table *table, const char *name, uint64_t number)
{
    const size_t place = table->text.size;

    buf_bytes(&table->text, name, strlen(name) + 1);

    struct text_row *row = add(table);

    if (!row)
        return;
    row->name = place;
    row->number = number;
}

void text_table_child(struct text_table *table)
{
    struct text_row *row = add(table);

    if (row && table->row_count > 1)
        row->parent = row[-1].parent;
}

static void end_cell(struct text_table *table)
{
    buf_byte(&table->text, 0);
    if (table->row_count > 0)
        table->rows[table->row_count - 1].cell_count++;
}

void text_table_cell(struct text_table *table, const char *text)
{
    if (table->column_count == 0) {
        buf_text(&table->text, text);
    } else {
        for (size_t size = strcspn(text, "\t"); text[size] != '\0'; size = strcspn(text, "\t")) {
            escape_text(&table->text, (struct tributary_bytes){text, size});
            buf_text(&table->text, "\\t"); /* elsewhere a tab stays */
            text += size + 1;
        }
        escape_text(&table->text, tributary_text(text));
    }
    end_cell(table);
}

void text_table_format(struct text_table *table, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    text_table_cell(table, text);
}

static const char *text_at(const struct text_table *table, size_t place)
{
    return (const char *)table->text.data + place;
}

static int compare(const void *left_row, const void *right_row, void *ctx)
{
    const struct text_table *table = ctx;
    const struct text_row *left = &table->rows[*(const size_t *)left_row];
    const struct text_row *right = &table->rows[*(const size_t *)right_row];
    const int by_name = strcmp(text_at(table, left->name), text_at(table, right->name));

    if (by_name != 0)
        return by_name;
    if (left->number != right->number)
        return left->number > right->number ? -1 : 1;
    return left < right ? -1 : left > right;
}

/* The parents in their order. *count_out is how many there are. NULL: memory ran out. */
static size_t *sort(struct text_table *table, size_t *count_out)
{
    size_t *order = calloc(table->row_count + 1, sizeof(*order));
    size_t count = 0;

    for (size_t i = 0; order && i < table->row_count; i++) {
        if (table->rows[i].parent == i)
            order[count++] = i;
    }
    if (count > 1)
        qsort_r(order, count, sizeof(*order), compare, table);
    *count_out = count;
    return order;
}

static bool is_shown(const struct text_table *table, size_t column)
{
    return table->is_wide || (table->columns[column].flags & COLUMN_WIDE) == 0;
}

static bool is_spare(const struct text_table *table, size_t column)
{
    return !table->is_wide && (table->columns[column].flags & COLUMN_SPARE) != 0;
}

/* The widths of the texts of all columns that are shown; of others 0. The name of a spare column
 * counts where a cell has a text. */
static void measure(const struct text_table *table, unsigned *widths)
{
    unsigned names[MAX_TEXT_COLUMNS] = {0};

    for (size_t column = 0; column < table->column_count; column++) {
        names[column] =
            is_shown(table, column) ? display_width(tributary_text(table->columns[column].name)) : 0;
        widths[column] = is_spare(table, column) ? 0 : names[column];
    }
    for (size_t i = 0; i < table->row_count; i++) {
        const char *cell = text_at(table, table->rows[i].cells);

        for (size_t column = 0; column < MIN_OF(table->rows[i].cell_count, table->column_count); column++) {
            if (is_shown(table, column) && *cell != '\0')
                widths[column] =
                    MAX_OF(MAX_OF(widths[column], names[column]), display_width(tributary_text(cell)));
            cell += strlen(cell) + 1;
        }
    }
}

/* What the columns that are shown take with the gaps between them, without the spare ones. */
static unsigned total_of(const struct text_table *table, const unsigned *widths)
{
    unsigned total = 0;

    for (size_t column = 0; column < table->column_count; column++) {
        if (!is_spare(table, column) && widths[column] > 0)
            total += widths[column] + (total > 0 ? GAP : 0);
    }
    return total;
}

/* Gives spare columns what the others leave. */
static void fit_spare(const struct text_table *table, unsigned *widths, unsigned width)
{
    unsigned total = total_of(table, widths);

    for (size_t column = 0; column < table->column_count; column++) {
        if (!is_spare(table, column) || widths[column] == 0)
            continue;
        widths[column] = total + GAP + MIN_SPARE <= width ? MIN_OF(widths[column], width - total - GAP) : 0;
        total += widths[column] > 0 ? widths[column] + GAP : 0;
    }
}

/* Makes flexible columns narrower until everything fits into `width`, as far as that goes. */
static void fit(const struct text_table *table, unsigned *widths, unsigned width)
{
    unsigned total = total_of(table, widths);

    while (total > width) {
        size_t widest = table->column_count;

        for (size_t column = 0; column < table->column_count; column++) {
            if ((table->columns[column].flags & COLUMN_FLEXIBLE) != 0 && widths[column] > MIN_FLEXIBLE &&
                (widest == table->column_count || widths[column] > widths[widest]))
                widest = column;
        }
        if (widest == table->column_count)
            break;
        widths[widest]--;
        total--;
    }
    fit_spare(table, widths, width);
}

/* Appends one cell, and the spaces before and behind it. */
static void put_cell(struct buf *line, const char *cell, unsigned flags, unsigned width, bool is_last)
{
    struct buf fitted = {0};

    if ((flags & COLUMN_SPARE) != 0)
        display_fit_head(&fitted, tributary_text(cell), width);
    else
        display_fit(&fitted, tributary_text(cell), width);

    const struct tributary_bytes text = {fitted.data, fitted.size};
    const unsigned used = display_width(text);
    const int space = used < width ? (int)(width - used) : 0;

    if (line->size > 0)
        buf_text(line, "  ");
    if ((flags & COLUMN_RIGHT) != 0)
        buf_format(line, "%*s", space, "");
    buf_bytes(line, fitted.data, fitted.size);
    if ((flags & COLUMN_RIGHT) == 0 && !is_last)
        buf_format(line, "%*s", space, "");
    line->broken |= fitted.broken;
    buf_fini(&fitted);
}

/* Prints one row. `row` NULL: the head. */
static bool print_row(const struct text_table *table, const struct text_row *row, const unsigned *widths,
                      FILE *out)
{
    const char *cell = row ? text_at(table, row->cells) : NULL;
    struct buf line = {0};
    bool done = false;

    for (size_t column = 0; column < table->column_count && (!row || column < row->cell_count); column++) {
        const bool is_last = column + 1 == table->column_count || (row && column + 1 == row->cell_count);

        if (widths[column] > 0)
            put_cell(&line, row ? cell : table->columns[column].name, table->columns[column].flags,
                     widths[column], is_last);
        if (row)
            cell += strlen(cell) + 1;
    }
    done = !line.broken;
    while (line.size > 0 && line.data[line.size - 1] == ' ')
        line.size--;
    fprintf(out, "%.*s\n", (int)line.size, (const char *)line.data);
    buf_fini(&line);
    return done;
}

bool text_table_print(struct text_table *table, FILE *out, unsigned width)
{
    unsigned widths[MAX_TEXT_COLUMNS] = {0};
    size_t count = 0;
    size_t *order = sort(table, &count);
    bool done = order && !table->text.broken;

    measure(table, widths);
    if (width > 0 && !table->is_wide)
        fit(table, widths, width);
    if (done && table->column_count > 0)
        done = print_row(table, NULL, widths, out);
    for (size_t i = 0; done && i < count; i++) {
        size_t row = order[i];

        if (table->column_count == 0)
            fprintf(out, "%s\n", text_at(table, table->rows[row].cells));
        for (;
             done && table->column_count > 0 && row < table->row_count && table->rows[row].parent == order[i];
             row++)
            done = print_row(table, &table->rows[row], widths, out);
    }
    free(order);
    return done;
}
