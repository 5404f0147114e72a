/* topic_globs.h - a list of globs for names of topics.
 *
 * Threads: it never changes once it is made, so any thread may ask. */
#ifndef TRIBUTARY_TOPIC_TOPIC_GLOBS_H
#define TRIBUTARY_TOPIC_TOPIC_GLOBS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct glob;

/* A zeroed one matches nothing. */
struct topic_globs {
    struct glob *globs;
    size_t count;
    uint8_t *texts;  /* of all */
    uint64_t *masks; /* likewise */
};

/* Copies the patterns, of at most MAX_PATTERN_BYTES each.
 *   ERR_NO_MEMORY  there is nothing to free */
MUST_CHECK enum err topic_globs_init(struct topic_globs *globs, const struct bytes *patterns, size_t count);
void topic_globs_fini(struct topic_globs *globs);

bool topic_globs_match(const struct topic_globs *globs, struct bytes name);

#endif
