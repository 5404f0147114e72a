/* json_text.h - reads JSON (RFC 8259) strictly. libyaml does not read all of it: pairs of
 * surrogates and a line break before a colon are errors there.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONFIG_JSON_TEXT_H
#define TRIBUTARY_SERVER_CONFIG_JSON_TEXT_H

#include "server/config/tree.h"

/* Fills a tree that was initialised. Numbers, true and false become texts as they are written.
 * False: tree->fault says why. tree_fini() must follow in both cases. */
MUST_CHECK bool json_text_read(struct bytes bytes, struct tree *tree);

#endif
