"""W15: a call of --fan-in beside the same call through a proxy on the bare gRPC core, and beside one to
the upstream itself. `stream` is upstream, proxy and client (stream.c)."""

import contextlib
import json
import pathlib
import subprocess

from . import children, servers
from .campaign import RunFailed

METHOD = "/bench.Stream/Read"
SLACK_SECONDS = 30


class Proxy(servers.Relay):
    def command(self):
        return [self.program, "proxy", "--listen", "127.0.0.1:0", "--ready-file", self.ready]


class Upstream(servers.Relay):
    def command(self):
        return [self.program, "source", "--listen", "127.0.0.1:0", "--ready-file", self.ready]


KINDS = {"fanin": servers.Tributary, "proxy": Proxy, "direct": Upstream}


def options_of(contestant):
    """Of tributaryd."""
    return ("--fan-in", "127.0.0.1:0") if contestant.protocol == "fanin" else ()


def fan_in_address(server):
    return server.ready.read_text().split()[1]


def add_endpoint(binaries, server, name, address):
    command = [binaries / "tributary", "producers", "add", "-s", server.address, name, address,
               "--serve", METHOD]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunFailed(f"tributary producers add: {done.stderr}")


def sink_options(row, contestant, seconds):
    return [*row.load, *contestant.load, "--seconds", f"{seconds:g}"]


def measure(binaries, row, contestant, server, seconds, folder):
    """One run. RunFailed, or TimeoutError."""
    program = str(pathlib.Path(binaries) / "stream")
    with contextlib.ExitStack() as stack:
        upstreams = [] if contestant.protocol == "direct" else [
            stack.enter_context(servers.running(Upstream, program, ())).address
            for _ in range(contestant.upstreams)
        ]
        command = [program, "sink", "--pid", server.process.pid, *sink_options(row, contestant, seconds)]
        if contestant.protocol == "fanin":
            for number, address in enumerate(upstreams):
                add_endpoint(binaries, server, f"upstream-{number}", address)
            command += ["--server", fan_in_address(server)]
        else:
            command += ["--server", server.address]
        if contestant.protocol == "proxy":
            command += ["--via", upstreams[0]]
        status, output, errors = children.run(command, folder, seconds + SLACK_SECONDS)
    if status != 0:
        raise RunFailed(errors or f"stream sink ended with {status}")
    return {**json.loads(output), "consumers": 1, "producers": contestant.upstreams}
