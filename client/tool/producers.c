/* producers.c - `tributary producers ls` and `tributary producers get`. */
#include <stdio.h>

#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/named.h"
#include "client/tool/producers_show.h"
#include "client/tool/repeat.h"
#include "client/tool/verbs.h"

enum { GET_TEXT, GET_JSON }; /* --output of get */

struct settings {
    struct common common;
    unsigned output, order;
    struct repeat repeat;
    const char *pattern; /* NULL: all of them */
};

struct listing {
    const struct settings *settings;
    struct text_table table;
};

static void on_row(void *ctx, const struct tributary_producer *producer)
{
    struct listing *listing = ctx;

    producer_show_row(&listing->table, producer, (enum list_form)listing->settings->output,
                      (enum producer_order)listing->settings->order);
}

static void on_one(void *ctx, const struct tributary_producer *producer)
{
    const struct settings *settings = ctx;

    if (settings->output == GET_JSON)
        producer_show_json(producer);
    else
        producer_show_whole(producer);
}

static int list(void *ctx, struct tributary *client, FILE *out, struct display_size size)
{
    const struct settings *settings = ctx;
    struct listing listing = {.settings = settings};
    const struct tributary_producers_query query = {.pattern = settings->pattern,
                                                    .timeout_ns = link_left_ns(&settings->common),
                                                    .each = on_row,
                                                    .ctx = &listing};
    struct tributary_status status;
    int result = EXITS_OK;

    producer_show_table(&listing.table, (enum list_form)settings->output);
    if (tributary_producers(client, &query, &status) != TRIBUTARY_OK)
        result = link_failed("listing producers", &status);
    else
        result = list_print(&listing.table, out, size, "no producers");
    text_table_fini(&listing.table);
    return result;
}

static int get(const struct verb *verb, void *ctx, struct tributary *client, const char *name)
{
    struct settings *settings = ctx;
    const struct tributary_producers_query query = {
        .pattern = name, .timeout_ns = link_left_ns(&settings->common), .each = on_one, .ctx = settings};
    struct tributary_status status;

    (void)verb;
    if (tributary_producer_get(client, &query, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = LIST_TEXT};
    const struct repeat_job job = {.verb = verb,
                                   .settings = &settings,
                                   .common = &settings.common,
                                   .options = &settings.repeat,
                                   .output = &settings.output,
                                   .json = LIST_JSON,
                                   .argument = &settings.pattern,
                                   .list = list};

    return repeat_run(&job, argc, argv);
}

static int run_get(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = GET_TEXT};
    const struct named_job job = {.verb = verb,
                                  .settings = &settings,
                                  .common = &settings.common,
                                  .missing = "the producer's name is missing",
                                  .each = get};

    return named_run(&job, argc, argv);
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option list_options[] = {
    {'o', "output", OPTION_CHOICE, LIST_FORM_WORDS, OFFSET(output), LIST_FORM_HELP},
    {0, "sort", OPTION_CHOICE, PRODUCER_ORDER_WORDS, OFFSET(order),
     "what comes first: by name (default), or the largest"},
    REPEAT_OPTIONS(OFFSET(repeat)),
};

static const struct option get_options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", OFFSET(output),
     "for people, or one JSON object (default: text)"},
};

static const struct example list_examples[] = {
    {"tributary producers ls", "all of them"},
    {"tributary producers ls --watch 1s", "all of them, again every second"},
    {"tributary producers ls --sort sequence -o wide", "who published most, with everything known"},
    {"tributary producers ls 'web-*' -o json | jq .published.events", "some of them, for another program"},
};

static const struct example get_examples[] = {
    {"tributary producers get web", "one of them; exit code 4 where there is none"}};

const struct verb verb_producers_ls = {
    .name = "producers ls",
    .arguments = "[PATTERN]",
    .max_arguments = 1,
    .summary = "list producers",
    .text =
        "Lists the producers whose names match the pattern. A producer is transient (it publishes, and is "
        "forgotten a minute after its\n"
        "last call), a session (it registered, for as long as it is connected) or an endpoint (the server "
        "dials it: 'producers add').\n"
        "A session is shared, or per-consumer: it is asked for each consumer apart. Then 'activations' says "
        "how often, with those that\n"
        "are held back in brackets. A terminal gets the columns that fit, and long names without their "
        "middle. 'failure' says how the last\n"
        "call of an endpoint failed, where there is space. -o wide has everything.",
    .options = list_options,
    .option_count = sizeof(list_options) / sizeof(list_options[0]),
    .examples = list_examples,
    .example_count = sizeof(list_examples) / sizeof(list_examples[0]),
    .run = run_list,
};

const struct verb verb_producers_get = {
    .name = "producers get",
    .arguments = "NAME",
    .max_arguments = 1,
    .summary = "show one producer",
    .text = "",
    .options = get_options,
    .option_count = sizeof(get_options) / sizeof(get_options[0]),
    .examples = get_examples,
    .example_count = 1,
    .run = run_get,
};
