/* tree.h - what a file says, as lists, mappings and texts, within bounds. A reader of a language
 * builds it (json_text.h, yaml_text.h), in the order of the text.
 *
 * Threads: a tree belongs to one at a time. */
#ifndef TRIBUTARY_SERVER_CONFIG_TREE_H
#define TRIBUTARY_SERVER_CONFIG_TREE_H

#include <stdbool.h>

#include "base/base.h"

#define MAX_TREE_NODES 100000u
#define MAX_TREE_DEPTH 16u
#define MAX_TREE_KEY_BYTES 256u
#define MAX_TREE_KEYS 256u /* of one mapping */

enum node_kind { NODE_NULL, NODE_TEXT, NODE_LIST, NODE_MAP };

/* Of a mapping the children are its values; each has a key. */
struct node {
    enum node_kind kind;
    unsigned line; /* from 1 */
    struct bytes key, text;
    struct node *first, *last, *next; /* children; the next child of the same parent */
    size_t count;                     /* children */
    struct node *before;              /* the tree's: the node that was made before */
};

/* What is wrong with a file, and where. */
struct tree_fault {
    unsigned line;  /* 0: no line */
    char key[96];   /* empty: no key */
    char text[192]; /* empty: nothing is wrong */
};

struct tree {
    struct node *root, *newest;
    size_t count;
    struct node *open[MAX_TREE_DEPTH]; /* lists and mappings that have not ended */
    size_t depth;
    struct node *key; /* holds the key of the next value; NULL: a key comes next */
    struct tree_fault fault;
};

void tree_init(struct tree *tree);
void tree_fini(struct tree *tree);

/* Each adds a part. False: it is refused, and the fault says why; no part may follow. */
MUST_CHECK bool tree_begin(struct tree *tree, enum node_kind kind, unsigned line); /* a list or mapping */
MUST_CHECK bool tree_end(struct tree *tree, unsigned line);                        /* of the last one */
MUST_CHECK bool tree_text(struct tree *tree, struct bytes text, unsigned line);    /* a key, too */
MUST_CHECK bool tree_null(struct tree *tree, unsigned line);

/* Whether the next text is a key. */
bool tree_wants_key(const struct tree *tree);

/* The end of the file. False: a part is missing. */
MUST_CHECK bool tree_complete(struct tree *tree);

/* Sets the fault, unless one is set. False always. `key` may be NULL. */
bool tree_refuse(struct tree_fault *fault, unsigned line, const char *key, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* The value of a key in a mapping. NULL: it is not there, or is null. */
const struct node *node_get(const struct node *map, const char *key);

#endif
