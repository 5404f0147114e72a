/* serve.c - `tributary serve`: registers a session with an activation for each consumer, and runs a
 * command for each activation. */
#include "client/tool/serve_jobs.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/registration.h"
#include "client/tool/verbs.h"

#define DEFAULT_JOBS 256
/* The bounds of one activation's queue. They are small, so that the pipe fills and the command
 * waits. */
#define QUEUE_EVENTS 1024
#define QUEUE_BYTES (256u << 10)

struct settings {
    struct common common;
    struct registration_params registration;
    const char *command, *topic, *key, *type, *content_type;
    uint64_t max_jobs;
    int64_t for_ns;
    bool quiet;
};

static int prepare(const struct verb *verb, const struct settings *settings, struct serve *serve)
{
    struct tributary_event *template = &serve->template;

    if (!settings->registration.name || !settings->command)
        return cli_wrong(verb, "--name and --exec are needed");
    serve->command = settings->command;
    serve->name = settings->registration.name;
    serve->max_jobs = settings->max_jobs;
    serve->quiet = settings->quiet;
    template->topic = tributary_text(settings->topic);
    template->key = tributary_text(settings->key);
    template->type = tributary_text(settings->type);
    template->content_type = tributary_text(settings->content_type);
    if (tributary_event_fault(template)[0] != '\0')
        return cli_wrong(verb, "%s", tributary_event_fault(template));
    return EXITS_OK;
}

/* True where --max-time ended the run, and not --for, a signal or the server. */
static bool max_time_is_over(const struct settings *settings, const struct serve *serve)
{
    const int64_t max_ns = settings->common.max_time_ns;

    return max_ns > 0 && (settings->for_ns == 0 || max_ns < settings->for_ns) && serve->stop.signals == 0 &&
           clock_mono_ns() >= serve->stop.until_ns;
}

static int serve_all(const struct verb *verb, const struct settings *settings, struct serve *serve,
                     struct tributary *client)
{
    const struct tributary_session_callbacks callbacks = serve_callbacks(serve);
    struct tributary_header labels[MAX_PAIRS];
    struct tributary_session_options options = {
        .topics = &settings->topic,
        .topic_count = !!settings->topic,
        .mode = TRIBUTARY_MODE_PER_CONSUMER,
        .queue_events = QUEUE_EVENTS,
        .queue_bytes = QUEUE_BYTES,
        .when_full = TRIBUTARY_WHEN_FULL_FAIL,
    };
    struct tributary_status status;
    int result = registration_fill(verb, &settings->registration, labels, &options);
    int ended = 0;

    if (result != EXITS_OK)
        return result;
    if (tributary_register(client, &options, &callbacks, &serve->session, &status) != TRIBUTARY_OK)
        return link_failed("registering", &status);
    serve_run(serve);
    tributary_session_free(serve->session);
    if (!settings->quiet)
        fprintf(stderr, "served %" PRIu64 " activation%s with %" PRIu64 " event%s as %s\n", serve->commands,
                serve->commands == 1 ? "" : "s", serve->events, serve->events == 1 ? "" : "s", serve->name);
    ended = atomic_load(&serve->ended_code);
    if ((ended == TRIBUTARY_OK || ended == TRIBUTARY_CANCELLED) && max_time_is_over(settings, serve))
        return EXITS_DEADLINE;
    return ended == TRIBUTARY_CANCELLED ? EXITS_OK : link_exit_code((enum tributary_code)ended);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {
        .registration = {.on_duplicate = REGISTRATION_DEFAULT, .handover = REGISTRATION_DEFAULT},
        .max_jobs = DEFAULT_JOBS};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        struct serve serve = {.child_fd = -1};

        result = prepare(verb, &settings, &serve);
        if (result == EXITS_OK &&
            (!stop_init(&serve.stop, link_limit_ns(&settings.common, settings.for_ns)) ||
             !serve_init(&serve)))
            result = EXITS_ERROR;
        else if (result == EXITS_OK && (result = link_open(verb, &settings.common, &client)) == EXITS_OK) {
            if (settings.common.wait) /* what was waited for does not count */
                stop_begin(&serve.stop, link_limit_ns(&settings.common, settings.for_ns));
            result = serve_all(verb, &settings, &serve, client);
        }
        tributary_free(client);
        if (serve.child_fd >= 0) {
            serve_fini(&serve);
            stop_fini(&serve.stop);
        }
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {0, "name", OPTION_TEXT, "NAME", OFFSET(registration.name), "register under this name (needed)"},
    {'e', "exec", OPTION_TEXT, "COMMAND", OFFSET(command),
     "what to run for each consumer, with /bin/sh (needed)"},
    REGISTRATION_OPTIONS(OFFSET(registration)),
    {'t', "topic", OPTION_TEXT, "TOPIC", OFFSET(topic), "what the events are about"},
    {'k', "key", OPTION_TEXT, "KEY", OFFSET(key), "what groups them"},
    {0, "type", OPTION_TEXT, "TYPE", OFFSET(type), "their kind, such as order.created"},
    {0, "content-type", OPTION_TEXT, "TYPE", OFFSET(content_type),
     "the media type of the data, such as text/plain"},
    {0, "max-activations", OPTION_NUMBER, "N", OFFSET(max_jobs),
     "commands at a time; further consumers get RESOURCE_EXHAUSTED (default: 256)"},
    {0, "for", OPTION_DURATION, "DURATION", OFFSET(for_ns), "stop after this long, such as 10s"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no summary and no notices on standard error"},
};

static const struct option_bounds bounds[] = {{"max-activations", 1, MAX_JOBS}};

static const struct example examples[] = {
    {"tributary serve --name grep --exec 'read -r word; grep -h -- \"$word\" /var/log/*.log; true'",
     "every consumer searches the logs of this machine"},
    {"tributary sub --request error --until ended", "asks all who answer, and ends when they did"},
    {"tributary serve --name clock --label zone=eu --exec 'while date; do sleep 1; done'",
     "an answer without an end"},
};

const struct verb verb_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "answer each consumer by running a command",
    .text =
        "Registers a session that is asked for each consumer apart. For each of them the command runs once: "
        "the consumer's request is "
        "on its\n"
        "standard input, and each line that it prints becomes an event that reaches this consumer only. Exit "
        "status 0 says that the "
        "answer is\n"
        "complete; any other one reaches the consumer as UNKNOWN, and the server asks again after a while.\n"
        "When the consumer is behind, the command's output is not read, so that it waits. When the consumer "
        "leaves, the command gets "
        "SIGTERM,\n"
        "and SIGKILL 2 s later.\n"
        "A line over 1000 KiB comes as several events, with the headers line.part (1, 2, ...) and line.last "
        "(true).",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bounds,
    .bound_count = sizeof(bounds) / sizeof(bounds[0]),
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
