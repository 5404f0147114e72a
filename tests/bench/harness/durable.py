"""W9: events that are confirmed when they are on the disk, beside JetStream. `tributary bench pub`
publishes into a stored topic, and jetstream.c into a stream of nats-server. Both keep their store in a
folder of the build, which is on a disk: a temporary folder may be memory."""

import json
import pathlib
import subprocess
import tempfile

from . import children, servers
from .campaign import RunFailed

SLACK_SECONDS = 60
TOPIC = "w9"
PROBE_SECONDS = 1


class Stored(servers.Tributary):
    on_disk = True

    def command(self):
        return [*super().command(), "--state-dir", self.folder / "state", "--create-topics", TOPIC]


class JetStream(servers.Nats):
    on_disk = True
    sync = ""

    def command(self):
        settings = self.folder / "settings"
        settings.write_text(settings_text(self.folder / "store", self.sync))
        return [*super().command(), "-c", settings]


class JetStreamAlways(JetStream):
    sync = "always"


def settings_text(folder, sync):
    more = f", sync_interval: {sync}" if sync else ""
    return f'jetstream {{ store_dir: "{folder}"{more} }}\n'


KINDS = {"stored": Stored, "jetstream": JetStream, "jetstream-always": JetStreamAlways}


def absences():
    """The contestants that cannot take part, with the reason."""
    program = servers.installed("nats")
    if program is None:
        return dict.fromkeys(("jetstream", "jetstream always"), "nats-server is not installed")
    with tempfile.TemporaryDirectory(prefix="tributary-bench-") as folder:
        settings = pathlib.Path(folder) / "settings"
        settings.write_text(settings_text(pathlib.Path(folder) / "store", "always"))
        done = subprocess.run([program, "-t", "-c", settings], capture_output=True, check=False)
    known = done.returncode == 0
    return {} if known else {"jetstream always": "this nats-server has no sync_interval: always"}


def shape(row):
    return {name: row.option("--" + name) for name in ("per-message", "window", "payload")}


def publish_command(binaries, row, contestant, address, pid, seconds, rate):
    of = shape(row)
    if contestant.protocol == "stored":
        return [
            binaries / "tributary", "bench", "pub", "-s", address, "--json", "-q", "--topic", TOPIC,
            "--confirm", "stored", "--publishers", row.producers, "--batch", of["per-message"],
            "--window", of["window"], "--size", of["payload"], "--max-time", f"{seconds:g}s",
            "--rate", int(rate),
        ]
    return [
        binaries / "jetstream", "--server", address, "--pid", pid, "--producers", row.producers,
        "--per-message", of["per-message"], "--window", of["window"], "--payload", of["payload"],
        "--seconds", f"{seconds:g}", "--rate", f"{rate:g}",
    ]


def publish(binaries, row, contestant, server, seconds, rate, folder):
    command = publish_command(binaries, row, contestant, server.address, server.process.pid, seconds, rate)
    status, output, errors = children.run(command, folder, seconds + SLACK_SECONDS)
    if status != 0:
        raise RunFailed(errors or f"{pathlib.Path(command[0]).name} ended with {status}")
    return json.loads(output)


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None


def measure(binaries, row, contestant, server, seconds, folder):
    """One run. A row with `--half` publishes at half of the rate that a first, short run reached."""
    rate = float(row.option("--rate", 0))
    if "--half" in row.load:
        probe = publish(binaries, row, contestant, server, PROBE_SECONDS, 0, folder)
        rate = probe["confirmed"] / probe["seconds"] / 2
    run = publish(binaries, row, contestant, server, seconds, rate, folder)
    confirmed = run["confirmed"]
    if confirmed == 0:
        raise RunFailed("nothing was confirmed")
    millions = confirmed / 1e6
    return {
        "protocol": contestant.protocol,
        "producers": row.producers,
        "consumers": 0,
        "seconds": run["seconds"],
        "published": confirmed,
        "delivered": confirmed,
        "events_per_s": confirmed / run["seconds"],
        "published_per_s": confirmed / run["seconds"],
        "server_cpu_s_per_M": run["server_cpu_seconds"] / millions,
        "producer_cpu_s_per_M": run["cpu_seconds"] / millions,
        "consumer_cpu_s_per_M": 0,
        "latency_us": run["confirmed_after_us"],
        "rss_bytes": resident_bytes(server.process.pid),
    }
