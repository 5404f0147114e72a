"""Processor time of one process, of what we started, of the machine, and from these of other
programs."""

import dataclasses
import os
import pathlib
import re
import resource
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)  # of /proc/stat


def process_cpu_s(pid):
    """Of all threads of a process, also of those that have ended. The kernel's processor-time
    clock of a process is exact to the nanosecond."""
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
    ours_s: float  # of this process, and of its children that have ended and were waited for
    ticks: list

    @classmethod
    def of(cls, pid):
        children_used = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours_s = time.process_time() + children_used.ru_utime + children_used.ru_stime
        return cls(time.monotonic(), process_cpu_s(pid), ours_s, machine_ticks())


def shares(before, after):
    """(foreign, steal) between two readings, as shares of one core. At the second reading,
    everything that we started has ended, except the server."""
    wall = after.time_s - before.time_s
    ticks = [late - early for early, late in zip(before.ticks, after.ticks)]
    busy = sum(ticks[kind] for kind in (USER, NICE, SYSTEM, IRQ, SOFTIRQ)) / TICKS_PER_S
    own = after.server_s - before.server_s + after.ours_s - before.ours_s
    return max(0.0, (busy - own) / wall), ticks[STEAL] / TICKS_PER_S / wall
