/* help.c - help, written from the tables of the verbs. */
#include "client/tool/verbs.h"

#include <string.h>

#include "base/base.h"
#include "tributary/tributary.h"
#include "client/tool/exits.h"

#define COLUMN 34

static const struct verb *const verbs[] = {
    &verb_pub,           &verb_sub,          &verb_serve,           &verb_status,     &verb_producers_ls,
    &verb_producers_get, &verb_producers_rm, &verb_producers_drain, &verb_subs_ls,    &verb_subs_kick,
    &verb_bench_pub,     &verb_bench_sub,    &verb_bench_latency,   &verb_completion, &verb_version};

static const struct exit_meaning exit_codes[] = {
    {EXITS_OK, "done; also when the reader of standard output went away"},
    {EXITS_ERROR, "something failed: a file, a command, a refused event"},
    {EXITS_USAGE, "the command line is at fault; nothing was done"},
    {EXITS_UNAVAILABLE, "the server cannot be reached, or is going away"},
    {EXITS_NOT_FOUND, "no such producer, subscription or service"},
    {EXITS_LOSS, "sub --fail-on-loss, bench: events were lost, or came out of order"},
    {EXITS_DEADLINE, "--max-time passed, or there was no answer in time"},
};

const struct verb *const *verbs_all(size_t *count_out)
{
    *count_out = ARRAY_LEN(verbs);
    return verbs;
}

const struct exit_meaning *exits_all(size_t *count_out)
{
    *count_out = ARRAY_LEN(exit_codes);
    return exit_codes;
}

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
        if (!cli_is_replaced(verb, &common_options[i]))
            print_option(out, &common_options[i]);
    }
    if (verb->example_count > 0)
        fprintf(out, "\nExamples:\n");
    for (size_t i = 0; i < verb->example_count; i++)
        fprintf(out, "  # %s\n  %s\n", verb->examples[i].purpose, verb->examples[i].command);
}

void help_all(FILE *out)
{
    fprintf(out, "tributary - publish to and subscribe from a tributary server\n\n"
                 "Usage: tributary VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        fprintf(out, "  %-16s%s\n", verbs[i]->name, verbs[i]->summary);
    fprintf(out, "  %-16s%s\n\nExit codes:\n", "help VERB", "everything about one verb, with examples");
    for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++)
        fprintf(out, "  %-4d%s\n", exit_codes[i].code, exit_codes[i].meaning);
    fprintf(out,
            "  64+ the gRPC code of any other answer of the server, added to 64\n"
            "\nEnvironment:\n"
            "  TRIBUTARY_SERVER  the server, where -s is not given (default " TRIBUTARY_DEFAULT_TARGET ")\n"
            "  NO_COLOR          no colours, also on a terminal\n");
}

const struct verb *verb_find(int argc, char **argv, int *words_out)
{
    const struct verb *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        const char *name = verbs[i]->name;
        const char *space = strchr(name, ' ');
        const size_t first = space != NULL ? (size_t)(space - name) : strlen(name);

        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        if (space == NULL || (argc > 1 && strcmp(argv[1], space + 1) == 0)) {
            found = verbs[i];
            *words_out = space == NULL ? 1 : 2;
        }
    }
    return found;
}
