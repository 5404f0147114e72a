/* table.h - helpers of the verbs that print what the server knows, as text or as JSON. Any
 * thread. */
#ifndef TRIBUTARY_TOOL_TABLE_H
#define TRIBUTARY_TOOL_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "tributary/tributary.h"
#include "client/tool/display.h"
#include "client/tool/text_table.h"

/* Adds a member to an object. A text is escaped where it is not valid UTF-8. */
void table_put_text(json_t *object, const char *name, const char *text);
void table_put_number(json_t *object, const char *name, uint64_t number);
void table_put_totals(json_t *object, const char *name, struct tributary_totals totals);
void table_put_moment(json_t *object, const char *name, uint64_t unix_nano); /* adds nothing for 0 */

/* Prints the object as one line, and releases the reference. */
void table_print_json(json_t *object, FILE *out);
/* The same, appended to a buffer. */
void table_add_json(json_t *object, struct buf *out);

/* Writes the age of a moment for people: "3 s ago", or "never" for 0. */
void table_age(uint64_t unix_nano, char *text, size_t capacity);

/* The forms of a list: a table that fits the terminal, all columns, or an object on each line. */
enum list_form { LIST_TEXT, LIST_WIDE, LIST_JSON };
#define LIST_FORM_WORDS "text|wide|json"
#define LIST_FORM_HELP "a table, one with all columns, or one JSON object per line (default: text)"

/* Prints a table to `out`. Where it is empty, it prints `none` to standard error instead, or to
 * `out` where that is not standard output. Returns the exit code. */
int list_print(struct text_table *table, FILE *out, struct display_size size, const char *none);

/* Begins a list of this form with these columns, or of JSON objects. */
void list_init(struct text_table *table, const struct text_column *columns, size_t count,
               enum list_form form);
/* A row that is an object. Releases the reference. */
void list_json_cell(struct text_table *table, json_t *object);

#endif
