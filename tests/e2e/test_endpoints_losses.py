#!/usr/bin/python3
"""What an upstream says it has lost, where its events become those of the endpoint: decode
EVENT_BATCH. The upstream is one made for tributary, a bad one, or another tributary."""
import grpc

from harness.cascade import SUBSCRIBE, Node
from harness.case import main
from harness.client import Consumer, connect, event, publish, subscribe_request
from harness.daemon import eventually
from harness.endpoints import ACTIVE, ENDPOINT, RUN, UNAVAILABLE, WithUpstreams
from harness.protos import duration, message_class, v1
from harness.sessions import of

LOST = message_class("tributary.v1.Lost")
OLDEST, BUDGET = v1.LOSS_REASON_OVERFLOW_OLDEST, v1.LOSS_REASON_BUDGET
UNKNOWN_REASON = v1.LOSS_REASON_REPORTED_BY_PRODUCER


def batch(*numbers, lost=()):
    runs = [RUN(events=[event(number) for number in numbers], source="inner")] if numbers else []
    return v1.EventBatch(runs=runs, lost=lost).SerializeToString()


class Losses(WithUpstreams):
    def losses(self, consumer, source="p"):
        return [
            (each.reason, each.count, each.bytes, each.count_unknown, each.upstream)
            for each in consumer.received.lost
            if each.source == source
        ]

    def wait_losses(self, consumer, expected, source="p"):
        consumer.wait(lambda: len(self.losses(consumer, source)) >= len(expected), f"{expected}")
        self.assertEqual(sorted(self.losses(consumer, source)), sorted(expected))

    def native(self, activation):
        upstream = self.upstream()
        self.add("p", upstream.address, method="", activation=activation)
        return upstream


class Reported(Losses):
    def test_each_consumer_hears_of_its_own_call_only(self):
        before = self.daemon.counters()["events.lost_upstream"]
        upstream = self.native(ENDPOINT.PER_CONSUMER)
        first = self.consumer(subscribe_request(of("p")))
        call = upstream.wait_calls(1)
        second = self.consumer(subscribe_request(of("p")))
        other = upstream.wait_calls(2)
        call.send(batch(1, 2, lost=[LOST(count=5, bytes=50, reason=OLDEST, source="inner", epoch=3)]))
        other.send(batch(7))
        second.wait_events(1)
        first.wait_events(2)
        self.wait_losses(first, [(OLDEST, 5, 50, False, True)])
        self.assertEqual(self.losses(second), [])
        self.assertEqual(first.received.lost[0].first_sequence, 0, "sequences are those of the endpoint")
        lost = self.daemon.producer("p").lost_upstream
        self.assertEqual((lost.events, lost.bytes), (5, 50))
        self.assertEqual(self.daemon.counters()["events.lost_upstream"] - before, 5)

    def test_all_consumers_of_a_shared_call_hear_it(self):
        for activation in (ENDPOINT.SHARED, ENDPOINT.BY_REQUEST):
            with self.subTest(activation=activation):
                upstream = self.native(activation)
                consumers = [self.consumer(subscribe_request(of("p"))) for _ in range(3)]
                call = upstream.wait_calls(1)
                for consumer in consumers:
                    self.wait_state(consumer, "p", ACTIVE)
                call.send(batch(lost=[LOST(count=2, reason=BUDGET)]), batch(1))
                for consumer in consumers:
                    consumer.wait_events(1)
                    self.wait_losses(consumer, [(BUDGET, 2, 0, False, True)])
                self.assertEqual(self.daemon.producer("p").lost_upstream.events, 2)
                for consumer in consumers:
                    consumer.cancel()
                self.remove("p")

    def test_who_selects_by_the_events_is_told_no_count(self):
        upstream = self.native(ENDPOINT.PER_CONSUMER)
        consumer = self.consumer(subscribe_request([v1.Selector(producer="p", topic="t")]))
        upstream.wait_calls(1).send(batch(lost=[LOST(count=5, bytes=50, reason=OLDEST)]))
        self.wait_losses(consumer, [(OLDEST, 0, 0, True, True)])

    def test_a_loss_between_events_comes_no_later_than_the_next_event(self):
        upstream = self.native(ENDPOINT.PER_CONSUMER)
        seen = []
        consumer = self.consumer(subscribe_request(of("p")), on_batch=lambda each: seen.append(each))
        call = upstream.wait_calls(1)
        for number in range(200):
            call.send(batch(number), batch(lost=[LOST(count=1, reason=BUDGET)]))
        call.send(batch(200))
        consumer.wait_events(201)
        lost = events = 0
        for each in seen:
            lost += sum(loss.count for loss in each.lost)
            for run in each.runs:
                events += len(run.events)
            self.assertGreaterEqual(lost, events - 1)
        self.assertEqual(lost, 200)


