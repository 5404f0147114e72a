/* table.h - what the server knows, as aligned columns or as JSON. */
#ifndef TRIBUTARY_TOOL_TABLE_H
#define TRIBUTARY_TOOL_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "tributary/tributary.h"

/* Adds texts of the server's, which are escaped where they are no valid UTF-8. */
void table_put_text(json_t *object, const char *name, const char *text);
void table_put_number(json_t *object, const char *name, uint64_t number);
void table_put_totals(json_t *object, const char *name, struct tributary_totals totals);
void table_put_moment(json_t *object, const char *name, uint64_t unix_nano); /* nothing for 0 */

/* One line of JSON on standard output; takes the reference over. */
void table_print_json(json_t *object);

/* "3 s ago", "never"; for people. */
void table_age(uint64_t unix_nano, char *text, size_t capacity);

#endif
