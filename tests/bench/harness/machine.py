"""Where figures come from: the machine, without its name, and the versions of who took part."""
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


def said(command):
    """The first line that a command prints; None where it cannot."""
    try:
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else None


def number_in(text):
    """The version that stands somewhere in what a program says of itself."""
    found = re.search(r"\d+(\.\d+)+", text or "")
    return found.group() if found else text


def versions(root, binaries, peers):
    found = {
        "tributary": said(["git", "-C", root, "describe", "--always", "--dirty", "--tags"]) or said([f"{binaries}/tributaryd", "--version"]),
        "grpc": said(["dpkg-query", "-W", "-f", "${source:Upstream-Version}\n", "libgrpc29"]) or said(["pkg-config", "--modversion", "grpc"]),
    }
    for peer in servers.PROGRAMS:
        if peer in peers and servers.installed(peer):
            found[peer] = number_in(said([servers.installed(peer), "--version"]))
    return found


def one_line(machine):
    memory = machine["memory_bytes"]
    return ", ".join(part for part in (
        machine["cpu"], f"{machine['cores']} cores", f"{memory / 2**30:.0f} GiB" if memory else "", f"Linux {machine['kernel']}",
        machine["system"], "virtual" if machine["virtual"] else "", f"governor {machine['governor']}" if machine["governor"] else "") if part)
