"""The servers: tributaryd, the raw relay, nats-server, redis-server. Each run has a fresh server
on loopback, in a folder of its own."""

import contextlib
import json
import pathlib
import shutil
import signal
import socket
import tempfile

from . import children
from .campaign import RunFailed

START_SECONDS = 20

PROGRAMS = {"nats": "nats-server", "redis": "redis-server"}


def installed(protocol):
    """The path of a peer's server; None: it is not installed. sbin may be missing in PATH."""
    name = PROGRAMS[protocol]
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_line(path):
    text = path.read_text() if path.exists() else ""
    return text.split()[0] if text.endswith("\n") else ""


class Server:
    """One server process. The protocols differ in `command` and `find_address`."""

    environment = {}
    on_disk = False  # its folder must be on a disk; a temporary folder may be memory
    clean = (0,)  # exit statuses after SIGTERM that count as success

    def __init__(self, program, folder, options=()):
        self.program, self.folder, self.options = program, pathlib.Path(folder), list(options)
        self.ready = self.folder / "ready"
        self.log = self.folder / "log"
        self.address = ""
        self.process = None

    def command(self):
        return [self.program, "--listen", "127.0.0.1:0", "--ready-file", self.ready, *self.options]

    def find_address(self):
        """HOST:PORT once it serves, else \"\"."""
        return first_line(self.ready)

    def alive_address(self):
        if children.ended(self.process, 0):
            raise RunFailed(
                f"{self.program} ended with {children.end(self.process)}: {children.last_lines(self.log)}"
            )
        return self.find_address()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = children.start(self.command(), log, log, self.environment)
        try:
            self.address = children.wait_until(self.alive_address, START_SECONDS, f"{self.program} serves")
        except TimeoutError as error:
            raise RunFailed(f"{error}\n{children.last_lines(self.log)}") from None

    def obituary(self):
        """How the server died; \"\": it still runs."""
        if not children.ended(self.process, 0):
            return ""
        return f"; {self.program} died with {children.end(self.process)}: {children.last_lines(self.log)}"

    def stop(self):
        """Ends the server as its operator would. RunFailed: it had died, or did not end well."""
        died = self.obituary()
        if died:
            raise RunFailed(died.removeprefix("; "))
        status = children.end(self.process)
        if status not in self.clean:
            raise RunFailed(
                f"{self.program}, asked to end, ended with {status}: {children.last_lines(self.log)}"
            )


class Tributary(Server):
    def command(self):
        return super().command() + ["--log-level", "warn"]


class Relay(Server):
    clean = (0, -signal.SIGTERM)


class Nats(Server):
    """Runs at its best: the garbage collector may let the heap grow fourfold."""

    environment = {"GOGC": "400"}
    clean = (0, 1, -signal.SIGTERM)

    def command(self):
        return [
            self.program,
            "--addr",
            "127.0.0.1",
            "--port",
            "-1",
            "--ports_file_dir",
            self.folder,
            *self.options,
        ]

    def find_address(self):
        for path in self.folder.glob("*.ports"):
            with contextlib.suppress(ValueError):  # it may be half written
                return json.loads(path.read_text())["nats"][0].removeprefix("nats://")
        return ""


class Redis(Server):
    """Stores nothing. A subscriber may be behind as far as the generator allows."""

    def command(self):
        self.port = free_port()
        return [
            self.program,
            "--bind",
            "127.0.0.1",
            "--port",
            self.port,
            "--dir",
            self.folder,
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--maxclients",
            "12000",
            "--client-output-buffer-limit",
            "pubsub 0 0 0",
            *self.options,
        ]

    def start(self):
        """The server cannot choose a port itself, and another program may take the port that was
        free a moment ago. So this tries three times."""
        for left in (2, 1, 0):
            try:
                return super().start()
            except RunFailed:
                if left == 0:
                    raise

    def find_address(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return f"127.0.0.1:{self.port}" if probe.recv(16).startswith(b"+PONG") else ""
        except OSError:
            return ""


class Delay(Server):
    """The proxy that delays. `options` says where it leads and for how long it delays."""


KINDS = {
    "tributary": Tributary,
    "dialled": Tributary,
    "client": Tributary,
    "raw": Relay,
    "nats": Nats,
    "redis": Redis,
}


def program(protocol, binaries):
    if protocol in PROGRAMS:
        return installed(protocol)
    return str(pathlib.Path(binaries) / ("relay" if protocol == "raw" else "tributaryd"))


@contextlib.contextmanager
def running(kind, path, options, disk=None):
    """`disk`: a folder on a disk, for servers that keep a store."""
    with tempfile.TemporaryDirectory(prefix="tributary-bench-", dir=disk if kind.on_disk else None) as folder:
        server = kind(path, folder, options)
        try:
            server.start()
            yield server
            server.stop()
        finally:
            if server.process is not None:
                children.end(server.process)


def serving(protocol, binaries, options=()):
    """A fresh server. It is ended and cleaned up in every case. How it ends is checked only if
    nothing else failed."""
    return running(KINDS[protocol], program(protocol, binaries), options)


@contextlib.contextmanager
def far_from(server, binaries, round_trip_us):
    """The address at which the server is that far away."""
    if not round_trip_us:
        yield server.address
        return
    options = ["--to", server.address, "--round-trip-us", round_trip_us]
    with running(Delay, str(pathlib.Path(binaries) / "delay"), options) as proxy:
        yield proxy.address
