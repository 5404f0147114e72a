"""The command line: what is measured, how often, where the results go, and the exit status."""

import argparse
import os
import pathlib
import shlex
import sys

from . import campaign, children, compare, metrics, report, store, workloads
from .session import Session, Wrong

ROOT = pathlib.Path(__file__).resolve().parents[3]
OK, FAILED, USAGE, UNTRUSTED = 0, 1, 2, 3

DESCRIPTION = """Builds release, starts the servers on loopback, one at a time, drives them with
the load generator, and prints the figures beside the targets.

  tests/bench/run [WORKLOAD...]            measures; all of them where none is named
  tests/bench/run compare A.json B.json    the second campaign over the first
  tests/bench/run show A.json              the tables of a campaign once more

Exit status: 0 measured; 1 a run failed (an event lost, out of order, a program that died), with
the reason; 2 usage; 3 measured, but not all figures are to be trusted: others used the machine, or
a row could not be measured here."""


def bounded(kind, minimum, maximum):
    def convert(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"\"{text}\" is not a number from {minimum:g} to {maximum:g}")
        return value

    return convert


def peers_of(text):
    if text in ("all", "none"):
        return workloads.PEERS if text == "all" else ()
    names = tuple(text.split(","))
    for name in names:
        if name not in workloads.PEERS:
            raise argparse.ArgumentTypeError(f"\"{name}\" is none of: all none {' '.join(workloads.PEERS)}")
    return names


def measuring_parser():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="W1 W2 ...")
    parser.add_argument(
        "--runs",
        type=bounded(int, 1, 1000),
        help="rounds of each row (5); a real figure is the median of 5 or more",
    )
    parser.add_argument(
        "--seconds",
        type=bounded(float, 0.1, 3600),
        help="how long each run measures (each row's own, see --list)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short run of everything: whether it works; the figures mean nothing",
    )
    parser.add_argument(
        "--only", default="", metavar="4x1,1x8", help="only the rows with one of these words in their name"
    )
    parser.add_argument(
        "--peers",
        type=peers_of,
        default=workloads.PEERS,
        metavar="LIST",
        help="all, none, or some of raw,nats,redis (all)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="every run goes there, with machine, versions and options"
    )
    parser.add_argument("--markdown", action="store_true", help="the tables as Markdown")
    parser.add_argument(
        "--build",
        metavar="DIR",
        default=os.environ.get("TRIBUTARY_BENCH_BUILD", str(ROOT / "build/bench")),
        help="the build's folder (build/bench, or TRIBUTARY_BENCH_BUILD)",
    )
    parser.add_argument(
        "--no-build", action="store_true", help="takes the programs that are in the build's folder"
    )
    parser.add_argument(
        "--server-options",
        type=shlex.split,
        default=[],
        metavar="OPTIONS",
        help="more options for tributaryd, in one word: --server-options='--wire-threads 2'",
    )
    parser.add_argument(
        "--foreign-limit",
        type=bounded(float, 0, 1000),
        default=metrics.FOREIGN_LIMIT,
        metavar="CORES",
        help=f"a run is dropped when others used more than this of a core ({metrics.FOREIGN_LIMIT})",
    )
    parser.add_argument(
        "--list", action="store_true", help="prints the rows, who takes part, and the generator's options"
    )
    return parser


def list_rows(session):
    for workload in session.workloads:
        print(f"{workload.name}: {workload.title}")
        for row in workload.rows:
            for one in row.contestants:
                options = session.drive.server_options_of(row, one)
                print(
                    f"  {row.name:12} {one.name:14} {session.drive.shown(row, one)}"
                    f"{'; tributaryd ' + ' '.join(options) if options else ''}"
                )


def measure(asked):
    session = Session(asked, ROOT)
    if asked.list:
        list_rows(session)
        return OK
    try:
        session.measure()
    except campaign.RunFailed as error:
        session.failed = str(error)
    except children.Interrupted as signal:
        session.failed = f"interrupted by {signal}"
        session.finish()
        return 128 + signal.number
    session.finish()
    if session.failed:
        return FAILED
    return UNTRUSTED if session.doubts() and not asked.quick else OK


def show_files(name, arguments):
    """The commands compare and show: they only read files."""
    parser = argparse.ArgumentParser(prog=f"tests/bench/run {name}")
    parser.add_argument("files", nargs=2 if name == "compare" else 1, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="the tables as Markdown")
    asked = parser.parse_args(arguments)
    campaigns = [store.read(path) for path in asked.files]
    if name == "compare":
        lines = compare.lines_of(*campaigns, asked.markdown)
    else:
        lines = report.whole(campaigns[0], asked.markdown)
    print("\n".join(lines))
    return OK


def main(arguments):
    children.catch_signals()
    try:
        if arguments and arguments[0] in ("compare", "show"):
            return show_files(arguments[0], arguments[1:])
        return measure(measuring_parser().parse_args(arguments))
    except (Wrong, store.BadFile) as error:
        print(f"tests/bench/run: {error}", file=sys.stderr)
        return USAGE
    except children.Interrupted as signal:
        return 128 + signal.number
    finally:
        children.end_all()
