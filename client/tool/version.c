/* version.c - `tributary version`. */
#include <stdio.h>

#include "tributary/tributary.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/verbs.h"

static int run(const struct verb *verb, int argc, char **argv)
{
    struct common settings = {.help = false};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result))
        printf("tributary %s\n", tributary_version());
    cli_free(verb, &settings, &arguments);
    return result;
}

static const struct example examples[] = {{"tributary version", "the version of this program"}};

const struct verb verb_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the version of this program",
    .text = "The server's own version is shown by 'tributary status'.",
    .examples = examples,
    .example_count = 1,
    .run = run,
};
