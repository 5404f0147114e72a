"""The innocents beside an attack: a pair that measures latency at a steady rate, a pair at full
speed, and new clients. And what disturbs them: an attacker, or what uses as much of the processor."""
import json
import socket
import statistics
import subprocess
import sys
import threading
import time

from harness.attacks import ATTACKER
from harness.attacks.shapes import header_block, request_block
from harness.daemon import binary
from harness.h2frames import ACK, DATA, END_STREAM, PREFACE, SETTINGS, frame, message

RATE = 1000  # events per second of the steady pair
LATENCIES = ("p50", "p90", "p99", "max")
PATIENCE_S = 20  # beyond the measured time: then the pair is stopped, and counts as nothing
NEW_CLIENT_EVERY_S = 0.2
NEW_CLIENT_PATIENCE_S = 5.0
HEALTH = b"/grpc.health.v1.Health/Check"

BURN = """
import resource, sys
def used():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
print("ready", flush=True)
sys.stdin.readline()
until = used() + float(sys.argv[1])
while used() < until:
    pass
print("{}")
"""


class Child:
    """A program of ours that prints one JSON object at its end."""

    def __init__(self, command, stdin=None):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self, patience_s):
        """What it printed. {} and why: it failed, or did not end."""
        try:
            out, errors = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return {}, f"did not end within {patience_s:g} s"
        try:
            last = json.loads(out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            last = {}
        if self.process.returncode != 0:
            return last, (errors.strip().splitlines() or [f"exit {self.process.returncode}"])[-1]
        return last, ""

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Steady:
    """`tributary bench latency`: a publisher and a consumer, each with a connection of its own."""
    warm_up_s = 0.4

    def __init__(self, address, seconds):
        self.seconds = seconds
        self.child = Child(
            [binary("tributary"), "bench", "latency", "--server", address, "--rate", RATE, "--warmup",
             f"{int(self.warm_up_s * 1000)}ms", "--max-time", f"{seconds:g}s", "--json", "--quiet"]
        )

    def result(self):
        found, wrong = self.child.result(self.warm_up_s + self.seconds + PATIENCE_S)
        latency = {} if wrong else found["latency_us"]
        return {
            "failed": wrong,
            "events_per_s": 0.0 if wrong else found["events_per_second"],
            **{f"{name}_ms": latency[name] / 1000 for name in LATENCIES if name in latency},
        }


class FullSpeed:
    """tests/bench's generator: a publisher and a consumer, closed loop, one event in each message.
    The consumer wants only its publisher's topic, since an attacker may publish too."""
    warm_up_s = 0.4

    def __init__(self, address, pid, seconds, per_message=1):
        self.seconds = seconds
        self.start = lambda: None  # as a disturber it begins with its warm-up
        self.child = Child(
            [binary("load"), "--server", address, "--pid", pid, "--producers", 1, "--consumers", 1,
             "--filter", "topic", "--per-message", per_message, "--warm-up-ms", int(self.warm_up_s * 1000),
             "--seconds", f"{seconds:g}", "--patience", PATIENCE_S - 5]
        )

    def result(self):
        found, wrong = self.child.result(self.warm_up_s + self.seconds + PATIENCE_S)
        used = [found.get(f"{who}_cpu_s_per_M", 0) for who in ("producer", "consumer")]
        return {
            "failed": wrong,
            "events_per_s": 0.0 if wrong else found["events_per_s"],
            "events_per_cpu_s": 0.0 if wrong else 1e6 / found["server_cpu_s_per_M"],
            "cpu_s": sum(used) * found.get("delivered", 0) / 1e6,
        }


def new_client_s(address):
    """How long a new connection takes until it has the answer to a health check. None: it failed,
    or took too long."""
    host, _, port = address.rpartition(":")
    began = time.monotonic()
    try:
        with socket.create_connection((host, int(port)), timeout=NEW_CLIENT_PATIENCE_S) as made:
            made.settimeout(NEW_CLIENT_PATIENCE_S)
            made.sendall(
                PREFACE + frame(SETTINGS) + frame(SETTINGS, ACK) + header_block(1, request_block(path=HEALTH))
                + frame(DATA, END_STREAM, 1, message(b""))
            )
            answer = b""
            while message(b"\x08\x01") not in answer:
                part = made.recv(65536)
                answer += part
                if not part or time.monotonic() > began + NEW_CLIENT_PATIENCE_S:
                    return None
    except OSError:
        return None
    return time.monotonic() - began


class NewClients:
    """One after the other, each with a connection of its own."""

    def __init__(self, address):
        self._address, self._stopping, self._seen = address, threading.Event(), []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(NEW_CLIENT_EVERY_S):
            self._seen.append(new_client_s(self._address))

    def result(self):
        self._stopping.set()
        self._thread.join()
        served = [each for each in self._seen if each is not None]
        return {
            "refused": len(self._seen) - len(served),
            "served": len(served),
            "median_s": statistics.median(served) if served else None,
            "max_s": max(served, default=None),
        }


class Disturber:
    """What runs beside the innocents once start() was called. It has prepared itself by then."""

    def __init__(self, command, seconds):
        self.seconds = seconds
        self.child = Child(command, subprocess.PIPE)
        self.child.process.stdout.readline()

    def start(self):
        self.child.process.stdin.write("go\n")
        self.child.process.stdin.flush()

    def result(self):
        found, wrong = self.child.result(self.seconds + PATIENCE_S)
        return {**found, "failed": wrong}


def attacker(address, attack, seconds):
    again = ["again"] if attack.again else []
    return Disturber([sys.executable, "-B", ATTACKER, address, attack.name, seconds, *again], seconds)


def burner(cpu_s):
    """Uses so much of the processor."""
    return Disturber([sys.executable, "-B", "-c", BURN, cpu_s], cpu_s)
