/* glob.c - compiles a glob, and searches a text for it.
 *
 * DESIGN: What is between the first and the last wildcard of a pattern is a list of tokens: bytes
 * and question marks. A star may stand before each of them. The search reads the text once, byte by
 * byte. After each byte it knows for every token whether the tokens up to this one match the text
 * up to this byte, in some way: a set with one bit for each token, behind one for the place before
 * the first. All bits move on together, with a few operations for each 64 tokens. So no text and no
 * pattern makes the search go back.
 *
 * A bit moves on to the next token if that token is the byte just read. It stays if a star follows
 * its token. The bit of a question mark also stays while the continuation bytes of its character
 * are read.
 *
 * The masks of a glob, each of as many words as the tokens need:
 *   16  for each low half of a byte: the tokens that may be such a byte
 *   16  for each high half of a byte: the same; a token is a byte if it is in both masks
 *   16  for each high half of a byte: the bits that stay at such a byte */
#include "event/glob.h"

#include "event/work.h"

#define HALVES 16u
#define HIGH HALVES
#define STAY (2 * HALVES)
#define MAX_WORDS (MAX_GLOB_MASKS / GLOB_MASKS_PER_WORD)
#define BYTES_PER_LOOK 8u /* how often a search looks whether its result is certain */

_Static_assert(GLOB_MASKS_PER_WORD == 3 * HALVES, "the header says how many masks there are");

static bool is_wildcard(uint8_t byte)
{
    return byte == '*' || byte == '?';
}

/* The bytes from the first wildcard to the last one. */
static struct bytes middle_of(const struct glob *glob)
{
    return (struct bytes){glob->text.data + glob->prefix, glob->text.size - glob->prefix - glob->suffix};
}

struct glob glob_of(struct bytes pattern)
{
    struct glob glob = {.text = pattern, .kind = GLOB_EXACT};

    CHECK(pattern.size <= MAX_PATTERN_BYTES);
    if (pattern.size == 0) {
        glob.kind = GLOB_ANY;
        return glob;
    }
    while (glob.prefix < pattern.size && !is_wildcard(pattern.data[glob.prefix]))
        glob.prefix++;
    if (glob.prefix == pattern.size)
        return glob;
    while (!is_wildcard(pattern.data[pattern.size - 1 - glob.suffix]))
        glob.suffix++;
    struct bytes middle = middle_of(&glob);
    for (size_t i = 0; i < middle.size; i++) {
        if (middle.data[i] != '*')
            glob.tokens++;
    }
    if (glob.tokens > 0)
        glob.kind = GLOB_SEARCH;
    else if (glob.suffix > 0)
        glob.kind = GLOB_ENDS;
    else
        glob.kind = glob.prefix > 0 ? GLOB_PREFIX : GLOB_ANY;
    return glob;
}

/* Whether bytes with this high half continue a character. */
static bool continues(uint32_t half)
{
    return half >= 0x8 && half <= 0xb;
}

static void add_token(uint64_t *masks, uint32_t words, uint32_t token, uint8_t byte)
{
    uint64_t bit = UINT64_C(1) << (token % 64);
    uint64_t *word = masks + token / 64;

    if (byte != '?') {
        word[(byte & 15u) * words] |= bit;
        word[(HIGH + (byte >> 4)) * words] |= bit;
        return;
    }
    for (uint32_t half = 0; half < HALVES; half++) {
        word[half * words] |= bit;
        word[((continues(half) ? STAY : HIGH) + half) * words] |= bit;
    }
}

/* A star follows the token. */
static void add_star(uint64_t *masks, uint32_t words, uint32_t token)
{
    for (uint32_t half = 0; half < HALVES; half++)
        masks[(STAY + half) * words + token / 64] |= UINT64_C(1) << (token % 64);
}

