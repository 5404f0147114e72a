#!/usr/bin/env python3
"""compare - compares instructions per event with a baseline. A case that became heavier by the
margin fails, and the functions that grew are named.

  compare.py BASELINE MEASURED     (two files that `run` wrote)

Exit status: 0 no case is heavier, 1 a case is heavier or is in one file only, 2 a file cannot be
read, 77 the two cannot be compared.
"""

import json
import sys

HEAVIER = 1.03  # a case with this ratio or more fails
LIGHTER = (
    0.95  # with this ratio or less the baseline should be recorded, or half of the gain can be lost unnoticed
)
FINE, FAILED, UNREADABLE, NOT_COMPARABLE = 0, 1, 2, 77
RECORD = "record it anew (tests/budget/run --record)"


class Unreadable(Exception):
    """A file does not hold what `run` writes."""


def checked(record, path):
    """Returns the record, or raises Unreadable. A badly merged file must not pass for one in which
    nothing is heavier."""
    try:
        for fact in ("machine", "compiler", "libc"):
            if not isinstance(record["built"][fact], str):
                raise Unreadable(f"{path}: built.{fact} is no text")
        if not record["cases"]:
            raise Unreadable(f"{path}: there is no case in it")
        for name, case in record["cases"].items():
            counts = [case["instructions"], *case["functions"].values()]
            if not all(isinstance(count, (int, float)) and count > 0 for count in counts):
                raise Unreadable(f"{path}: {name}: a count is not above 0")
    except (KeyError, TypeError, AttributeError) as wrong:
        raise Unreadable(
            f"{path}: it does not hold what `run --record` writes ({type(wrong).__name__}: {wrong}); {RECORD}"
        ) from None
    return record


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return checked(json.load(file), path)
    except (OSError, ValueError) as wrong:
        raise Unreadable(f"{path}: {wrong}; {RECORD}") from None


def write(path, record):
    """Writes one line for each case, so that a change of one case is a change of one line."""
    facts = json.dumps(record["built"])
    cases = ",\n".join(f'    "{name}": {json.dumps(case)}' for name, case in record["cases"].items())
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{\n  "built": {facts},\n  "cases": {{\n{cases}\n  }}\n}}\n')


def major(compiler):
    """ "gcc 12" of "gcc 12.2.0". Within a major version the generated code is nearly the same."""
    return compiler.split(".")[0]


def not_comparable(before, now):
    """The reason why the two cannot be compared, or None."""
    if before["machine"] != now["machine"]:
        return f"the baseline is of {before['machine']}, this is {now['machine']}"
    if major(before["compiler"]) != major(now["compiler"]):
        return f"the baseline is of {before['compiler']}, this was built with {now['compiler']}"
    return None


def growth(before, now):
    """The functions that grew, as lines, the largest growth first."""
    grown = []
    for name, count in now.items():
        more = count - before.get(name, 0)
        if more > 0.005 * sum(now.values()):
            text = (
                f"{name} {before[name]:.2f} -> {count:.2f}"
                if name in before
                else f"{name} -> {count:.2f}, not among the largest before"
            )
            grown.append((more, text))
    return [f"      {line}" for _, line in sorted(grown, reverse=True)[:5]]


def table(before, now):
    """(lines, names of heavier cases, names of lighter cases) for the cases that both have."""
    lines, heavier, lighter = [f"  {'case':<26}{'baseline':>10}{'now':>10}{'ratio':>8}"], [], []
    for name in (name for name in before if name in now):
        ratio = now[name]["instructions"] / before[name]["instructions"]
        mark = "  HEAVIER" if ratio >= HEAVIER else "  lighter" if ratio <= LIGHTER else ""
        lines.append(
            f"  {name:<26}{before[name]['instructions']:>10.2f}"
            f"{now[name]['instructions']:>10.2f}{ratio:>8.3f}{mark}"
        )
        if ratio >= HEAVIER:
            heavier.append(name)
            lines += growth(before[name]["functions"], now[name]["functions"])
        elif ratio <= LIGHTER:
            lighter.append(name)
    return lines, heavier, lighter


def compare(baseline, measured):
    """(exit status, text)"""
    reason = not_comparable(baseline["built"], measured["built"])
    if reason:
        return NOT_COMPARABLE, f"budget: not applicable: {reason}"
    before, now = baseline["cases"], measured["cases"]
    lines, heavier, lighter = table(before, now)
    lines.insert(
        0,
        "budget: instructions per event; the baseline is of "
        f"{baseline['built']['compiler']}, {baseline['built']['libc']}",
    )
    if baseline["built"]["libc"] != measured["built"]["libc"]:
        lines.append(
            f"note: this is {measured['built']['libc']}, whose malloc and locks may cost more or less"
        )
    lost = [f"{name}: in the baseline, and not measured" for name in before if name not in now]
    lost += [f"{name}: measured, and not in the baseline" for name in now if name not in before]
    lines += lost
    if lighter:
        lines.append(
            f"{len(lighter)} of {len(now)} are lighter by {100 * (1 - LIGHTER):.0f} % or more: {RECORD}, "
            "or the gain can be lost unnoticed"
        )
    if heavier:
        lines.append(
            f"{len(heavier)} of {len(now)} are heavier by {100 * (HEAVIER - 1):.0f} % or more: "
            f"{', '.join(heavier)}"
        )
    if heavier or lost:
        lines.append(f"If this is intended, {RECORD}, and say in the commit what the cost buys")
        return FAILED, "\n".join(lines)
    return FINE, "\n".join(lines)


def main():
    if len(sys.argv) != 3:
        sys.stderr.write(__doc__ + "\n")
        return UNREADABLE
    try:
        status, text = compare(read(sys.argv[1]), read(sys.argv[2]))
    except Unreadable as wrong:
        sys.stderr.write(f"budget: {wrong}\n")
        return UNREADABLE
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
