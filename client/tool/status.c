/* status.c - `tributary status`. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/repeat.h"
#include "client/tool/table.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct common common;
    unsigned output;
    bool counters;
    struct repeat repeat;
};

struct view {
    const struct settings *settings;
    const char *health;
    FILE *out;
};

static const char *store_state_name(enum tributary_store_state state)
{
    switch (state) {
    case TRIBUTARY_STORE_HEALTHY:
        return "healthy";
    case TRIBUTARY_STORE_FULL:
        return "full";
    case TRIBUTARY_STORE_FAILED:
        return "failed";
    }
    return "unknown";
}

static json_t *store_json(const struct tributary_store *store)
{
    json_t *object = json_object();
    json_t *not_loaded = json_object();

    table_put_text(object, "path", store->path);
    table_put_text(object, "uuid", store->uuid);
    table_put_text(object, "state", store_state_name(store->state));
    table_put_text(object, "code", store->code);
    table_put_text(object, "message", store->message);
    table_put_number(object, "topics", store->topics);
    table_put_number(object, "database_bytes", store->database_bytes);
    table_put_number(object, "free_bytes", store->free_bytes);
    table_put_number(object, "log_bytes", store->log_bytes);
    table_put_number(object, "ballast_bytes", store->ballast_bytes);
    for (size_t i = 0; i < store->not_loaded_count; i++)
        table_put_text(not_loaded, store->not_loaded[i].name, store->not_loaded[i].message);
    json_object_set_new(object, "not_loaded", not_loaded);
    return object;
}

static void print_json(const struct view *view, const struct tributary_info *info)
{
    json_t *object = json_object();
    json_t *listening = json_array();
    json_t *counters = json_object();

    table_put_text(object, "health", view->health);
    table_put_text(object, "version", info->version);
    table_put_text(object, "grpc_version", info->grpc_version);
    table_put_moment(object, "started", info->started_unix_nano);
    for (size_t i = 0; i < info->listening_count; i++)
        json_array_append_new(listening, json_string(info->listening[i]));
    json_object_set_new(object, "listening", listening);
    table_put_number(object, "pid", info->pid);
    table_put_number(object, "max_event_bytes", info->max_event_bytes);
    table_put_number(object, "max_batch_bytes", info->max_batch_bytes);
    table_put_number(object, "max_batch_events", info->max_batch_events);
    table_put_number(object, "max_calls_per_connection", info->max_calls_per_connection);
    table_put_number(object, "max_connections", info->max_connections);
    table_put_number(object, "memory_limit_bytes", info->memory_limit_bytes);
    table_put_number(object, "memory_used_bytes", info->memory_used_bytes);
    json_object_set_new(object, "draining", json_boolean(info->draining));
    for (size_t i = 0; i < info->counter_count; i++)
        json_object_set_new(counters, info->counters[i].name, json_integer(info->counters[i].value));
    json_object_set_new(object, "counters", counters);
    if (info->store)
        json_object_set_new(object, "store", store_json(info->store));
    table_print_json(object, view->out);
}

static int64_t counter(const struct tributary_info *info, const char *name)
{
    for (size_t i = 0; i < info->counter_count; i++) {
        if (strcmp(info->counters[i].name, name) == 0)
            return info->counters[i].value;
    }
    return 0;
}

/* How long the turns of the server's control thread take. An older server does not say. */
static void print_turns(const struct view *view, const struct tributary_info *info)
{
    char longest[40];
    int64_t turns = 0;

    for (size_t i = 0; i < info->counter_count; i++) {
        if (strncmp(info->counters[i].name, "loop.turns.", strlen("loop.turns.")) == 0)
            turns += info->counters[i].value;
    }
    if (turns == 0)
        return;
    duration_text(counter(info, "loop.turn_max_us") * NS_PER_US, longest, sizeof(longest));
    fprintf(view->out, "loop           %" PRId64 " turns, the longest %s\n", turns, longest);
}

/* An older server does not say. */
static void print_sizes(const struct view *view, const struct tributary_store *store)
{
    char database[32], unused[32], log[32], ballast[32];

    if (store->database_bytes == 0)
        return;
    bytes_text(store->database_bytes, database, sizeof(database));
    bytes_text(store->free_bytes, unused, sizeof(unused));
    bytes_text(store->log_bytes, log, sizeof(log));
    bytes_text(store->ballast_bytes, ballast, sizeof(ballast));
    fprintf(view->out, "on the disk    %s, of them %s free; log %s, ballast %s\n", database, unused, log,
            ballast);
}

