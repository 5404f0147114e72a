#!/usr/bin/python3
"""Pause and resume: one activation is paused, the others on the same call go on (A12, A19)."""
import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import v1
from harness.sessions import WithSessions

CODE = grpc.StatusCode
BLOCK, OLDEST, NEWEST, DISCONNECT = (
    v1.OVERFLOW_BLOCK,
    v1.OVERFLOW_DROP_OLDEST,
    v1.OVERFLOW_DROP_NEWEST,
    v1.OVERFLOW_DISCONNECT,
)
RESERVE = 1024


class Pause(WithSessions, Case):
    """A12, A19."""

    def until_paused(self, session, activation, first=0, limit=100):
        """Sends one event after another until it is told to pause. Returns how many it sent."""
        number = first
        while activation not in session.paused and number < limit:
            session.send(activation, [event(number)])
            number += 1
            session.wait_confirmed()
        return number

    def test_A19_max_events_1_with_BLOCK(self):
        session = self.per_consumer("p")
        consumer = self.without_credit(subscribe_request(overflow=BLOCK, max_events=1))
        activation = session.start_of(consumer)
        sent = self.until_paused(session, activation)
        self.assertLessEqual(
            sent, 4, "one waits, one more began the pause, and a pause may cross a confirmation"
        )
        seen = self.daemon.producer("p")
        self.assertEqual((seen.paused_activations, seen.activations), (1, 1))
        while sent < 100:
            consumer.credit(events=1)
            consumer.wait(lambda: consumer.received.delivered >= 1, "it goes on")
            session.wait(
                lambda: activation not in session.paused or consumer.received.delivered >= sent,
                "it may go on",
            )
            sent = self.until_paused(session, activation, sent)
        consumer.credit(events=1000)
        consumer.wait_events(100)
        session.wait(lambda: not session.paused, "it is resumed")
        self.assertEqual((consumer.received.numbers("p"), consumer.received.lost), (list(range(100)), []))
        self.assertGreater(session.pauses, 1)
        self.assertEqual(self.daemon.producer("p").paused_activations, 0)

    def test_the_reserve_is_kept_whole_and_beyond_it_the_fallback_applies(self):
        for beyond in (0, 300):
            with self.subTest(beyond=beyond):
                session = self.per_consumer("p")
                consumer = self.without_credit(
                    subscribe_request(overflow=BLOCK, max_events=4, block_timeout=0.1)
                )
                activation = session.start_of(consumer)
                sent = self.until_paused(session, activation)
                session.wait(lambda: activation in session.paused, "it is paused")
                for number in range(sent, sent + RESERVE + beyond):
                    session.send(activation, [event(number)])
                session.wait_confirmed()
                sent += RESERVE + beyond
                self.check_totals(self.daemon.subscription(consumer.id, sources=True))
                consumer.credit(events=1 << 20)
                consumer.wait_accounted(sent)
                lost = consumer.received.lost_count()
                if beyond == 0:
                    self.assertLessEqual(lost, 4, "only events that crossed the pause can exceed the reserve")
                else:
                    self.assertTrue(0 < lost < sent, f"{lost} of {sent} are lost")
                self.assertLessEqual(
                    {each.reason for each in consumer.received.lost},
                    {v1.LOSS_REASON_BLOCK_TIMEOUT, v1.LOSS_REASON_OVERFLOW_OLDEST},
                )
                session.wait(lambda: not session.paused, "it is resumed")
                session.send(activation, [event(sent)])
                consumer.wait(lambda: consumer.received.numbers("p")[-1] == sent, "it goes on as before")
                consumer.cancel()
                session.finish()

    def test_the_default_policy_pauses_activations_and_drops_events_of_shared_producers(self):
        session, shared = self.per_consumer("per-consumer"), self.session("shared")
        consumer = self.without_credit(subscribe_request(max_events=8))
        activation = session.start_of(consumer)
        sent = self.until_paused(session, activation)
        session.wait(lambda: activation in session.paused, "the activation is paused")
        for number in range(100):
            shared.send(0, [event(number)])
        shared.wait_confirmed()
        self.assertFalse(self.daemon.blocked("shared"))
        consumer.credit(events=1 << 20)
        consumer.wait_accounted(sent + 100)
        # DROP_OLDEST drops from the source that holds the most bytes, which may be the activation.
        # What is parked is not touched.
        self.assertLessEqual(
            {each.reason for each in consumer.received.lost}, {v1.LOSS_REASON_OVERFLOW_OLDEST}
        )
        self.assertEqual(consumer.received.numbers("per-consumer")[-1], sent - 1)
        self.assertEqual(consumer.received.numbers("shared")[-1], 99)

    def test_A12_one_stalled_consumer_among_many_activations_of_a_session(self):
        """For each policy: while one does not read, the others on the same call get everything, in
        order, and are never paused."""
        for policy in (BLOCK, OLDEST, NEWEST, DISCONNECT):
            with self.subTest(policy=v1.enum_name("Overflow", policy)):
                session = self.per_consumer("p")
                stuck = self.without_credit(subscribe_request(overflow=policy, max_events=16))
                others = [
                    self.consumer(subscribe_request(overflow=BLOCK, max_events=4096)) for _ in range(10)
                ]
                slow = session.start_of(stuck)
                activations = [session.start_of(consumer) for consumer in others]
                for number in range(0, 600, 3):
                    batch = [event(number + offset, size=100) for offset in range(3)]
                    for activation in [slow] + activations:
                        if activation not in session.paused:
                            session.send(activation, batch)
                for consumer in others:
                    consumer.wait_events(600)
                    self.assertEqual(
                        (consumer.received.numbers("p"), consumer.received.lost), (list(range(600)), [])
                    )
                session.wait_confirmed()
                paused = {message.activation for kind, message, _ in session.commands if kind == "pause"}
                self.assertEqual(paused, {slow} if policy == BLOCK else set())
                if policy == DISCONNECT:
                    self.check_fault(stuck.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")
                    session.wait_stop(slow)
                else:
                    seen = self.daemon.subscription(stuck.id, sources=True)
                    self.check_totals(seen)
                    self.assertEqual(seen.dropped.events == 0, policy == BLOCK)
                stuck.cancel()
                for consumer in others:
                    consumer.cancel()
                session.finish()

    def test_A12_a_consumer_that_does_not_read_its_socket_delays_no_other_activation(self):
        session = self.per_consumer("p")
        stuck = self.stalled(max_events=4)
        slow = session.wait_starts(1)[0]
        other = self.consumer()
        activation = session.start_of(other)
        for number in range(400):
            for each in (slow, activation):
                if each not in session.paused:
                    session.send(each, [event(number, size=500)])
        other.wait_events(400)
        self.assertEqual((other.received.numbers("p"), other.received.lost), (list(range(400)), []))
        stuck.cancel()
        session.wait_stop(slow)

    def test_a_pause_ends_with_its_activation(self):
        session = self.per_consumer("p")
        for how in ("cancel", "end", "drain"):
            with self.subTest(how=how):
                consumer = self.without_credit(subscribe_request(overflow=BLOCK, max_events=1))
                activation = session.start_of(consumer)
                sent = self.until_paused(session, activation)
                session.wait(lambda: activation in session.paused, "it is paused")
                if how == "cancel":
                    consumer.cancel()
                elif how == "end":
                    session.end(activation, events=[event(sent)])
                    session.wait_confirmed()
                    consumer.credit(events=1000)
                    consumer.wait_events(sent + 1)
                    self.assertEqual(consumer.received.numbers("p"), list(range(sent + 1)))
                else:
                    consumer.drain(60)
                    session.wait_stop(activation)
                    consumer.credit(events=1000)
                    self.assertIsNone(consumer.wait_end())
                    self.assertEqual(consumer.received.numbers("p"), list(range(sent)))
                eventually(
                    lambda: self.daemon.producer("p").paused_activations == 0, "nothing is paused any more"
                )
                consumer.cancel()
                session.paused.discard(activation)


if __name__ == "__main__":
    main()
