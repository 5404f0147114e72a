"""The command line of the campaign."""
import argparse
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import judge
import report
import trial
from harness.attacks import table
from harness.daemon import binary

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("tributaryd", "tributary", "load")
OK, FAILED, USAGE = 0, 1, 2

DESCRIPTION = """Attacks the built daemon, with a publisher and a consumer beside each attack, and
compares them with a control: the same load, and as much use of the processor, without the attack.
Prints one line for each attack.

  tests/attacks/run [ATTACK...]         all attacks of the table where none is named
  tests/attacks/run --quick             one round
  tests/attacks/run --expect-failures   a mutation run: with --guard off the attacks must fail

Exit status: 0 everything held; 1 a judgement failed; 2 usage. With --expect-failures: 1 when an
attack did not fail."""


def log(text):
    print(f"tests/attacks/run: {text}", file=sys.stderr, flush=True)


def parser():
    made = argparse.ArgumentParser(
        prog="tests/attacks/run",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("attacks", nargs="*", metavar="ATTACK", help="names of --list")
    made.add_argument("--rounds", type=int, default=7,
                      help="paired rounds of each attack, or as many as settle it (7)")
    made.add_argument("--quick", action="store_true", help="one round")
    made.add_argument("--row", help="only those of one row of the scorecard")
    made.add_argument("--seconds", type=float, help="how long each attack lasts (each one's own)")
    made.add_argument("--again", action="store_true",
                      help="each attacker opens a new connection whenever one was ended")
    made.add_argument("--others-limit", type=float, default=0.3, metavar="CORES",
                      help="a round is repeated when others used more than this (0.3)")
    made.add_argument("--expect-failures", action="store_true",
                      help="with --guard off, those that are marked for it; each must fail")
    made.add_argument("--json", metavar="FILE", help="every run goes there")
    made.add_argument("--build", metavar="DIR", default=os.environ.get("TRIBUTARY_BENCH_BUILD",
                                                                       str(ROOT / "build/bench")),
                      help="the build's folder (build/bench, or TRIBUTARY_BENCH_BUILD)")
    made.add_argument("--no-build", action="store_true", help="takes the programs that are there")
    made.add_argument("--server-options", type=shlex.split, default=[], metavar="OPTIONS",
                      help="more options for tributaryd, in one word")
    made.add_argument("--list", action="store_true", help="prints the attacks")
    return made


def chosen(asked):
    """The attacks to run. ValueError: there is none of a name."""
    unknown = set(asked.attacks) - set(table.BY_NAME)
    if unknown:
        raise ValueError(f"no attack is named {', '.join(sorted(unknown))}; --list names them")
    return [
        each
        for each in table.ATTACKS
        if (not asked.attacks or each.name in asked.attacks)
        and (not asked.row or each.row == asked.row)
        and (not asked.expect_failures or each.mutation or asked.attacks)
    ]


def build(folder):
    """Builds release, with the generator, as tests/bench/run does."""
    for command in (
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
         "-DTRIBUTARY_HARDEN=ON", "-DBUILD_TESTING=ON"],
        ["ninja", "-C", folder, *PROGRAMS],
    ):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def run_rounds(attack, asked, options):
    """Rounds that others disturbed are repeated, up to twice as often as there are rounds; then the
    least disturbed ones count. No more rounds run once they cannot change a median's verdict."""
    wanted = 1 if asked.quick else asked.rounds
    rounds = []
    while sum(report.others(pair) <= asked.others_limit for pair in rounds) < wanted:
        rounds.append(trial.Trial(attack, options, asked.seconds, asked.again).paired())
        log(report.one_line(attack, *rounds[-1]))
        if len(rounds) == 3 * wanted or asked.quick or judge.is_settled(attack, rounds, wanted):
            break
    return sorted(rounds, key=report.others)[:wanted]


def measure(asked, attacks):
    options = [*asked.server_options, *(["--guard", "off"] if asked.expect_failures else [])]
    results, wrong = [], []
    for attack in attacks:
        rounds = run_rounds(attack, asked, options)
        verdicts = judge.of(attack, rounds)
        results.append((attack, rounds, verdicts))
        failed = judge.failures(verdicts, robust_only=asked.expect_failures)
        if bool(failed) != asked.expect_failures:
            wrong.append(f"{attack.name}: {', '.join(failed) or 'nothing failed, though the guard was off'}")
        if asked.json:
            report.write_json(asked.json, results, options)
    print("\n".join(report.lines_of(results)))
    print(f"\n{report.legend()}")
    for each in wrong:
        print(f"FAILED  {each}")
    return FAILED if wrong else OK


def main(arguments):
    asked = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleanup runs, as with SIGINT
    try:
        attacks = chosen(asked)
    except ValueError as error:
        print(f"tests/attacks/run: {error}", file=sys.stderr)
        return USAGE
    if asked.list:
        for each in attacks:
            print(f"{each.name:28} {each.row:8} {each.title}")
        return OK
    if not asked.no_build:
        build(asked.build)
    os.environ["TRIBUTARY_BIN"] = str(pathlib.Path(asked.build).resolve() / "bin")
    missing = [name for name in PROGRAMS if not os.access(binary(name), os.X_OK)]
    if missing:
        print(f"tests/attacks/run: {asked.build}/bin lacks {', '.join(missing)}", file=sys.stderr)
        return USAGE
    return measure(asked, attacks)
