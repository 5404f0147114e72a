#!/usr/bin/python3
"""Consumers that make others wait: for how long they may, and what becomes of them."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.sessions import WithSessions, of

CODE = grpc.StatusCode
BLOCK = v1.OVERFLOW_BLOCK
CANCEL = v1.RemoveProducerRequest.CANCEL


class Waiting(WithSessions, Case):
    arguments = ("--max-block-timeout", "1s", "--write-timeout", "2s")

    # Finding 7.
    def test_a_longer_block_timeout_is_lowered_and_said(self):
        plain = self.start_daemon(max_block_timeout=None)
        short = self.start_daemon("--max-block-timeout", "50ms")
        for daemon, asked, given in (
            (plain, 3600, 1.0),
            (plain, None, 0.1),
            (plain, 0, 0),
            (short, None, 0.05),
        ):
            with self.subTest(asked=asked, given=given):
                request = subscribe_request(overflow=BLOCK, block_timeout=asked)
                consumer = self.consumer(request, channel=self.channel(daemon.address))
                self.assertEqual(consumer.started.settings.block_timeout_nanos, int(given * 1e9))
                consumer.cancel()
        plain.stop()
        short.stop()

    # Finding 7.
    def test_one_without_credit_holds_producers_for_a_second_and_is_ended(self):
        reader = self.consumer(subscribe_request(max_events=1000))
        blocker = self.without_credit(subscribe_request(overflow=BLOCK, block_timeout=3600, max_events=1))
        self.assertEqual(blocker.started.settings.block_timeout_nanos, 10**9)
        streams = [self.publishing(f"p{n}") for n in range(20)]
        for number in range(21):
            for stream in streams:
                stream.send([event(number)])
        began = time.monotonic()
        for stream in streams:
            stream.finish()
        self.assertLess(time.monotonic() - began, 15, "everything is confirmed")
        reader.wait_events(20 * 21)
        self.check_fault(blocker.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_SLOW", contains=("credit",))
        self.assertGreater(time.monotonic() - began, 2, "it has the write timeout")
        eventually(lambda: not self.daemon.subscription(blocker.id), "the subscription is gone")

    # Finding 27.
    def test_one_that_does_not_read_is_ended_and_everybody_hears_why(self):
        session = self.per_consumer("p")
        self.stalled()
        activation = session.wait_starts(1)[0]
        for number in range(1000):
            if activation in session.paused:
                break
            session.send(activation, [event(number, size=10000)])
        self.assertEqual(session.wait_stop(activation).reason, "NOT_READING")
        subscription = session.starts[activation].subscription_id
        ended = eventually(
            lambda: [
                line for line in self.daemon.log("subscription.ended") if line["subscription"] == subscription
            ],
            "it is logged",
        )
        self.assertEqual([line["reason"] for line in ended], ["NOT_READING"])

    def test_one_that_grants_a_little_stays(self):
        consumer = self.without_credit(subscribe_request(overflow=BLOCK, block_timeout=0.05, max_events=20))
        stream = self.publishing("p")
        for number in range(40):
            stream.send([event(number)])
        stream.finish()
        for number in range(1, 5):
            until = time.monotonic() + 0.8
            eventually(lambda: time.monotonic() > until, "less than the write timeout")
            consumer.credit(events=1)
            consumer.wait_events(number)
        self.assertFalse(consumer.ended)

    def test_paused_activations_wait_as_long_as_their_consumer_does(self):
        session = self.per_consumer("each")
        consumer = self.without_credit(subscribe_request(overflow=BLOCK, max_events=1))
        activation = session.start_of(consumer)
        for number in range(10):
            session.send(activation, [event(number)])
        session.wait(lambda: activation in session.paused, "it is paused")
        until = time.monotonic() + 5
        eventually(lambda: time.monotonic() > until, "more than twice the write timeout")
        self.assertFalse(consumer.ended)
        consumer.credit(events=100)
        consumer.wait_events(10)
        self.assertEqual(consumer.received.numbers("each"), list(range(10)))

    # Finding 32.
    def test_a_half_close_with_the_credit_used_up_ends_at_once(self):
        consumer = self.without_credit()
        consumer.credit(events=5)
        self.publish("p", [event(number) for number in range(20)])
        consumer.wait_events(5)
        began = time.monotonic()
        consumer.half_close()
        self.assertIsNone(consumer.wait_end())
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(consumer.received.lost_count(), 15)
        self.assertEqual({lost.reason for lost in consumer.received.lost}, {v1.LOSS_REASON_DRAIN_CUT})

    def test_a_half_close_with_credit_left_delivers_what_it_allows(self):
        consumer = self.without_credit()
        self.publish("p", [event(number) for number in range(20)])
        consumer.credit(events=12)
        consumer.half_close()
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), list(range(12)))
        self.assertEqual(consumer.received.lost_count(), 8)


class Leaving(WithSessions, Case):
    """Finding 20. Nobody waits for a channel that it has nothing to do with any more."""

    shared_daemon = False

    def blocked(self, daemon, name):
        """A consumer that has a Publish of this name blocked for an hour, and that Publish."""
        channel = self.channel(daemon.address)
        consumer = self.without_credit(
            subscribe_request(overflow=BLOCK, block_timeout=3600, max_events=1), channel=channel
        )
        call = v1.stub("Publisher", self.channel(daemon.address)).Publish.future(
            v1.PublishRequest(producer=name, events=[event(1), event(2)])
        )
        eventually(lambda: daemon.blocked(name), "the call is blocked")
        return consumer, call

    def test_a_publish_goes_on_when_the_consumer_selects_something_else(self):
        daemon = self.start_daemon()
        consumer, call = self.blocked(daemon, "p")
        consumer.select(of("nothing"))
        self.assertEqual(call.result(PATIENCE).last_sequence, 2)
        consumer.cancel()
        daemon.stop()

    def test_a_publish_goes_on_when_its_producer_is_removed(self):
        daemon = self.start_daemon()
        consumer, call = self.blocked(daemon, "p")
        daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name="p", mode=CANCEL))
        self.assertEqual(call.result(PATIENCE).last_sequence, 2)
        consumer.cancel()
        daemon.stop()

    def test_a_session_that_is_removed_while_it_is_blocked_ends_at_once(self):
        daemon = self.start_daemon()
        consumer, call = self.blocked(daemon, "p")
        session = self.session("s", channel=self.channel(daemon.address))
        session.send(0, [event(1)])
        session.send(0, [event(2)])
        eventually(lambda: daemon.blocked("s"), "the session is blocked")
        daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name="s", mode=CANCEL))
        self.check_fault(session.wait_end(), CODE.FAILED_PRECONDITION, "REMOVED")
        eventually(lambda: daemon.live()["live.sessions"] == 0, "nothing is left of it")
        began = time.monotonic()
        call.cancel()
        consumer.cancel()
        daemon.stop()
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    main()
