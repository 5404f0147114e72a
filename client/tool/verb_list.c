/* verb_list.c - the verbs of the tool. */
#include "client/tool/verb_list.h"

#include <string.h>

#include "client/tool/option.h"

static const struct verb *const *verbs;
static size_t verb_count;

void verb_list_set(const struct verb *const *all, size_t count)
{
    verbs = all;
    verb_count = count;
}

const struct verb *const *verbs_all(size_t *count_out)
{
    *count_out = verb_count;
    return verbs;
}

const struct verb *verb_find(int argc, char **argv, int *words_out)
{
    const struct verb *found = NULL;

    for (size_t i = 0; i < verb_count; i++) {
        const char *name = verbs[i]->name;
        const char *space = strchr(name, ' ');
        const size_t first = space ? (size_t)(space - name) : strlen(name);

        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        if (!space || (argc > 1 && strcmp(argv[1], space + 1) == 0)) {
            found = verbs[i];
            *words_out = space ? 2 : 1;
        }
    }
    return found;
}
