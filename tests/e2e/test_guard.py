#!/usr/bin/python3
"""The guard in front of gRPC core (row_30, row_31, row_32, row_33, row_34; findings 1, 2, 3 and 12):
each attack of harness/attacks/table.py, for at most two seconds. The attacker's connection ends, for
the reason that the table names; the daemon lives and stays small; an innocent stream beside it loses
nothing. tests/attacks measures what this does not: latency and throughput."""
import json
import subprocess
import sys
import threading

from harness.attacks import ATTACKER, table
from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.protos import v1

ENDED_WITHIN_S = 2
TRIES = 3  # for what depends on the time that the machine has for us
MAX_GROWN_BYTES = (64 if not instrumented() else 400) << 20
EVERY_S = 0.005


class Innocent:
    """A publisher at a steady rate and its consumer, each with a connection of its own."""

    def __init__(self, case, daemon, name):
        self.name, self.sent = name, 0
        self._consumer = case.consumer(
            subscribe_request([v1.Selector(producer=name)]), channel=case.channel(daemon.address), keep=False
        )
        self._stream = case.publishing(name, channel=case.channel(daemon.address))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(EVERY_S):
            self._stream.send([event(self.sent, size=128)])
            self.sent += 1

    def finish(self):
        """Every event was confirmed, and came once, in order."""
        self._stopping.set()
        self._thread.join()
        self._stream.finish()
        self._consumer.wait_events(self.sent)
        self._consumer.complete({self.name: self.sent})


def attacked(address, attack):
    """Runs the attack's process. Returns what it printed."""
    command = [sys.executable, "-B", ATTACKER, address, attack.name, min(2.0, attack.seconds), "once"]
    done = subprocess.run(
        [str(word) for word in command], input="go\n", capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class Guard(Case):
    def ended(self, daemon):
        """{reason: connections that the guard has ended for it}"""
        prefix = "guard.ended."
        return {
            name.removeprefix(prefix).upper(): value
            for name, value in daemon.counters().items()
            if name.startswith(prefix) and value
        }

    def run_attack(self, attack):
        daemon = self.start_daemon(nofile=attack.nofile) if attack.nofile else self.daemon
        innocent = Innocent(self, daemon, attack.name)
        ended_before = self.ended(daemon)
        daemon.forget_memory_peak()
        before = daemon.memory_bytes()
        for _ in range(TRIES):
            result = attacked(daemon.address, attack)
            if result["lag_s"] is not None and result["lag_s"] <= ENDED_WITHIN_S:
                break
        grown = daemon.memory_peak_bytes() - before
        innocent.finish()
        self.assertIsNone(daemon.process.poll(), "the daemon died")
        self.assertLess(grown, MAX_GROWN_BYTES, f"grew by {grown >> 20} MiB: {result}")
        if "ended" not in attack.off:
            self.assertEqual((result["not_ended"], result["ended"]), (0, result["connections"]), result)
            self.assertLessEqual(result["lag_s"], ENDED_WITHIN_S, result)
        if "logged" not in attack.off:
            self.check_reason(attack, daemon, ended_before, result)
        if "stream" in attack.also:
            self.assertEqual(result["ended"], 0, result)
            self.assertGreater(result["answered_s"], result["seconds"] - 0.5, result)

    def check_reason(self, attack, daemon, before, result):
        now = self.ended(daemon)
        new = {reason for reason in now if now[reason] > before.get(reason, 0)}
        if table.CORE in attack.reasons and not new:
            return  # gRPC core ended it first
        self.assertTrue(new, f"the guard ended nothing: {result}")
        self.assertLessEqual(new, set(attack.reasons), f"ended for another reason: {result}")
        # At most one line for each reason and second: another attack's line may stand for this one.
        eventually(
            lambda: {line["reason"].upper() for line in daemon.log("connection.ended")} & new,
            f"the log names one of {new}",
        )


def test_of(attack):
    def test(self):
        self.run_attack(attack)

    test.__doc__ = f"{attack.row}: {attack.title}"
    return test


for each in table.ATTACKS:
    if each.quick:
        setattr(Guard, f"test_{each.row}_{each.name}".replace(".", "_"), test_of(each))


if __name__ == "__main__":
    main()
