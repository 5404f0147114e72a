/* pub.c - `tributary pub`: publishes lines as events. pub_source.c reads the lines from standard
 * input, a file or a command. sink.c passes the events to a publisher or a session. */
#include "client/tool/pub_lines.h"
#include "client/tool/pub_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/registration.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

#define DRAIN_NS (5 * NS_PER_S) /* the longest wait for confirmations after a signal */
#define MAX_TEXTS 1000
#define NOT_CHOSEN UINT32_MAX
#define MAX_PUBLISHER_ID_BYTES 64u

struct settings {
    struct common common;
    const char *producer, *topic, *key, *type, *content_type;
    struct text_list headers;
    struct registration_params registration;
    struct source_params source;
    bool jsonl, ignores_unknown, quiet;
    unsigned confirm; /* NOT_CHOSEN: not given */
    const char *publisher;
    uint64_t life, first_number;
    int64_t for_ns;
};

struct pub {
    const struct settings *settings;
    struct stop stop;
    struct sink sink;
    struct pub_lines lines;
    struct tributary_session_options registration;
    struct tributary_header labels[MAX_PAIRS];
    struct text_list texts; /* events to publish in place of what is read */
    bool was_interrupted;   /* stopped before the input had ended */
    bool is_flushed;        /* what was accepted is done, or was given up */
};

static void publish_texts(struct pub *pub)
{
    for (size_t i = 0; i < pub->texts.count; i++) {
        const struct line line = {
            .text = pub->texts.items[i], .size = strlen(pub->texts.items[i]), .is_last = true};

        if (!pub_lines_add(&pub->lines, &line))
            break;
    }
}

static bool is_chosen(const struct registration_params *params)
{
    return params->on_duplicate != REGISTRATION_DEFAULT || params->handover != REGISTRATION_DEFAULT;
}

/* How events are confirmed and numbered. Returns EXITS_OK, or EXITS_USAGE after cli_wrong(). */
static int publisher_fill(const struct verb *verb, struct pub *pub)
{
    const struct settings *settings = pub->settings;
    struct sink *sink = &pub->sink;
    const bool numbered = settings->publisher || settings->life > 0 || settings->first_number > 0;

    sink->confirm = settings->confirm == NOT_CHOSEN
                        ? numbered ? TRIBUTARY_CONFIRM_STORED : TRIBUTARY_CONFIRM_DEFAULT
                        : (enum tributary_confirm)(settings->confirm + TRIBUTARY_CONFIRM_RECEIVED);
    sink->numbering = (struct tributary_numbering){.id = tributary_text(settings->publisher),
                                                   .life = settings->life,
                                                   .first_number = settings->first_number};
    if (settings->registration.name && (settings->confirm != NOT_CHOSEN || numbered))
        return cli_wrong(verb, "--name excludes --confirm, --publisher, --life and --first-number");
    if (numbered && sink->confirm != TRIBUTARY_CONFIRM_STORED)
        return cli_wrong(verb, "--publisher, --life and --first-number need --confirm stored");
    if (!settings->publisher && (settings->life > 0 || settings->first_number > 0))
        return cli_wrong(verb, "--life and --first-number belong to --publisher");
    if (settings->publisher && !settings->life)
        return cli_wrong(verb, "--publisher needs --life, which numbers what belongs together");
    if (sink->numbering.id.size > MAX_PUBLISHER_ID_BYTES)
        return cli_wrong(verb, "--publisher: over %u bytes", MAX_PUBLISHER_ID_BYTES);
    return EXITS_OK;
}

