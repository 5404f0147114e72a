#!/usr/bin/python3
"""What a burst has taken goes back to the system once it is released."""
import unittest

from harness.case import Case, main
from harness.client import event
from harness.daemon import eventually, instrumented
from harness.protos import v1

MIB = 1 << 20
BURST = 200 * MIB
EVENT_BYTES = 40_000  # blocks of this size stay in malloc()'s own memory


@unittest.skipIf(instrumented(), "a sanitizer has an allocator of its own")
class Burst(Case):
    shared_daemon = False

    def burst(self, daemon, names):
        """Publishes it. Returns the resident set before."""
        before = daemon.memory_bytes()
        stub, one = v1.stub("Publisher", daemon.channel), event(1, size=EVENT_BYTES)
        for number in range(BURST // EVENT_BYTES):
            stub.Publish(v1.PublishRequest(producer=f"p{number % names}", events=[one]))
        self.assertGreater(daemon.memory_bytes(), before + BURST - 8 * MIB, "it is kept")
        return before

    def check_returned(self, daemon, before):
        def is_back():
            return daemon.memory_bytes() < before + 32 * MIB

        eventually(is_back, "the resident set is back within 32 MiB", patience=5)
        daemon.close_channel()
        daemon.stop()

    def test_of_a_channel(self):
        daemon = self.start_daemon("--write-timeout", "120s")
        consumer = self.stalled(
            daemon.address, overflow=v1.OVERFLOW_DROP_NEWEST, max_events=1 << 20, max_bytes=256 * MIB)
        before = self.burst(daemon, names=7)
        consumer.cancel()
        eventually(lambda: daemon.live()["live.chunks"] == 0, "its channel is gone")
        self.check_returned(daemon, before)

    def test_of_history(self):
        daemon = self.start_daemon("--history", "--transient-forget", "10s")
        before = self.burst(daemon, names=250)
        eventually(lambda: daemon.live()["live.chunks"] == 0, "the producers are forgotten")
        self.check_returned(daemon, before)


if __name__ == "__main__":
    main()
