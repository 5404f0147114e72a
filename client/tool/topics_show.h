/* topics_show.h - prints what the server knows of a stored topic. */
#ifndef TRIBUTARY_TOOL_TOPICS_SHOW_H
#define TRIBUTARY_TOOL_TOPICS_SHOW_H

#include "client/tool/table.h"

/* Begins a list of topics; then a row for each. */
void topic_show_table(struct text_table *table, enum list_form form);
void topic_show_row(struct text_table *table, const struct tributary_topic *topic, enum list_form form);

/* Prints one to standard output: for people, or as a JSON object. */
void topic_show_whole(const struct tributary_topic *topic);
void topic_show_json(const struct tributary_topic *topic);

#endif
