/* verb_list.h - the verbs of the tool, for help, completion and the manual page. The table itself
 * is in verbs.c, above the verbs; this is below them.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TOOL_VERB_LIST_H
#define TRIBUTARY_TOOL_VERB_LIST_H

#include <stddef.h>

struct verb;

/* `verbs` must stay valid. */
void verb_list_set(const struct verb *const *verbs, size_t count);

/* All verbs, in the order in which help lists them. */
const struct verb *const *verbs_all(size_t *count_out);

/* Finds the verb whose name the words begin with. *words_out is the number of words of its name.
 * NULL: there is no such verb, and *words_out is untouched. */
const struct verb *verb_find(int argc, char **argv, int *words_out);

#endif