void glob_set_masks(struct glob *glob, uint64_t *masks)
{
    struct bytes middle = middle_of(glob);
    uint32_t words = glob_words(glob);
    uint32_t token = 0; /* 0 is the place before the first one */

    if (words == 0)
        return;
    memset(masks, 0, words * GLOB_MASKS_PER_WORD * sizeof(*masks));
    for (size_t i = 0; i < middle.size; i++) {
        if (middle.data[i] != '*')
            add_token(masks, words, ++token, middle.data[i]);
        else
            add_star(masks, words, token);
    }
    glob->masks = masks;
}

/* Moves the set on, past one byte of the text. */
static inline uint64_t step(const uint64_t *masks, uint64_t set, uint8_t byte)
{
    const uint32_t high = byte >> 4;
    const uint64_t match = masks[byte & 15u] & masks[HIGH + high];

    COUNT_WORK(1);
    return (set << 1 & match) | (set & masks[STAY + high]);
}

/* Searches for a glob of one word of bits. */
static bool search_word(const struct glob *glob, struct bytes text)
{
    const uint64_t *masks = glob->masks;
    const uint64_t last = UINT64_C(1) << glob->tokens;
    const uint64_t star_last = masks[STAY] & last;
    uint64_t set = 1;
    size_t i = 0;

    for (; text.size - i >= BYTES_PER_LOOK; i += BYTES_PER_LOOK) {
#pragma GCC unroll 8
        for (uint32_t k = 0; k < BYTES_PER_LOOK; k++)
            set = step(masks, set, text.data[i + k]);
        if ((set & star_last) != 0 || set == 0)
            return set != 0; /* it matches whatever follows, or whatever follows does not match */
    }
    for (; i < text.size; i++)
        set = step(masks, set, text.data[i]);
    return (set & last) != 0;
}

/* As search_word(), for longer globs. The number of words is a constant for the compiler. */
static inline bool search_words(const struct glob *glob, struct bytes text, const uint32_t words)
{
    const uint64_t *masks = glob->masks;
    const uint64_t last = UINT64_C(1) << (glob->tokens % 64);
    const uint64_t star_last = masks[STAY * words + words - 1] & last;
    uint64_t sets[MAX_WORDS] = {1};
    uint64_t any = 1;

    for (size_t i = 0; i < text.size && any != 0 && (sets[words - 1] & star_last) == 0; i++) {
        const uint64_t *low = masks + (text.data[i] & 15u) * words;
        const uint64_t *high = masks + (HIGH + (text.data[i] >> 4)) * words;
        const uint64_t *stay = masks + (STAY + (text.data[i] >> 4)) * words;
        uint64_t carry = 0;

        COUNT_WORK(words);
        any = 0;
#pragma GCC unroll 5
        for (uint32_t k = 0; k < words; k++) {
            const uint64_t before = sets[k];
            sets[k] = ((before << 1 | carry) & low[k] & high[k]) | (before & stay[k]);
            carry = before >> 63;
            any |= sets[k];
        }
    }
    return (sets[words - 1] & last) != 0;
}

/* Searches for what is between the first and the last wildcard. */
static bool search(const struct glob *glob, struct bytes text)
{
    switch (glob_words(glob)) {
    case 1:
        return search_word(glob, text);
    case 2:
        return search_words(glob, text, 2);
    case 3:
        return search_words(glob, text, 3);
    case 4:
        return search_words(glob, text, 4);
    default:
        return search_words(glob, text, MAX_WORDS);
    }
}

bool glob_search(const struct glob *glob, struct bytes text)
{
    struct bytes end = {glob->text.data + glob->text.size - glob->suffix, glob->suffix};

    if (text.size == 0) /* both kinds want at least one byte */
        return false;
    if (text.size < (size_t)glob->prefix + glob->suffix ||
        !bytes_same((struct bytes){text.data + text.size - glob->suffix, glob->suffix}, end))
        return false;
    if (glob->kind == GLOB_ENDS)
        return true;
    text = (struct bytes){text.data + glob->prefix, text.size - glob->prefix - glob->suffix};
    return search(glob, text);
}

struct glob glob_compile(struct bytes pattern, uint64_t masks[MAX_GLOB_MASKS])
{
    struct glob glob = glob_of(pattern);

    glob_set_masks(&glob, masks);
    return glob;
}
