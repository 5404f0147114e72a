/* verb_list.c - the verbs of the tool. */
#include "client/tool/verb_list.h"

#include <string.h>

#include "base/base.h"
#include "client/tool/nearest.h"
#include "client/tool/option.h"

#define MAX_WORD 32
#define MAX_VERBS 64u

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

static const struct verb_alias aliases[] = {
    {"publish", "pub"},        {"subscribe", "sub"},      {"list", "ls"},   {"show", "get"},
    {"describe", "get"},       {"remove", "rm"},          {"delete", "rm"}, {"disconnect", "kick"},
    {"producer", "producers"}, {"subscriptions", "subs"},
};

const struct verb_alias *verb_aliases(size_t *count_out)
{
    *count_out = ARRAY_LEN(aliases);
    return aliases;
}

void verb_put_aliases(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        fprintf(out, " %s (%s)%s", aliases[i].alias, aliases[i].word, i + 1 == ARRAY_LEN(aliases) ? "" : ",");
}

const char *verb_word(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (strcmp(word, aliases[i].alias) == 0)
            return aliases[i].word;
    }
    return word;
}

/* The size of the first word of a verb's name. */
static size_t first_size(const char *name)
{
    return strcspn(name, " ");
}

/* Whether the first word of the name is `word`. */
static bool begins_with(const char *name, const char *word)
{
    return strlen(word) == first_size(name) && strncmp(name, word, first_size(name)) == 0;
}

bool verb_is_group(const char *word)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (verbs[i]->name[first_size(verbs[i]->name)] == ' ' && begins_with(verbs[i]->name, verb_word(word)))
            return true;
    }
    return false;
}

/* Whether the word is the first one of a verb or, where `group` is set, the second one of a verb of
 * that group. */
static bool is_word(const char *group, const char *word)
{
    for (size_t i = 0; i < verb_count; i++) {
        const char *name = verbs[i]->name;

        if (group ? begins_with(name, group) && name[first_size(name)] == ' ' &&
                        strcmp(name + first_size(name) + 1, word) == 0
                  : begins_with(name, word))
            return true;
    }
    return false;
}

/* Offers the words of verbs: the first ones or, where `group` is set, the second ones of its verbs.
 * The words must stay valid, so `words` keeps them. */
static void offer_words(struct nearest *nearest, const char *group, char words[][MAX_WORD])
{
    for (size_t i = 0; i < MIN_OF(verb_count, MAX_VERBS); i++) {
        const char *name = verbs[i]->name;
        const size_t size = first_size(name);

        if (group && (!begins_with(name, group) || name[size] == '\0'))
            continue;
        snprintf(words[i], MAX_WORD, "%.*s", group ? MAX_WORD : (int)size, group ? name + size + 1 : name);
        nearest_offer(nearest, words[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (is_word(group, aliases[i].word))
            nearest_offer(nearest, aliases[i].alias);
    }
}

const char *verb_nearest(int argc, char **argv)
{
    static char text[3 * MAX_WORD];
    char words[MAX_VERBS][MAX_WORD];
    const char *group = argc > 0 && verb_is_group(argv[0]) ? verb_word(argv[0]) : NULL;
    struct nearest nearest = nearest_init(group && argc > 1 ? argv[1] : argc > 0 ? argv[0] : "");
    char *found[2] = {text, argc > 1 ? argv[1] : NULL};
    int count = 0;

    offer_words(&nearest, argc > 1 ? group : NULL, words);
    if (!nearest.word)
        return NULL;
    snprintf(text, sizeof(text), "%s%s%s", group && argc > 1 ? group : "", group && argc > 1 ? " " : "",
             verb_word(nearest.word));
    if (argc > 1 && !group && verb_find(2, found, &count) && count == 2) {
        const size_t size = strlen(text);

        snprintf(text + size, sizeof(text) - size, " %.*s", MAX_WORD, verb_word(argv[1]));
    }
    return text;
}

const struct verb *verb_find(int argc, char **argv, int *words_out)
{
    const char *first = argc > 0 ? verb_word(argv[0]) : "";
    const char *second = argc > 1 ? verb_word(argv[1]) : "";
    const struct verb *found = NULL;

    for (size_t i = 0; i < verb_count; i++) {
        const char *name = verbs[i]->name;
        const size_t size = first_size(name);

        if (!begins_with(name, first))
            continue;
        if (name[size] == '\0' || strcmp(second, name + size + 1) == 0) {
            found = verbs[i];
            *words_out = name[size] == ' ' ? 2 : 1;
        }
    }
    return found;
}
