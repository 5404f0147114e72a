/* tool.c - finds the verb and runs it. */
#include "client/tool/tool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/tool/exits.h"
#include "client/tool/help.h"
#include "client/tool/verb_list.h"
#include "client/tool/verbs.h"

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 ||
           strcmp(word, "-help") == 0;
}

static bool is_version(const char *word)
{
    return strcmp(word, "--version") == 0 || strcmp(word, "-version") == 0;
}

static int unknown(int argc, char **argv)
{
    const char *nearest = verb_nearest(argc, argv);
    const bool has_group = verb_is_group(argv[0]);

    fprintf(stderr, "tributary: there is no verb '%s%s%s'", argv[0], argc > 1 ? " " : "",
            argc > 1 ? argv[1] : "");
    if (nearest)
        fprintf(stderr, ". Did you mean '%s'?", nearest);
    fprintf(stderr, "\nTry 'tributary help%s%s'.\n", has_group ? " " : "",
            has_group ? verb_word(argv[0]) : "");
    return EXITS_USAGE;
}

static int help(int argc, char **argv)
{
    int words = 0;
    const struct verb *verb = verb_find(argc, argv, &words);

    if (argc == 0)
        help_all(stdout);
    else if (argc == 1 && strcmp(argv[0], "--man") == 0)
        help_man(stdout);
    else if (verb)
        help_verb(stdout, verb);
    else if (argc == 1 && verb_is_group(argv[0]))
        help_group(stdout, verb_word(argv[0]));
    else
        return unknown(argc, argv);
    return EXITS_OK;
}

/* Reads "-s VALUE" before the verb. Returns the number of words read. */
static int read_server(int argc, char **argv)
{
    static const char *const names[] = {"-s", "--server", "-server"};

    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(names); i++) {
        if (strcmp(argv[0], names[i]) == 0) {
            setenv("TRIBUTARY_SERVER", argv[1], 1);
            return 2;
        }
    }
    return 0;
}

int tool_run(int argc, char **argv)
{
    const struct verb *verb = NULL;
    const int used = read_server(argc, argv);
    int words = 0;

    argc -= used;
    argv += used;
    verbs_install();
    signal(SIGPIPE, SIG_IGN); /* a write to a reader that went away fails with EPIPE instead */
    if (argc == 0) {
        help_all(stderr);
        return EXITS_USAGE;
    }
    if (is_help(argv[0]))
        return help(argc - 1, argv + 1);
    if (is_version(argv[0]))
        return verb_version.run(&verb_version, 0, argv);
    verb = verb_find(argc, argv, &words);
    if (!verb && argc == 1 && verb_is_group(argv[0])) {
        help_group(stderr, verb_word(argv[0]));
        return EXITS_USAGE;
    }
    if (!verb && argc == 2 && is_help(argv[1]) && verb_is_group(argv[0]))
        return help(1, argv);
    if (!verb)
        return unknown(argc, argv);
    return verb->run(verb, argc - words, argv + words);
}
