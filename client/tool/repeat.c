/* repeat.c - lists once, or again and again. */
#include "client/tool/repeat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/stop.h"

#define HOME "\033[H"
#define CLEAR "\033[H\033[2J"
#define END_OF_LINE "\033[K\n"
#define END_OF_SCREEN "\033[J"
#define NO_WRAP "\033[?7l" /* the terminal leaves out what is beyond its last column */
#define WRAP "\033[?7h"

/* Draws a text over what the terminal shows. A line that is not shown is counted. */
static void draw(const char *text, unsigned rows)
{
    unsigned row = 0;
    size_t left = 0;

    for (const char *end = text; (end = strchr(end, '\n')); end++)
        left++;
    fputs(HOME NO_WRAP, stdout);
    /* the last row stays free, and the one before it says what is missing */
    for (const char *end = NULL;
         (end = strchr(text, '\n')) && (row + 2 < rows || (left == 1 && row + 1 < rows)); row++, left--) {
        printf("%.*s" END_OF_LINE, (int)(end - text), text);
        text = end + 1;
    }
    if (left > 0)
        printf("(and %zu more line%s)" END_OF_LINE, left, left == 1 ? "" : "s");
    fputs(END_OF_SCREEN WRAP, stdout);
}

/* Lists to a terminal that is drawn anew. The text is complete before anything is drawn, so that
 * nothing flickers. */
static int list_drawn(const struct repeat_job *job, struct tributary *client, struct display_size size)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    int result = EXITS_ERROR;

    if (!out)
        return EXITS_ERROR;
    result = job->list(job->settings, client, out, size);
    fclose(out);
    if (text && bytes > 0)
        draw(text, size.rows);
    free(text);
    return result;
}

/* Lists until the end. */
static int list_repeatedly(const struct repeat_job *job, struct tributary *client, struct stop *stop)
{
    const bool is_text = *job->output != job->json;
    const bool draws = is_text && display_size(STDOUT_FILENO).columns > 0;
    const int64_t over_ns = job->common->over_ns;
    int result = EXITS_OK;

    if (draws)
        fputs(CLEAR, stdout);
    for (uint64_t lists = 0; !stop_requested(stop); lists++) {
        if (lists > 0)
            stop_wait(stop, -1, MIN_OF(job->options->every_ns, MAX_OF(over_ns - clock_mono_ns(), 0)));
        if (stop_requested(stop))
            break;
        if (lists > 0 && clock_mono_ns() >= over_ns)
            return EXITS_DEADLINE;
        const struct display_size size = display_size(STDOUT_FILENO);

        if (lists > 0 && is_text && !draws)
            putchar('\n');
        result = draws ? list_drawn(job, client, size) : job->list(job->settings, client, stdout, size);
        if (fflush(stdout) != 0)
            return EXITS_OK; /* nobody reads it any more */
        if (lists + 1 == job->options->count)
            return result;
    }
    return EXITS_OK;
}

static int run(const struct repeat_job *job)
{
    const bool repeats = job->options->every_ns > 0;
    struct stop stop = {.signal_fd = -1, .wakeup_fd = -1};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (job->options->count > 0 && !repeats)
        return cli_wrong(job->verb, "--count: only together with --watch");
    if (repeats && !stop_init(&stop, 0))
        result = EXITS_ERROR;
    if (result == EXITS_OK)
        result = link_open(job->verb, job->common, &client);
    if (result == EXITS_OK)
        result = repeats ? list_repeatedly(job, client, &stop)
                         : job->list(job->settings, client, stdout, display_size(STDOUT_FILENO));
    tributary_free(client);
    stop_fini(&stop);
    return result;
}

int repeat_run(const struct repeat_job *job, int argc, char **argv)
{
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(job->verb, argc, argv, job->settings, &arguments, &result)) {
        if (job->argument)
            *job->argument = arguments.count > 0 ? arguments.items[0] : NULL;
        result = run(job);
    }
    cli_free(job->verb, job->settings, &arguments);
    return result;
}
