/* peer_words.h - a text that a peer wrote, for people to read.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_PEER_WORDS_H
#define TRIBUTARY_SERVER_DIAL_PEER_WORDS_H

#include "base/base.h"

#define PEER_WORDS_BYTES 256u

/* Copies the text, at most PEER_WORDS_BYTES of it and whole characters, with a closing NUL. Where
 * it is not printable UTF-8, each byte beside printable ASCII becomes '?'. */
void peer_words_copy(char to[PEER_WORDS_BYTES + 1], struct bytes text);

#endif
