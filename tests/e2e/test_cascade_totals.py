#!/usr/bin/python3
"""X9: the sums hold from end to end, under random blips, stalls, and kills of the middle one.

CASCADE_SECONDS: how long each test goes on (4)."""
import os
import random
import threading
import time

import grpc

from harness.cascade import Chain
from harness.case import Case, main
from harness.client import event, publish, subscribe_request
from harness.daemon import PATIENCE
from harness.protos import v1
from harness.sessions import of

SECONDS = float(os.environ.get("CASCADE_SECONDS", "4"))
SOURCES = ("web", "db", "log")
DROP_OLDEST = v1.OVERFLOW_DROP_OLDEST


class Publishers:
    """One for each source at the innermost server, until stop()."""

    def __init__(self, chain):
        self.count = dict.fromkeys(SOURCES, 0)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._publish, args=(chain.channel(chain.a), each)) for each in SOURCES
        ]
        for thread in self._threads:
            thread.start()

    def _publish(self, channel, source):
        while not self._stopped.is_set():
            first = self.count[source]
            publish(channel, source, [event(first + i, size=150) for i in range(25)])
            self.count[source] += 25
            time.sleep(0.002)

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE)


class Totals(Case):
    shared_daemon = False

    def chain(self, **requests):
        chain = Chain(**requests)
        self.addCleanup(chain.close)
        self._started += [chain.a.daemon, chain.b.daemon, chain.c.daemon]
        chain.wait_relayed()
        return chain

    def lost(self, consumer, source):
        """What was lost of a source, of both kinds of gaps."""
        losses = [each for each in consumer.received.lost if each.source == f"b/a/{source}"]
        return sum(each.count for each in losses), any(each.count_unknown for each in losses)

    def delivered(self, consumer, source):
        positions = consumer.received.positions.items()
        return sum(position[2] for (name, _), position in positions if name == f"b/a/{source}")

    def wait_totals(self, chain, consumer, publishers, exact):
        """A last event of each source says where it ended."""
        for source in SOURCES:
            chain.publish(source, [event(publishers.count[source])])
            publishers.count[source] += 1

        def holds(source):
            count, is_unknown = self.lost(consumer, source)
            total = self.delivered(consumer, source) + count
            if total == publishers.count[source]:
                return True
            return is_unknown and not exact and self.at_end(consumer, source, publishers)

        try:
            consumer.wait(lambda: all(holds(source) for source in SOURCES), "the totals hold")
        except AssertionError as error:
            found = {s: (self.delivered(consumer, s), self.lost(consumer, s)) for s in SOURCES}
            counts = f"published {publishers.count}, delivered and lost {found}"
            raise AssertionError(f"{counts}: {error}") from None

    def at_end(self, consumer, source, publishers):
        """The last event came. What was reported is no more than what is missing."""
        positions = consumer.received.positions.items()
        last = max(position[1] for (name, _), position in positions if name == f"b/a/{source}")
        missing = publishers.count[source] - self.delivered(consumer, source)
        return last == publishers.count[source] and self.lost(consumer, source)[0] <= missing

    def blip(self, daemon):
        for each in daemon.subscriptions():
            if not each.name:
                try:
                    daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=each.id))
                except grpc.RpcError:
                    pass

    def test_blips_and_stalls(self):
        small = subscribe_request(overflow=DROP_OLDEST, max_events=400)
        chain = self.chain(request_b=small, request_c=small)
        chooser = random.Random(7)
        consumer = chain.consumer(selectors=of("b/a/*"), max_events=500, overflow=DROP_OLDEST, name="last")
        publishers = Publishers(chain)
        self.addCleanup(publishers.stop)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            chooser.choice(
                [
                    lambda: self.blip(chain.a.daemon),
                    lambda: self.blip(chain.b.daemon),
                    consumer.hold,
                    consumer.resume,
                ]
            )()
            time.sleep(chooser.uniform(0.02, 0.2))
        consumer.resume()
        publishers.stop()
        chain.wait_relayed()
        self.wait_totals(chain, consumer, publishers, exact=True)
        self.check_totals(chain.c.daemon.subscription(consumer.id, sources=True))

    def test_kills_of_the_middle_one(self):
        chain = self.chain()
        chooser = random.Random(11)
        consumer = chain.consumer(selectors=of("b/a/*"), max_events=1 << 18, overflow=DROP_OLDEST)
        publishers = Publishers(chain)
        self.addCleanup(publishers.stop)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(chooser.uniform(0.1, 0.6))
            getattr(chain.b, chooser.choice(["kill", "terminate"]))()
            chain.b.start()
            self._started.append(chain.b.daemon)
            chain.relay_at_b()
        chain.wait_relayed()
        publishers.stop()
        self.wait_totals(chain, consumer, publishers, exact=False)
        epochs = {key for key in consumer.received.positions if key[0].startswith("b/a/")}
        self.assertEqual(len(epochs), len(SOURCES), "each source keeps its epoch")


if __name__ == "__main__":
    main()
