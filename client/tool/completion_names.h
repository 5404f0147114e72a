/* completion_names.h - names from the server, for the completion of command lines. Main thread. */
#ifndef TRIBUTARY_TOOL_COMPLETION_NAMES_H
#define TRIBUTARY_TOOL_COMPLETION_NAMES_H

#include "client/tool/option.h"

/* Whose names stand in the value of an option, or in the arguments of a verb: "producers", "topics"
 * or "subscriptions". NULL: the server knows no such names. The text is static. */
const char *completion_kind_of_option(const struct option *option);
const char *completion_kind_of_arguments(const struct verb *verb);

/* Prints the names of a kind that begin with `beginning`, one on each line: at most 1000 of them,
 * and those that have come after COMPLETION_NAMES_MS, because somebody waits who has pressed a key.
 * The process ends by then, whatever the server does. A server that does not answer is no error.
 * Returns the exit code: EXITS_USAGE where there is no such kind. */
#define COMPLETION_NAMES_MS 500
int completion_names(const struct verb *verb, struct common *common, const char *kind, const char *beginning);

#endif
