/* nearest.h - finds the word that somebody meant who wrote another one. Any thread. */
#ifndef TRIBUTARY_TOOL_NEAREST_H
#define TRIBUTARY_TOOL_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *written; /* by the user; not changed */
    const char *word;    /* the best word so far; NULL: none is near */
    unsigned distance;   /* its distance */
};

/* Starts a search. A word is near within a third of the length of `written`, and at most 3. */
struct nearest nearest_init(const char *written);

/* Offers a word, which must stay valid. The first one of the nearest is kept. A word that begins
 * with `written` is near, too, where that has at least 3 letters. */
void nearest_offer(struct nearest *nearest, const char *word);

/* How many letters must be put in, left out, replaced or exchanged with their neighbour to make one
 * word of the other. A distance above `max`, and one of words above 64 bytes, is max + 1. */
unsigned edit_distance(const char *left, const char *right, unsigned max);

#endif
