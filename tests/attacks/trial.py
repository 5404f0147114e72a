"""One run: a fresh daemon, the innocents, and beside them the attack or as much use of the
processor. Steady first, then at full speed."""
import contextlib
import dataclasses
import os
import pathlib
import resource
import time

import innocent
from harness.daemon import Daemon

RETURN_S = 3.0  # how long the memory may take to come back
SETTLED_S = 0.2  # of the measured time, before the attack begins
MB = 1 << 20


@contextlib.contextmanager
def serving(options, nofile):
    """A fresh daemon. Its end is checked unless something failed before."""
    daemon = Daemon(*options, level="warn", nofile=nofile)
    try:
        yield daemon
    finally:
        daemon.kill()


def stopped(daemon):
    """What went wrong with the daemon until its end; "": nothing."""
    try:
        daemon.stop()
    except AssertionError as error:
        return str(error)
    return ""


def ended_lines(daemon):
    """{reason: (how many connections, the first line's detail)} of the log."""
    found = {}
    for line in daemon.log("connection.ended"):
        count, detail = found.get(line["reason"].upper(), (0, line.get("detail", "")))
        found[line["reason"].upper()] = count + line.get("count", 1), detail
    return found


class Others:
    """What other programs used of the machine, in cores. What we started must have ended by then."""

    def __init__(self):
        self._time_s, self._busy_s, self._ours_s = self._read()

    @staticmethod
    def _read():
        ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        idle, waiting, steal = ticks[3], ticks[4], ticks[7]
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return (
            time.monotonic(),
            (sum(ticks) - idle - waiting - steal) / os.sysconf("SC_CLK_TCK"),
            sum(each.ru_utime + each.ru_stime for each in used),
        )

    def cores(self):
        time_s, busy_s, ours_s = self._read()
        return max(0.0, busy_s - self._busy_s - (ours_s - self._ours_s)) / (time_s - self._time_s)


class Trial:
    """One attack, and the control that belongs to it."""

    def __init__(self, attack, options, seconds=None, again=False):
        self.attack = dataclasses.replace(attack, again=again or attack.again)
        self.options = tuple(options)
        self.seconds = seconds or attack.seconds

    def _disturber(self, daemon, cpu_s):
        """`cpu_s`: the control; None: the attack."""
        if cpu_s is not None:
            return innocent.burner(cpu_s)
        if self.attack.load:
            return innocent.FullSpeed(daemon.address, daemon.pid, self.seconds, per_message=64)
        return innocent.attacker(daemon.address, self.attack, self.seconds)

    @staticmethod
    def _beside(pair, disturber):
        """Lets both run to their ends. Returns what both measured."""
        try:
            time.sleep(pair.warm_up_s + SETTLED_S)
            disturber.start()
            found = disturber.result()
            return found, pair.result()
        finally:
            disturber.child.kill()
            pair.child.kill()

    def _steady(self, daemon, cpu_s):
        disturber = self._disturber(daemon, cpu_s)
        pair = innocent.Steady(daemon.address, self.seconds + SETTLED_S)
        new_clients = innocent.NewClients(daemon.address)
        time.sleep(pair.warm_up_s)
        daemon.forget_memory_peak()
        before = daemon.memory_bytes()
        attack, steady = self._beside(pair, disturber)
        over_at = time.monotonic()
        result = {"attack": attack, "steady": steady, "new_clients": new_clients.result()}
        result["accepts_s"] = innocent.new_client_s(daemon.address) if self.attack.nofile else None
        alive = daemon.process.poll() is None
        result["grown_mb"] = (daemon.memory_peak_bytes() - before) / MB if alive else None
        result["kept_mb"] = self._kept_mb(daemon, before, over_at) if alive else None
        return result

    @staticmethod
    def _kept_mb(daemon, before, over_at):
        """How much more memory there is once it has come back, or its time is over."""
        while True:
            kept = (daemon.memory_bytes() - before) / MB
            if kept <= 4 or time.monotonic() > over_at + RETURN_S:
                return kept
            time.sleep(0.1)

    def _full(self, daemon, cpu_s):
        disturber = self._disturber(daemon, cpu_s)
        pair = innocent.FullSpeed(daemon.address, daemon.pid, self.seconds + SETTLED_S)
        attack, full = self._beside(pair, disturber)
        return {"attack_at_full": attack, "full": full}

    def run(self, burns=(None, None)):
        """The attack; or the control, where `burns` says how much of the processor to use in each
        part."""
        others = Others()
        with serving(self.options, self.attack.nofile) as daemon:
            result = self._steady(daemon, burns[0])
            if not self.attack.load and daemon.process.poll() is None:
                result.update(self._full(daemon, burns[1]))
            result["died"] = stopped(daemon)
            result["ended"] = ended_lines(daemon)
            result["others"] = others.cores()
            return result

    def paired(self):
        """(the control, the attack). The attack runs first, so that the control can use as much of
        the processor."""
        attacked = self.run()
        burns = [attacked.get(part, {}).get("cpu_s", 0.0) for part in ("attack", "attack_at_full")]
        return self.run(burns), attacked
