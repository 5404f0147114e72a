/* report.c - takes readings, and prints the result as one JSON object. */
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/protocol.h"

static bool cpu(struct load *load, const char *what, pid_t process, int64_t *ns_out)
{
    *ns_out = process ? account_cpu_ns(process) : 0;
    if (*ns_out >= 0)
        return true;
    load_fail(load, "the CPU time of %s, process %d: %s", what, (int)process, strerror(errno));
    return false;
}

bool report_read(const struct report *report, struct report_reading *reading_out, uint64_t *events_out)
{
    struct load *load = report->load;
    struct report_reading reading = {.time_ns = clock_mono_ns(),
                                     .published =
                                         atomic_load_explicit(&load->published, memory_order_relaxed)};

    if (!cpu(load, "the server", load->plan.server_pid, &reading.server_ns) ||
        !cpu(load, "the producers", report->producers, &reading.producers_ns) ||
        !cpu(load, "the consumers", report->consumers, &reading.consumers_ns) ||
        !cpu(load, "the generator", getpid(), &reading.parent_ns))
        return false;
    for (uint32_t i = 0; i < load->plan.consumers; i++) {
        events_out[i] = atomic_load_explicit(&load->totals[i].events, memory_order_relaxed);
        reading.delivered += events_out[i];
        reading.messages += atomic_load_explicit(&load->totals[i].messages, memory_order_relaxed);
    }
    if (!account_machine(&reading.machine)) {
        load_fail(load, "/proc/stat: %s", strerror(errno));
        return false;
    }
    *reading_out = reading;
    return true;
}

/* ---- printing ---- */

static void number(const char *name, double value, int digits)
{
    printf(",\"%s\":%.*f", name, digits, value);
}

/* Prints a ratio; null where the divisor is 0. */
static void ratio(const char *name, double value, double of, int digits)
{
    if (of > 0)
        number(name, value / of, digits);
    else
        printf(",\"%s\":null", name);
}

static void durations(const char *name, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

    printf(",\"%s\":{\"count\":%llu,", name, (unsigned long long)histogram->count);
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        if (histogram->count)
            printf("\"%s\":%.1f,", shares[i].name,
                   (double)histogram_share_ns(histogram, shares[i].share) / 1e3);
        else
            printf("\"%s\":null,", shares[i].name);
    }
    if (histogram->count)
        printf("\"max\":%.1f}", (double)histogram->max_ns / 1e3);
    else
        printf("\"max\":null}");
}

/* Prints the processor time. Shares are of one processor. */
static void costs(const struct report *report, double seconds, double delivered)
{
    const struct report_reading *begin = &report->begin, *end = &report->end;
    double server = (double)(end->server_ns - begin->server_ns),
           producers = (double)(end->producers_ns - begin->producers_ns);
    double consumers = (double)(end->consumers_ns - begin->consumers_ns),
           parent = (double)(end->parent_ns - begin->parent_ns);
    double busy = (double)(end->machine.busy_ns - begin->machine.busy_ns);

    ratio("server_cpu_s_per_M", server / 1e3, report->load->plan.server_pid ? delivered : 0, 5);
    ratio("server_cpu_share", server / 1e9, report->load->plan.server_pid ? seconds : 0, 4);
    ratio("producer_cpu_s_per_M", producers / 1e3, delivered, 5);
    ratio("consumer_cpu_s_per_M", consumers / 1e3, delivered, 5);
    double foreign = MAX_OF(busy - server - producers - consumers - parent, 0.0);
    ratio("foreign_cpu_share", foreign / 1e9, seconds, 4);
    ratio("steal_share", (double)(end->machine.steal_ns - begin->machine.steal_ns) / 1e9, seconds, 4);
}

static void bytes(const char *name, int64_t value)
{
    if (value >= 0)
        printf(",\"%s\":%lld", name, (long long)value);
    else
        printf(",\"%s\":null", name);
}

void report_print(const struct report *report)
{
    const struct plan *plan = &report->load->plan;
    const struct report_reading *begin = &report->begin, *end = &report->end;
    double seconds = (double)(end->time_ns - begin->time_ns) / 1e9,
           delivered = (double)(end->delivered - begin->delivered);
    double published = (double)(end->published - begin->published),
           messages = (double)(end->messages - begin->messages);

    printf("{\"protocol\":\"%s\",\"producers\":%u,\"consumers\":%u,\"per_message\":%u,\"payload\":%u",
           plan->protocol->name, plan->producers, plan->consumers, plan->per_message, plan->payload_bytes);
    number("rate", plan->rate, 0);
    number("flood", plan->flood, 0);
    number("seconds", seconds, 4);
    number("published", published, 0);
    number("delivered", delivered, 0);
    number("events_per_s", delivered / seconds, 0);
    number("published_per_s", published / seconds, 0);
    number("messages_per_s", messages / seconds, 0);
    costs(report, seconds, delivered);
    bytes("rss_bytes", report->rss_bytes);
    bytes("rss_before_bytes", report->rss_before_bytes);
    durations("latency_us", &report->load->latency);
    durations("late_us", &report->load->late);
    printf(",\"consumer_delivered\":[");
    for (uint32_t i = 0; i < plan->consumers; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)(report->end_events[i] - report->begin_events[i]));
    printf("]}\n");
}
