/* topic_globs.c - see topic_globs.h. */
#include "topic/topic_globs.h"

#include <stdlib.h>
#include <string.h>

#include "event/glob.h"

static bool copy_texts(struct topic_globs *globs, const struct bytes *patterns)
{
    size_t bytes = 1, next = 0;

    for (size_t i = 0; i < globs->count; i++)
        bytes += patterns[i].size;
    globs->texts = malloc(bytes);
    if (!globs->texts)
        return false;
    for (size_t i = 0; i < globs->count; i++) {
        memcpy(globs->texts + next, patterns[i].data, patterns[i].size);
        globs->globs[i] = glob_of((struct bytes){globs->texts + next, patterns[i].size});
        next += patterns[i].size;
    }
    return true;
}

static bool make_masks(struct topic_globs *globs)
{
    size_t words = 1, next = 0;

    for (size_t i = 0; i < globs->count; i++)
        words += (size_t)glob_words(&globs->globs[i]) * GLOB_MASKS_PER_WORD;
    globs->masks = calloc(words, sizeof(*globs->masks));
    if (!globs->masks)
        return false;
    for (size_t i = 0; i < globs->count; i++) {
        glob_set_masks(&globs->globs[i], globs->masks + next);
        next += (size_t)glob_words(&globs->globs[i]) * GLOB_MASKS_PER_WORD;
    }
    return true;
}

enum err topic_globs_init(struct topic_globs *globs, const struct bytes *patterns, size_t count)
{
    *globs = (struct topic_globs){.count = count};
    if (count == 0)
        return ERR_OK;
    globs->globs = calloc(count, sizeof(*globs->globs));
    if (globs->globs && copy_texts(globs, patterns) && make_masks(globs))
        return ERR_OK;
    topic_globs_fini(globs);
    return ERR_NO_MEMORY;
}

void topic_globs_fini(struct topic_globs *globs)
{
    free(globs->globs);
    free(globs->texts);
    free(globs->masks);
    *globs = (struct topic_globs){.count = 0};
}

bool topic_globs_match(const struct topic_globs *globs, struct bytes name)
{
    for (size_t i = 0; i < globs->count; i++) {
        if (glob_matches(&globs->globs[i], name))
            return true;
    }
    return false;
}
