/* verbs.c - the table of all verbs. */
#include "client/tool/verbs.h"

#include <string.h>

#include "base/base.h"

static const struct verb *const verbs[] = {
    &verb_pub,           &verb_sub,          &verb_serve,           &verb_status,     &verb_producers_ls,
    &verb_producers_get, &verb_producers_rm, &verb_producers_drain, &verb_subs_ls,    &verb_subs_kick,
    &verb_bench_pub,     &verb_bench_sub,    &verb_bench_latency,   &verb_completion, &verb_version};

const struct verb *const *verbs_all(size_t *count_out)
{
    *count_out = ARRAY_LEN(verbs);
    return verbs;
}

const struct verb *verb_find(int argc, char **argv, int *words_out)
{
    const struct verb *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
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
