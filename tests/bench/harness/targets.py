"""The targets, and whether a campaign meets them. A target is judged by the median."""

import dataclasses

from . import metrics


@dataclasses.dataclass(frozen=True)
class Target:
    row: str  # a row's id
    metric: str
    stage1: float
    aim: float = None  # None: no aim is set
    contestant: str = "tributary"


# "Others get 100 %" is judged at 99.9: at both ends of the measured time some events are in flight.
WHOLE = 99.9

TARGETS = (
    Target("W1 4x1", "ratio", 0.35, 0.50),
    Target("W1 1x8", "ratio", 0.42, 0.52),
    Target("W1 16x16", "ratio", 0.45, 0.65),
    Target("W1 4x1", "cpu", 0.13, 0.085),
    Target("W1 1x8", "cpu", 0.065, 0.047),
    Target("W1 16x16", "cpu", 0.05, 0.034),
    Target("W2 4x1", "rate", 1.0e6, 1.6e6),
    Target("W2 1x8", "rate", 3.0e6, 6.0e6),
    Target("W2 4x1", "cpu", 0.95),
    Target("W2 1x8", "cpu", 0.35),
    Target("W3 4x1", "p50_over", 1.3, 1.1),
    Target("W3 4x1", "p99_over", 2.0, 1.2),
    Target("W3 4x1", "cpu_over", 1.6, 1.2),
    Target("W5 idle 1000", "per_consumer", 40, 32),
    Target("W5 idle 10000", "per_consumer", 40, 32),
    Target("W5 200x200", "per_added", 45, 32),
    Target("W6 1x4", "others", WHOLE, WHOLE, "one stalled"),
    Target("W6 1x4", "p99_change", 20, 5, "one stalled"),
    Target("W7 1x8", "cpu_ingested_over", 1.0, 0.5, "key"),
    Target("W7 1x8", "cpu_ingested_over", 1.0, 0.5, "type"),
    Target("W7 1x8", "cpu_ingested_over", 1.0, 0.5, "topic"),
    Target("W8 4x1", "rate", 3.0e6, 6.0e6),
    Target("W9 4x64", "rate_over_js", 3, 8),
    Target("W9 4x64", "cpu_over_js", 0.125),
    Target("W9 half", "p99", 20000),
    Target("W10 packed 50x1", "p99", 50000, 5000, "own consumer"),
    Target("W10 packed 50x1", "p99", 50000, 5000, "one for all"),
    Target("W10 single 50x1", "p99", 50000, 5000, "own consumer"),
    Target("W10 single 50x1", "p99", 50000, 5000, "one for all"),
    Target("W11 packed 200x1", "rate_over_in", 0.8, 1.0, "dialled"),
    Target("W11 packed 200x1", "rate_over_in", 0.8, 1.0, "per consumer"),
    *(
        Target(f"W12 {name} {shape}", metric, *bounds)
        for name in ("packed", "single")
        for shape in ("4x1", "1x8", "16x16", "200x1")
        for metric, bounds in (("rate_over_off", (0.95, 1.0)), ("cpu_over_off", (1.10,)))
    ),
    Target("W14 16x1", "cpu_over_unsorted", 1.3, None, "sorted"),
    Target("W15 150B", "cpu_over_proxy", 1.25, None, "one upstream"),
    Target("W15 10KB", "cpu_over_proxy", 1.15, None, "one upstream"),
    Target("W15 three", "rate_over_one", 2.5, None, "three upstreams"),
    Target("W15 added", "p50_added", 150, None, "one upstream"),
    *(
        Target(f"W13 {size} 1x1", "megabytes", 50, None, side)
        for size in ("1KiB", "16KiB", "64KiB")
        for side in ("publisher", "consumer", "both")
    ),
)


@dataclasses.dataclass(frozen=True)
class Judgement:
    target: Target
    measured: metrics.Summary  # None: not measured
    stage1: bool
    aim: bool  # None: no aim is set


def reaches(metric, value, bound):
    return value >= bound if metric.better == "more" else value <= bound


def judge(target, measured):
    metric = metrics.METRICS[target.metric]
    if measured is None:
        return Judgement(target, None, False, None if target.aim is None else False)
    aim = None if target.aim is None else reaches(metric, measured.median, target.aim)
    return Judgement(target, measured, reaches(metric, measured.median, target.stage1), aim)


def judge_all(results):
    """One judgement for each target whose row is among the results, in the order of the table."""
    by_id = {result.row.id: result for result in results}
    judgements = []
    for target in TARGETS:
        result = by_id.get(target.row)
        if result and target.contestant in [one.name for one in result.row.contestants]:
            judgements.append(judge(target, metrics.summary(target.metric, result, target.contestant)))
    return judgements
