/* base.h - the few words every room uses. */
#ifndef TRIBUTARY_BASE_BASE_H
#define TRIBUTARY_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline)) /* what is seldom done, and would crowd what is done often */

#define BIT(n) (1u << (unsigned)(n))
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* A large local that is written before it is read: a build that clears every local leaves this one
 * alone. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define SCRATCH __attribute__((uninitialized))
#endif
#endif
#ifndef SCRATCH
#define SCRATCH
#endif

/* The structure that embeds `member` at `pointer`. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A local that owns: `OWNED(chunk_release) struct chunk *chunk = NULL;` calls chunk_release(chunk)
 * at the end of its scope. Needs OWNED_BY(chunk_release, struct chunk) once at file level, in the
 * header that declares the function. */
#define OWNED(release) __attribute__((cleanup(release##_owned), unused)) /* some are only held */
#define OWNED_BY(release, type)                                                                              \
    static inline void release##_owned(type **owned)                                                         \
    {                                                                                                        \
        release(*owned);                                                                                     \
    }                                                                                                        \
    struct owned_by_needs_a_semicolon

/* Always on, in every build: a broken promise of ours ends the process where it is found. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            check_failed(#condition, __FILE__, __LINE__);                                                    \
    } while (0)

NORETURN void check_failed(const char *condition, const char *file, int line);

/* Bytes that somebody else owns; `size` counts them, there is no closing NUL. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

/* Names are short: comparing them should not be a call. */
static inline bool bytes_same(struct bytes a, struct bytes b)
{
    uint64_t words[4];

    if (a.size != b.size)
        return false;
    if (a.size > 2 * sizeof(words[0]))
        return memcmp(a.data, b.data, a.size) == 0;
    if (a.size >= sizeof(words[0])) { /* first and last eight, which may overlap */
        memcpy(&words[0], a.data, sizeof(words[0]));
        memcpy(&words[1], b.data, sizeof(words[0]));
        memcpy(&words[2], a.data + a.size - sizeof(words[0]), sizeof(words[0]));
        memcpy(&words[3], b.data + a.size - sizeof(words[0]), sizeof(words[0]));
        return ((words[0] ^ words[1]) | (words[2] ^ words[3])) == 0;
    }
    for (size_t i = 0; i < a.size; i++)
        if (a.data[i] != b.data[i])
            return false;
    return true;
}

#endif
