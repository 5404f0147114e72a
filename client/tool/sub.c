/* sub.c - `tributary sub`: prints one merged stream to standard output, and notices to standard
 * error. sub_stream.c handles what arrives. */
#include "client/tool/sub_stream.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/file_bytes.h"
#include "client/tool/link.h"
#include "client/tool/verbs.h"
#include "client/tool/selection.h"
#include "client/tool/sub_start.h"

#define NOT_GIVEN UINT32_MAX
#define MAX_REQUEST 65536u

enum colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER }; /* --color */

struct settings {
    struct common common;
    struct selection_lists lists;
    const char *name;
    unsigned overflow, fallback, output, colour;
    uint64_t buffer_events, buffer_bytes, batch_events, batch_bytes;
    int64_t max_age_ns, block_timeout_ns, linger_ns, heartbeat_ns, for_ns;
    uint64_t count, last, credit;
    const char *request, *until, *sort_window, *sort_field, *from;
    bool consume, until_caught_up;
    bool fail_on_loss, totals, quiet, no_reconnect;
};

/* A duration for the library. -1, an option that was not given, becomes 0: the server's default. 0
 * becomes TRIBUTARY_NONE. */
static int64_t duration(int64_t given_ns)
{
    return given_ns < 0 ? 0 : given_ns == 0 ? TRIBUTARY_NONE : given_ns;
}

/* Reads a whole file, which must not be larger than a request may be. */
static int read_file(const struct verb *verb, const char *path, struct buf *request)
{
    if (!file_bytes_read(path, MAX_REQUEST, request))
        return EXITS_ERROR;
    return request->size > MAX_REQUEST ? cli_wrong(verb, "--request: '%s' is over 64 KiB", path) : EXITS_OK;
}

/* Reads the value of --request: TEXT, or @FILE. */
static int read_request(const struct verb *verb, const char *value, struct buf *request)
{
    if (!value)
        return EXITS_OK;
    if (value[0] == '@')
        return read_file(verb, value + 1, request);
    buf_text(request, value);
    return EXITS_OK;
}

/* Reads the value of --until: "ended", or a number of events. */
static int read_until(const struct verb *verb, const char *value,
                      struct tributary_subscriber_options *options)
{
    if (!value)
        return EXITS_OK;
    options->end_when_all_ended = strcmp(value, "ended") == 0;
    if (options->end_when_all_ended)
        options->no_statuses = false; /* they say whether all is there */

    char fault[QUANTITY_FAULT_CAPACITY];

    if (!options->end_when_all_ended &&
        !quantity_parse(QUANTITY_NUMBER, value, (struct quantity_bounds){1, UINT64_MAX},
                        &options->limit_events, fault))
        return cli_wrong(verb, "--until '%s': must be 'ended' or a number of events, 1 or more", value);
    return EXITS_OK;
}

/* Reads the value of --sort-window: DURATION[,N]. The server has further bounds, and names them. */
static int read_sort_window(const struct verb *verb, const char *value,
                            struct tributary_subscriber_options *options)
{
    const char *comma = value ? strchr(value, ',') : NULL;
    char duration[32], fault[QUANTITY_FAULT_CAPACITY];
    uint64_t number = 0;

    if (!value)
        return options->sort_field ? cli_wrong(verb, "--sort-field: only with --sort-window") : EXITS_OK;
    snprintf(duration, sizeof(duration), "%.*s", comma ? (int)MIN_OF(comma - value, 31) : 31, value);
    if (!quantity_parse(QUANTITY_DURATION, duration, (struct quantity_bounds){1, 60 * NS_PER_S}, &number,
                        fault))
        return cli_wrong(verb, "--sort-window '%s': %s", value, fault);
    options->sort_window_ns = (int64_t)number;
    if (comma &&
        !quantity_parse(QUANTITY_NUMBER, comma + 1, (struct quantity_bounds){1, UINT32_MAX}, &number, fault))
        return cli_wrong(verb, "--sort-window '%s': the number of events: %s", value, fault);
    options->sort_events = comma ? (uint32_t)number : 0;
    return EXITS_OK;
}

