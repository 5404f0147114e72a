"""What must hold of each attack. A judgement looks at all rounds of one attack, and says what it
measured, and whether that is good. None: it has no figure to look at, which is a failure."""
import dataclasses
import math
import statistics
from typing import Callable

from harness.attacks.table import CORE

MIN_THROUGHPUT = 0.8  # of the control's
MAX_LATENCY_MS = 20  # more than the control's, at p90
MAX_GROWN_MB = 64  # while it lasts
MAX_KEPT_MB = 16  # 3 s later
MAX_LAG_S = 1.0  # from its bound to its end
MAX_ACCEPTS_S = 2.0  # for a new client, after the descriptors were given back
MAX_NEW_CLIENT_S = 1.0  # for a new client beside the attack
MAX_P99_MS = 50

FULL_RATES = (("full",), ("full", "events_per_cpu_s"))  # one of them is enough


@dataclasses.dataclass(frozen=True)
class Judgement:
    name: str
    always: bool  # for every attack whose `off` does not name it; else for those whose `also` does
    robust: bool  # does not depend on the speed of the machine
    measure: Callable  # of (attack, [(control, attacked)]): (text, whether it is good)


def median(values, missing=math.inf):
    """A run that failed has no value, and counts as `missing`."""
    return statistics.median(missing if value is None else value for value in values)


def within(value, limit, text):
    return ("none", False) if value in (None, math.inf) else (text.format(value), value <= limit)


def lives(attack, rounds):
    del attack
    died = next((run["died"] for pair in rounds for run in pair if run["died"]), "")
    return (died.strip().splitlines() or ["yes"])[0][:60], not died


def ratio(pair, part, rate="events_per_s"):
    """The innocents' rate over the control's. 0: one of them failed."""
    control, attacked = (run.get(part, {}).get(rate, 0.0) for run in pair)
    return attacked / control if control else 0.0


def throughput(attack, rounds):
    """At full speed the rate depends on what other programs leave of the machine. So it is enough
    that the server did as much in each second of its processor time."""
    del attack
    ratios = [
        median(ratio(pair, *of_what) for pair in rounds)
        for of_what in (("steady",), *FULL_RATES)
    ]
    steady, *full = ratios
    good = steady >= MIN_THROUGHPUT and max(full) >= MIN_THROUGHPUT
    return " ".join(f"{each:.2f}" for each in ratios), good


def latency_ms(pair):
    """How much more it was than the control's, at p90. None: one of them failed."""
    control, attacked = (run["steady"].get("p90_ms") for run in pair)
    return None if control is None or attacked is None else attacked - control


def latency(attack, rounds):
    del attack
    return within(median(latency_ms(pair) for pair in rounds), MAX_LATENCY_MS, "{:+.1f}")


def p99(attack, rounds):
    del attack
    return within(median(attacked["steady"].get("p99_ms") for _, attacked in rounds), MAX_P99_MS, "{:.1f}")


def worst(values):
    values = list(values)
    return None if not values or None in values else max(values)


def memory(attack, rounds):
    del attack
    return within(worst(attacked["grown_mb"] for _, attacked in rounds), MAX_GROWN_MB, "{:.0f}")


def returns(attack, rounds):
    del attack
    return within(worst(attacked["kept_mb"] for _, attacked in rounds), MAX_KEPT_MB, "{:.0f}")


def attacks_of(rounds):
    """What each attacker printed: of both parts of each round."""
    return [
        attacked[part] for _, attacked in rounds for part in ("attack", "attack_at_full") if part in attacked
    ]


def ended(attack, rounds):
    """Every connection was ended, and the slowest of each attack in time."""
    del attack
    every = attacks_of(rounds)
    if any(each.get("not_ended", 1) or not each.get("ended") for each in every):
        return "never", False
    return within(median(each["lag_s"] for each in every), MAX_LAG_S, "{:.2f}")


def logged(attack, rounds):
    """Each round's log names one of the reasons, or gRPC core ended it first where it may."""
    for _, attacked in rounds:
        seen = set(attacked["ended"]) or {CORE}
        if not seen & set(attack.reasons):
            return " ".join(attacked["ended"]) or "nothing", False
    seen = {reason for _, attacked in rounds for reason in attacked["ended"] or [CORE]}
    return " ".join(sorted(seen)), True


def stream(attack, rounds):
    """The healthy stream beside the call was answered until the end."""
    last = min(each.get("answered_s", 0.0) for each in attacks_of(rounds))
    return f"{last:.1f} s", last >= attack.seconds - 0.5


def accepts_again(attack, rounds):
    del attack
    return within(worst(attacked["accepts_s"] for _, attacked in rounds), MAX_ACCEPTS_S, "{:.2f}")


def new_clients(attack, rounds):
    """All of them were served, each in time."""
    del attack
    refused = sum(attacked["new_clients"]["refused"] for _, attacked in rounds)
    if refused:
        return f"{refused} refused", False
    longest = worst(attacked["new_clients"]["max_s"] for _, attacked in rounds)
    return within(longest, MAX_NEW_CLIENT_S, "{:.2f}")


JUDGEMENTS = (
    Judgement("lives", True, True, lives),
    Judgement("throughput", True, False, throughput),
    Judgement("latency", True, False, latency),
    Judgement("memory", True, True, memory),
    Judgement("returns", True, True, returns),
    Judgement("ended", True, True, ended),
    Judgement("logged", True, True, logged),
    Judgement("stream", False, True, stream),
    Judgement("accepts again", False, True, accepts_again),
    Judgement("new clients", False, True, new_clients),
    Judgement("p99", False, False, p99),
)


def of(attack, rounds):
    """{judgement: (text, whether it is good)}, of those that apply to this attack."""
    return {
        each.name: each.measure(attack, rounds)
        for each in JUDGEMENTS
        if (each.name not in attack.off if each.always else each.name in attack.also)
    }


def is_settled(attack, rounds, wanted):
    """Whether no median of `wanted` rounds can fail any more, whatever the missing ones measure: of
    more than half, each holds by itself, and all by the same rate at full speed."""
    held = [
        {
            rate
            for rate in FULL_RATES
            if ratio(pair, *rate) >= MIN_THROUGHPUT or "throughput" in attack.off
        }
        for pair in rounds
        if not failures(of(attack, [pair]))
    ]
    return any(sum(rate in each for each in held) > wanted / 2 for rate in FULL_RATES)


def failures(verdicts, robust_only=False):
    robust = {each.name for each in JUDGEMENTS if each.robust}
    return [name for name, (_, good) in verdicts.items() if not good and (not robust_only or name in robust)]