static void print_store(const struct view *view, const struct tributary_store *store)
{
    if (!store)
        return;
    fprintf(view->out, "state          %s in %s\n", store_state_name(store->state), store->path);
    fprintf(view->out, "stored topics  %" PRIu32 "\n", store->topics);
    print_sizes(view, store);
    if (store->code[0] != '\0')
        fprintf(view->out, "               %s: %s\n", store->code, store->message);
    for (size_t i = 0; i < store->not_loaded_count; i++)
        fprintf(view->out, "not loaded     %s: %s\n", store->not_loaded[i].name,
                store->not_loaded[i].message);
}

static void print_text(const struct view *view, const struct tributary_info *info)
{
    char age[40];
    char used[32];
    char limit[32];

    duration_text(MAX_OF(clock_wall_ns() - (int64_t)info->started_unix_nano, 0), age, sizeof(age));
    bytes_text(info->memory_used_bytes, used, sizeof(used));
    bytes_text(info->memory_limit_bytes, limit, sizeof(limit));
    fprintf(view->out, "server         %s, %s\n", link_target(&view->settings->common), view->health);
    fprintf(view->out, "version        %s, gRPC %s\n", info->version, info->grpc_version);
    fprintf(view->out, "up             %s, process %u\n", age, info->pid);
    for (size_t i = 0; i < info->listening_count; i++)
        fprintf(view->out, "%-14s %s\n", i == 0 ? "listening" : "", info->listening[i]);
    fprintf(view->out, "producers      %" PRId64 "\nsubscriptions  %" PRId64 "\nconnections    %" PRId64 "\n",
            counter(info, "live.producers"), counter(info, "live.subscriptions"),
            counter(info, "live.connections"));
    fprintf(view->out, "events         %" PRId64 " in, %" PRId64 " out, %" PRId64 " dropped\n",
            counter(info, "events.in"), counter(info, "events.out"), counter(info, "events.dropped"));
    fprintf(view->out, "memory         %s of %s\n", used, limit);
    print_store(view, info->store);
    print_turns(view, info);
    for (size_t i = 0; view->settings->counters && i < info->counter_count; i++)
        fprintf(view->out, "%-28s %12" PRId64 "\n", info->counters[i].name, info->counters[i].value);
}

static void on_info(void *ctx, const struct tributary_info *info)
{
    const struct view *view = ctx;

    if (view->settings->output == FORM_JSON)
        print_json(view, info);
    else
        print_text(view, info);
}

/* Shows the status once. The size of the terminal has no influence. */
static int show(void *ctx, struct tributary *client, FILE *out, struct display_size size)
{
    const struct settings *settings = ctx;
    struct view view = {.settings = settings, .health = "serving", .out = out};
    struct tributary_status status;
    bool serving = false;

    (void)size;
    if (tributary_check(client, NULL, link_left_ns(&settings->common), &serving, &status) != TRIBUTARY_OK)
        view.health = "health unknown";
    else if (!serving)
        view.health = "not serving";
    if (tributary_info(client, link_left_ns(&settings->common), on_info, &view, &status) != TRIBUTARY_OK)
        return link_failed("asking the server", &status);
    return serving ? EXITS_OK : EXITS_UNAVAILABLE;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.output = FORM_TEXT};
    const struct repeat_job job = {.verb = verb,
                                   .settings = &settings,
                                   .common = &settings.common,
                                   .options = &settings.repeat,
                                   .output = &settings.output,
                                   .json = FORM_JSON,
                                   .list = show};

    return repeat_run(&job, argc, argv);
}

static const struct option options[] = {
    {'o', "output", OPTION_CHOICE, "text|json", offsetof(struct settings, output),
     "for people, or one JSON object (default: text)"},
    {0, "counters", OPTION_FLAG, "", offsetof(struct settings, counters), "with all counters of the server"},
    REPEAT_OPTIONS(offsetof(struct settings, repeat)),
};

static const struct example examples[] = {
    {"tributary status", "is it there, since when, and what does it do"},
    {"tributary status --watch 1s", "the same, again every second"},
    {"tributary status -s unix:/run/tributary.sock -o json | jq .counters", "the counters of another server"},
};

const struct verb verb_status = {
    .name = "status",
    .arguments = "",
    .summary = "show the health, version and totals of the server",
    .text = "The exit code is 3 where the server cannot be reached, and where it is not serving, as while it "
            "drains.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
