#!/usr/bin/python3
"""A client in a process of its own, for load that must not share the interpreter of the test:
`peer.py flood|sink ADDRESS [NAME]`.

flood   publishes as fast as it can, 64 events in a message; when its input ends, it prints the
        number of confirmed events
sink    reads everything and discards it; when its input ends, it prints the number of bytes
"""
import pathlib
import subprocess
import sys
import threading

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.client import connect, event, subscribe_request
from harness.protos import v1


class Peer:
    """The other process, seen from a test."""

    def __init__(self, what, address, name="flood"):
        self._process = subprocess.Popen(
            [sys.executable, "-B", __file__, what, address, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._process.stdout.readline()

    def stop(self):
        """Ends it and returns its number. Safe to repeat."""
        if self._process.poll() is None:
            self._process.stdin.close()
            self._number = int(self._process.stdout.readline())
            self._process.wait(30)
            self._process.stdout.close()
        return self._number


def flood(address, name, stopping):
    batch = v1.PublishStreamRequest(
        producer=name, events=[event(n, size=128) for n in range(64)]
    ).SerializeToString()

    def batches():
        while not stopping.is_set():
            yield batch

    confirmed = 0
    for raw in v1.stub("Publisher", connect(address), raw=True).PublishStream(batches()):
        confirmed = v1.PublishStreamResponse.FromString(raw).confirmed_batch
    return 64 * confirmed


def sink(address, _, stopping):
    request = subscribe_request(overflow=v1.OVERFLOW_DROP_OLDEST, max_events=65536, max_bytes=16 << 20)
    call = v1.stub("Subscriber", connect(address), raw=True).Subscribe(request.SerializeToString())
    total = 0
    for raw in call:
        total += len(raw)
        if stopping.is_set():
            call.cancel()
            return total
    return total


def main():
    stopping = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    print("begins", flush=True)
    print({"flood": flood, "sink": sink}[sys.argv[1]](sys.argv[2], sys.argv[3], stopping), flush=True)


if __name__ == "__main__":
    main()
