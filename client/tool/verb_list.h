/* verb_list.h - the verbs of the tool, for help, completion and the manual page. The table itself
 * is in verbs.c, above the verbs; this is below them.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TOOL_VERB_LIST_H
#define TRIBUTARY_TOOL_VERB_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct verb;

/* `verbs` must stay valid. */
void verb_list_set(const struct verb *const *verbs, size_t count);

/* All verbs, in the order in which help lists them. */
const struct verb *const *verbs_all(size_t *count_out);

/* Other words for words of verbs, such as "list" for "ls". */
struct verb_alias {
    const char *alias;
    const char *word;
};
const struct verb_alias *verb_aliases(size_t *count_out);
/* Writes them: " list (ls), show (get)". */
void verb_put_aliases(FILE *out);

/* The word that an alias stands for. Every other word is returned as it is. */
const char *verb_word(const char *word);

/* True: there are verbs of two words whose first one is `word`, or an alias of it. */
bool verb_is_group(const char *word);

/* The verb, or the first word of one, that somebody meant who wrote these words. NULL: nothing is
 * near. The text is valid until the next call. */
const char *verb_nearest(int argc, char **argv);

/* Finds the verb whose name the words begin with; they may be aliases. *words_out is the number of
 * words of its name. NULL: there is no such verb, and *words_out is untouched. */
const struct verb *verb_find(int argc, char **argv, int *words_out);

#endif
