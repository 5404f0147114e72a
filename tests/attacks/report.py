"""The table of a campaign, and its JSON."""
import json

import judge

HEADS = {
    "throughput": "of control",
    "latency": "p90 ms",
    "memory": "grown MB",
    "returns": "kept MB",
    "ended": "ended s",
}


def others(pair):
    """Cores that other programs used during one round."""
    return max(run["others"] for run in pair)


def marked(verdict):
    text, good = verdict
    return text if good else f"! {text}"


def cell(verdicts, name):
    return marked(verdicts[name]) if name in verdicts else "-"


def further(attack, verdicts):
    """What has no column of its own."""
    parts = [f"{name} {marked(verdicts[name])}" for name in attack.also if name in verdicts]
    return ", ".join(([marked(verdicts["logged"])] if "logged" in verdicts else []) + parts)


def lines_of(results):
    """`results`: [(attack, rounds, verdicts)]. The table as lines; "!" stands before what failed."""
    rows = [["attack", "row", *HEADS.values(), "others", "log, and more"]]
    for attack, rounds, verdicts in results:
        alive = [] if verdicts["lives"][1] else [f"DAEMON: {verdicts['lives'][0]}"]
        rows.append(
            [attack.name, attack.row, *(cell(verdicts, name) for name in HEADS),
             f"{max(map(others, rounds)):.2f}", "; ".join(alive + [further(attack, verdicts)])]
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(f"{text:{width}}" for text, width in zip(row, widths)), row[-1]]).rstrip()
        for row in rows
    ]


def legend():
    return f"""\
of control   rate over the control's: steady; at full speed; at full speed for each second of the
             server's processor time; at least {judge.MIN_THROUGHPUT:g}, one of the last two is enough
p90 ms       more than the control's, at a steady rate; at most {judge.MAX_LATENCY_MS}
grown MB     resident set size during the attack, over that before; at most {judge.MAX_GROWN_MB}
kept MB      the same, 3 s later; at most {judge.MAX_KEPT_MB}
ended s      from the attack's bound to the end of its last connection; at most {judge.MAX_LAG_S:g}
others       cores that other programs used meanwhile, at most
Rate, latency and end: medians of paired rounds; memory: the worst. "!": it failed."""


def one_line(attack, control, attacked):
    """One round, for standard error."""
    steady = [run["steady"].get("p90_ms") for run in (control, attacked)]
    full = [run.get("full", {}).get("events_per_s") for run in (control, attacked)]
    other = attacked["attack"]
    return (
        f"{attack.name}: p90 {steady[1]} ms (control {steady[0]}), "
        f"full speed {full[1]}/s (control {full[0]}), "
        f"grown {attacked['grown_mb']} MB, ended {other.get('ended')} of {other.get('connections')} "
        f"{other.get('lag_s')} s after its bound, log {attacked['ended']}, "
        f"others used {others((control, attacked)):.2f} cores"
    )


def write_json(path, results, options):
    document = {
        "options": options,
        "attacks": [
            {
                "name": attack.name,
                "title": attack.title,
                "row": attack.row,
                "judgements": {name: {"text": text, "good": good} for name, (text, good) in verdicts.items()},
                "rounds": [{"control": control, "attack": attacked} for control, attacked in rounds],
            }
            for attack, rounds, verdicts in results
        ],
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=1)
        out.write("\n")
