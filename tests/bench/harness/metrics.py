"""What the numbers of a run mean: metrics, medians, ratios within a round, and when a run does
not count.

A *run* is the dictionary that the generator printed. A metric takes a run, the base's run of the
same round (or None) and the row. It returns one number, or None where it does not apply. Nothing
here reads a clock or a file."""

import collections
import dataclasses
import itertools
import statistics
import typing

# A share of one core. A run is dropped and repeated if other programs used more.
FOREIGN_LIMIT = 0.15

KIB = 1024  # the KB of the tables: the kernel counts resident memory in this unit


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    title: str
    better: str  # "more" or "less"
    of: typing.Callable
    show: typing.Callable
    spread: bool = True  # whether a table shows minimum and maximum
    ours: bool = False  # not computed for the base itself, where it is 1 by definition


@dataclasses.dataclass(frozen=True)
class Summary:
    median: float
    minimum: float
    maximum: float
    count: int


def rate_text(value):
    if value >= 100e6:
        return f"{value / 1e6:.0f} M"
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e5:
        return f"{value / 1e3:.0f} k"
    return f"{value:.0f}"


def cpu_text(value):
    return f"{value:.4f}" if value < 1 else f"{value:.2f}"


def micro_text(value):
    return f"{value:.0f}"


def ratio_text(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def percent_text(value):
    return f"{value:.2f} %"


def change_text(value):
    return f"{value:+.1f} %"


def size_text(value):
    return f"{value / KIB / KIB:.1f} MiB"


def kilo_text(value):
    return f"{value:.1f} KB"


def latency(name):
    def of(run, base, row):
        del base, row
        return (run.get("latency_us") or {}).get(name)

    return of


def late_p99(run, base, row):
    """How late the generator itself wrote what was due. It is part of the latency."""
    del base, row
    return (run.get("late_us") or {}).get("p99")


def plain(name):
    def of(run, base, row):
        del base, row
        return run.get(name)

    return of


def over(of, name=None):
    """The metric over that of the base, within one round. `name`: only where this is the base."""

    def ratio(run, base, row):
        if name and row.base != name:
            return None
        value = of(run, None, row)
        base_value = of(base, None, row) if base else None
        return value / base_value if value is not None and base_value else None

    return ratio


def megabytes(run, base, row):
    """Of payload, delivered to all consumers together, in 10^6 bytes a second."""
    del base
    return run["events_per_s"] * float(row.option("--payload")) / 1e6


def cpu_generator(run, base, row):
    del base, row
    parts = [run.get("producer_cpu_s_per_M"), run.get("consumer_cpu_s_per_M")]
    return None if None in parts else sum(parts)


def cpu_ingested(run, base, row):
    """Per million events that came in, however many went out."""
    del base, row
    if not run.get("published") or run.get("server_cpu_s_per_M") is None:
        return None
    return run["server_cpu_s_per_M"] * run["delivered"] / run["published"]


def per_consumer(run, base, row):
    del base, row
    if not run.get("consumers") or run.get("rss_before_bytes") is None or run.get("rss_bytes") is None:
        return None
    return (run["rss_bytes"] - run["rss_before_bytes"]) / run["consumers"] / KIB


def per_added(run, base, row):
    """What a consumer costs where many producers are connected. The producers are part of both
    runs."""
    del row
    added = run["consumers"] - base["consumers"] if base and run["protocol"] == base["protocol"] else 0
    if not added or run.get("rss_bytes") is None or base.get("rss_bytes") is None:
        return None
    return (run["rss_bytes"] - base["rss_bytes"]) / added / KIB


def others(run, base, row):
    """What the worst of the reading consumers got, as a share of what was to be sent. A server
    that slows its producers down fails this, too. The same consumers count whether the last ones
    stall or not."""
    del base
    stalled = max(one.stalled for one in row.contestants)
    reading = run["consumer_delivered"][: row.consumers - stalled]
    return 100 * min(reading) / (float(row.option("--rate")) * run["seconds"])


def p50_added(run, base, row):
    """Microseconds more than a call to the upstream itself."""
    p50 = latency("p50")
    return p50(run, None, row) - p50(base, None, row) if base and row.base == "direct" else None


def p99_change(run, base, row):
    ratio = over(latency("p99"))(run, base, row)
    return None if ratio is None else 100 * (ratio - 1)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("rate", "delivered/s", "more", plain("events_per_s"), rate_text),
        Metric("ratio", "of raw", "more", over(plain("events_per_s")), ratio_text, ours=True),
        Metric("ingested", "published/s", "more", plain("published_per_s"), rate_text),
        Metric("megabytes", "MB/s", "more", megabytes, lambda value: f"{value:.1f}"),
        Metric("cpu", "server CPU s/M", "less", plain("server_cpu_s_per_M"), cpu_text),
        Metric(
            "cpu_over",
            "CPU over raw",
            "less",
            over(plain("server_cpu_s_per_M")),
            ratio_text,
            spread=False,
            ours=True,
        ),
        Metric(
            "rate_over_off", "over guard off", "more", over(plain("events_per_s")), ratio_text, ours=True
        ),
        Metric(
            "cpu_over_off",
            "CPU over guard off",
            "less",
            over(plain("server_cpu_s_per_M")),
            ratio_text,
            ours=True,
        ),
        Metric(
            "cpu_over_proxy",
            "CPU over proxy",
            "less",
            over(plain("server_cpu_s_per_M"), "proxy"),
            ratio_text,
            ours=True,
        ),
        Metric(
            "rate_over_one",
            "over one upstream",
            "more",
            over(plain("events_per_s"), "one upstream"),
            ratio_text,
            ours=True,
        ),
        Metric(
            "rate_over_js",
            "of jetstream",
            "more",
            over(plain("events_per_s"), "jetstream"),
            ratio_text,
            ours=True,
        ),
        Metric(
            "cpu_over_js",
            "CPU of jetstream",
            "less",
            over(plain("server_cpu_s_per_M"), "jetstream"),
            ratio_text,
            ours=True,
        ),
        Metric("p50_added", "p50 over direct, us", "less", p50_added, micro_text, ours=True),
        Metric(
            "cpu_over_unsorted",
            "CPU over unsorted",
            "less",
            over(plain("server_cpu_s_per_M")),
            ratio_text,
            ours=True,
        ),
        Metric(
            "rate_over_in", "over dialling in", "more", over(plain("events_per_s")), ratio_text, ours=True
        ),
        Metric(
            "cpu_over_in",
            "CPU over dialling in",
            "less",
            over(plain("server_cpu_s_per_M")),
            ratio_text,
            ours=True,
        ),
        Metric("cpu_generator", "generator CPU s/M", "less", cpu_generator, cpu_text, spread=False),
        Metric("cpu_ingested", "server CPU s/M in", "less", cpu_ingested, cpu_text),
        Metric("cpu_ingested_over", "over unfiltered", "less", over(cpu_ingested), ratio_text, ours=True),
        Metric("p50", "p50 us", "less", latency("p50"), micro_text),
        Metric("p90", "p90 us", "less", latency("p90"), micro_text),
        Metric("p99", "p99 us", "less", latency("p99"), micro_text),
        Metric("max", "max us", "less", latency("max"), micro_text),
        Metric("late_p99", "written late, p99 us", "less", late_p99, micro_text, spread=False),
        Metric("p50_over", "p50 over raw", "less", over(latency("p50")), ratio_text, spread=False, ours=True),
        Metric("p99_over", "p99 over raw", "less", over(latency("p99")), ratio_text, spread=False, ours=True),
        Metric("p99_change", "p99 change", "less", p99_change, change_text, ours=True),
        Metric("others", "others get, of what is sent", "more", others, percent_text),
        Metric("rss", "RSS", "less", plain("rss_bytes"), size_text, spread=False),
        Metric("rss_before", "RSS before", "less", plain("rss_before_bytes"), size_text, spread=False),
        Metric("per_consumer", "per consumer", "less", per_consumer, kilo_text),
        Metric("per_added", "per added consumer", "less", per_added, kilo_text, ours=True),
    )
}