class Hostile(Losses):
    def setUp(self):
        super().setUp()
        self.server = self.native(ENDPOINT.PER_CONSUMER)
        self.reader = self.consumer(subscribe_request(of("p")))
        self.call = self.server.wait_calls(1)

    def test_odd_losses(self):
        self.call.send(
            batch(
                1,
                lost=[
                    LOST(count=3),
                    LOST(count=4, reason=v1.LOSS_REASON_CONSUMER_GONE),
                    LOST(count=1 << 63, bytes=1 << 63, reason=BUDGET),
                    LOST(count=1, bytes=2, reason=OLDEST, first_sequence=9, last_sequence=1),
                    LOST(reason=v1.LOSS_REASON_EXPIRED),
                ],
            )
        )
        self.reader.wait_events(1)
        self.wait_losses(
            self.reader,
            [
                (UNKNOWN_REASON, 7, 0, False, True),
                (BUDGET, 0, 0, True, True),
                (OLDEST, 1, 2, False, True),
            ],
        )

    def test_a_flood_of_losses_in_one_message_is_one_loss(self):
        large = batch(lost=[LOST(count=1 << 40, bytes=1 << 50, reason=BUDGET)])
        self.call.send(large * 50000 + batch(1))
        self.reader.wait_events(1)
        self.assertEqual(len(self.reader.received.lost), 1, self.reader.received.lost[:3])
        self.assertEqual(self.losses(self.reader)[0][:2], (BUDGET, 50000 << 40))

    def test_malformed_losses_end_the_call(self):
        bad_name = LOST(count=1, source="a\x01").SerializeToString()
        for part, words in (
            (b"\x12\x02\xff\xff", "message.lost"),
            (b"\x10\x01", "message.lost"),
            (b"\x12" + bytes([len(bad_name)]) + bad_name, "message.lost.source"),
        ):
            with self.subTest(part=part):
                call = self.server.calls[-1]
                call.send(batch(1) + part)
                self.assertTrue(call.over.wait(10), "the call is over")
                eventually(lambda: words in self.daemon.producer("p").failure.message, words)
                code = self.daemon.producer("p").failure.code
                self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
                self.remove("p")
                self.server = self.native(ENDPOINT.PER_CONSUMER)
                self.server.wait_calls(1)
        self.assertEqual(self.reader.received.delivered, 0, "nothing of a refused message is taken")


class CallForEachConsumer(Losses):
    """What a consumer writes who wants an upstream call of its own of another tributary."""

    def setUp(self):
        super().setUp()
        self.inner = Node()
        self.addCleanup(self.inner.close)
        self.add("site", self.inner.address, method=SUBSCRIBE, decode=ENDPOINT.EVENT_BATCH,
                 activation=ENDPOINT.PER_CONSUMER, backoff=duration(0.05), max_backoff=duration(0.2))

    def at_site(self, selectors, **options):
        request = subscribe_request(selectors, **options).SerializeToString()
        return self.consumer(subscribe_request(of("site"), request=request))

    def publish(self, producer, events):
        channel = connect(self.inner.address)
        try:
            return publish(channel, producer, events)
        finally:
            channel.close()

    def test_each_consumer_selects_at_the_inner_server(self):
        first, second = self.at_site(of("a")), self.at_site([v1.Selector(producer="*", topic="t")])
        eventually(lambda: len(self.inner.daemon.subscriptions()) == 2, "each has its call")
        self.publish("a", [event(1), event(2, topic="t")])
        self.publish("b", [event(3, topic="t")])
        first.wait_events(2)
        second.wait_events(2)
        self.assertEqual(first.received.numbers("site"), [1, 2])
        self.assertEqual(sorted(second.received.numbers("site")), [2, 3])
        first.cancel()
        eventually(lambda: len(self.inner.daemon.subscriptions()) == 1, "its call is cancelled")

    def test_a_slow_consumer_slows_its_own_call_and_hears_what_it_missed_there(self):
        count, size = 30000, 1000
        slow, quick = self.at_site(of("a"), max_events=100, overflow=v1.OVERFLOW_DROP_OLDEST), self.at_site(
            of("a"), max_events=1 << 17, max_bytes=128 << 20)
        eventually(lambda: len(self.inner.daemon.subscriptions()) == 2, "each has its call")
        slow.hold()
        for first in range(0, count, 1000):
            self.publish("a", [event(number, size=size) for number in range(first, first + 1000)])
        quick.wait_events(count)
        self.assertEqual(self.losses(quick, "site"), [])
        slow.resume()
        slow.wait_accounted(count)
        self.assertEqual(slow.received.delivered + slow.received.lost_count(), count)
        self.assertGreater(slow.received.lost_count(), 0, "it was slow")
        self.assertTrue(all(each.upstream for each in slow.received.lost), "at the inner server")

    def test_the_inner_server_is_killed_and_comes_back(self):
        consumer = self.at_site(of("a"))
        self.wait_state(consumer, "site", ACTIVE)
        self.publish("a", [event(1)])
        consumer.wait_events(1)
        self.inner.kill()
        self.wait_state(consumer, "site", UNAVAILABLE)
        self.inner.start()
        consumer.wait(lambda: self.states(consumer, "site").count(ACTIVE) >= 2, "it is called again")
        self.publish("a", [event(2)])
        consumer.wait_events(2)
        self.assertEqual(consumer.received.numbers("site"), [1, 2])

    def test_the_cascade_for_each_consumer_is_refused_with_what_to_write(self):
        for activation in (ENDPOINT.PER_CONSUMER, ENDPOINT.BY_REQUEST):
            code, words = grpc.StatusCode.INVALID_ARGUMENT, ["CASCADE is SHARED", "NAME/*", "EVENT_BATCH"]
            with self.assertFault(code, "UNSUPPORTED", "endpoint.activation", words):
                self.add("other", self.inner.address, method=SUBSCRIBE, activation=activation)


if __name__ == "__main__":
    main()
