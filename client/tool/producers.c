/* producers.c - `tributary producers ls` and `tributary producers get`. */
#include <inttypes.h>

#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct common common;
    unsigned output;
};

struct listing {
    unsigned form;
    uint64_t count;
};

static void print_json(const struct tributary_producer *producer)
{
    json_t *object = json_object();
    char epoch[24];

    snprintf(epoch, sizeof(epoch), "%" PRIu64, producer->epoch);
    table_put_text(object, "name", producer->name);
    table_put_text(object, "state", tributary_state_name(producer->state));
    table_put_text(object, "epoch", epoch);
    table_put_number(object, "last_sequence", producer->last_sequence);
    table_put_tally(object, "published", producer->published);
    table_put_number(object, "open_calls", producer->open_calls);
    table_put_number(object, "blocked_calls", producer->blocked_calls);
    table_put_number(object, "subscriptions", producer->subscriptions);
    table_put_moment(object, "last_event", producer->last_event_unix_nano);
    table_put_text(object, "peer", producer->peer);
    table_print_json(object);
}

static void on_row(void *ctx, const struct tributary_producer *producer)
{
    struct listing *listing = ctx;
    char age[40];

    if (listing->form == FORM_JSON) {
        print_json(producer);
        return;
    }
    if (listing->count++ == 0)
        printf("%-28s %-9s %12s %10s %6s %8s %6s  %s\n", "producer", "state", "sequence", "published", "calls", "blocked", "subs",
               "last event");
    table_age(producer->last_event_unix_nano, age, sizeof(age));
    printf("%-28s %-9s %12" PRIu64 " %12" PRIu64 " %6u %8u %6u  %s\n", producer->name, tributary_state_name(producer->state),
           producer->last_sequence, producer->published.events, producer->open_calls, producer->blocked_calls, producer->subscriptions,
           age);
}

static void on_one(void *ctx, const struct tributary_producer *producer)
{
    const struct listing *listing = ctx;
    char age[40];
    char size[32];

    if (listing->form == FORM_JSON) {
        print_json(producer);
        return;
    }
    table_age(producer->last_event_unix_nano, age, sizeof(age));
    bytes_text(producer->published.bytes, size, sizeof(size));
    printf("name           %s\nstate          %s\nepoch          %" PRIu64 "\nlast sequence  %" PRIu64 "\n", producer->name,
           tributary_state_name(producer->state), producer->epoch, producer->last_sequence);
    printf("published      %" PRIu64
           " events, %s\nopen calls     %u, of which %u blocked\nsubscriptions  %u\nlast event     %s\npeer           %s\n",
           producer->published.events, size, producer->open_calls, producer->blocked_calls, producer->subscriptions, age, producer->peer);
}

static int list(const struct settings *settings, struct tributary *client, const char *pattern)
{
    struct listing listing = {.form = settings->output};
    const struct tributary_producers_query query = {
        .pattern = pattern, .timeout_ns = settings->common.max_time_ns, .each = on_row, .ctx = &listing};
    struct tributary_status status;

    if (tributary_producers(client, &query, &status) != TRIBUTARY_OK)
        return link_failed("listing producers", &status);
    if (listing.count == 0 && listing.form == FORM_TEXT)
        fprintf(stderr, "no producers\n");
    return EXITS_OK;
}

static int get(const struct settings *settings, struct tributary *client, const char *name)
{
    struct listing listing = {.form = settings->output};
    const struct tributary_producers_query query = {
        .pattern = name, .timeout_ns = settings->common.max_time_ns, .each = on_one, .ctx = &listing};
    struct tributary_status status;

    if (tributary_producer_get(client, &query, &status) != TRIBUTARY_OK)
        return link_failed(name, &status);
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    const bool one = verb == &verb_producers_get;
    struct settings settings = {.output = FORM_TEXT};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        const char *name = arguments.count > 0 ? arguments.items[0] : NULL;

        if (one && name == NULL)
            result = cli_wrong(verb, "the producer's name is missing");
        else
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = one ? get(&settings, client, name) : list(&settings, client, name);
        tributary_free(client);
    }
    cli_forget(verb, &settings, &arguments);
    return result;
}

static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", offsetof(struct settings, output), "a table, or one JSON object per line (default: text)"},
};

static const struct example list_examples[] = {
    {"tributary producers ls", "all of them"},
    {"tributary producers ls 'web-*' -o json | jq .published.events", "some of them, for another program"},
};

static const struct example get_examples[] = {{"tributary producers get web", "one of them; exit code 4 where there is none"}};

const struct verb verb_producers_ls = {
    .name = "producers ls",
    .arguments = "[PATTERN]",
    .arguments_most = 1,
    .summary = "list producers",
    .text = "Lists the producers whose names match the pattern, in the order of their names.",
    .options = options,
    .option_count = 1,
    .examples = list_examples,
    .example_count = 2,
    .run = run,
};

const struct verb verb_producers_get = {
    .name = "producers get",
    .arguments = "NAME",
    .arguments_most = 1,
    .summary = "show one producer",
    .text = "",
    .options = options,
    .option_count = 1,
    .examples = get_examples,
    .example_count = 1,
    .run = run,
};
