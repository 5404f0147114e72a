"""Tables, for a terminal or as Markdown: what was measured, and whether it meets the targets."""

from . import metrics, machine, targets, workloads

COLUMN_GAP = "  "


def table(headers, rows, markdown=False):
    """The lines of a table. The first two columns and the last one are text and are aligned
    left; numbers are aligned right."""
    if markdown:
        return [f"| {' | '.join(cells)} |" for cells in (headers, ["---"] * len(headers), *rows)]
    widths = [max(len(cells[i]) for cells in (headers, *rows)) for i in range(len(headers))]
    left = (0, 1, len(headers) - 1)
    return [
        COLUMN_GAP.join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        ).rstrip()
        for cells in (headers, *rows)
    ]


def mark_of(result, contestant):
    """What the reader must know about the numbers of a contestant."""
    dropped = result.dropped_of(contestant)
    marks = [f"{dropped} dropped"] if dropped else []
    return ", ".join(marks + (["DISTURBED"] if contestant in result.disturbed else []))


def cells_of(workload, result, contestant):
    names = [result.row.name, contestant.name]
    numbers = [
        metrics.summary_text(metrics.METRICS[name], metrics.summary(name, result, contestant.name))
        for name in workload.columns
    ]
    return names + numbers + [str(len(result.rounds(contestant.name))), mark_of(result, contestant.name)]


def rows_of(workload, results, absent):
    nothing = ["-"] * (len(workload.columns) + 1)  # and no runs
    for result in results:
        if result.left_out:
            yield [result.row.name, "-", *nothing, f"not measured: {result.left_out}"]
            continue
        for contestant in result.row.contestants:
            if contestant.name in absent:
                yield [result.row.name, contestant.name, *nothing, absent[contestant.name]]
            elif result.rounds(contestant.name):
                yield cells_of(workload, result, contestant)


def option_lines(row, markdown):
    """The options of tributaryd that the row and its contestants need."""
    needed = [(row.id, row.server)] + [(f"{row.id} {one.name}", one.server) for one in row.contestants]
    for who, options in needed:
        if options:
            yield from [""] if markdown else []
            yield f"{who}: tributaryd with {' '.join(options)}"


def workload_lines(workload, results, absent, markdown=False):
    """The table of a workload. `absent` gives the reason for each contestant that could not take
    part."""
    title = f"{workload.name}: {workload.title}"
    headers = ["row", "who"] + [metrics.METRICS[name].title for name in workload.columns] + ["runs", "notes"]
    rows = list(rows_of(workload, results, absent))
    lines = [
        f"### {title}" if markdown else title,
        *([""] if markdown else []),
        *table(headers, rows, markdown),
    ]
    for result in results:
        lines += option_lines(result.row, markdown)
    if workload.note:
        lines += [*([""] if markdown else []), workload.note]
    return lines + [""]


def verdict(met):
    return "-" if met is None else "met" if met else "MISSED"


def target_cells(judgement):
    target, metric = judgement.target, metrics.METRICS[judgement.target.metric]
    sign = ">=" if metric.better == "more" else "<="
    who = "" if target.contestant == "tributary" else f" {target.contestant}"
    measured = metrics.summary_text(metric, judgement.measured) if judgement.measured else "not measured"
    return [
        f"{target.row}{who}",
        metric.title,
        measured,
        f"{sign} {metric.show(target.stage1)}",
        verdict(judgement.stage1) if judgement.measured else "-",
        f"{sign} {metric.show(target.aim)}" if target.aim is not None else "-",
        verdict(judgement.aim) if judgement.measured else "-",
    ]


def target_lines(judgements, markdown=False):
    if not judgements:
        return []
    headers = ["row", "what", "median (least-most)", "stage 1", "", "the aim", ""]
    title = "Targets, judged by the median"
    return [
        f"### {title}" if markdown else title,
        *([""] if markdown else []),
        *table(headers, [target_cells(one) for one in judgements], markdown),
        "",
    ]


def trust_lines(results):
    """Why some of the numbers must not be trusted; empty: all can be."""
    lines = []
    for result in results:
        if result.left_out:
            lines.append(f"{result.row.id}: not measured: {result.left_out}")
        for contestant in result.disturbed:
            lines.append(
                f"{result.row.id} {contestant}: not trustworthy: others used the machine, "
                f"{result.dropped_of(contestant)} runs were dropped and a disturbed one had to be kept"
            )
    return lines


def head_lines(campaign):
    """The machine and the date, the versions, and the options."""
    yield f"{machine.one_line(campaign.machine)}; {campaign.date}"
    yield ", ".join(f"{name} {version}" for name, version in campaign.versions.items() if version)
    options = [
        f"{name} {value}" for name, value in campaign.options.items() if value not in (None, False, [], "")
    ]
    yield f"options: {', '.join(options)}"


def run_text(row, run):
    """One run as a line, for the progress of a campaign."""
    micro = run.get("latency_us") or {}
    parts = [f"{metrics.rate_text(run['events_per_s'])} events/s"] if run["events_per_s"] else []
    if run.get("server_cpu_s_per_M") is not None and parts:
        parts.append(f"server CPU {metrics.cpu_text(run['server_cpu_s_per_M'])} s/M")
    if row.option("--rate") and micro.get("p50") is not None:
        parts.append(f"p50 {metrics.micro_text(micro['p50'])} us, p99 {metrics.micro_text(micro['p99'])} us")
    return ", ".join([*parts, f"RSS {metrics.size_text(run['rss_bytes'])}"])


def whole(campaign, markdown=False):
    """The tables of a campaign, from its file."""
    lines = [*head_lines(campaign), ""]
    names = list(dict.fromkeys(result.row.workload for result in campaign.results))
    for workload in workloads.workloads():
        results = [result for result in campaign.results if result.row.workload == workload.name]
        if workload.name in names:
            lines += workload_lines(workload, results, campaign.absent, markdown)
    lines += target_lines(targets.judge_all(campaign.results), markdown) + trust_lines(campaign.results)
    return lines + ([f"failed: {campaign.failed}"] if campaign.failed else [])
