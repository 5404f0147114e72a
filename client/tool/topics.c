/* topics.c - `tributary topics ls` and `tributary topics info`. */
#include <stdio.h>

#include "base/base.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/named.h"
#include "client/tool/repeat.h"
#include "client/tool/topics_show.h"
#include "client/tool/verbs.h"

enum { INFO_TEXT, INFO_JSON }; /* --output of info */

struct settings {
    struct common common;
    unsigned output;
    struct repeat repeat;
    const char *pattern; /* NULL: all of them */
};

struct listing {
    const struct settings *settings;
    struct text_table table;
};

static void on_row(void *ctx, const struct tributary_topic *topic)
{
    struct listing *listing = ctx;

    topic_show_row(&listing->table, topic, (enum list_form)listing->settings->output);
}

static int list(void *ctx, struct tributary *client, FILE *out, struct display_size size)
{
    const struct settings *settings = ctx;
    struct listing listing = {.settings = settings};
    const struct tributary_topics_query query = {.pattern = settings->pattern,
                                                 .timeout_ns = link_left_ns(&settings->common),
                                                 .each = on_row,
                                                 .ctx = &listing};
    struct tributary_status status;
    int result = EXITS_OK;

    topic_show_table(&listing.table, (enum list_form)settings->output);
    if (tributary_topics(client, &query, &status) != TRIBUTARY_OK)
        result = link_failed("listing topics", &status);
    else
        result = list_print(&listing.table, out, size, "no topics");
    text_table_fini(&listing.table);
    return result;
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

static void on_one(void *ctx, const struct tributary_topic *topic)
{
    const struct settings *settings = ctx;

    if (settings->output == INFO_JSON)
        topic_show_json(topic);
    else
        topic_show_whole(topic);
}

static int show(const struct verb *verb, void *ctx, struct tributary *client, const char *name)
{
    struct settings *settings = ctx;
    const struct tributary_topic_answer answer = {
        .timeout_ns = link_left_ns(&settings->common), .each = on_one, .ctx = settings};
    struct tributary_status status;

    (void)verb;
    if (tributary_topic_get(client, name, &answer, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

static int run_info(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = INFO_TEXT};
    const struct named_job job = {.verb = verb,
                                  .settings = &settings,
                                  .common = &settings.common,
                                  .missing = "the topic's name is missing",
                                  .each = show};

    return named_run(&job, argc, argv);
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option list_options[] = {
    {'o', "output", OPTION_CHOICE, LIST_FORM_WORDS, OFFSET(output), LIST_FORM_HELP},
    REPEAT_OPTIONS(OFFSET(repeat)),
};

static const struct option info_options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", OFFSET(output),
     "for people, or one JSON object (default: text)"},
};

static const struct example list_examples[] = {
    {"tributary topics ls", "all topics"},
    {"tributary topics ls 'orders*' --watch 1s", "some of them, again every second"},
    {"tributary topics ls -o json | jq .bytes", "for another program"},
};

static const struct example info_examples[] = {{"tributary topics info orders", "what it keeps"}};

const struct verb verb_topics_ls = {
    .name = "topics ls",
    .arguments = "[PATTERN]",
    .max_arguments = 1,
    .summary = "list the topics that the server keeps on the disk",
    .text = "'events' and 'size' are what a topic keeps now, 'first' and 'next' the sequences of its first "
            "event and of the one that comes next.\n"
            "'subs' counts consumers, 'behind' those that read from the disk. 'keeps' says how long events "
            "stay.",
    .options = list_options,
    .option_count = ARRAY_LEN(list_options),
    .examples = list_examples,
    .example_count = ARRAY_LEN(list_examples),
    .run = run_list,
};

const struct verb verb_topics_info = {
    .name = "topics info",
    .arguments = "TOPIC",
    .max_arguments = 1,
    .summary = "show one stored topic",
    .text = "Prints its settings, what it keeps, and who reads it.",
    .options = info_options,
    .option_count = ARRAY_LEN(info_options),
    .examples = info_examples,
    .example_count = ARRAY_LEN(info_examples),
    .run = run_info,
};
