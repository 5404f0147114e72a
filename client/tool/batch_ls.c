/* batch_ls.c - `tributary batch ls`: the processors of keyed batches, and their workers. */
#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/repeat.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

struct settings {
    struct common common;
    unsigned output;
    struct repeat repeat;
};

struct listing {
    const struct settings *settings;
    struct text_table table;
};

/* ---- JSON ---- */

static void put_duration(json_t *object, const char *name, int64_t ns)
{
    json_object_set_new(object, name, json_integer(ns));
}

static json_t *policy_json(const struct tributary_worker_policy *policy)
{
    json_t *object = json_object();

    table_put_text(object, "window", policy->window == TRIBUTARY_BATCH_ADAPTIVE ? "adaptive" : "fixed");
    put_duration(object, "window_ns", policy->window_ns);
    put_duration(object, "deadline_ns", policy->deadline_ns);
    json_object_set_new(object, "retry_load", json_boolean(policy->retry_load));
    table_put_number(object, "max_reloads", policy->max_reloads);
    table_put_number(object, "max_operations", policy->max_operations);
    table_put_number(object, "max_bytes", policy->max_bytes);
    table_put_number(object, "max_waiters", policy->max_waiters);
    table_put_number(object, "max_waiting_bytes", policy->max_waiting_bytes);
    table_put_number(object, "max_keys", policy->max_keys);
    return object;
}

static json_t *worker_json(const struct tributary_processor_worker *worker)
{
    json_t *object = json_object();

    table_put_text(object, "name", worker->name);
    table_put_text(object, "peer", worker->peer);
    json_object_set_new(object, "draining", json_boolean(worker->draining));
    table_put_number(object, "batches", worker->batches);
    table_put_number(object, "max_batches", worker->max_batches);
    table_put_number(object, "batches_saved", worker->batches_saved);
    table_put_number(object, "batches_failed", worker->batches_failed);
    table_put_number(object, "operations", worker->operations);
    return object;
}

static json_t *processor_json(const struct tributary_processor *processor)
{
    json_t *object = json_object();
    json_t *workers = json_array();

    table_put_text(object, "name", processor->name);
    table_put_number(object, "keys", processor->keys);
    table_put_number(object, "batches", processor->batches);
    table_put_number(object, "waiters", processor->waiters);
    table_put_number(object, "batches_saved", processor->batches_saved);
    table_put_number(object, "batches_failed", processor->batches_failed);
    table_put_number(object, "operations", processor->operations);
    json_object_set_new(object, "policy", policy_json(&processor->policy));
    for (size_t i = 0; i < processor->worker_count; i++)
        json_array_append_new(workers, worker_json(&processor->workers[i]));
    json_object_set_new(object, "workers", workers);
    return object;
}

/* ---- text ---- */

static const struct text_column columns[] = {
    {"processor", COLUMN_FLEXIBLE}, {"worker", COLUMN_FLEXIBLE},  {"keys", COLUMN_RIGHT},
    {"waiters", COLUMN_RIGHT},      {"batches", COLUMN_RIGHT},    {"saved", COLUMN_RIGHT},
    {"failed", COLUMN_RIGHT},       {"operations", COLUMN_RIGHT}, {"window", COLUMN_WIDE},
    {"peer", COLUMN_WIDE},
};

static void put_worker(struct text_table *table, const struct tributary_processor_worker *worker)
{
    text_table_child(table);
    text_table_cell(table, "");
    text_table_format(table, "%s%s", worker->name, worker->draining ? " (drains)" : "");
    text_table_cell(table, "");
    text_table_cell(table, "");
    text_table_format(table, "%" PRIu32, worker->batches);
    text_table_format(table, "%" PRIu64, worker->batches_saved);
    text_table_format(table, "%" PRIu64, worker->batches_failed);
    text_table_format(table, "%" PRIu64, worker->operations);
    text_table_cell(table, "");
    text_table_cell(table, worker->peer);
}

static void put_processor(struct text_table *table, const struct tributary_processor *processor)
{
    char window[32];

    duration_text(processor->policy.window_ns, window, sizeof(window));
    text_table_row(table, processor->name, 0);
    text_table_cell(table, processor->name);
    text_table_format(table, "%zu", processor->worker_count);
    text_table_format(table, "%" PRIu64, processor->keys);
    text_table_format(table, "%" PRIu64, processor->waiters);
    text_table_format(table, "%" PRIu64, processor->batches);
    text_table_format(table, "%" PRIu64, processor->batches_saved);
    text_table_format(table, "%" PRIu64, processor->batches_failed);
    text_table_format(table, "%" PRIu64, processor->operations);
    text_table_format(table, "%s%s", window,
                      processor->policy.window == TRIBUTARY_BATCH_ADAPTIVE ? ", adaptive" : "");
    text_table_cell(table, "");
    for (size_t i = 0; i < processor->worker_count; i++)
        put_worker(table, &processor->workers[i]);
}

/* ---- the verb ---- */

static void on_processor(void *ctx, const struct tributary_processor *processor)
{
    struct listing *listing = ctx;

    if (listing->settings->output == LIST_JSON) {
        text_table_row(&listing->table, processor->name, 0);
        list_json_cell(&listing->table, processor_json(processor));
    } else {
        put_processor(&listing->table, processor);
    }
}

static int list(void *ctx, struct tributary *client, FILE *out, struct display_size size)
{
    const struct settings *settings = ctx;
    struct listing listing = {.settings = settings};
    const struct tributary_processors_query query = {
        .timeout_ns = link_left_ns(&settings->common), .each = on_processor, .ctx = &listing};
    struct tributary_status status;
    int result = EXITS_OK;

    list_init(&listing.table, columns, ARRAY_LEN(columns), (enum list_form)settings->output);
    if (tributary_processors(client, &query, &status) != TRIBUTARY_OK)
        result = link_failed("listing processors", &status);
    else
        result = list_print(&listing.table, out, size, "no processors");
    text_table_fini(&listing.table);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = LIST_TEXT};
    const struct repeat_job job = {.verb = verb,
                                   .settings = &settings,
                                   .common = &settings.common,
                                   .options = &settings.repeat,
                                   .output = &settings.output,
                                   .json = LIST_JSON,
                                   .list = list};

    return repeat_run(&job, argc, argv);
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, LIST_FORM_WORDS, OFFSET(output), LIST_FORM_HELP},
    REPEAT_OPTIONS(OFFSET(repeat)),
};

static const struct example examples[] = {
    {"tributary batch ls", "all processors, and their workers"},
    {"tributary batch ls --watch 1s", "again every second"},
    {"tributary batch ls -o json | jq .waiters", "for another program"},
};

const struct verb verb_batch_ls = {
    .name = "batch ls",
    .arguments = "",
    .summary = "list the processors of keyed batches",
    .text = "A line for each processor says how many workers it has, how many of its keys have a batch or "
            "a waiter, and how many operations\n"
            "wait; then come its workers. 'saved' and 'failed' count batches, 'operations' those that were "
            "handed to workers.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
