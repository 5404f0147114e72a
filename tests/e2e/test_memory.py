#!/usr/bin/python3
"""What a burst has taken goes back to the system once it is released. What a peer does not read is
charged to it."""
import unittest

from harness.case import Case, main
from harness.client import event
from harness.daemon import eventually, instrumented
from harness.protos import v1
from harness.rawh2 import Connection

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

        # A trim in the middle may hold the next one back: for 100 times as long as it took.
        eventually(is_back, "the resident set is back within 32 MiB")
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


class UnreadAnswers(Case):
    """Finding 9, for the answers of unary calls."""

    shared_daemon = False
    CALLS = 300

    def test_they_are_charged_and_others_get_theirs(self):
        daemon = self.start_daemon("--memory-limit", "16M")
        stub = v1.stub("Publisher", daemon.channel)
        for number in range(500):
            stub.Publish(v1.PublishRequest(producer=f"p{number:03}" + "x" * 250, events=[event(1)]))
        before = daemon.memory_bytes()
        deaf = Connection(daemon.address, window=0, replenish=False)
        self.addCleanup(deaf.close)
        page = v1.ListProducersRequest(page_size=1000).SerializeToString()
        calls = [deaf.call("/tributary.v1.Admin/ListProducers", page) for _ in range(self.CALLS)]
        deaf.wait(lambda: sum(call.ended for call in calls) > self.CALLS // 2, "they are refused")
        self.assertIn("at most", [call for call in calls if call.ended][0].status_message)
        self.assertLessEqual(daemon.live()["live.answer_bytes"], 2 * MIB)
        if not instrumented():
            self.assertLess(daemon.memory_bytes(), before + 32 * MIB)
        deaf.close()
        eventually(lambda: daemon.live()["live.answer_bytes"] == 0, "they are given back")
        answer = v1.stub("Admin", daemon.channel).ListProducers(v1.ListProducersRequest(page_size=10))
        self.assertEqual(len(answer.producers), 10)
        daemon.close_channel()
        daemon.stop()


if __name__ == "__main__":
    main()
