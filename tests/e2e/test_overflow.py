#!/usr/bin/python3
"""A full channel: what exactly each policy does; and that every lost event is reported to its
consumer with its reason."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import duration, v1

CODE = grpc.StatusCode
BLOCK, OLDEST, NEWEST, DISCONNECT = (
    v1.OVERFLOW_BLOCK,
    v1.OVERFLOW_DROP_OLDEST,
    v1.OVERFLOW_DROP_NEWEST,
    v1.OVERFLOW_DISCONNECT,
)


class Overflow(Case):
    arguments = ("--write-timeout", "120s")

    def fill(self, consumer, name="p", count=500, size=200):
        """Publishes `count` events, one per message. Afterwards the totals of the stalled consumer
        are known."""
        stream = self.publishing(name)
        for number in range(count):
            stream.send([event(number, size=size)])
        stream.finish()
        subscription = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(subscription)
        self.assertEqual(subscription.accepted.events, count)
        return subscription

    def read_on(self, consumer, count):
        consumer.read()
        consumer.wait_accounted(count)
        eventually(lambda: self.daemon.subscription(consumer.id).queued.events == 0, "nothing waits")
        final = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(final)
        self.assertEqual(
            (final.delivered.events, final.dropped.events),
            (consumer.received.delivered, consumer.received.lost_count()),
        )
        self.assertEqual(final.dropped.bytes, sum(lost.bytes for lost in consumer.received.lost))
        return consumer.received

    def test_drop_oldest_keeps_the_newest(self):
        consumer = self.stalled(overflow=OLDEST, max_events=50)
        before = self.fill(consumer)
        self.assertGreater(before.dropped.events, 300)
        received = self.read_on(consumer, 500)
        self.assertEqual(received.numbers("p")[-50:], list(range(450, 500)))
        self.assertEqual({lost.reason for lost in received.lost}, {v1.LOSS_REASON_OVERFLOW_OLDEST})

    def test_drop_newest_keeps_the_oldest(self):
        consumer = self.stalled(overflow=NEWEST, max_events=50)
        self.fill(consumer)
        received = self.read_on(consumer, 500)
        numbers = received.numbers("p")
        self.assertEqual(numbers, list(range(len(numbers))))
        self.assertGreaterEqual(len(numbers), 50)
        self.assertEqual({lost.reason for lost in received.lost}, {v1.LOSS_REASON_OVERFLOW_NEWEST})

    def test_the_bound_in_bytes_holds_too(self):
        consumer = self.stalled(overflow=NEWEST, max_bytes=10_000)
        waiting = self.fill(consumer).queued
        # One batch may be in flight besides.
        self.assertLessEqual(waiting.bytes, 10_000 + 10_000)
        self.read_on(consumer, 500)

    def test_one_event_larger_than_the_channel_is_accepted_alone(self):
        consumer = self.consumer(subscribe_request(overflow=NEWEST, max_bytes=1000))
        for number in range(3):
            self.publish("large", [event(number, size=5000)])
            consumer.wait_events(number + 1)
        self.assertEqual(consumer.received.lost, [])

    def test_block_makes_the_producer_wait_and_then_the_fallback_becomes_active(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=0.3, fallback=NEWEST, max_events=20)
        self.fill(consumer)
        self.assertTrue(self.daemon.subscription(consumer.id).fallback_active)
        received = self.read_on(consumer, 500)
        self.assertFalse(
            self.daemon.subscription(consumer.id).fallback_active, "it is at its low watermark again"
        )
        self.assertTrue(
            {lost.reason for lost in received.lost}
            <= {v1.LOSS_REASON_BLOCK_TIMEOUT, v1.LOSS_REASON_OVERFLOW_NEWEST}
        )

    def test_a_publish_waits_for_a_blocking_channel_at_most_block_timeout(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=0.5, max_events=4)
        began = time.monotonic()
        answers = [self.publish("waits", [event(number, size=1000)]) for number in range(40)]
        self.assertGreaterEqual(time.monotonic() - began, 0.4, "the caller was blocked once")
        self.assertEqual(
            [answer.matched_subscriptions for answer in answers], [1] * 40, "each is answered with OK"
        )
        self.assertTrue(self.daemon.subscription(consumer.id).fallback_active)

    def test_a_publish_waits_at_most_its_own_deadline(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=3600, max_events=1)
        stub = v1.stub("Publisher", self.channel())
        took = []
        while len(took) < 60 and sum(seconds > 0.3 for seconds in took) < 3:
            began = time.monotonic()
            try:
                stub.Publish(
                    v1.PublishRequest(producer="in a hurry", events=[event(len(took), size=1000)]),
                    timeout=0.5,
                )
            except grpc.RpcError as error:
                # The answer comes just before the deadline, but may be late on a busy machine.
                self.assertEqual(error.code(), CODE.DEADLINE_EXCEEDED)
            took.append(time.monotonic() - began)
        self.assertEqual(sum(seconds > 0.3 for seconds in took), 3, "each waited, once the channel was full")
        self.assertLess(max(took), 5)
        self.check_totals(self.daemon.subscription(consumer.id, sources=True))

    def test_block_with_no_timeout_falls_back_at_once(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=0, fallback=OLDEST, max_events=10)
        began = time.monotonic()
        self.fill(consumer)
        self.assertLess(time.monotonic() - began, 15)
        self.read_on(consumer, 500)

    def test_disconnect_names_the_limit_and_the_loss(self):
        consumer = self.stalled(overflow=DISCONNECT, max_events=20)
        stream = self.publishing("p")
        for number in range(500):
            stream.send([event(number, size=200)])
        stream.finish()
        consumer.read()
        consumer.wait_end()
        self.assertEqual(consumer.stream.status, CODE.RESOURCE_EXHAUSTED.value[0])
        self.assertIn("20", consumer.stream.status_message)
        self.assertIn("events", consumer.stream.status_message)
        eventually(lambda: not self.daemon.subscription(consumer.id), "the subscription is gone")

    def test_disconnect_of_a_healthy_reader_carries_details(self):
        """A consumer that reads, only slowly, gets the whole status."""
        consumer = self.consumer(subscribe_request(overflow=DISCONNECT, max_events=1, linger=0.5))
        for number in range(200):
            self.publish("p", [event(number), event(number), event(number)])
            if consumer.ended:
                break
        self.check_fault(consumer.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")

    def test_max_age_drops_what_waited_too_long(self):
        consumer = self.stalled(overflow=NEWEST, max_age=0.2, max_events=10000)
        self.fill(consumer, count=100)
        young = self.publishing("p")
        until = time.monotonic() + 0.4
        eventually(lambda: time.monotonic() > until, "they are too old")
        young.send([event(100)])
        young.finish()
        received = self.read_on(consumer, 101)
        self.assertIn(100, received.numbers("p"))
        self.assertEqual({lost.reason for lost in received.lost}, {v1.LOSS_REASON_EXPIRED})
        self.assertGreater(received.lost_count(), 50)

    def test_losses_are_reported_before_the_next_event_of_their_source(self):
        # Received.apply() checks that sequences rise. Here the missing sequences must be those of
        # the losses.
        consumer = self.stalled(overflow=OLDEST, max_events=30)
        self.fill(consumer, name="losses")  # from 1 on
        received = self.read_on(consumer, 500)
        delivered = [sequence for _, _, sequence, _ in received.events]
        missing = set(range(1, 501)) - set(delivered)
        reported = set()
        for lost in received.lost:
            reported |= set(range(lost.first_sequence, lost.last_sequence + 1)) & missing
        self.assertEqual(reported, missing)
        self.assertEqual(received.lost_count(), len(missing))

    def test_finish_with_a_deadline_ends_a_stalled_consumer(self):
        daemon = self.start_daemon("--write-timeout", "1s")
        consumer = self.stalled(daemon.address, overflow=NEWEST, max_events=1000)
        for number in range(50):
            self.publish("p", [event(number, size=1000)], channel=daemon.channel)
        v1.stub("Subscriber", daemon.channel).Finish(
            v1.FinishRequest(subscription_id=consumer.id, drain=duration(0.2))
        )
        eventually(lambda: daemon.subscription(consumer.id).losses, "its deadline cuts what waits")
        eventually(lambda: not daemon.subscription(consumer.id), "the write timeout ends it")

    def test_a_call_whose_peer_does_not_read_ends_after_the_write_timeout(self):
        daemon = self.start_daemon("--write-timeout", "1s")
        consumer = self.stalled(daemon.address, overflow=NEWEST, max_events=100)
        for number in range(50):
            v1.stub("Publisher", daemon.channel).Publish(
                v1.PublishRequest(producer="p", events=[event(number, size=1000)])
            )
        eventually(lambda: not daemon.subscriptions(), "the stalled consumer is ended")
        consumer.read()
        consumer.connection.wait(
            lambda: consumer.stream.ended or consumer.stream.reset is not None, "the stream ends"
        )
        if consumer.stream.status is not None:
            self.assertEqual(consumer.stream.status, CODE.RESOURCE_EXHAUSTED.value[0])
        consumer.cancel()
        daemon.stop()


if __name__ == "__main__":
    main()