/* Reads --from, --last and --until-caught-up. */
static int read_start(const struct verb *verb, const struct settings *settings,
                      struct tributary_subscriber_options *options)
{
    const char *fault = NULL;

    if (options->end_when_all_ended && settings->until_caught_up)
        return cli_wrong(verb, "--until-caught-up: not with --until ended");
    options->end_when_caught_up = settings->until_caught_up;
    if (!settings->from)
        return EXITS_OK;
    if (settings->last > 0)
        return cli_wrong(verb, "--from: not with --last");
    fault = sub_start_read(settings->from, (uint64_t)clock_wall_ns(), options);
    return fault ? cli_wrong(verb, "--from '%s': %s", settings->from, fault) : EXITS_OK;
}

static int fill(const struct verb *verb, const struct settings *settings, const struct selection *selection,
                struct tributary_subscriber_options *options)
{
    *options = (struct tributary_subscriber_options){
        .name = settings->name,
        .selectors = selection->selectors,
        .selector_count = selection->selector_count,
        .exclude = selection->excludes,
        .exclude_count = selection->exclude_count,
        .max_events = (uint32_t)settings->buffer_events,
        .max_bytes = settings->buffer_bytes,
        .max_age_ns = duration(settings->max_age_ns),
        .overflow = (enum tributary_overflow)(settings->overflow == NOT_GIVEN ? 0 : settings->overflow + 1),
        .block_timeout_ns = duration(settings->block_timeout_ns),
        .fallback = (enum tributary_overflow)(settings->fallback == NOT_GIVEN ? 0 : settings->fallback + 2),
        .linger_ns = duration(settings->linger_ns),
        .max_batch_events = (uint32_t)settings->batch_events,
        .max_batch_bytes = (uint32_t)settings->batch_bytes,
        .heartbeat_ns = duration(settings->heartbeat_ns),
        .no_statuses = settings->quiet,
        .no_reconnect = settings->no_reconnect,
        .start_last = (uint32_t)settings->last,
        .consume = settings->consume || settings->credit > 0,
        .credit_events = settings->credit,
        .sort_field = settings->sort_field,
    };
    int result = read_sort_window(verb, settings->sort_window, options);

    if (result == EXITS_OK)
        result = read_until(verb, settings->until, options);
    return result == EXITS_OK ? read_start(verb, settings, options) : result;
}