static int prepare(const struct verb *verb, struct pub *pub)
{
    const struct settings *settings = pub->settings;
    struct tributary_event *template = &pub->lines.template;
    const char *wrong = NULL;

    template->topic = tributary_text(settings->topic);
    template->key = tributary_text(settings->key);
    template->type = tributary_text(settings->type);
    template->content_type = tributary_text(settings->content_type);
    template->headers = pub->lines.headers;
    if (!pairs_read(&settings->headers, pub->lines.headers, &template->header_count, &wrong))
        return cli_wrong(verb, "--header: '%s' is not NAME=VALUE", wrong);
    if (template->header_count > MAX_HEADERS_GIVEN)
        return cli_wrong(verb, "--header: %zu of them are over %u", template->header_count,
                         MAX_HEADERS_GIVEN);
    if (tributary_event_fault(template)[0] != '\0')
        return cli_wrong(verb, "%s", tributary_event_fault(template));
    const bool follows = settings->source.follow.count > 0;

    if ((follows && settings->source.exec) || (pub->texts.count > 0 && (follows || settings->source.exec)))
        return cli_wrong(verb, "TEXT, --follow and --exec exclude each other");
    if ((settings->source.state || settings->source.from_start) && !follows)
        return cli_wrong(verb, "--state and --from-start belong to --follow");
    if (settings->ignores_unknown && !settings->jsonl)
        return cli_wrong(verb, "--ignore-unknown belongs to --jsonl");
    if (!settings->registration.name &&
        (settings->registration.labels.count > 0 || is_chosen(&settings->registration)))
        return cli_wrong(verb, "--label, --on-duplicate and --handover belong to --name");
    if (settings->registration.name && settings->producer)
        return cli_wrong(verb, "--producer and --name exclude each other");
    if (publisher_fill(verb, pub) != EXITS_OK)
        return EXITS_USAGE;
    pub->registration.topics = &settings->topic;
    pub->registration.topic_count = !!settings->topic;
    return registration_fill(verb, &settings->registration, pub->labels, &pub->registration);
}

/* Waits until every event is confirmed or refused, a further signal comes, or the time is over.
 * Waits for SINK_WAIT_NS in any case, so that the latest events may be confirmed. */
static void flush(void *ctx)
{
    struct pub *pub = ctx;
    const unsigned signals = pub->stop.signals;
    const int64_t drain_ns = stop_requested(&pub->stop) ? clock_mono_ns() + DRAIN_NS : INT64_MAX;
    const int64_t until_ns = MIN_OF(drain_ns, pub->settings->common.over_ns);

    if (pub->is_flushed)
        return;
    pub->is_flushed = true;
    pub->was_interrupted = stop_requested(&pub->stop);
    while (!sink_flush(&pub->sink)) {
        stop_wait(&pub->stop, -1, 0);
        if (clock_mono_ns() >= until_ns || pub->stop.signals > signals)
            return;
    }
}

static void mark(void *ctx)
{
    struct pub *pub = ctx;

    sink_mark(&pub->sink);
}

static bool is_done(void *ctx)
{
    struct pub *pub = ctx;

    return sink_mark_is_done(&pub->sink);
}

static const char *name_of(const struct settings *settings)
{
    const char *name = settings->registration.name ? settings->registration.name : settings->producer;

    return name ? name : "anonymous";
}

static void summarize(const struct pub *pub, const struct sink_stats *stats, int64_t took_ns)
{
    const uint64_t left = stats->accepted - stats->confirmed - stats->refused;
    char size[32];
    char took[32];
    char name[260];

    bytes_text(stats->bytes, size, sizeof(size));
    duration_text(took_ns, took, sizeof(took));
    if (pub->sink.keeps_producers)
        snprintf(name, sizeof(name), "%" PRIu64 " producer%s", pub->sink.table.producers,
                 pub->sink.table.producers == 1 ? "" : "s");
    else
        snprintf(name, sizeof(name), "%s", name_of(pub->settings));
    fprintf(stderr,
            "published %" PRIu64 " event%s (%s) as %s in %s: %" PRIu64 " confirmed, %" PRIu64
            " refused, %" PRIu64 " not confirmed",
            stats->accepted, stats->accepted == 1 ? "" : "s", size, name, took, stats->confirmed,
            stats->refused, left);
    if (stats->duplicates > 0)
        fprintf(stderr, "; %" PRIu64 " had been stored before", stats->duplicates);
    if (atomic_load(&pub->sink.unknown) > 0)
        fprintf(stderr, "; of %" PRIu64 " it is not known whether they arrived",
                atomic_load(&pub->sink.unknown));
    if (pub->lines.bad > 0)
        fprintf(stderr, "; %" PRIu64 " line%s not taken", pub->lines.bad,
                pub->lines.bad == 1 ? " was" : "s were");
    if (pub->lines.long_lines > 0)
        fprintf(stderr, "; %" PRIu64 " line%s in parts", pub->lines.long_lines,
                pub->lines.long_lines == 1 ? " came" : "s came");
    if (pub->lines.ignored > 0)
        fprintf(stderr, "; %" PRIu64 " unknown member%s ignored", pub->lines.ignored,
                pub->lines.ignored == 1 ? " was" : "s were");
    fprintf(stderr, "\n");
}

