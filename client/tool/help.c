/* help.c - prints help from the tables of the verbs. */
#include "client/tool/help.h"

#include <string.h>

#include "tributary/tributary.h"
#include "client/tool/exits.h"
#include "client/tool/verb_list.h"

#define COLUMN 34

static void print_option(FILE *out, const struct option *option)
{
    const bool has_value = option->value[0] != '\0';
    char left[96];
    int size = 0;

    if (option->letter != 0)
        size = snprintf(left, sizeof(left), "  -%c, --%s%s%s", option->letter, option->name,
                        has_value ? " " : "", option->value);
    else
        size =
            snprintf(left, sizeof(left), "      --%s%s%s", option->name, has_value ? " " : "", option->value);
    if (size >= COLUMN)
        fprintf(out, "%s\n%*s%s\n", left, COLUMN, "", option->help);
    else
        fprintf(out, "%-*s%s\n", COLUMN, left, option->help);
}

void help_verb(FILE *out, const struct verb *verb)
{
    fprintf(out, "tributary %s - %s\n\nUsage: tributary %s [OPTION...]%s%s\n", verb->name, verb->summary,
            verb->name, verb->arguments[0] != '\0' ? " " : "", verb->arguments);
    if (verb->text[0] != '\0')
        fprintf(out, "\n%s\n", verb->text);
    if (verb->option_count > 0)
        fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < verb->option_count; i++)
        print_option(out, &verb->options[i]);
    fprintf(out, "\nOptions of every verb:\n");
    for (size_t i = 0; i < common_option_count; i++) {
        if (!option_is_replaced(verb, &common_options[i]))
            print_option(out, &common_options[i]);
    }
    if (verb->example_count > 0)
        fprintf(out, "\nExamples:\n");
    for (size_t i = 0; i < verb->example_count; i++)
        fprintf(out, "  # %s\n  %s\n", verb->examples[i].purpose, verb->examples[i].command);
}

void help_group(FILE *out, const char *group)
{
    const size_t size = strlen(group);
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);

    fprintf(out, "Usage: tributary %s VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n", group);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(verbs[i]->name, group, size) == 0 && verbs[i]->name[size] == ' ')
            fprintf(out, "  %-18s%s\n", verbs[i]->name, verbs[i]->summary);
    }
    fprintf(out, "\nTry 'tributary help %s VERB'.\n", group);
}

static void put_aliases(FILE *out)
{
    fputs("\nOther words for verbs:\n ", out);
    verb_put_aliases(out);
    fputs("\n", out);
}

void help_all(FILE *out)
{
    size_t verb_count = 0;
    size_t exit_count = 0;
    const struct verb *const *verbs = verbs_all(&verb_count);
    const struct exit_meaning *exits = exits_all(&exit_count);

    fprintf(out, "tributary - publish to and subscribe from a tributary server\n\n"
                 "Usage: tributary VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n");
    for (size_t i = 0; i < verb_count; i++)
        fprintf(out, "  %-18s%s\n", verbs[i]->name, verbs[i]->summary);
    fprintf(out, "  %-18s%s\n\nExit codes:\n", "help VERB",
            "everything about one verb, or the verbs of a group");
    for (size_t i = 0; i < exit_count; i++)
        fprintf(out, "  %-4d%s\n", exits[i].code, exits[i].meaning);
    fprintf(out, "  64+ the gRPC code of any other answer of the server, added to 64\n");
    put_aliases(out);
    fprintf(out,
            "\nEnvironment:\n"
            "  TRIBUTARY_SERVER  the server, where -s is not given (default " TRIBUTARY_DEFAULT_TARGET ")\n"
            "  NO_COLOR          no colours, also on a terminal\n");
}
