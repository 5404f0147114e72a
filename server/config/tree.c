/* tree.c - see tree.h. */
#include "server/config/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

void tree_init(struct tree *tree)
{
    memset(tree, 0, sizeof(*tree));
}

void tree_fini(struct tree *tree)
{
    while (tree->newest) {
        struct node *node = tree->newest;

        tree->newest = node->before;
        free(node);
    }
    tree_init(tree);
}

bool tree_refuse(struct tree_fault *fault, unsigned line, const char *key, const char *format, ...)
{
    va_list values;

    if (fault->text[0] != '\0')
        return false;
    fault->line = line;
    snprintf(fault->key, sizeof(fault->key), "%s", key ? key : "");
    va_start(values, format);
    vsnprintf(fault->text, sizeof(fault->text), format, values);
    va_end(values);
    return false;
}

static struct node *top(const struct tree *tree)
{
    return tree->depth > 0 ? tree->open[tree->depth - 1] : NULL;
}

bool tree_wants_key(const struct tree *tree)
{
    return top(tree) && top(tree)->kind == NODE_MAP && !tree->key;
}

/* A node, with the text behind it. NULL: it is refused. */
static struct node *node_new(struct tree *tree, enum node_kind kind, struct bytes text, unsigned line)
{
    if (tree->count == MAX_TREE_NODES) {
        tree_refuse(&tree->fault, line, NULL, "more than %u values", MAX_TREE_NODES);
        return NULL;
    }

    struct node *node = calloc(1, sizeof(*node) + text.size);

    if (!node) {
        tree_refuse(&tree->fault, line, NULL, "out of memory");
        return NULL;
    }
    node->kind = kind;
    node->line = line;
    node->text = (struct bytes){(const uint8_t *)(node + 1), text.size};
    if (text.size > 0)
        memcpy(node + 1, text.data, text.size);
    node->before = tree->newest;
    tree->newest = node;
    tree->count++;
    return node;
}

static bool set_key(struct tree *tree, struct bytes text, unsigned line)
{
    const struct node *map = top(tree);
    char shown[64];

    quote_bytes(text, 10, shown, sizeof(shown));
    if (text.size == 0)
        return tree_refuse(&tree->fault, line, NULL, "an empty key");
    if (text.size > MAX_TREE_KEY_BYTES)
        return tree_refuse(&tree->fault, line, shown, "a key has at most %u bytes", MAX_TREE_KEY_BYTES);
    if (map->count == MAX_TREE_KEYS)
        return tree_refuse(&tree->fault, line, shown, "a mapping has at most %u keys", MAX_TREE_KEYS);
    for (const struct node *node = map->first; node; node = node->next) {
        if (bytes_same(node->key, text))
            return tree_refuse(&tree->fault, line, shown, "the key is in line %u already", node->line);
    }
    tree->key = node_new(tree, NODE_TEXT, text, line);
    return tree->key;
}

/* Puts a value into the list or mapping that is open. */
static bool add(struct tree *tree, struct node *node)
{
    struct node *parent = top(tree);

    if (!node)
        return false;
    if (!parent && tree->root)
        return tree_refuse(&tree->fault, node->line, NULL, "something follows the end");
    if (!parent) {
        tree->root = node;
        return true;
    }
    if (tree->key)
        node->key = tree->key->text;
    tree->key = NULL;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return true;
}

bool tree_begin(struct tree *tree, enum node_kind kind, unsigned line)
{
    if (tree_wants_key(tree))
        return tree_refuse(&tree->fault, line, NULL, "a key must be a text");
    if (tree->depth == MAX_TREE_DEPTH)
        return tree_refuse(&tree->fault, line, NULL, "more than %u levels", MAX_TREE_DEPTH);

    struct node *node = node_new(tree, kind, (struct bytes){NULL, 0}, line);

    if (!add(tree, node))
        return false;
    tree->open[tree->depth++] = node;
    return true;
}

bool tree_end(struct tree *tree, unsigned line)
{
    if (tree->depth == 0 || tree->key)
        return tree_refuse(&tree->fault, line, NULL, "a value is missing");
    tree->depth--;
    return true;
}

bool tree_text(struct tree *tree, struct bytes text, unsigned line)
{
    if (tree_wants_key(tree))
        return set_key(tree, text, line);
    return add(tree, node_new(tree, NODE_TEXT, text, line));
}

bool tree_null(struct tree *tree, unsigned line)
{
    if (tree_wants_key(tree))
        return tree_refuse(&tree->fault, line, NULL, "a key must be a text");
    return add(tree, node_new(tree, NODE_NULL, (struct bytes){NULL, 0}, line));
}

bool tree_complete(struct tree *tree)
{
    if (tree->fault.text[0] != '\0')
        return false;
    if (!tree->root)
        return tree_refuse(&tree->fault, 0, NULL, "the file is empty");
    return tree->depth == 0 || tree_refuse(&tree->fault, 0, NULL, "the file ends too early");
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (const struct node *node = map->first; node; node = node->next) {
        if (bytes_same(node->key, text_bytes(key)))
            return node->kind == NODE_NULL ? NULL : node;
    }
    return NULL;
}