def summarize(values):
    """None: there are no values."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return Summary(statistics.median(values), min(values), max(values), len(values))


def by_round(result, contestant):
    rounds = collections.defaultdict(list)
    for number, run in result.rounds(contestant):
        rounds[number].append(run)
    return rounds


def mean(values):
    values = [value for value in values if value is not None]
    return statistics.mean(values) if values else None


def series(metric, result, contestant):
    """The metric of each round in which the contestant ran. `result` is a RowResult. If a round
    has several runs of the contestant, each one is compared with the base's run of its own turn,
    and the mean counts."""
    base = result.row.base
    if metric.ours and contestant == base:
        return []
    of_base = by_round(result, base) if base else {}
    return [
        mean(
            metric.of(run, base_run, result.row)
            for run, base_run in zip(runs, itertools.chain(of_base.get(number, ()), itertools.repeat(None)))
        )
        for number, runs in by_round(result, contestant).items()
    ]


def summary(name, result, contestant):
    return summarize(series(METRICS[name], result, contestant))


def summary_text(metric, of):
    if of is None:
        return "-"
    if not metric.spread or of.count == 1:
        return metric.show(of.median)
    return f"{metric.show(of.median)} ({metric.show(of.minimum)}-{metric.show(of.maximum)})"


def disturbance(run, limit=FOREIGN_LIMIT):
    """Why the run does not count; "": it counts. Both shares are of one core."""
    for name, what in (("foreign_cpu_share", "other programs used"), ("steal_share", "the hypervisor took")):
        share = run.get(name)
        if share is not None and share > limit:
            return f"{what} {share:.2f} of a core"
    return ""
