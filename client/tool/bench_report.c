/* bench_report.c - prints results for people, and as JSON for programs. */
#include "client/tool/bench_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/table.h"

static const struct percentile {
    const char *name, *title;
    double share;
} percentiles[] = {{"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"p99_9", "p99.9", 0.999}};

static int64_t of_timeval(struct timeval value)
{
    return value.tv_sec * NS_PER_S + value.tv_usec * NS_PER_US;
}

int64_t report_cpu_ns(void)
{
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    return of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime);
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double per_second(uint64_t count, int64_t ns)
{
    return ns > 0 ? (double)count / seconds(ns) : 0;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

void progress_begin(struct progress *progress, const struct report_params *params, const char *what)
{
    const int64_t now_ns = clock_mono_ns();

    *progress = (struct progress){.on = !params->quiet && (params->progress || isatty(STDERR_FILENO) == 1),
                                  .what = what,
                                  .began_ns = now_ns,
                                  .last_ns = now_ns};
}

int64_t progress_left_ns(const struct progress *progress)
{
    return MAX_OF(progress->last_ns + PROGRESS_NS - clock_mono_ns(), 0);
}

void progress_report(struct progress *progress, uint64_t events, uint64_t bytes, const char *more)
{
    const int64_t now_ns = clock_mono_ns();
    const double rate = per_second(events - progress->last_events, now_ns - progress->last_ns);

    if (now_ns < progress->last_ns + PROGRESS_NS)
        return;
    if (progress->on)
        fprintf(stderr, "%7.1f s  %s %" PRIu64 " events  %.0f/s  %.1f MB/s%s\n",
                seconds(now_ns - progress->began_ns), progress->what, events, rate,
                rate * ratio((double)bytes, (double)events) / 1e6, more ? more : "");
    progress->last_ns = now_ns;
    progress->last_events = events;
}

void report_put_real(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, json_real(value));
}

void throughput_put_rates(json_t *object, const struct throughput *throughput)
{
    table_put_number(object, "events", throughput->events);
    table_put_number(object, "bytes", throughput->bytes);
    table_put_number(object, "messages", throughput->messages);
    report_put_real(object, "seconds", seconds(throughput->took_ns));
    report_put_real(object, "events_per_second", per_second(throughput->events, throughput->took_ns));
    report_put_real(object, "mb_per_second", per_second(throughput->bytes, throughput->took_ns) / 1e6);
    report_put_real(object, "events_per_message",
                    ratio((double)throughput->events, (double)throughput->messages));
}

void throughput_put_json(json_t *object, const struct throughput *throughput)
{
    throughput_put_rates(object, throughput);
    report_put_real(object, "cpu_seconds", seconds(throughput->cpu_ns));
    report_put_real(object, "cpu_seconds_per_million",
                    ratio(seconds(throughput->cpu_ns), (double)throughput->events / 1e6));
}

void throughput_print(const struct throughput *throughput)
{
    printf("rate           %.0f events/s, %.1f MB/s of payload, in %.3f s\n",
           per_second(throughput->events, throughput->took_ns),
           per_second(throughput->bytes, throughput->took_ns) / 1e6, seconds(throughput->took_ns));
    printf("messages       %" PRIu64 ", of %.1f events each\n", throughput->messages,
           ratio((double)throughput->events, (double)throughput->messages));
    printf("processor      %.3f s here, %.3f s per million events\n", seconds(throughput->cpu_ns),
           ratio(seconds(throughput->cpu_ns), (double)throughput->events / 1e6));
}

void throughput_print_line(const struct throughput *throughput, uint32_t number)
{
    printf("  %-12u %" PRIu64 " events, %.0f/s, in %.3f s\n", number, throughput->events,
           per_second(throughput->events, throughput->took_ns), seconds(throughput->took_ns));
}

static void put_slots(json_t *object, const struct histogram *latency)
{
    json_t *slots = json_array();
    uint64_t min = 0;
    uint64_t max = 0;

    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        if (latency->slots[i] == 0)
            continue;
        histogram_bounds(i, &min, &max);
        json_t *slot = json_object();

        report_put_real(slot, "from", (double)min / 1e3);
        report_put_real(slot, "to", (double)(max + 1) / 1e3);
        table_put_number(slot, "count", latency->slots[i]);
        json_array_append_new(slots, slot);
    }
    json_object_set_new(object, "histogram", slots);
}

void report_put_quantiles(json_t *object, const char *name, const struct histogram *latency, bool slots)
{
    json_t *inner = json_object();

    table_put_number(inner, "count", latency->count);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        report_put_real(inner, percentiles[i].name,
                        (double)histogram_quantile(latency, percentiles[i].share) / 1e3);
    report_put_real(inner, "max", (double)latency->max / 1e3);
    if (slots)
        put_slots(inner, latency);
    json_object_set_new(object, name, inner);
}

void report_put_latency(json_t *object, const struct histogram *latency, bool slots)
{
    report_put_quantiles(object, "latency_us", latency, slots);
}

void report_print_quantiles(const char *title, const struct histogram *latency)
{
    printf("%-15s", title);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        printf("%s %.1f us, ", percentiles[i].title,
               (double)histogram_quantile(latency, percentiles[i].share) / 1e3);
    printf("max %.1f us\n", (double)latency->max / 1e3);
}

void report_print_latency(const struct histogram *latency)
{
    if (latency->count == 0) {
        printf("latency        not known: no event of this machine came\n");
        return;
    }
    report_print_quantiles("latency", latency);
}

void report_put_stats(json_t *object, const struct check_stats *stats)
{
    table_put_number(object, "producers", stats->producers);
    table_put_number(object, "unchecked", stats->unchecked);
    table_put_number(object, "before", stats->before);
    table_put_number(object, "holes", stats->holes);
    table_put_number(object, "missing", stats->missing);
    table_put_number(object, "sequence_holes", stats->sequence_holes);
    table_put_number(object, "sequence_missing", stats->sequence_missing);
    table_put_number(object, "disorder", stats->disorder);
    table_put_number(object, "duplicates", stats->duplicates);
    table_put_number(object, "lost", stats->lost);
    json_object_set_new(object, "lost_unknown", json_boolean(stats->lost_unknown));
}

static void print_count(const char *title, uint64_t count, const char *what)
{
    if (count > 0)
        printf("%-14s %" PRIu64 " %s\n", title, count, what);
}

void report_print_stats(const struct check_stats *stats)
{
    print_count("before", stats->before, "events of producers that had begun before we subscribed");
    print_count("unchecked", stats->unchecked, "events that carry no mark of a bench");
    print_count("duplicates", stats->duplicates,
                "events that came before, as they may after a lost connection");
    print_count("LOST", stats->lost, "events, as the server says");
    if (stats->lost_unknown)
        printf("LOST           events that nobody could count\n");
    print_count("HOLES", stats->holes, "gaps in the numbers of a producer");
    print_count("MISSING", stats->missing, "events in these gaps");
    print_count("HOLES", stats->sequence_holes, "gaps in the sequences of a source");
    print_count("DISORDER", stats->disorder, "events that came behind a later one");
    if (!check_failed_by(stats))
        printf("order          no hole, no disorder, nothing lost\n");
}
