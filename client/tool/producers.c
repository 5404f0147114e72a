/* producers.c - `tributary producers ls` and `tributary producers get`. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/producers_show.h"
#include "client/tool/stop.h"
#include "client/tool/verbs.h"

#define CLEAR "\033[H\033[2J"

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct common common;
    unsigned output;
    int64_t every_ns; /* 0: list once */
};

struct listing {
    unsigned form;
    uint64_t count;
};

static void on_row(void *ctx, const struct tributary_producer *producer)
{
    struct listing *listing = ctx;

    if (listing->form == FORM_JSON) {
        producer_show_json(producer);
        return;
    }
    if (listing->count++ == 0)
        producer_show_head();
    producer_show_row(producer);
}

static void on_one(void *ctx, const struct tributary_producer *producer)
{
    const struct listing *listing = ctx;

    if (listing->form == FORM_JSON)
        producer_show_json(producer);
    else
        producer_show_whole(producer);
}

static int list(const struct settings *settings, struct tributary *client, const char *pattern)
{
    struct listing listing = {.form = settings->output};
    const struct tributary_producers_query query = {
        .pattern = pattern, .timeout_ns = link_left_ns(&settings->common), .each = on_row, .ctx = &listing};
    struct tributary_status status;

    if (tributary_producers(client, &query, &status) != TRIBUTARY_OK)
        return link_failed("listing producers", &status);
    if (listing.count == 0 && listing.form == FORM_TEXT)
        fprintf(stderr, "no producers\n");
    return EXITS_OK;
}

/* Lists every `every_ns` until a stop is requested, --max-time is over or standard output cannot be
 * written. Clears a terminal before each list; appends to anything else. */
static int list_repeatedly(const struct settings *settings, struct tributary *client, const char *pattern,
                           struct stop *stop)
{
    const bool draws = isatty(STDOUT_FILENO) != 0 && settings->output == FORM_TEXT;
    const int64_t until_ns = settings->common.over_ns;
    bool first = true;

    while (!stop_requested(stop)) {
        if (draws)
            fputs(CLEAR, stdout);
        else if (!first && settings->output == FORM_TEXT)
            putchar('\n');
        list(settings, client, pattern);
        if (fflush(stdout) != 0)
            return EXITS_OK;
        first = false;
        if (clock_mono_ns() >= until_ns)
            return EXITS_DEADLINE;
        stop_wait(stop, -1, MIN_OF(settings->every_ns, until_ns - clock_mono_ns()));
    }
    return EXITS_OK;
}

static int get(const struct settings *settings, struct tributary *client, const char *name)
{
    struct listing listing = {.form = settings->output};
    const struct tributary_producers_query query = {
        .pattern = name, .timeout_ns = link_left_ns(&settings->common), .each = on_one, .ctx = &listing};
    struct tributary_status status;

    if (tributary_producer_get(client, &query, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

static int run_list(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = FORM_TEXT};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    struct stop stop = {.signal_fd = -1, .wakeup_fd = -1};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        const char *pattern = arguments.count > 0 ? arguments.items[0] : NULL;

        if (settings.every_ns > 0 && !stop_init(&stop, 0))
            result = EXITS_ERROR;
        if (result == EXITS_OK)
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = settings.every_ns > 0 ? list_repeatedly(&settings, client, pattern, &stop)
                                           : list(&settings, client, pattern);
        tributary_free(client);
        stop_fini(&stop);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

static int run_get(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = FORM_TEXT};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 0)
            result = cli_wrong(verb, "the producer's name is missing");
        else
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = get(&settings, client, arguments.items[0]);
        tributary_free(client);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OUTPUT                                                                                               \
    {                                                                                                        \
        'o', "output", OPTION_CHOICE, "text|json", offsetof(struct settings, output),                        \
            "a table, or one JSON object per line (default: text)"                                           \
    }

static const struct option list_options[] = {
    OUTPUT,
    {'w', "watch", OPTION_EVERY, "[INTERVAL]", offsetof(struct settings, every_ns),
     "list again after each INTERVAL (2s), until stopped; a terminal is drawn anew"},
};

static const struct option get_options[] = {OUTPUT};

static const struct example list_examples[] = {
    {"tributary producers ls", "all of them"},
    {"tributary producers ls --watch 1s", "all of them, again every second"},
    {"tributary producers ls 'web-*' -o json | jq .published.events", "some of them, for another program"},
};

static const struct example get_examples[] = {
    {"tributary producers get web", "one of them; exit code 4 where there is none"}};

const struct verb verb_producers_ls = {
    .name = "producers ls",
    .arguments = "[PATTERN]",
    .max_arguments = 1,
    .summary = "list producers",
    .text = "Lists the producers whose names match the pattern, in the order of their names. A producer is "
            "transient (it publishes, and is\n"
            "forgotten a minute after its last call) or a session (it registered, for as long as it is "
            "connected). A session is shared, or is\n"
            "asked for each consumer apart: then its activations are counted, those that are held back in "
            "brackets.",
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
