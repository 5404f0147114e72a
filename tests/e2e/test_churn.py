#!/usr/bin/python3
"""Row 21: connections and calls that come and go without end leave descriptors, memory and live
objects as they were.

TRIBUTARY_LONG=1 makes it ten minutes; TRIBUTARY_CHURN_SECONDS says another length."""

import os
import socket
import time

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually, instrumented
from harness.protos import v1
from harness.rawh2 import END_HEADERS, HEADERS, PREFACE, frame, literal, message

SECONDS = float(os.environ.get("TRIBUTARY_CHURN_SECONDS", 600 if os.environ.get("TRIBUTARY_LONG") else 12))
DATA_END = 1
SETTINGS = 4


def opening(path, payload):
    """A connection's first bytes: preface, SETTINGS and one call."""
    block = (
        b"\x83\x86"
        + literal(b":path", path)
        + literal(b":authority", b"churn")
        + literal(b"content-type", b"application/grpc")
        + literal(b"te", b"trailers")
    )
    return (
        PREFACE
        + frame(SETTINGS)
        + frame(HEADERS, END_HEADERS, 1, block)
        + frame(0, DATA_END, 1, message(payload))
    )


class Churn(Case):
    # The one client leaves before it comes again: those that are gone must not fill the 64.
    arguments = ("--transient-forget", "1s", "--max-connections", "64")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def settled(self):
        eventually(
            lambda: self.daemon.live()["live.calls"] <= 1 and self.daemon.live()["live.subscriptions"] == 0,
            "all calls are gone",
        )
        eventually(lambda: self.daemon.live()["live.connections"] <= 1, "all connections are gone")
        return self.descriptors(), self.daemon.memory_bytes()

    def connect(self, first_bytes, host, port):
        with socket.create_connection((host, port), timeout=30) as connection:
            connection.sendall(first_bytes)
            if first_bytes is self.publish_bytes:
                self.assertTrue(connection.recv(64), "the publisher is served")

    def churn(self, seconds):
        host, port = self.daemon.address.rsplit(":", 1)
        kinds = (
            opening(b"/tributary.v1.Subscriber/Subscribe", subscribe_request().SerializeToString()),
            self.publish_bytes,
            PREFACE,
            b"",
        )
        ends = time.monotonic() + seconds
        count = 0
        while time.monotonic() < ends:
            self.connect(kinds[count % len(kinds)], host, int(port))
            count += 1
        return count

    def test_row_21_connections_and_calls_that_come_and_go_leave_nothing(self):
        self.publish_bytes = opening(
            b"/tributary.v1.Publisher/Publish",
            v1.PublishRequest(producer="churn", events=[event(1)]).SerializeToString(),
        )
        self.churn(SECONDS / 4)
        seen = [self.settled()]
        began, count = time.monotonic(), 0
        for _ in range(3):
            count += self.churn(SECONDS / 3)
            seen.append(self.settled())
        fds, memory = zip(*seen)
        print(
            f"\n  {count} connections, {count / (time.monotonic() - began):.0f} a second; "
            f"memory in KiB: {[size >> 10 for size in memory]}",
            flush=True,
        )
        self.assertLessEqual(max(fds) - min(fds), 4)
        if (
            not instrumented()
        ):  # a crowd of connections at one moment may raise it once; a leak raises it every time
            self.assertLess(min(after - before for before, after in zip(memory, memory[1:])), 1 << 20)


if __name__ == "__main__":
    main()