static int subscribe(const struct verb *verb, const struct settings *settings,
                     const struct selection *selection, struct sub *sub)
{
    struct tributary_subscriber_options options = {0};
    struct tributary *client = NULL;
    struct tributary *query_client = NULL;
    struct buf request = {0};
    int result = fill(verb, settings, selection, &options);

    if (result == EXITS_OK)
        result = read_request(verb, settings->request, &request);
    options.request = (struct tributary_bytes){request.data, request.size};
    sub->fail_on_producer = options.end_when_all_ended;
    if (result == EXITS_OK)
        result = link_open(verb, &settings->common, &client);
    if (result == EXITS_OK && settings->common.wait) /* what was waited for does not count */
        stop_begin(&sub->stop, settings->for_ns);
    if (result == EXITS_OK && sub->with_totals)
        result = link_connect(verb, &settings->common, &query_client);
    if (result == EXITS_OK)
        result = sub_run(sub, client, query_client, &options);
    tributary_free(query_client);
    tributary_free(client);
    buf_fini(&request);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.overflow = NOT_GIVEN,
                                .fallback = NOT_GIVEN,
                                .max_age_ns = -1,
                                .block_timeout_ns = -1,
                                .linger_ns = -1,
                                .heartbeat_ns = -1};
    struct text_list arguments = {0};
    struct selection selection = {.selector_count = 0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        const char *fault =
            selection_build_with(&selection, &settings.lists, arguments, (struct text_list){0});
        struct sub sub = {.count = settings.count,
                          .fail_on_loss = settings.fail_on_loss,
                          .with_totals = settings.totals,
                          .quiet = settings.quiet,
                          .sum_losses = settings.output == PRINTER_TEXT || settings.output == PRINTER_RAW,
                          .over_ns = settings.common.over_ns};

        if (fault) {
            result = cli_wrong(verb, "%s", fault);
        } else if (!stop_init(&sub.stop, settings.for_ns)) {
            result = EXITS_ERROR;
        } else {
            printer_init(&sub.printer, (enum printer_form)settings.output, STDOUT_FILENO);
            sub.printer.is_verbose = settings.common.verbose;
            if (settings.colour != COLOUR_AUTO)
                sub.printer.colours = settings.colour == COLOUR_ALWAYS;
            result = subscribe(verb, &settings, &selection, &sub);
            printer_fini(&sub.printer);
            stop_fini(&sub.stop);
        }
    }
    selection_fini(&selection);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    SELECTION_OPTIONS(OFFSET(lists)),
    {0, "overflow", OPTION_CHOICE, "block|drop-oldest|drop-newest|disconnect|latest-per-key",
     OFFSET(overflow),
     "what a full channel does (default: drop-oldest; block for producers that are asked per consumer)"},
    {0, "fallback", OPTION_CHOICE, "drop-oldest|drop-newest|disconnect", OFFSET(fallback),
     "with block: what happens after --block-timeout"},
    {0, "buffer-events", OPTION_NUMBER, "N", OFFSET(buffer_events),
     "events that may wait at the server (default: 1024)"},
    {0, "buffer-bytes", OPTION_BYTES, "BYTES", OFFSET(buffer_bytes),
     "bytes that may wait there, such as 64MiB (default: 4MiB)"},
    {0, "max-age", OPTION_DURATION, "DURATION", OFFSET(max_age_ns),
     "events that waited longer are dropped (default: none)"},
    {0, "block-timeout", OPTION_DURATION, "DURATION", OFFSET(block_timeout_ns),
     "with block: how long producers may be held back (default: 100ms)"},
    {0, "linger", OPTION_DURATION, "DURATION", OFFSET(linger_ns),
     "how long events may be gathered under load (default: 0.5ms)"},
    {0, "sort-window", OPTION_TEXT, "DURATION[,N]", OFFSET(sort_window),
     "hold events for so long, at most N of them (default: half of --buffer-events), and print them in the "
     "order of their times"},
    {0, "sort-field", OPTION_TEXT, "NUMBERS", OFFSET(sort_field),
     "with --sort-window: the time is in this field of the data, such as 1.3 (default: the event's own)"},
    {0, "max-batch-events", OPTION_NUMBER, "N", OFFSET(batch_events),
     "events in one message (default: 4096)"},
    {0, "max-batch-bytes", OPTION_BYTES, "BYTES", OFFSET(batch_bytes),
     "bytes in one message (default: 256KiB)"},
    {0, "heartbeat", OPTION_DURATION, "DURATION", OFFSET(heartbeat_ns),
     "a sign of life after this long; three missing ones are a loss (default: 10s)"},
    {0, "name", OPTION_TEXT, "NAME", OFFSET(name), "shown by 'tributary subs ls'"},
    {'r', "request", OPTION_TEXT, "TEXT|@FILE", OFFSET(request),
     "what to hand to each producer that is asked per consumer; @-: standard input"},
    {0, "until", OPTION_TEXT, "ended|N", OFFSET(until),
     "end when every producer that was asked has ended (exit code 7 where a producer of the stream ended "
     "with an error), or after "
     "N "
     "events"},
    {0, "last", OPTION_NUMBER, "N", OFFSET(last),
     "begin with the last N events of each shared producer and stored topic (at most 1024)"},
    {0, "from", OPTION_TEXT, "WHERE", OFFSET(from),
     "where stored topics begin: live (default), earliest, last:N, seq:N, a time such as "
     "2026-01-31T12:00:00Z, or -15m; all others begin live"},
    {0, "until-caught-up", OPTION_FLAG, "", OFFSET(until_caught_up),
     "end when everything of the stored topics that are there now was printed"},
    {0, "consume", OPTION_FLAG, "", OFFSET(consume), "call Consume instead of Subscribe"},
    {0, "credit", OPTION_NUMBER, "N", OFFSET(credit), "with Consume: at most N events on their way to us"},
    {'n', "count", OPTION_NUMBER, "N", OFFSET(count), "stop after N events"},
    {0, "for", OPTION_DURATION, "DURATION", OFFSET(for_ns),
     "stop after this long, such as 10s, and deliver what waits"},
    {0, "color", OPTION_CHOICE, "auto|always|never", OFFSET(colour),
     "whether producers have colours (default: auto, on a terminal and without $NO_COLOR)"},
    {'o', "output", OPTION_CHOICE, "text|json|jsonl|raw", OFFSET(output),
     "how events are printed (default: text)"},
    {'v', "verbose", OPTION_FLAG, "", OFFSET(common.verbose),
     "with the id, topic, key, type and headers of each event; errors with the words of gRPC, too"},
    {0, "fail-on-loss", OPTION_FLAG, "", OFFSET(fail_on_loss), "exit code 5 where events were lost"},
    {0, "totals", OPTION_FLAG, "", OFFSET(totals),
     "at the end, a table on standard error: published, delivered, dropped"},
    {0, "no-reconnect", OPTION_FLAG, "", OFFSET(no_reconnect), "end when the connection is lost"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no notices on standard error"},
};

