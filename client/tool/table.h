/* table.h - helpers of the verbs that print what the server knows, as text or as JSON. Any
 * thread. */
#ifndef TRIBUTARY_TOOL_TABLE_H
#define TRIBUTARY_TOOL_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "tributary/tributary.h"

/* Adds a member to an object. A text is escaped where it is not valid UTF-8. */
void table_put_text(json_t *object, const char *name, const char *text);
void table_put_number(json_t *object, const char *name, uint64_t number);
void table_put_totals(json_t *object, const char *name, struct tributary_totals totals);
void table_put_moment(json_t *object, const char *name, uint64_t unix_nano); /* adds nothing for 0 */

/* Prints the object to standard output as one line, and releases the reference. */
void table_print_json(json_t *object);

/* Writes the age of a moment for people: "3 s ago", or "never" for 0. */
void table_age(uint64_t unix_nano, char *text, size_t capacity);

#endif
