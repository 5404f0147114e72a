"""Processor time: of one process, of what we started, of the machine, and thereby of others."""
import dataclasses
import os
import pathlib
import re
import resource
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)  # of /proc/stat


def process_cpu_s(pid):
    """Of all its threads, also those that have ended: the kernel's processor-time clock of another process, exact to the nanosecond."""
    return time.clock_gettime(~pid << 3 | 2)


def resident_bytes(pid):
    found = re.search(r"^VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024


def machine_ticks():
    return [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


@dataclasses.dataclass(frozen=True)
class Reading:
    time_s: float
    server_s: float
    ours_s: float  # of this process, and of children that have ended and were waited for
    ticks: list

    @classmethod
    def of(cls, pid):
        children_used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(time.monotonic(), process_cpu_s(pid), time.process_time() + children_used.ru_utime + children_used.ru_stime, machine_ticks())


def shares(before, after):
    """(foreign, steal) of one core between two readings, at the second of which all that we started, but for the server, has ended."""
    wall = after.time_s - before.time_s
    ticks = [late - early for early, late in zip(before.ticks, after.ticks)]
    busy = sum(ticks[kind] for kind in (USER, NICE, SYSTEM, IRQ, SOFTIRQ)) / TICKS_PER_S
    own = after.server_s - before.server_s + after.ours_s - before.ours_s
    return max(0.0, (busy - own) / wall), ticks[STEAL] / TICKS_PER_S / wall
