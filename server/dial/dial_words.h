/* dial_words.h - why a connection did not come about, in plain words. gRPC core has words for
 * those who know it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_DIAL_WORDS_H
#define TRIBUTARY_SERVER_DIAL_DIAL_WORDS_H

#include "base/base.h"

struct upstream_tls;

#define DIAL_WORDS_CAPACITY 1024u

/* Writes what the text of the core means for a call that was not accepted: plain words, then the
 * text, or the text alone. `tls` NULL: plaintext. The text may be any bytes. */
struct bytes dial_words(struct bytes text, const struct upstream_tls *tls, char to[DIAL_WORDS_CAPACITY]);

#endif
