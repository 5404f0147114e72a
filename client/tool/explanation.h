/* explanation.h - what the server says of what limits a consumer or a producer, as JSON, and which
 * of two is worse. Any thread. */
#ifndef TRIBUTARY_TOOL_EXPLANATION_H
#define TRIBUTARY_TOOL_EXPLANATION_H

#include <jansson.h>

#include "tributary/tributary.h"

/* All of it as one object. The reference is the caller's. */
json_t *explanation_json(const struct tributary_explanation *explanation);

/* How bad a limit is, from 0, the worst. What this tool does not know is 0. */
unsigned explanation_rank(int limit);

/* The value of one of the figures; 0 where it is left out. */
int64_t explanation_stat(const struct tributary_explanation *explanation, const char *name);

#endif
