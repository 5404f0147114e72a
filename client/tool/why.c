/* why.c - `tributary why`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/explanation.h"
#include "client/tool/link.h"
#include "client/tool/nearest.h"
#include "client/tool/table.h"
#include "client/tool/verbs.h"
#include "client/tool/why_all.h"

enum { WHY_TEXT, WHY_JSON }; /* --output */

#define MAX_MATCHES 100u /* subscriptions with one name */

struct settings {
    struct common common;
    unsigned output;
    bool is_json, all;
    struct text_list producers;
    int64_t window_ns; /* 0: not given */
};

/* The subscriptions whose name was given, or what is near. */
struct search {
    const char *wanted;
    char *ids[MAX_MATCHES];
    size_t count;
    struct nearest nearest;
    char nearest_text[512]; /* a copy of nearest.word, which is valid in the callback alone */
};

static void print_table(const struct tributary_explanation *explanation)
{
    static const struct text_column columns[] = {{"figure", 0}, {"value", COLUMN_RIGHT}, {"unit", 0}};
    struct text_table table;

    text_table_init(&table, columns, ARRAY_LEN(columns), true);
    for (size_t i = 0; i < explanation->stat_count; i++) {
        const struct tributary_stat *stat = &explanation->stats[i];

        text_table_row(&table, "", 0);
        text_table_cell(&table, stat->name);
        text_table_format(&table, "%" PRId64, stat->value);
        text_table_cell(&table, stat->unit);
    }
    (void)text_table_print(&table, stdout, 0);
    text_table_fini(&table);
}

/* The sentence may hold names that others chose. */
static void print_sentence(const struct tributary_explanation *explanation)
{
    struct text_table table;

    text_table_init(&table, NULL, 0, true);
    text_table_row(&table, "", 0);
    text_table_format(&table, "%s: %s", tributary_limit_name(explanation->limit), explanation->sentence);
    (void)text_table_print(&table, stdout, 0);
    text_table_fini(&table);
}

static void on_answer(void *ctx, const struct tributary_explanation *explanation)
{
    const struct settings *settings = ctx;

    if (settings->output == WHY_JSON || settings->is_json) {
        table_print_json(explanation_json(explanation), stdout);
        return;
    }
    print_sentence(explanation);
    for (size_t i = 0; i < explanation->also_count; i++)
        printf("%s%s", i == 0 ? "also " : ", ", tributary_limit_name(explanation->also[i]));
    printf(explanation->also_count > 0 ? "\n\n" : "\n");
    print_table(explanation);
}

/* One of the two is NULL. */
static enum tributary_code explain(struct settings *settings, struct tributary *client, const char *id,
                                   const char *producer, struct tributary_status *status)
{
    const struct tributary_explain_query query = {.subscription_id = id,
                                                  .producer = producer,
                                                  .window_ns = settings->window_ns,
                                                  .timeout_ns = link_left_ns(&settings->common),
                                                  .each = on_answer,
                                                  .ctx = settings};

    return tributary_explain(client, &query, status);
}

static void offer(struct search *search, const char *word)
{
    const char *before = search->nearest.word;

    nearest_offer(&search->nearest, word);
    if (search->nearest.word == before)
        return;
    snprintf(search->nearest_text, sizeof(search->nearest_text), "%s", word);
    search->nearest.word = search->nearest_text;
}

static void on_subscription(void *ctx, const struct tributary_subscription *subscription)
{
    struct search *search = ctx;

    if (strcmp(subscription->name, search->wanted) == 0 && search->count < MAX_MATCHES) {
        char *id = strdup(subscription->id);

        if (id)
            search->ids[search->count++] = id;
    }
    offer(search, subscription->id);
    if (subscription->name[0] != '\0')
        offer(search, subscription->name);
}

static int not_found(const struct search *search, const struct tributary_status *status)
{
    const int result = link_failed(search->wanted, status);

    if (search->nearest.word)
        fprintf(stderr, "Did you mean '%s'?\n", search->nearest.word);
    return result;
}

/* Explains the subscriptions that have this name. `status` is what the server answered where it was
 * taken for an id. */
static int explain_by_name(struct settings *settings, struct tributary *client, const char *name,
                           struct tributary_status *status)
{
    struct search search = {.wanted = name, .nearest = nearest_init(name)};
    const struct tributary_subscriptions_query query = {
        .timeout_ns = link_left_ns(&settings->common), .each = on_subscription, .ctx = &search};
    struct tributary_status listed;
    int result = EXITS_OK;

