/* producers_show.h - prints producers to standard output: as rows of a table, in full, or as JSON.
 * Any thread. */
#ifndef TRIBUTARY_TOOL_PRODUCERS_SHOW_H
#define TRIBUTARY_TOOL_PRODUCERS_SHOW_H

#include "tributary/tributary.h"

void producer_show_head(void); /* the head of the table */
void producer_show_row(const struct tributary_producer *producer);
void producer_show_whole(const struct tributary_producer *producer);
void producer_show_json(const struct tributary_producer *producer); /* on one line */

#endif