/* The server has bounds of its own, and names them. */
static const struct option_bounds bounds[] = {
    {"buffer-events", 1, UINT32_MAX},   {"buffer-bytes", 1, UINT64_MAX}, {"max-batch-events", 1, UINT32_MAX},
    {"max-batch-bytes", 1, UINT32_MAX}, {"last", 0, UINT32_MAX},         {"credit", 1, UINT64_MAX},
    {"count", 1, UINT64_MAX},
};

static const struct example examples[] = {
    {"tributary sub", "everything from everybody"},
    {"tributary sub 'web-*' --exclude-topic debug",
     "all producers whose names begin with web-, without debug"},
    {"tributary sub -t orders --type 'order.*' -o jsonl | jq .data",
     "by topic and type, for another program"},
    {"tributary sub --overflow block --fail-on-loss -n 1000 web",
     "a thousand events without a gap, or exit code 5"},
    {"tributary sub --sort-window 100ms --buffer-events 64K",
     "all producers, in the order of the events' times"},
    {"tributary sub --topic orders --from earliest --until-caught-up -o jsonl",
     "everything that the stored topic has, then the end"},
    {"tributary sub --topic orders --from -15m", "the last quarter of an hour of it, then what comes"},
    {"tributary sub -v 'web-*'", "with topics, keys, types and headers"},
    {"tributary sub --for 10s --totals", "ten seconds, and the totals"},
    {"tributary sub -o raw --request error --until ended grep",
     "the whole answer of a producer that is asked (see 'help serve')"},
    {"tributary sub -l zone=eu --overflow latest-per-key --last 1",
     "the newest value of every key, of the sessions with this label"},
};

const struct verb verb_sub = {
    .name = "sub",
    .arguments = "[PRODUCER...]",
    .max_arguments = MAX_SELECTION_SELECTORS,
    .summary = "print one merged stream of events",
    .text =
        "Prints the events of all producers whose names match one of the patterns: '*' is any run of "
        "characters, '?' is one. Without\n"
        "patterns and options it prints everything. Text is: time, producer, sequence, data. Notices go to "
        "standard error: lost\n"
        "events, the state of producers, a stream that closes. Losses are summed there by the second and "
        "producer, with a total at\n"
        "the end; with -o json and -o jsonl each loss has its own line. After a lost connection the stream "
        "goes on where it stood,\n"
        "and what was missed is reported. Of stored topics nothing is missed: their events have the source "
        "'@TOPIC', and -v and JSON\n"
        "show who published them (origin).\n"
        "SIGINT, SIGTERM and SIGHUP end it gently: what waits at the server is still printed, unless our "
        "reader then takes nothing\n"
        "for 5 s (exit code 1); a second one ends it at once. In the totals, a filter counts as not "
        "delivered.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .bounds = bounds,
    .bound_count = sizeof(bounds) / sizeof(bounds[0]),
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