static int verdict(const struct pub *pub, const struct sink_stats *stats, int source_result)
{
    const int refused = atomic_load(&pub->sink.refused_code);
    const int ended = atomic_load(&pub->sink.ended_code);
    const bool is_over = pub->stop.signals == 0 && clock_mono_ns() >= pub->settings->common.over_ns;

    if (ended != 0)
        return link_exit_code((enum tributary_code)ended);
    if (pub->lines.failed != TRIBUTARY_OK && refused == 0)
        return link_exit_code(pub->lines.failed);
    if (refused == TRIBUTARY_UNAVAILABLE)
        return EXITS_UNAVAILABLE;
    if (stats->refused > 0 || pub->lines.bad > 0)
        return EXITS_ERROR;
    if (is_over && (pub->was_interrupted || stats->confirmed < stats->accepted))
        return EXITS_DEADLINE;
    return refused != 0 || stats->confirmed < stats->accepted ? EXITS_ERROR : source_result;
}

static int publish_all(struct pub *pub, struct tributary *client)
{
    const struct tributary_session_options *registration =
        pub->settings->registration.name ? &pub->registration : NULL;
    struct sink_stats stats = {0};
    struct tributary_status status;
    const int64_t began_ns = clock_mono_ns();
    int result = EXITS_OK;

    pub->sink.quiet = pub->settings->quiet;
    pub->lines.quiet = pub->settings->quiet;
    pub->lines.jsonl = pub->settings->jsonl;
    pub->lines.ignores_unknown = pub->settings->ignores_unknown;
    pub->sink.keeps_producers = pub->settings->jsonl && !pub->settings->producer && !registration;
    pub->sink.stop = &pub->stop;
    if (sink_open(&pub->sink, client, pub->settings->producer, registration, &status) != TRIBUTARY_OK)
        return link_failed("publishing", &status);

    const struct source_progress progress = {.mark = mark, .is_done = is_done, .flush = flush, .ctx = pub};
    struct lines lines = {
        .line = pub_lines_add, .ctx = &pub->lines, .max_bytes = pub_lines_max_bytes(&pub->lines)};

    if (pub->texts.count > 0)
        publish_texts(pub);
    else
        result = source_run(&pub->settings->source, &lines, &pub->stop, &progress);
    flush(pub);
    sink_stats(&pub->sink, &stats);
    if (!pub->settings->quiet)
        summarize(pub, &stats, clock_mono_ns() - began_ns);
    sink_close(&pub->sink);
    result = verdict(pub, &stats, result);
    lines_fini(&lines);
    pub_lines_fini(&pub->lines);
    return result;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {
        .source.lines = 10,
        .confirm = NOT_CHOSEN,
        .registration = {.on_duplicate = REGISTRATION_DEFAULT, .handover = REGISTRATION_DEFAULT}};
    struct pub pub = {.settings = &settings};

    pub.lines = (struct pub_lines){.sink = &pub.sink, .stop = &pub.stop};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        pub.texts = arguments;
        result = prepare(verb, &pub);
        if (result == EXITS_OK && !stop_init(&pub.stop, link_limit_ns(&settings.common, settings.for_ns)))
            result = EXITS_ERROR;
        if (result == EXITS_OK && (result = link_open(verb, &settings.common, &client)) == EXITS_OK) {
            if (settings.common.wait) /* what was waited for does not count */
                stop_begin(&pub.stop, link_limit_ns(&settings.common, settings.for_ns));
            result = publish_all(&pub, client);
        }
        tributary_free(client);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'p', "producer", OPTION_TEXT, "NAME", OFFSET(producer),
     "publish under this name (default: the server's choice, anonymous)"},
    {0, "name", OPTION_TEXT, "NAME", OFFSET(registration.name),
     "register a session of this name instead: it lives as long as we do"},
    REGISTRATION_OPTIONS(OFFSET(registration)),
    {'t', "topic", OPTION_TEXT, "TOPIC", OFFSET(topic), "what the events are about"},
    {'k', "key", OPTION_TEXT, "KEY", OFFSET(key), "what groups them"},
    {0, "type", OPTION_TEXT, "TYPE", OFFSET(type), "their kind, such as order.created"},
    {0, "content-type", OPTION_TEXT, "TYPE", OFFSET(content_type),
     "the media type of the data, such as text/plain"},
    {'H', "header", OPTION_LIST, "NAME=VALUE", OFFSET(headers), "a header of every event; may be repeated"},
    {'f', "follow", OPTION_LIST, "FILE|PATTERN", OFFSET(source.follow),
     "read FILE as it grows, over rotation and truncation, like tail -F; or every file that a quoted PATTERN "
     "such as '/var/log/*.log' matches, now and later; may be repeated; up to 256 files"},
    {0, "state", OPTION_TEXT, "FILE", OFFSET(source.state),
     "with --follow: keep in FILE how far the server has confirmed, and go on there after a restart"},
    {0, "lines", OPTION_NUMBER, "N", OFFSET(source.lines),
     "with --follow: begin with the last N lines of each file (default: 10)"},
    {0, "from-start", OPTION_FLAG, "", OFFSET(source.from_start), "with --follow: begin with whole files"},
    {'e', "exec", OPTION_TEXT, "COMMAND", OFFSET(source.exec),
     "run COMMAND and publish the lines that it prints, until it ends"},
    {0, "jsonl", OPTION_FLAG, "", OFFSET(jsonl),
     "each line is an event in JSON, as 'sub -o jsonl' writes it"},
    {0, "ignore-unknown", OPTION_FLAG, "", OFFSET(ignores_unknown),
     "with --jsonl: leave out members that are unknown, and say how many"},
    {0, "confirm", OPTION_CHOICE, "received|stored", OFFSET(confirm),
     "when an event counts as confirmed: stored is when it is on the server's disk, for events of stored "
     "topics (default: the server's choice)"},
    {0, "publisher", OPTION_TEXT, "ID", OFFSET(publisher),
     "number the events for this publisher, so that what is sent again is not stored again; with --life"},
    {0, "life", OPTION_NUMBER, "N", OFFSET(life),
     "with --publisher: what belongs together; a higher life begins anew, a lower one is refused"},
    {0, "first-number", OPTION_NUMBER, "N", OFFSET(first_number),
     "with --publisher: the number of the first event (default: 1)"},
    {0, "for", OPTION_DURATION, "DURATION", OFFSET(for_ns), "stop after this long, such as 10s"},
    {'q', "quiet", OPTION_FLAG, "", OFFSET(quiet), "no summary and no notices on standard error"},
};

