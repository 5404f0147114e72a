/* top.c - `tributary top`. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/table.h"
#include "client/tool/top_screen.h"
#include "client/tool/top_text.h"
#include "client/tool/verbs.h"

#define LOOK_NS (200 * NS_PER_MS) /* how often the size of the terminal is looked at */

enum { FORM_TEXT, FORM_JSON };

struct settings {
    struct common common;
    bool once;
    int64_t interval_ns;
    unsigned output, sort;
};

/* The word of --sort. */
static void sort_word(unsigned index, char *word, size_t capacity)
{
    const char *at = TOP_SORT_WORDS;

    for (; index > 0; index--)
        at = strchr(at, '|') + 1;
    snprintf(word, capacity, "%.*s", (int)strcspn(at, "|"), at);
}

static struct top_view view_of(const struct settings *settings, enum top_list list)
{
    struct top_view view = {.list = list, .sort = TOP_BY_EVENTS};
    char word[16];

    sort_word(settings->sort, word, sizeof(word));
    if (!top_column_find(list, word, &view.sort))
        view.sort = TOP_BY_EVENTS;
    return view;
}

/* Prints one list, or adds it to `object`. */
static bool print_list(const struct top_view *view, const struct top_round *round, json_t *object)
{
    const char *name = view->list == TOP_PRODUCERS ? "producers" : "consumers";
    size_t count = 0;
    const struct top_row **rows = top_view_rows(view, round, &count);
    bool done = !!rows;

    if (done && object) {
        json_t *array = json_array();
        char left_out[32];

        top_add_json(array, view->list, rows, count);
        json_object_set_new(object, name, array);
        snprintf(left_out, sizeof(left_out), "%s_not_shown", name);
        table_put_number(object, left_out, round->left_out);
    } else if (done) {
        done = top_print(stdout, view, rows, count, false, display_size(STDOUT_FILENO).columns);
        if (round->left_out > 0)
            printf("(and %llu more %s)\n", (unsigned long long)round->left_out, name);
    }
    free(rows);
    return done;
}

static int print_once(const struct settings *settings, const struct top_snapshot *snapshot)
{
    json_t *object = settings->output == FORM_JSON ? json_object() : NULL;
    bool done = true;

    for (unsigned i = 0; i < TOP_LISTS && done; i++) {
        const struct top_view view = view_of(settings, (enum top_list)i);

        if (i > 0 && !object)
            putchar('\n');
        done = print_list(&view, &snapshot->rounds[i], object);
    }
    if (object && done)
        table_print_json(object, stdout);
    else
        json_decref(object);
    if (!done)
        fprintf(stderr, "tributary: out of memory\n");
    return done ? EXITS_OK : EXITS_ERROR;
}

/* Two rounds, and what happened between them. */
static int run_once(const struct settings *settings, struct tributary *client, struct stop *stop)
{
    struct tributary_status status;
    struct top_snapshot *first = top_snapshot_read(client, link_left_ns(&settings->common), NULL, &status);
    struct top_snapshot *second = NULL;
    const int64_t next_ns = clock_from_now_ns(settings->interval_ns);
    const int64_t until_ns = MIN_OF(next_ns, settings->common.over_ns);
    int result = EXITS_OK;

    if (!first)
        return link_failed("listing", &status);
    while (!stop_requested(stop) && clock_mono_ns() < until_ns)
        stop_wait(stop, -1, MAX_OF(until_ns - clock_mono_ns(), 0));
    if (!stop_requested(stop) && until_ns < next_ns) {
        result = EXITS_DEADLINE;
    } else if (!stop_requested(stop)) {
        second = top_snapshot_read(client, link_left_ns(&settings->common), first, &status);
        result = second ? print_once(settings, second) : link_failed("listing", &status);
    }
    top_snapshot_free(second);
    top_snapshot_free(first);
    return result;
}

/* What the interactive form works with. */
struct session {
    const struct verb *verb;
    const struct settings *settings;
    struct stop *stop;
    struct tributary *client;
    struct top_screen screen;
    struct top_fetch fetch;
    struct top_snapshot *shown;
    int64_t next_ns; /* when the next round begins; INT64_MAX: while one is under way */
    char trouble[LINK_REASON_CAPACITY + 64];
};

/* A new client, which tries to connect at once. */
static void connect_again(struct session *session)
{
    tributary_free(session->client);
    session->client = NULL;
    if (link_connect(session->verb, &session->settings->common, &session->client) != EXITS_OK)
        session->client = NULL;
}

/* Returns whether there is something new to draw. */
static bool read_result(struct session *session)
{
    struct top_snapshot *snapshot = NULL;
    struct tributary_status status;
    char reason[LINK_REASON_CAPACITY];

    if (!top_fetch_result(&session->fetch, &snapshot, &status))
        return false;
    session->next_ns = clock_from_now_ns(session->settings->interval_ns);
    session->trouble[0] = '\0';
    if (snapshot) {
        top_snapshot_free(session->shown);
        session->shown = snapshot;
        return true;
    }
    link_reason(&status, reason);
    snprintf(session->trouble, sizeof(session->trouble), "%s; trying again", reason);
    connect_again(session);
    return true;
}

