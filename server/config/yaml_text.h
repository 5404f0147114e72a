/* yaml_text.h - reads YAML: one document of lists, mappings and texts, without anchors, aliases and
 * tags.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONFIG_YAML_TEXT_H
#define TRIBUTARY_SERVER_CONFIG_YAML_TEXT_H

#include "server/config/tree.h"

/* Fills a tree that was initialised. A plain null, ~ or nothing is null; everything else is a text.
 * False: tree->fault says why. tree_fini() must follow in both cases. */
MUST_CHECK bool yaml_text_read(struct bytes bytes, struct tree *tree);

#endif
