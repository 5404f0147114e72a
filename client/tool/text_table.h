/* text_table.h - a table of texts for people: collected first, then sorted and printed, so that its
 * columns fit their texts and the terminal. One thread at a time. */
#ifndef TRIBUTARY_TOOL_TEXT_TABLE_H
#define TRIBUTARY_TOOL_TEXT_TABLE_H

#include <stdio.h>

#include "base/buf.h"

enum {
    COLUMN_RIGHT = 1,    /* numbers */
    COLUMN_FLEXIBLE = 2, /* may be shortened to fit the terminal */
    COLUMN_WIDE = 4,     /* only in wide tables */
    /* Gets what the others leave of the terminal; texts that are longer lose their end. It is left
     * out where that is less than 12 columns, or where all its cells are empty. */
    COLUMN_SPARE = 8,
};

struct text_column {
    const char *name;
    unsigned flags;
};

#define MAX_TEXT_COLUMNS 16u

struct text_row;

struct text_table {
    const struct text_column *columns;
    size_t column_count;
    bool is_wide;
    struct text_row *rows;
    size_t row_count, row_capacity;
    struct buf text; /* the cells of all rows, each with a NUL behind it */
};

/* Makes an empty table. `columns` must stay valid: at most MAX_TEXT_COLUMNS. 0 columns: rows have
 * one cell, there is no head, and nothing is shortened. */
void text_table_init(struct text_table *table, const struct text_column *columns, size_t count, bool is_wide);
void text_table_fini(struct text_table *table);

/* Begins a row; its cells follow, in the order of the columns. The table is sorted by `name`, then
 * by `number`, the largest first, then in the order of the rows. Both are copied. */
void text_table_row(struct text_table *table, const char *name, uint64_t number);

/* Begins a row that stays behind the last one of text_table_row(). */
void text_table_child(struct text_table *table);

/* Adds a cell. What is not printable is escaped. */
void text_table_cell(struct text_table *table, const char *text);
void text_table_format(struct text_table *table, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints head and rows. `width` is the number of columns of the terminal; 0: no bound. A table that
 * is wide has no bound either. False: memory ran out, and rows are missing. */
bool text_table_print(struct text_table *table, FILE *out, unsigned width);

#endif
