/* top_text.h - writes the rows of `tributary top` as a table or as JSON. Main thread. */
#ifndef TRIBUTARY_TOOL_TOP_TEXT_H
#define TRIBUTARY_TOOL_TOP_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "client/tool/top_model.h"

/* Prints the head and `count` rows. `width` is the number of columns of the terminal; 0: no bound.
 * With `is_marked`, the head of the column that the view is sorted by has a '*'. False: memory ran
 * out. */
bool top_print(FILE *out, const struct top_view *view, const struct top_row *const *rows, size_t count,
               bool is_marked, unsigned width);

/* Adds the rows to an array of objects. */
void top_add_json(json_t *array, enum top_list list, const struct top_row *const *rows, size_t count);

#endif
