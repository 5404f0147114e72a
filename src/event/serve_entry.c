/* serve_entry.c - see serve_entry.h. */
#include "event/serve_entry.h"

#include <string.h>

static const char form[] =
    "/package.Service/Method or /package.Service/*, then ,requests=one|many or "
    ",answer=all|first-ok|refuse or ,end=partial-ok|all-ok|fail-fast or ,rejoin=no|yes";

const char *const serve_end_words[SERVE_END_COUNT] = {[SERVE_END_PARTIAL_OK] = "partial-ok",
                                                      [SERVE_END_ALL_OK] = "all-ok",
                                                      [SERVE_END_FAIL_FAST] = "fail-fast"};

/* The part before the next `letter`; *rest is what comes behind it. */
static struct bytes split(struct bytes *rest, uint8_t letter)
{
    const uint8_t *at = rest->size > 0 ? memchr(rest->data, letter, rest->size) : NULL;
    const struct bytes part = {rest->data, at ? (size_t)(at - rest->data) : rest->size};

    *rest = at ? (struct bytes){at + 1, rest->size - part.size - 1} : (struct bytes){rest->data, 0};
    return part;
}

size_t serve_word_find(struct bytes word, const char *const *words, size_t count)
{
    size_t i = 0;

    while (i < count && !(words[i] && bytes_same(word, text_bytes(words[i]))))
        i++;
    return i;
}

static bool is_visible(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

static bool read_path(struct bytes path, struct serve_entry *entry)
{
    if (path.size < 4 || path.size > MAX_SERVE_METHOD_BYTES || path.data[0] != '/' || !is_visible(path))
        return false;
    const uint8_t *second = memchr(path.data + 1, '/', path.size - 1);
    if (!second || second == path.data + 1)
        return false;
    entry->service = (struct bytes){path.data, (size_t)(second - path.data) + 1};
    entry->method = (struct bytes){second + 1, path.size - entry->service.size};
    if (entry->method.size == 0 || memchr(entry->method.data, '/', entry->method.size))
        return false;
    if (bytes_same(entry->method, text_bytes("*")))
        entry->method.size = 0;
    return !memchr(path.data, '*', path.size - (entry->method.size == 0));
}

static bool read_option(struct bytes option, struct serve_entry *entry)
{
    static const char *const requests[] = {"one", "many"};
    static const char *const answers[] = {
        [SERVE_ALL] = "all", [SERVE_FIRST_OK] = "first-ok", [SERVE_REFUSE] = "refuse"};
    static const char *const rejoins[] = {"no", "yes"};
    const struct bytes name = split(&option, '=');
    size_t found;

    if (bytes_same(name, text_bytes("requests"))) {
        found = serve_word_find(option, requests, ARRAY_LEN(requests));
        entry->many_requests = found > 0;
        return found < ARRAY_LEN(requests);
    }
    if (bytes_same(name, text_bytes("answer"))) {
        found = serve_word_find(option, answers, ARRAY_LEN(answers));
        entry->answer = (enum serve_answer)found;
        return found < ARRAY_LEN(answers);
    }
    if (bytes_same(name, text_bytes("rejoin"))) {
        found = serve_word_find(option, rejoins, ARRAY_LEN(rejoins));
        entry->rejoins = found > 0;
        return found < ARRAY_LEN(rejoins);
    }
    found = serve_word_find(option, serve_end_words, SERVE_END_COUNT);
    entry->end = (enum serve_end)found;
    return found < SERVE_END_COUNT && bytes_same(name, text_bytes("end"));
}

const char *serve_entry_read(struct bytes text, struct serve_entry *entry_out)
{
    struct serve_entry entry = {.many_requests = false};
    struct bytes rest = text;

    if (text.size > MAX_SERVE_ENTRY_BYTES)
        return "at most 320 bytes";
    if (text.size == 0 || text.data[text.size - 1] == ',' || !read_path(split(&rest, ','), &entry))
        return form;
    while (rest.size > 0) {
        if (!read_option(split(&rest, ','), &entry))
            return form;
    }
    *entry_out = entry;
    return NULL;
}

const struct serve_entry *serve_entries_find(const struct serve_entry *entries, size_t count,
                                             struct bytes path)
{
    const struct serve_entry *of_service = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct serve_entry *entry = &entries[i];
        const size_t service = entry->service.size;

        if (path.size <= service || !bytes_begin_with(path, entry->service))
            continue;
        const struct bytes method = {path.data + service, path.size - service};
        if (entry->method.size == 0)
            of_service = of_service ? of_service : entry;
        else if (bytes_same(entry->method, method))
            return entry;
    }
    return of_service;
}
