#!/usr/bin/env python3
"""compare - instructions per event beside a baseline: what grew heavier by more than the margin fails, and what grew is named.

  compare.py BASELINE MEASURED     (two files that `run` wrote)

Exit status: 0 all is well, 1 a case is heavier, or stands on one side only, 2 a file cannot be read, 77 the two cannot be compared."""
import json
import sys

HEAVIER = 1.03  # from here on it fails
LIGHTER = 0.95  # from here on the baseline should follow, or half of what was won can be lost unseen
FINE, FAILED, UNREADABLE, NOT_COMPARABLE = 0, 1, 2, 77
AGAIN = "record it anew (tests/budget/run --record)"


class Unreadable(Exception):
    """What stands in a file is no figures."""


def checked(figures, path):
    """The figures, or Unreadable: a file that was merged badly must not pass for one in which nothing is heavier."""
    try:
        for fact in ("machine", "compiler", "libc"):
            if not isinstance(figures["built"][fact], str):
                raise Unreadable(f"{path}: built.{fact} is no text")
        if not figures["cases"]:
            raise Unreadable(f"{path}: there is no case in it")
        for name, case in figures["cases"].items():
            counts = [case["instructions"], *case["functions"].values()]
            if not all(isinstance(count, (int, float)) and count > 0 for count in counts):
                raise Unreadable(f"{path}: {name}: a count is not above 0")
    except (KeyError, TypeError, AttributeError) as wrong:
        raise Unreadable(f"{path}: it does not hold what `run --record` writes ({type(wrong).__name__}: {wrong}); {AGAIN}") from None
    return figures


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return checked(json.load(file), path)
    except (OSError, ValueError) as wrong:
        raise Unreadable(f"{path}: {wrong}; {AGAIN}") from None


def write(path, figures):
    """One line for each case, so that a change shows as what it is."""
    facts = json.dumps(figures["built"])
    cases = ",\n".join(f'    "{name}": {json.dumps(case)}' for name, case in figures["cases"].items())
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{\n  "built": {facts},\n  "cases": {{\n{cases}\n  }}\n}}\n')


def major(compiler):
    """"gcc 12" of "gcc 12.2.0": within a major version the code that it writes stays nearly the same."""
    return compiler.split(".")[0]


def strangers(before, now):
    """Why the two cannot be compared, or None."""
    if before["machine"] != now["machine"]:
        return f"the baseline is of {before['machine']}, this is {now['machine']}"
    if major(before["compiler"]) != major(now["compiler"]):
        return f"the baseline is of {before['compiler']}, this was built with {now['compiler']}"
    return None


def growth(before, now):
    """The functions that grew, the most first, as lines."""
    grown = []
    for name, count in now.items():
        more = count - before.get(name, 0)
        if more > 0.005 * sum(now.values()):
            was = f"{name} {before[name]:.2f} -> {count:.2f}" if name in before else f"{name} -> {count:.2f}, not among the largest before"
            grown.append((more, was))
    return [f"      {line}" for _, line in sorted(grown, reverse=True)[:5]]


def table(before, now):
    """(lines, names of the heavier, names of the lighter) of the cases on both sides."""
    lines, heavier, lighter = [f"  {'case':<26}{'baseline':>10}{'now':>10}{'ratio':>8}"], [], []
    for name in (name for name in before if name in now):
        ratio = now[name]["instructions"] / before[name]["instructions"]
        word = "  HEAVIER" if ratio >= HEAVIER else "  lighter" if ratio <= LIGHTER else ""
        lines.append(f"  {name:<26}{before[name]['instructions']:>10.2f}{now[name]['instructions']:>10.2f}{ratio:>8.3f}{word}")
        if ratio >= HEAVIER:
            heavier.append(name)
            lines += growth(before[name]["functions"], now[name]["functions"])
        elif ratio <= LIGHTER:
            lighter.append(name)
    return lines, heavier, lighter


def compare(baseline, measured):
    """(exit status, text)"""
    why = strangers(baseline["built"], measured["built"])
    if why:
        return NOT_COMPARABLE, f"budget: not applicable: {why}"
    before, now = baseline["cases"], measured["cases"]
    lines, heavier, lighter = table(before, now)
    lines.insert(0, f"budget: instructions per event; the baseline is of {baseline['built']['compiler']}, {baseline['built']['libc']}")
    if baseline["built"]["libc"] != measured["built"]["libc"]:
        lines.append(f"note: this is {measured['built']['libc']}, whose malloc and locks may cost more or less")
    lost = [f"{name}: in the baseline, and not measured" for name in before if name not in now]
    lost += [f"{name}: measured, and not in the baseline" for name in now if name not in before]
    lines += lost
    if lighter:
        lines.append(f"{len(lighter)} of {len(now)} are lighter by {100 * (1 - LIGHTER):.0f} % or more: {AGAIN}, or it can be lost unseen")
    if heavier:
        lines.append(f"{len(heavier)} of {len(now)} are heavier by {100 * (HEAVIER - 1):.0f} % or more: {', '.join(heavier)}")
    if heavier or lost:
        lines.append(f"Where this is meant, {AGAIN}, and say in the commit what it buys")
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