    if (tributary_subscriptions(client, &query, &listed) != TRIBUTARY_OK)
        result = link_failed("listing subscriptions", &listed);
    else if (search.count == 0)
        result = not_found(&search, status);
    for (size_t i = 0; i < search.count; i++) {
        if (result == EXITS_OK && explain(settings, client, search.ids[i], NULL, status) != TRIBUTARY_OK)
            result = link_failed(search.ids[i], status);
        free(search.ids[i]);
    }
    return result;
}

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    offer(ctx, producer->name);
}

static int no_producer(struct settings *settings, struct tributary *client, const char *name,
                       const struct tributary_status *status)
{
    struct search search = {.wanted = name, .nearest = nearest_init(name)};
    const struct tributary_producers_query query = {
        .timeout_ns = link_left_ns(&settings->common), .each = on_producer, .ctx = &search};
    struct tributary_status listed;

    (void)!tributary_producers(client, &query, &listed);
    return not_found(&search, status);
}

static int explain_subscription(struct settings *settings, struct tributary *client, const char *id)
{
    struct tributary_status status;

    if (explain(settings, client, id, NULL, &status) == TRIBUTARY_OK)
        return EXITS_OK;
    if (status.code == TRIBUTARY_NOT_FOUND || status.code == TRIBUTARY_INVALID_ARGUMENT)
        return explain_by_name(settings, client, id, &status);
    return link_failed(id, &status);
}

static int explain_producer(struct settings *settings, struct tributary *client, const char *name)
{
    struct tributary_status status;

    if (explain(settings, client, NULL, name, &status) == TRIBUTARY_OK)
        return EXITS_OK;
    if (status.code == TRIBUTARY_NOT_FOUND)
        return no_producer(settings, client, name, &status);
    return link_failed(name, &status);
}

static int explain_each(struct settings *settings, struct tributary *client,
                        const struct text_list *subscriptions)
{
    int result = EXITS_OK;

    for (size_t i = 0; i < subscriptions->count && result == EXITS_OK; i++)
        result = explain_subscription(settings, client, subscriptions->items[i]);
    for (size_t i = 0; i < settings->producers.count && result == EXITS_OK; i++)
        result = explain_producer(settings, client, settings->producers.items[i]);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = WHY_TEXT};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        const size_t named = arguments.count + settings.producers.count;

        if (named == 0 && !settings.all)
            result = cli_wrong(verb, "the subscription's id or name is missing: see 'tributary subs ls'");
        else if (named > 0 && settings.all)
            result =
                cli_wrong(verb, "--all explains every subscription, so none may be named, and no --producer");
        else
            result = link_open(verb, &settings.common, &client);
    }
    if (client && result == EXITS_OK)
        result = settings.all ? why_all(client, settings.window_ns, link_left_ns(&settings.common),
                                        settings.output == WHY_JSON || settings.is_json)
                              : explain_each(&settings, client, &arguments);
    tributary_free(client);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", OFFSET(output),
     "a sentence and a table, or one JSON object per subscription (default: text)"},
    {0, "json", OPTION_FLAG, "", OFFSET(is_json), "the same as -o json"},
    {0, "all", OPTION_FLAG, "", OFFSET(all),
     "every subscription, the worst first: one sentence for each, or with --json everything"},
    {0, "producer", OPTION_LIST, "PRODUCER", OFFSET(producers),
     "what limits the producer of this name (may be repeated)"},
    {0, "window", OPTION_DURATION, "DURATION", OFFSET(window_ns),
     "how long the server looks (default: 500ms)"},
};

static const struct option_bounds bounds[] = {{"window", 10000000, 5000000000}};

static const struct example examples[] = {
    {"tributary why SUBSCRIPTION", "what limits this consumer now, and the figures behind it"},
    {"tributary why dashboard", "the consumers of this name"},
    {"tributary why --producer web", "what limits this producer: its connection, its consumers, the server"},
    {"tributary why --all", "what limits each consumer of the server, the worst first"},
    {"tributary why dashboard --json | jq -r .limit", "one word, for another program"},
};

const struct verb verb_why = {
    .name = "why",
    .arguments = "[SUBSCRIPTION...]",
    .max_arguments = 100,
    .summary = "say what limits a consumer or a producer",
    .text =
        "Says in one sentence what a consumer waits for now: its network, its credit, its policy, its "
        "producers or the server; or\n"
        "that nothing limits it. 'also' lists what holds too. A subscription is given by its id or by its "
        "name.\n"
        "With --producer it says why a producer sends nothing, or what holds it back. With --all it says "
        "it of every\n"
        "consumer; 100 consumers take one --window. What to do about each limit is in docs/operations.md, "
        "\"What limits a\n"
        "consumer\" and \"What limits a producer\".",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
