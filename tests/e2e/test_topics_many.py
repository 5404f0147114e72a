#!/usr/bin/python3
"""A thousand stored topics with a million events, and a thousand consumers that stand still: memory,
and the time to serve again after a kill. row_19."""
import time

from harness.case import main
from harness.client import connect
from harness.crowd import Crowd
from harness.daemon import PATIENCE, eventually, instrumented
from harness.protos import message_class, v1
from harness.topics import TopicsCase

SCALE = 10 if instrumented() else 1
TOPICS = CONSUMERS = 1000 // SCALE
EVENTS = 1000  # of each topic
STREAMS_PER_LINK = 100
MAX_RSS = 300 << 20
MAX_START_SECONDS = 5
CONSUME = "/tributary.v1.Subscriber/Consume"


def name(number):
    return f"topic-{number}"


class Many(TopicsCase):
    def _publish(self):
        """Each topic's events in one message."""
        channel = connect(self.daemon.address)
        self.addCleanup(channel.close)

        def requests():
            for number in range(TOPICS):
                event = v1.Event(topic=name(number), key="some key", data=bytes(100))
                yield v1.PublishStreamRequest(events=[event] * EVENTS, confirm=v1.CONFIRM_STORED)

        for answer in v1.stub("Publisher", channel).PublishStream(requests(), timeout=4 * PATIENCE):
            self.assertEqual(list(answer.refused), [])
        self.assertEqual(answer.confirmed_batch, TOPICS)

    def _subscribe(self, crowd):
        """Each reads one topic from its first event, and soon has no credit."""
        start = v1.Start(earliest=message_class("tributary.v1.Start.Earliest")())
        credit = v1.ConsumeRequest(credit=message_class("tributary.v1.ConsumeRequest.Credit")(events=1))
        for number in range(CONSUMERS):
            if number % STREAMS_PER_LINK == 0:
                link = crowd.link()
            selectors = [v1.Selector(producer=f"@{name(number % TOPICS)}")]
            init = v1.ConsumeRequest(init=v1.SubscribeRequest(selectors=selectors, start=start))
            stream = link.open(CONSUME, init.SerializeToString())
            link.send(stream, credit.SerializeToString())

    def _until_it_is_quiet(self):
        """What was read for the consumers, and waits, is all that they may have waiting."""
        seen = []

        def is_quiet():
            chunks = self.daemon.live()["live.chunks"]
            if not seen or chunks != seen[0]:
                seen[:] = [chunks, time.monotonic()]
            return time.monotonic() - seen[1] > 1

        eventually(is_quiet, "nothing more is read")
        self.assertGreater(seen[0], CONSUMERS / 2, "chunks wait")

    def test_memory_and_the_time_to_serve_again(self):
        self.start("--create-topics", "topic-*", "--local-peer-share", "100")
        self._publish()
        self.assertEqual(len(self.topics()), TOPICS)
        crowd = Crowd(self.daemon.address)
        try:
            self._subscribe(crowd)
            eventually(lambda: self.daemon.live()["live.routes"] == CONSUMERS, "each has its topic")
            self._until_it_is_quiet()
            if not instrumented():
                self.assertLess(self.daemon.memory_bytes(), MAX_RSS)
            self.daemon.kill()
        finally:
            crowd.close()
        began = time.monotonic()
        self.start("--local-peer-share", "100")
        self.assertLess(time.monotonic() - began, MAX_START_SECONDS)
        self.assertEqual({topic.next_sequence for topic in self.topics()}, {EVENTS + 1})
        self.daemon.stop()


if __name__ == "__main__":
    main()