static const struct example examples[] = {
    {"vmstat 1 | tributary pub --producer vmstat", "every line of a command is an event"},
    {"tributary pub --producer vmstat --exec 'vmstat 1'", "the same, and the command ends with us"},
    {"tributary pub --producer dpkg --follow /var/log/dpkg.log", "a log file, from its last ten lines on"},
    {"tributary pub --producer logs --follow '/var/log/*.log' --state /var/lib/logs.state",
     "log files, and after a restart from where it ended"},
    {"tributary sub -o jsonl 'web-*' | tributary pub -s other:7227 --jsonl",
     "copy events to another server, under the names of their producers"},
    {"tributary pub --name web --label zone=eu --follow /var/log/web.log",
     "the same as a session, which selectors may ask for by label"},
    {"tributary pub --topic orders --confirm stored < orders.txt",
     "events of a stored topic: exit code 0 says that all of them are on the disk, once"},
    {"tributary pub --topic orders --publisher import --life 20261130 < orders.txt",
     "the same in a script that may be run again: what is stored already is not stored again"},
    {"tributary pub hello -t greetings -H lang=en", "one event with a topic and a header"},
};

const struct verb verb_pub = {
    .name = "pub",
    .arguments = "[TEXT...]",
    .max_arguments = MAX_TEXTS,
    .summary = "publish lines as events",
    .text =
        "Publishes each TEXT as one event; or else each line of standard input, of a file or of a "
        "command. A line is the event's data, "
        "and the\n"
        "event's time is now. A line over 1000 KiB comes as several events, with the headers line.part (1, "
        "2, ...) and line.last (true).\n"
        "After a lost connection, events that were not confirmed are sent again, so "
        "they may come twice.\n"
        "With --confirm stored they do not: each event has a number, and the server stores a number once. "
        "What is not confirmed at the end is\n"
        "counted in the summary, and the exit code is not 0. A script that stops and is run again with the "
        "same --publisher, --life, --producer\n"
        "and input stores what is missing, and nothing twice.\n"
        "With --name it registers a session: the name is its own for as long as it runs, and the session "
        "ends with exit code 64 plus the\n"
        "gRPC code where another one takes the name (ABORTED) or an operator removes it "
        "(FAILED_PRECONDITION).\n"
        "With --jsonl the options fill in what a line does not say. Each event keeps the \"producer\" of its "
        "line, unless --producer or\n"
        "--name gives all of them another one. The server numbers events anew: \"sequence\", \"epoch\", "
        "\"observed\" and \"attempt\" are\n"
        "not read. The order of events is kept for each producer.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
