#!/usr/bin/python3
"""How fast consumers catch up with a stored topic, what that costs live consumers, how soon a server
with many stored events starts, and how much its disk writes.

  TRIBUTARY_BIN=build/release/bin tests/e2e/measure_catch_up.py [--events N] [--rounds N] [--rate N]

Four publishers store N events of 128 bytes (10 M), which is the page cache's later. Then, in each
round (7), `bench latency` measures live events (1 000 each second) alone, and beside a consumer that
reads the topic from its first event again and again: the ratios of a round's two percentiles. At the
end the server starts again: after a clean end, and after a kill."""
import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time

from harness.daemon import Daemon, binary

TOPIC, PAYLOAD = "kept", 128


def bench(daemon, *arguments):
    command = [os.path.join(os.path.dirname(binary()), "tributary"), "bench", *arguments, "--json", "-q"]
    command += ["--server", daemon.address]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def written_bytes(daemon):
    for line in open(f"/proc/{daemon.pid}/io", encoding="ascii"):
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("no write_bytes")


def catch_up(daemon):
    return bench(daemon, "sub", "--topic", TOPIC, "--from", "earliest", "--until-caught-up")


class Readers(threading.Thread):
    """One that catches up, again and again, until stop()."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon_, self.is_over, self.rates = daemon, False, []
        self.start()

    def run(self):
        while not self.is_over:
            self.rates.append(catch_up(self.daemon_)["events_per_second"])

    def stop(self):
        self.is_over = True
        self.join()
        return statistics.median(self.rates)


def latency(daemon, options):
    run = bench(daemon, "latency", "--rate", options.rate, "--max-time", options.time, "--warmup", "500ms")
    return run["latency_us"]


def microseconds(found):
    return " / ".join(f"{found[name]:.0f}" for name in ("p50", "p90", "p99"))


def store(daemon, options):
    before = written_bytes(daemon)
    pub = ["pub", "--topic", TOPIC, "--confirm", "stored", "--batch", 64, "--window", 4096, "--size", PAYLOAD]
    run = bench(daemon, *pub, "--events", options.events)
    written = written_bytes(daemon) - before
    print(
        f"stored    {run['events_per_second'] / 1e6:.2f} M events/s, "
        f"{run['server_cpu_seconds'] / options.events * 1e6:.3f} s of the server for a million; "
        f"{written / options.events / PAYLOAD:.2f} bytes written for each of payload",
        flush=True,
    )


def beside(daemon, options):
    ratios = {"p50": [], "p90": [], "p99": []}
    for number in range(options.rounds):
        alone = latency(daemon, options)
        readers = Readers(daemon)
        both = latency(daemon, options)
        rate = readers.stop()
        for name, found in ratios.items():
            found.append(both[name] / alone[name])
        print(
            f"round {number + 1}   alone {microseconds(alone)} us, beside {microseconds(both)}; "
            f"catching up {rate / 1e6:.2f} M events/s",
            flush=True,
        )
    print("ratios   " + ", ".join(f"{name} {statistics.median(found):.2f}" for name, found in ratios.items()))


def starts(state, options, daemon):
    for end, number in (("a clean end", signal.SIGTERM), ("a kill", signal.SIGKILL)):
        daemon.process.send_signal(number)
        daemon.process.wait()
        daemon.folder.cleanup()
        began = time.monotonic()
        daemon = Daemon("--state-dir", state)
        print(f"start    {time.monotonic() - began:.2f} s after {end}, {options.events} events", flush=True)
    return daemon


def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=int, default=1000, help="live events each second")
    parser.add_argument("--time", default="3s", help="how long each latency is measured")
    options = parser.parse_args()
    # where the build is: a temporary folder may be memory
    with tempfile.TemporaryDirectory(prefix="catch-up-", dir=os.path.dirname(binary())) as folder:
        state = os.path.join(folder, "state")
        daemon = Daemon("--state-dir", state, "--create-topics", TOPIC, "--topic-max-bytes", "1TiB")
        try:
            store(daemon, options)
            for _ in range(3):
                print(f"caught up {catch_up(daemon)['events_per_second'] / 1e6:.2f} M events/s", flush=True)
            beside(daemon, options)
            daemon = starts(state, options, daemon)
        finally:
            daemon.kill()


if __name__ == "__main__":
    main()
