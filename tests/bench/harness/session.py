"""One call of the command: from its options to the last table and the JSON file."""

import dataclasses
import datetime
import pathlib
import subprocess
import sys

from . import campaign, driver, durable, machine, report, servers, store, targets, workloads

QUICK_SECONDS = 0.5


class Wrong(Exception):
    """The command line is wrong."""


def log(text):
    """Prints progress to standard error. Only tables go to standard output."""
    print(f"tests/bench/run: {text}", file=sys.stderr, flush=True)


def on_run(row, contestant, number, run, why, kept):
    log(
        f"{row.id} {contestant.name}, run {number}: {report.run_text(row, run)}"
        f"{f' ({why})' if why else ''}{'' if kept else ': dropped'}"
    )


def pick(asked):
    """The workloads and rows that the command line selects, with the selected peers."""
    try:
        chosen = workloads.chosen(asked.workloads, [word for word in asked.only.split(",") if word])
    except ValueError as error:
        raise Wrong(str(error)) from None
    return [
        dataclasses.replace(
            workload, rows=tuple(workloads.without_peers(row, asked.peers) for row in workload.rows)
        )
        for workload in chosen
    ]


class Session:
    def __init__(self, asked, root):
        self.asked, self.root = asked, root
        self.workloads = pick(asked)
        self.absent = {
            peer: "not installed"
            for peer in servers.PROGRAMS
            if peer in asked.peers and not servers.installed(peer)
        }
        if any(workload.name == "W9" for workload in self.workloads):
            self.absent |= durable.absences()
        self.plan = campaign.Plan(
            asked.runs or (1 if asked.quick else 5), asked.foreign_limit, keep_disturbed=asked.quick
        )
        self.drive = driver.Driver(
            pathlib.Path(asked.build).resolve() / "bin",
            asked.seconds or (QUICK_SECONDS if asked.quick else None),
            asked.server_options,
        )
        self.results = []
        self.failed = ""

    def prepare(self):
        """Builds, and lets the children open enough files. Returns how many they may open."""
        if not self.asked.no_build:
            try:
                driver.build(self.root, self.asked.build, log)
            except (OSError, subprocess.CalledProcessError) as error:
                raise campaign.RunFailed(
                    f"the build failed: {error}\n{getattr(error, 'stdout', None) or ''}"
                ) from None
        missing = driver.missing_programs(self.drive.binaries)
        if missing:
            raise campaign.RunFailed(f"{self.drive.binaries} lacks {', '.join(missing)}")
        return driver.raise_file_limit(max(row.files for workload in self.workloads for row in workload.rows))

    def measure_row(self, row, files):
        result = campaign.RowResult(row)
        self.results.append(result)
        if row.files > files:
            result.left_out = f"{row.files} open files are needed, the hard limit is {files} (ulimit -Hn)"
            log(f"{row.id}: not measured: {result.left_out}")
        else:
            campaign.measure(result, self.plan, self.drive, on_run, self.absent)

    def measure(self):
        """Measures everything, and prints each table as soon as its workload is done. RunFailed
        at the first run that fails."""
        files = self.prepare()
        for workload in self.workloads:
            before = len(self.results)
            try:
                for row in workload.rows:
                    self.measure_row(row, files)
            finally:
                self.print(
                    report.workload_lines(workload, self.results[before:], self.absent, self.asked.markdown)
                )

    def print(self, lines):
        print("\n".join(lines), flush=True)

    def doubts(self):
        return report.trust_lines(self.results)

    def campaign(self):
        options = {
            "runs": self.plan.runs,
            "seconds": self.drive.seconds,
            "quick": self.asked.quick,
            "foreign_limit": self.plan.foreign_limit,
            "server_options": list(self.drive.server_options),
        }
        date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        present = [peer for peer in self.asked.peers if peer not in self.absent]
        return store.Campaign(
            date,
            machine.describe(),
            machine.versions(self.root, self.drive.binaries, present),
            options,
            self.absent,
            self.results,
            self.failed,
        )

    def finish(self):
        """Prints and writes the results, also of a campaign that failed."""
        results = self.campaign()
        self.print(report.target_lines(targets.judge_all(self.results), self.asked.markdown))
        self.print([*report.head_lines(results), *self.doubts()])
        if self.asked.json:
            store.write(self.asked.json, results)
        if self.failed:
            log(f"failed: {self.failed}")
