"""Compares two campaigns: for each row and contestant the later median over the earlier one,
marked where the ranges do not overlap."""

from . import metrics, report

METRICS = ("rate", "cpu", "p50", "p99", "rss")
CHANGED = {True: "better", False: "WORSE"}


def ratio_of(metric, before, after):
    """(text, changed). changed is None where the ranges overlap; otherwise whether the change is
    for the better."""
    if before is None or after is None or not before.median:
        return "-", None
    text = metrics.ratio_text(after.median / before.median)
    if before.minimum <= after.maximum and after.minimum <= before.maximum:
        return text, None
    return text, (after.median > before.median) == (metric.better == "more")


def cell(metric, before, after):
    text, changed = ratio_of(metric, before, after)
    return text if changed is None else f"{text} {CHANGED[changed]}"


def rows_of(before, after):
    earlier = {result.row.id: result for result in before.results}
    for result in after.results:
        old = earlier.get(result.row.id)
        for contestant in result.row.contestants:
            if not old or not result.rounds(contestant.name) or not old.rounds(contestant.name):
                continue
            cells = [
                cell(
                    metrics.METRICS[name],
                    metrics.summary(name, old, contestant.name),
                    metrics.summary(name, result, contestant.name),
                )
                for name in METRICS
            ]
            yield [
                result.row.id,
                contestant.name,
                *cells,
                f"{len(old.rounds(contestant.name))}, {len(result.rounds(contestant.name))}",
            ]


def only_in(one, other):
    """What only one of the campaigns has, as ROW CONTESTANT."""

    def measured(campaign):
        return {
            f"{result.row.id} {name.name}"
            for result in campaign.results
            for name in result.row.contestants
            if result.rounds(name.name)
        }

    return sorted(measured(one) - measured(other))


def differences(before, after):
    """What makes the two campaigns hard to compare. It is printed before the table."""
    for name, what in (("machine", "machines"), ("options", "options")):
        left, right = getattr(before, name), getattr(after, name)
        keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
        if keys:
            yield f"the {what} differ: " + "; ".join(
                f"{key} {left.get(key)} and {right.get(key)}" for key in keys
            )
    for campaign, which in ((before, "first"), (after, "second")):
        if campaign.failed:
            yield f"the {which} campaign failed: {campaign.failed}"
        yield from (f"the {which}: {line}" for line in report.trust_lines(campaign.results))


def lines_of(before, after, markdown=False):
    lines = [
        f"{name}: {campaign.versions.get('tributary')}, {campaign.date}"
        for name, campaign in (("first", before), ("second", after))
    ]
    lines += list(differences(before, after))
    headers = ["row", "who"] + [metrics.METRICS[name].title for name in METRICS] + ["runs"]
    lines += [
        "",
        *report.table(headers, list(rows_of(before, after)), markdown),
        "",
        "second over first, of the medians; "
        "better or WORSE where the two ranges (least to most) do not overlap",
    ]
    for campaign, other, which in ((before, after, "first"), (after, before, "second")):
        for name in only_in(campaign, other):
            lines.append(f"only in the {which}: {name}")
    return lines
