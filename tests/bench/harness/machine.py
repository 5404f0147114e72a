"""Where results come from: the machine, without its name, and the versions of the programs."""

import os
import pathlib
import platform
import re
import subprocess

from . import servers


def text_of(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def field(path, name):
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text_of(path), re.MULTILINE)
    return found.group(1).strip() if found else ""


def describe():
    memory = re.match(r"\d+", field("/proc/meminfo", "MemTotal"))
    flags = field("/proc/cpuinfo", "flags").split()
    return {
        "kernel": platform.release(),
        "system": field_of_release("PRETTY_NAME"),
        "cpu": field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": int(memory.group()) * 1024 if memory else None,
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "virtual": "hypervisor" in flags,
    }


def field_of_release(name):
    found = re.search(rf'^{name}="?([^"\n]*)', text_of("/etc/os-release"), re.MULTILINE)
    return found.group(1) if found else ""


def first_line_of(command):
    """The first line that a command prints; None: it failed."""
    try:
        answer = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else None


def number_in(text):
    """The version in what a program prints about itself."""
    found = re.search(r"\d+(\.\d+)+", text or "")
    return found.group() if found else text


def versions(root, binaries, peers):
    found = {
        "tributary": first_line_of(["git", "-C", root, "describe", "--always", "--dirty", "--tags"])
        or first_line_of([f"{binaries}/tributaryd", "--version"]),
        "grpc": first_line_of(["dpkg-query", "-W", "-f", "${source:Upstream-Version}\n", "libgrpc29"])
        or first_line_of(["pkg-config", "--modversion", "grpc"]),
    }
    for peer in servers.PROGRAMS:
        if peer in peers and servers.installed(peer):
            found[peer] = number_in(first_line_of([servers.installed(peer), "--version"]))
    return found


def one_line(machine):
    memory = machine["memory_bytes"]
    return ", ".join(
        part
        for part in (
            machine["cpu"],
            f"{machine['cores']} cores",
            f"{memory / 2**30:.0f} GiB" if memory else "",
            f"Linux {machine['kernel']}",
            machine["system"],
            "virtual" if machine["virtual"] else "",
            f"governor {machine['governor']}" if machine["governor"] else "",
        )
        if part
    )
