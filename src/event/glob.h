/* glob.h - patterns with wildcards, compiled once, then matched in linear time.
 *
 * In a glob `*` is any run of characters, `?` is one character, and every other byte stands for
 * itself. A character is a byte and the UTF-8 continuation bytes behind it. A glob matches a whole
 * text, or not at all.
 *
 * The cost of a match does not depend on where the stars are. The beginning and the end of a
 * pattern are compared. What is between the first and the last wildcard is searched for: one step
 * for each byte of the text and each started 64 bytes of the pattern (glob.c).
 *
 * Threads: a compiled glob never changes, so any thread may use it. */
#ifndef TRIBUTARY_EVENT_GLOB_H
#define TRIBUTARY_EVENT_GLOB_H

#include "base/base.h"

#define MAX_PATTERN_BYTES 256u

/* The masks for each word of bits, and those of the longest pattern. */
#define GLOB_MASKS_PER_WORD 48u
#define MAX_GLOB_MASKS (GLOB_MASKS_PER_WORD * (MAX_PATTERN_BYTES / 64u + 1))

enum glob_kind {
    GLOB_ANY,    /* empty, or only stars: matches everything */
    GLOB_EXACT,  /* no wildcard: matches one text */
    GLOB_PREFIX, /* only stars behind `prefix` */
    GLOB_ENDS,   /* only stars between `prefix` and `suffix` */
    GLOB_SEARCH  /* anything else */
};

struct glob {
    struct bytes text;     /* the pattern; the caller's memory, which must outlive the glob */
    const uint64_t *masks; /* of GLOB_SEARCH: the caller's memory too */
    enum glob_kind kind;
    uint16_t prefix; /* bytes before the first wildcard: every match begins with them */
    uint16_t suffix; /* bytes behind the last wildcard: every match ends with them */
    uint16_t tokens; /* of GLOB_SEARCH: characters to find between prefix and suffix, in bytes */
};

/* Compiles a pattern of at most MAX_PATTERN_BYTES. GLOB_SEARCH must get its masks before it is
 * used. */
struct glob glob_of(struct bytes pattern);
/* Matches this text alone, whatever is in it. */
static inline struct glob glob_of_text(struct bytes text)
{
    return (struct glob){.text = text, .kind = GLOB_EXACT, .prefix = (uint16_t)text.size};
}

/* How many words of 64 bits GLOB_SEARCH needs, to hold one bit more than it has tokens; 0: another
 * kind. The masks are GLOB_MASKS_PER_WORD times as many. */
static inline uint32_t glob_words(const struct glob *glob)
{
    return glob->kind == GLOB_SEARCH ? glob->tokens / 64u + 1 : 0;
}

/* Gives a glob its masks, which this function fills in. Does nothing for another kind than
 * GLOB_SEARCH. */
void glob_set_masks(struct glob *glob, uint64_t *masks);

/* Whether the text matches a glob of the kinds GLOB_ENDS and GLOB_SEARCH. */
bool glob_search(const struct glob *glob, struct bytes text);

static inline bool glob_has_prefix(const struct glob *glob, struct bytes text)
{
    return text.size >= glob->prefix &&
           bytes_same((struct bytes){text.data, glob->prefix}, (struct bytes){glob->text.data, glob->prefix});
}

/* Whether the whole text matches. Any bytes are allowed; `?` means a character only where the text
 * is valid UTF-8. */
static inline bool glob_matches(const struct glob *glob, struct bytes text)
{
    switch (glob->kind) {
    case GLOB_ANY:
        return true;
    case GLOB_EXACT:
        return bytes_same(glob->text, text);
    case GLOB_PREFIX:
        return glob_has_prefix(glob, text);
    case GLOB_ENDS:
    case GLOB_SEARCH:
        return glob_has_prefix(glob, text) && glob_search(glob, text);
    }
    return false;
}

/* Compiles a pattern of at most MAX_PATTERN_BYTES, with its masks in the caller's array. */
struct glob glob_compile(struct bytes pattern, uint64_t masks[MAX_GLOB_MASKS]);

#endif
