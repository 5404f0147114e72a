/* producers_show.h - prints producers: as rows of a table, in full, or as JSON. Any thread. */
#ifndef TRIBUTARY_TOOL_PRODUCERS_SHOW_H
#define TRIBUTARY_TOOL_PRODUCERS_SHOW_H

#include "tributary/tributary.h"
#include "client/tool/table.h"
#include "client/tool/text_table.h"

/* What a list of producers is sorted by. All but the name: the largest first. */
enum producer_order { BY_NAME, BY_SEQUENCE, BY_PUBLISHED, BY_SUBS, BY_LAST_EVENT };
#define PRODUCER_ORDER_WORDS "name|sequence|published|subs|last-event"

/* Makes a table for producer_show_row(). */
void producer_show_table(struct text_table *table, enum list_form form);
void producer_show_row(struct text_table *table, const struct tributary_producer *producer,
                       enum list_form form, enum producer_order order);

/* "transient", "session" or "endpoint". */
const char *producer_kind_name(const struct tributary_producer *producer);

/* The producer as an object. The caller owns the reference. */
json_t *producer_json(const struct tributary_producer *producer);

/* Prints one producer to standard output: in full, or as JSON on one line. */
void producer_show_whole(const struct tributary_producer *producer);
void producer_show_json(const struct tributary_producer *producer);

#endif
