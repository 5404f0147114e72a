/* reading.c - see reading.h. */
#include "client/tool/reading.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"

void reading_put_clock(struct buf *out, uint64_t unix_nano)
{
    const time_t seconds = (time_t)(unix_nano / (uint64_t)NS_PER_S);
    struct tm local;
    char text[16] = "";

    if (localtime_r(&seconds, &local))
        strftime(text, sizeof(text), "%H:%M:%S", &local);
    buf_format(out, "%s.%03u", text, (unsigned)(unix_nano % (uint64_t)NS_PER_S / (uint64_t)NS_PER_MS));
}

void reading_finish(struct reading *reading)
{
    atomic_store(&reading->is_done, true);
    stop_end(&reading->stop);
}

void reading_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reading *reading = ctx;

    reading->is_interrupted = true;
    if (!reading->settings->quiet)
        link_interrupted("the stream was lost", status, retry_ns);
}

void reading_ended(void *ctx, const struct tributary_status *status)
{
    struct reading *reading = ctx;

    if (atomic_load(&reading->is_done))
        return;
    reading->has_ended = true;
    reading->status = *status;
    reading_finish(reading);
}

static int wait_for_end(struct reading *reading, int64_t over_ns)
{
    int64_t now_ns = clock_mono_ns();

    while (!stop_requested(&reading->stop) && now_ns < over_ns) {
        stop_wait(&reading->stop, -1, over_ns == INT64_MAX ? INT64_MAX : over_ns - now_ns);
        now_ns = clock_mono_ns();
    }
    if (atomic_load(&reading->is_done))
        return reading->has_ended ? link_failed("the stream has ended", &reading->status) : EXITS_OK;
    return now_ns >= over_ns ? EXITS_DEADLINE : EXITS_OK;
}

int reading_wait(struct reading *reading)
{
    const int result = wait_for_end(reading, reading->settings->common.over_ns);

    atomic_store(&reading->is_done, true);
    printer_halt(&reading->printer); /* a reader of ours that reads nothing holds nobody up */
    return result;
}

int reading_run(const struct verb *verb, int argc, char **argv, struct reading_settings *settings,
                reading_open open)
{
    struct reading reading = {.settings = settings, .stop = {.signal_fd = -1, .wakeup_fd = -1}};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    printer_init(&reading.printer, PRINTER_TEXT, STDOUT_FILENO);
    if (cli_parse(verb, argc, argv, settings, &arguments, &result)) {
        if (!stop_init(&reading.stop, 0))
            result = EXITS_ERROR;
        if (result == EXITS_OK)
            result = link_open(verb, &settings->common, &client);
        if (result == EXITS_OK)
            result = open(&reading, client, arguments.count > 0 ? arguments.items[0] : NULL);
        tributary_free(client);
    }
    stop_fini(&reading.stop);
    printer_fini(&reading.printer);
    cli_free(verb, settings, &arguments);
    return result;
}
