"""One run: a fresh server, the generator, and what the generator printed. Also the build of both
programs."""

import json
import os
import pathlib
import resource
import subprocess
import tempfile

from . import children, client, durable, fanin, servers
from .campaign import RunFailed

# A run takes longer than what it measures: it connects, warms up and waits for the last event. It
# gives up by itself after 20 s without progress.
RUN_SLACK_SECONDS = 120
TARGETS = ("tributaryd", "tributary", "load", "relay", "delay", "stream", "jetstream")
NEEDED = ("seconds", "published", "delivered", "events_per_s", "rss_bytes")


def build(root, folder, log):
    """Builds release, as it is shipped. CalledProcessError holds the output of the tools."""
    for command in (
        [
            "cmake",
            "-S",
            root,
            "-B",
            folder,
            "-G",
            "Ninja",
            "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
            "-DTRIBUTARY_HARDEN=ON",
            "-DBUILD_TESTING=ON",
        ],
        ["ninja", "-C", folder, *TARGETS],
    ):
        log(f"build: {' '.join(str(word) for word in command)}")
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def missing_programs(binaries):
    return [name for name in TARGETS if not os.access(pathlib.Path(binaries) / name, os.X_OK)]


def raise_file_limit(needed):
    """Lets the children open as many files as the largest row needs. Returns how many they may
    open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, needed)
    if hard < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
            return needed
        except (ValueError, OSError):
            pass  # not privileged: raise it to the hard limit only
    if soft < needed:
        soft = min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def generator_options(row, contestant, seconds):
    """The options, except those that only a run knows: server and pid."""
    return [
        "--protocol",
        contestant.protocol,
        "--producers",
        str(row.producers),
        "--consumers",
        str(contestant.consumers or row.consumers),
        *row.load,
        *contestant.load,
        "--seconds",
        f"{seconds:g}",
    ]


def parsed(text):
    try:
        run = json.loads(text)
    except ValueError as error:
        raise RunFailed(f"the generator printed no JSON ({error}): {text[:200]!r}") from None
    absent = [key for key in NEEDED if not isinstance(run, dict) or key not in run]
    if absent:
        raise RunFailed(f"the generator's JSON has no {', '.join(absent)}")
    return run


def kind_of(protocol):
    return fanin.KINDS.get(protocol) or durable.KINDS.get(protocol) or servers.KINDS[protocol]


def program_of(protocol, binaries):
    """The server's program."""
    if protocol in ("proxy", "direct"):
        return str(pathlib.Path(binaries) / "stream")
    if protocol in durable.KINDS:
        return servers.program("tributary" if protocol == "stored" else "nats", binaries)
    return servers.program(protocol, binaries)


class Driver:
    def __init__(self, binaries, seconds=None, server_options=()):
        self.binaries = pathlib.Path(binaries)
        self.seconds = seconds  # None: each row's own
        self.server_options = tuple(server_options)

    def seconds_of(self, row):
        return row.seconds if self.seconds is None else self.seconds

    def server_options_of(self, row, contestant):
        """The options of tributaryd besides its defaults. The other servers have none."""
        return (
            (*row.server, *contestant.server, *fanin.options_of(contestant), *self.server_options)
            if issubclass(kind_of(contestant.protocol), servers.Tributary)
            else ()
        )

    def shown(self, row, contestant):
        """What --list prints: the commands, without what only a run knows."""
        seconds = self.seconds_of(row)
        if contestant.protocol == "client":
            commands = client.subscribe_command("tributary", "SERVER", row, "READY"), client.publish_command(
                "tributary", "SERVER", row, seconds
            )
            return " & ".join(" ".join(str(word) for word in command) for command in commands)
        if contestant.protocol in durable.KINDS:
            command = durable.publish_command(pathlib.Path(), row, contestant, "SERVER", "PID", seconds, 0)
            return " ".join(str(word) for word in command)
        if contestant.protocol in fanin.KINDS:
            return f"stream sink {' '.join(fanin.sink_options(row, contestant, seconds))}"
        return f"load {' '.join(generator_options(row, contestant, seconds))}"

    def __call__(self, row, contestant):
        who = f"{row.id} {contestant.name}"
        drive = self.drive_client if contestant.protocol == "client" else self.drive_load
        if contestant.protocol in fanin.KINDS:
            drive = self.drive_fan_in
        if contestant.protocol in durable.KINDS:
            drive = self.drive_durable
        try:
            with servers.running(
                kind_of(contestant.protocol),
                program_of(contestant.protocol, self.binaries),
                self.server_options_of(row, contestant),
                self.binaries.parent,
            ) as server, servers.far_from(
                server, self.binaries, row.round_trip_us
            ) as far, tempfile.TemporaryDirectory(prefix="tributary-bench-") as folder:
                try:
                    return drive(row, contestant, server, far, folder)
                except (TimeoutError, RunFailed) as error:
                    # If the server died, that is the reason, and the error above is its
                    # consequence.
                    raise RunFailed(f"{error}{server.obituary()}") from None
        except RunFailed as error:
            raise RunFailed(f"{who}: {error}") from None

    def drive_fan_in(self, row, contestant, server, far, folder):
        del far
        return fanin.measure(self.binaries, row, contestant, server, self.seconds_of(row), folder)

    def drive_durable(self, row, contestant, server, far, folder):
        del far
        return durable.measure(self.binaries, row, contestant, server, self.seconds_of(row), folder)

    def drive_load(self, row, contestant, server, far, folder):
        seconds = self.seconds_of(row)
        command = [
            self.binaries / "load",
            "--server",
            far,
            "--pid",
            server.process.pid,
            *generator_options(row, contestant, seconds),
        ]
        status, output, errors = children.run(command, folder, seconds + RUN_SLACK_SECONDS)
        if status != 0:
            raise RunFailed(errors or f"the generator ended with {status} and said nothing")
        return parsed(output)

    def drive_client(self, row, contestant, server, far, folder):
        addresses = {side: far if side in contestant.far else server.address for side in ("pub", "sub")}
        return client.measure(
            self.binaries / "tributary", server.process.pid, addresses, row, self.seconds_of(row), folder
        )
