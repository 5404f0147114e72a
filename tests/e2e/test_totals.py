#!/usr/bin/python3
"""X3: the totals are exact at any moment of a run with random stalls, kills and policies. At the
end both sides agree."""
import os
import random
import threading
import time

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import instrumented
from harness.protos import v1

SECONDS = 60 if os.environ.get("TRIBUTARY_LONG") else 15
PRODUCERS = 6
POLICIES = [
    dict(overflow=v1.OVERFLOW_DROP_OLDEST, max_events=64),
    dict(overflow=v1.OVERFLOW_DROP_NEWEST, max_events=64),
    dict(overflow=v1.OVERFLOW_DROP_OLDEST, max_bytes=20_000),
    dict(overflow=v1.OVERFLOW_BLOCK, block_timeout=0.02, max_events=64),
    dict(overflow=v1.OVERFLOW_BLOCK, block_timeout=0.02, fallback=v1.OVERFLOW_DROP_NEWEST, max_events=16),
    dict(overflow=v1.OVERFLOW_DROP_NEWEST, max_events=5000, max_age=0.05),
]


class Totals(Case):
    arguments = ("--write-timeout", "120s")
    forget = "60s"

    def test_X3_the_totals_are_exact_at_any_moment_and_both_sides_agree_at_the_end(self):
        self.chance = random.Random(3)
        self.stopping = threading.Event()
        self.failures = []
        lasting = [self.open(policy) for policy in POLICIES]
        threads = [
            threading.Thread(target=self.run_guarded, args=(work,))
            for work in (self.hold_at_random, self.kill_at_random)
        ]
        threads += [
            threading.Thread(target=self.run_guarded, args=(lambda name=f"x3/{n}": self.produce(name),))
            for n in range(PRODUCERS)
        ]
        self.lasting = lasting
        for thread in threads:
            thread.start()
        checks = 0
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not self.failures:
            for subscription in self.daemon.subscriptions(sources=True):
                self.check_totals(subscription)
                checks += 1
        self.stopping.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual(self.failures, [])
        self.assertGreater(checks, 20 if instrumented() else 100)
        for consumer in lasting:
            self.compare(consumer)

    def open(self, policy):
        # A small window: so the server soon notices a consumer that stops reading.
        channel = self.channel(**{"http2.lookahead_bytes": 4096, "http2.bdp_probe": 0})
        return self.consumer(
            subscribe_request(**policy, notices=v1.NOTICES_NONE), channel=channel, keep=False
        )

    def run_guarded(self, work):
        try:
            work()
        except Exception as error:  # the test fails with it
            self.failures.append(repr(error))

    def produce(self, name):
        """Publishes by streams and by single calls, in turn. Some streams are cancelled."""
        chance = random.Random(name)
        channel = self.channel()
        number = 0
        while not self.stopping.is_set():
            stream = self.publishing(name, channel=channel)
            for _ in range(chance.randrange(1, 60)):
                count = chance.randrange(1, 20)
                stream.send(
                    [event(number + offset, size=chance.randrange(10, 400)) for offset in range(count)]
                )
                number += count
                stream.wait(
                    lambda: stream.sent - stream.confirmed < 8 or stream.ended, "the producer may go on", 60
                )
            if chance.random() < 0.3:
                stream.cancel()
            else:
                stream.finish(60)
            self.publish(name, [event(number)], channel=channel)

    def hold_at_random(self):
        while not self.stopping.wait(self.chance.uniform(0.01, 0.1)):
            consumer = self.chance.choice(self.lasting)
            (consumer.hold if self.chance.random() < 0.6 else consumer.resume)()
        for consumer in self.lasting:
            consumer.resume()

    def kill_at_random(self):
        """Consumers come, stop reading, and end: by cancel, by an operator, or by a drain."""
        while not self.stopping.is_set():
            consumer = self.open(self.chance.choice(POLICIES))
            if self.chance.random() < 0.7:
                consumer.hold()
            self.stopping.wait(self.chance.uniform(0.05, 0.4))
            how = self.chance.randrange(3)
            if how == 1:
                self.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=consumer.id, reason="X3"))
            elif how == 2:
                v1.stub("Subscriber", self.daemon.channel).Finish(
                    v1.FinishRequest(subscription_id=consumer.id)
                )
                consumer.resume()
                fault = consumer.wait_end(60)
                if fault:
                    raise AssertionError(f"a finished stream ended with {fault}")
            consumer.cancel()

    def compare(self, consumer):
        """Reads to the end. Then consumer and server must have the same totals: in all, per reason
        and per source."""
        server = self.daemon.subscription(consumer.id, sources=True)
        consumer.wait_accounted(server.accepted.events, 60)
        server = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(server)
        received = consumer.received
        self.assertEqual(server.queued.events, 0)
        self.assertEqual(
            (server.delivered.events, server.dropped.events), (received.delivered, received.lost_count())
        )
        by_reason = {
            loss.reason: (loss.lost.events, loss.lost.bytes) for loss in server.losses if loss.lost.events
        }
        reported = {}
        for lost in received.lost:
            events, size = reported.get(lost.reason, (0, 0))
            reported[lost.reason] = (events + lost.count, size + lost.bytes)
        self.assertEqual(by_reason, reported)
        of_server = {
            (source.source, source.epoch): (source.delivered.events, source.dropped.events)
            for source in server.sources
        }
        # The counts of a source begin again after it was idle, and others has the rest.
        of_consumer = {key: (delivered, lost) for key, (_, _, delivered, lost) in received.positions.items()}
        self.assertLessEqual(set(of_server), set(of_consumer))
        for key, (delivered, dropped) in of_server.items():
            self.assertLessEqual(delivered, of_consumer[key][0])
            self.assertLessEqual(dropped, of_consumer[key][1])
        self.assertGreater(received.delivered, 0)


if __name__ == "__main__":
    main()
