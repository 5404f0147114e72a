"""Runs rows: round by round, one run at a time. Drops runs that other programs disturbed, and
repeats them up to a bound."""

import dataclasses

from . import metrics


class RunFailed(Exception):
    """A run lost an event, or its order, or did not end. The whole command fails with this
    reason."""


@dataclasses.dataclass(frozen=True)
class Plan:
    runs: int = 5
    foreign_limit: float = metrics.FOREIGN_LIMIT
    keep_disturbed: bool = False  # for a smoke run, which measures nothing: repeat nothing

    @property
    def repeats(self):
        """How many runs of a row may be dropped for each contestant. Beyond that, the machine is
        too busy."""
        return 2 * self.runs


@dataclasses.dataclass
class RowResult:
    row: object
    runs: list = dataclasses.field(default_factory=list)  # {"round", "contestant", "run"}
    dropped: list = dataclasses.field(default_factory=list)  # the same, with "why"
    disturbed: list = dataclasses.field(
        default_factory=list
    )  # contestants with a disturbed run that was kept
    left_out: str = ""  # why it was not measured

    def rounds(self, contestant):
        return [(one["round"], one["run"]) for one in self.runs if one["contestant"] == contestant]

    def dropped_of(self, contestant):
        return sum(one["contestant"] == contestant for one in self.dropped)

    @property
    def trustworthy(self):
        return not self.disturbed and not self.left_out


def measure_once(result, contestant, number, plan, drive, on_run):
    """Measures one run that counts. Repeats it while it is disturbed and the bound allows."""
    row = result.row
    while True:
        run = drive(row, contestant)
        why = metrics.disturbance(run, plan.foreign_limit) if row.timed else ""
        kept = not why or plan.keep_disturbed or result.dropped_of(contestant.name) >= plan.repeats
        entry = {"round": number, "contestant": contestant.name, "run": run}
        on_run(row, contestant, number, run, why, kept)
        if kept:
            result.runs.append(entry)
            if why and contestant.name not in result.disturbed:
                result.disturbed.append(contestant.name)
            return
        result.dropped.append({**entry, "why": why})


def measure(result, plan, drive, on_run, absent=()):
    """Fills in the result of one row. `drive(row, contestant)` does one run and returns what the
    generator printed, or raises RunFailed. `on_run(row, contestant, round, run, why, kept)` is
    called for each run. Contestants named in `absent` take no part. Runs before a failure stay
    in the result."""
    for number in range(1, plan.runs + 1):
        for contestant in result.row.turns:
            if contestant.name not in absent:
                measure_once(result, contestant, number, plan, drive, on_run)
    return result