static void request(struct session *session)
{
    if (clock_mono_ns() < session->next_ns)
        return;
    if (!session->client)
        connect_again(session);
    if (!session->client) {
        session->next_ns = clock_from_now_ns(session->settings->interval_ns);
        return;
    }
    session->next_ns = INT64_MAX;
    top_fetch_request(&session->fetch, session->client, session->shown);
}

static int loop(struct session *session)
{
    const int64_t over_ns = session->settings->common.over_ns;
    bool is_stale = true;

    while (!stop_requested(session->stop)) {
        const int64_t now_ns = clock_mono_ns();

        if (now_ns >= over_ns)
            return EXITS_DEADLINE;
        request(session);
        is_stale |= top_screen_resized(&session->screen);
        if (is_stale)
            top_screen_draw(&session->screen, session->shown, session->trouble);
        is_stale = false;
        if (stop_wait(session->stop, STDIN_FILENO,
                      MIN_OF(MIN_OF(MAX_OF(session->next_ns - now_ns, 0), over_ns - now_ns), LOOK_NS))) {
            if (!top_screen_keys(&session->screen))
                return EXITS_OK;
            is_stale = true;
        }
        is_stale |= read_result(session);
    }
    return EXITS_OK;
}

static int run_screen(const struct verb *verb, const struct settings *settings, struct tributary **client,
                      struct stop *stop)
{
    struct session session = {
        .verb = verb,
        .settings = settings,
        .stop = stop,
        .client = *client,
        .screen = {.views = {view_of(settings, TOP_PRODUCERS), view_of(settings, TOP_CONSUMERS)},
                   .server = link_target(&settings->common),
                   .every_ns = settings->interval_ns}};
    int result = EXITS_ERROR;
    sigset_t set;

    if (!top_fetch_start(&session.fetch, stop))
        fprintf(stderr, "tributary: no thread can be started\n");
    else if (!top_screen_open(&session.screen))
        result = cli_wrong(verb, "the terminal type '%s' ($TERM) is not known; --once needs no terminal",
                           getenv("TERM"));
    else
        result = loop(&session);
    top_screen_close(&session.screen);
    /* While the last answer is awaited, a signal ends the program. */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    top_fetch_end(&session.fetch);
    top_snapshot_free(session.shown);
    *client = session.client;
    return result;
}

/* Whether this terminal, or none, will do. Returns the exit code. */
static int check(const struct verb *verb, const struct settings *settings)
{
    const char *type = getenv("TERM");

    if (settings->once)
        return EXITS_OK;
    if (settings->output != FORM_TEXT)
        return cli_wrong(verb, "--output: only together with --once");
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
        return cli_wrong(verb, "standard input and output must be a terminal; --once needs none");
    if (!type || type[0] == '\0')
        return cli_wrong(verb, "TERM is not set; --once needs no terminal");
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.interval_ns = NS_PER_S};
    struct stop stop = {.signal_fd = -1, .wakeup_fd = -1};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        result = check(verb, &settings);
        if (result == EXITS_OK && !stop_init(&stop, 0))
            result = EXITS_ERROR;
        if (result == EXITS_OK)
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = settings.once ? run_once(&settings, client, &stop)
                                   : run_screen(verb, &settings, &client, &stop);
        tributary_free(client);
        stop_fini(&stop);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

static const struct option options[] = {
    {0, "once", OPTION_FLAG, "", offsetof(struct settings, once),
     "two rounds, one INTERVAL apart, as plain text; needs no terminal"},
    {'i', "interval", OPTION_DURATION, "INTERVAL", offsetof(struct settings, interval_ns),
     "how long between two rounds (default: 1s)"},
    {0, "sort", OPTION_CHOICE, TOP_SORT_WORDS, offsetof(struct settings, sort),
     "the column to sort by, in each list that has it (default: events)"},
    {'o', "output", OPTION_CHOICE, "text|json", offsetof(struct settings, output),
     "with --once: for people, or one JSON object (default: text)"},
};

static const struct option_bounds bounds[] = {
    {"interval", 100 * (uint64_t)NS_PER_MS, 3600 * (uint64_t)NS_PER_S},
};

static const struct example examples[] = {
    {"tributary top", "who publishes and who listens, again every second"},
    {"tributary top --sort lost-rate --interval 5s", "who loses most"},
    {"tributary top --once -o json | jq '.consumers[].queued_events'", "rates for another program"},
};

const struct verb verb_top = {
    .name = "top",
    .arguments = "",
    .summary = "watch rates, queues and losses on the terminal",
    .text = "Shows the producers, or the consumers, and how much moves per second. Keys: p and c (or Tab) "
            "choose the list, < and >, or\n"
            "a column's capital letter, the column to sort by, r, or that letter again, reverses the order, "
            "/ filters by a part of a text,\n"
            "Esc ends the filter, the arrows and PgUp and PgDn scroll, q quits. A rate is the growth between "
            "two rounds: '-' stands in the first one. At most "
            "10000 rows of a list are\n"
            "kept, and it says how many more there are. A server that goes away is tried again.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
