/* base.h - what every room uses: attributes, small macros, ownership of locals, CHECK(), bytes.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_BASE_H
#define TRIBUTARY_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))           /* keeps rare code out of the fast path */
#define INLINE inline __attribute__((always_inline)) /* for what must not be a call in the fast path */

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define BIT(n) (1u << (unsigned)(n))
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* Marks a large local that is always written before it is read. A build that initialises every
 * local (-ftrivial-auto-var-init) does not initialise this one. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define SCRATCH __attribute__((uninitialized))
#endif
#endif
#ifndef SCRATCH
#define SCRATCH
#endif

/* The structure of this type whose `member` is at `pointer`. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A local that owns an object: `OWNED(chunk_release) struct chunk *chunk = NULL;` calls
 * chunk_release(chunk) at the end of the local's scope. To hand the object over, set the local to
 * NULL: every such function accepts NULL. The header that declares the function must contain
 * OWNED_BY(chunk_release, struct chunk) once, at file level. */
#define OWNED(release)                                                                                       \
    __attribute__((cleanup(release##_owned), unused)) /* unused: some locals only hold a reference */
#define OWNED_BY(release, type)                                                                              \
    static inline void release##_owned(type **owned)                                                         \
    {                                                                                                        \
        release(*owned);                                                                                     \
    }                                                                                                        \
    struct owned_by_needs_a_semicolon

/* Asserts what only a bug of this program can violate. Unlike assert() it is active in every build.
 * A false condition ends the process at this line. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            check_failed(#condition, __FILE__, __LINE__);                                                    \
    } while (0)

/* Writes file, line and condition to standard error, and aborts. For CHECK() only. */
NORETURN void check_failed(const char *condition, const char *file, int line);

/* A view of bytes that another object owns. There is no closing NUL. `data` may be NULL when `size`
 * is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

/* The text without its closing NUL. */
static inline struct bytes text_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* Whether both hold the same bytes. Names are short, so this is inline and calls memcmp() only for
 * more than 16 bytes. */
static inline bool bytes_same(struct bytes a, struct bytes b)
{
    uint64_t words[4];

    if (a.size != b.size)
        return false;
    if (a.size > 2 * sizeof(words[0]))
        return memcmp(a.data, b.data, a.size) == 0;
    if (a.size >= sizeof(words[0])) { /* the first and the last 8 bytes, which may overlap */
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

static inline bool bytes_begin_with(struct bytes text, struct bytes beginning)
{
    return text.size >= beginning.size && bytes_same((struct bytes){text.data, beginning.size}, beginning);
}

/* The order of two keys: byte by byte, and a key comes before another one that begins with it.
 * Negative, 0 or positive, as memcmp(). */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t size = MIN_OF(a.size, b.size);
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

#endif
