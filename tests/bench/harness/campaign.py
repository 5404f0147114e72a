"""Runs rows: round by round, in turn, never two at once; drops what others disturbed, and repeats it, up to a bound."""
import dataclasses

from . import figures


class RunFailed(Exception):
    """A run that lost an event, or its order, or did not come to its end: the whole command fails with this reason."""


@dataclasses.dataclass(frozen=True)
class Plan:
    runs: int = 5
    foreign_limit: float = figures.FOREIGN_LIMIT
    keep_disturbed: bool = False  # for a smoke run, whose figures nobody trusts: nothing is repeated

    @property
    def repeats(self):
        """How many runs of a row may be dropped for each contestant. Beyond, the machine is too busy to measure on."""
        return 2 * self.runs


@dataclasses.dataclass
class RowResult:
    row: object
    runs: list = dataclasses.field(default_factory=list)     # {"round", "contestant", "run"}
    dropped: list = dataclasses.field(default_factory=list)  # the same, with "why"
    disturbed: list = dataclasses.field(default_factory=list)  # contestants with a run that was kept though others disturbed it
    left_out: str = ""                                       # why it was not measured at all

    def rounds(self, contestant):
        return [(one["round"], one["run"]) for one in self.runs if one["contestant"] == contestant]

    def dropped_of(self, contestant):
        return sum(one["contestant"] == contestant for one in self.dropped)

    @property
    def trustworthy(self):
        return not self.disturbed and not self.left_out


def measure_once(result, contestant, number, plan, drive, tell):
    """One run that counts: repeated while it is disturbed and the bound allows."""
    row = result.row
    while True:
        run = drive(row, contestant)
        why = figures.disturbance(run, plan.foreign_limit) if row.timed else ""
        kept = not why or plan.keep_disturbed or result.dropped_of(contestant.name) >= plan.repeats
        entry = {"round": number, "contestant": contestant.name, "run": run}
        tell(row, contestant, number, run, why, kept)
        if kept:
            result.runs.append(entry)
            if why and contestant.name not in result.disturbed:
                result.disturbed.append(contestant.name)
            return
        result.dropped.append({**entry, "why": why})


def measure(result, plan, drive, tell, absent=()):
    """Fills in the result of one row. `drive(row, contestant)` does one run and returns what the generator printed, or raises RunFailed;
    `tell(row, contestant, round, run, why, kept)` hears of each. Contestants named in `absent` take no part. What was measured before a
    failure stays in the result."""
    for number in range(1, plan.runs + 1):
        for contestant in result.row.contestants:
            if contestant.name not in absent:
                measure_once(result, contestant, number, plan, drive, tell)
    return result
