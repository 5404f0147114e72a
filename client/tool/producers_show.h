/* producers_show.h - producers as a table, in full, and as JSON. */
#ifndef TRIBUTARY_TOOL_PRODUCERS_SHOW_H
#define TRIBUTARY_TOOL_PRODUCERS_SHOW_H

#include "tributary/tributary.h"

void producer_show_head(void);
void producer_show_row(const struct tributary_producer *producer);
void producer_show_whole(const struct tributary_producer *producer);
void producer_show_json(const struct tributary_producer *producer); /* on one line */

#endif
