#!/usr/bin/python3
"""Sessions that are replaced, removed, or end with the server (A7, A8, A10, A11, A15)."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.sessions import PER_CONSUMER, REJECT, SHARED, START_FIRST, WithSessions

CODE = grpc.StatusCode
CANCEL = v1.RemoveProducerRequest.CANCEL


class Replacing(WithSessions, Case):
    """A10."""

    def test_A10_REJECT(self):
        first = self.session("p")
        second = self.session("p", on_duplicate=REJECT, welcomed=False)
        self.check_fault(second.wait_end(), CODE.ALREADY_EXISTS, "NAME_TAKEN", contains=["hello.name", '"p"'])
        consumer = self.consumer()
        first.send(0, [event(1)])
        consumer.wait_events(1)
        first.finish()
        eventually(lambda: self.daemon.producer("p") is None, "the name is free")
        self.session("p", on_duplicate=REJECT)

    def check_replaced(self, session):
        session.wait(lambda: session.closing, "the session gets closing")
        self.assertEqual(session.closing.reason, "REPLACED")
        self.check_fault(session.wait_end(), CODE.ABORTED, "REPLACED")

    def test_A10_STOP_FIRST_waits_for_the_older_one(self):
        old = self.per_consumer("p", ends_on_stop=False)
        consumer = self.consumer()
        activation = old.start_of(consumer)
        old.send(activation, [event(1)])
        new = self.per_consumer("p", welcomed=False)
        old.wait(lambda: old.closing, "it is told to close")
        stop = old.wait_stop(activation)
        self.assertEqual(stop.reason, "REPLACED")
        left = stop.deadline_unix_nano - time.time_ns()
        self.assertTrue(-PATIENCE * 10**9 < left <= 10**9, f"at most a second is left, not {left / 1e9:.3f}")
        self.assertIsNone(new.welcome)
        old.end(activation, events=[event(2)])
        self.check_replaced(old)
        self.assertNotEqual(new.start_of(consumer), 0)
        new.send(new.start_of(consumer), [event(3)])
        consumer.wait_events(3)
        self.assertEqual(
            consumer.received.numbers("p"),
            [1, 2, 3],
            "the last event of the older one came before the newer one's",
        )
        self.assertGreater(new.welcome.epoch, old.welcome.epoch)

    def test_A10_STOP_FIRST_ends_a_session_that_does_not_go_within_a_second(self):
        old = self.per_consumer("p", ends_on_stop=False)
        consumer = self.consumer()
        old.start_of(consumer)
        began = time.monotonic()
        new = self.per_consumer("p")
        self.assertGreater(time.monotonic() - began, 0.95, "the older one had its second")
        self.check_replaced(old)
        new.send(new.start_of(consumer), [event(1)])
        consumer.wait_events(1)
        expired = [each for each in consumer.received.states if each.error.code]
        self.assertEqual(
            [(each.source, each.error.code) for each in expired], [("p", CODE.DEADLINE_EXCEEDED.value[0])]
        )
        self.assertEqual(len(self.daemon.log("activation.expired")), 1)

    def test_A10_START_FIRST_leaves_no_gap(self):
        old = self.per_consumer("p", ends_on_stop=False)
        consumer = self.consumer()
        activation = old.start_of(consumer)
        new = self.per_consumer("p", handover=START_FIRST)
        self.assertIsNone(old.fault, "the older one is still there")
        old.wait_stop(activation)
        fresh = new.start_of(consumer)
        late = self.consumer()
        new.start_of(late)
        self.assertEqual(len(old.starts), 1, "new consumers get only the new one")
        new.send(fresh, [event(10)])
        old.end(activation, events=[event(1)])
        consumer.wait_events(2)
        self.check_replaced(old)
        self.assertEqual(sorted(consumer.received.numbers("p")), [1, 10], "both published for a moment")
        self.assertEqual(late.received.numbers("p"), [])

    def test_A10_shared_sessions_hand_over(self):
        for handover in (0, START_FIRST):
            with self.subTest(handover=handover):
                consumer = self.consumer()
                old = self.session("p")
                old.send(0, [event(1)])
                new = self.session("p", handover=handover, welcomed=False)
                old.wait(lambda: old.closing, "it is told to close")
                old.send(0, [event(2)])
                old.half_close()
                old.wait_end()
                new.wait_welcome()
                new.send(0, [event(3)])
                consumer.wait_events(3)
                self.assertEqual(sorted(consumer.received.numbers("p")), [1, 2, 3])
                self.assertEqual(len({each[1] for each in consumer.received.events}), 2)
                new.finish()

    def test_A10_a_session_that_waits_can_be_replaced_and_can_leave(self):
        old = self.per_consumer("p", ends_on_stop=False)
        consumer = self.consumer()
        activation = old.start_of(consumer)
        waiting, left = self.per_consumer("p", welcomed=False), self.per_consumer("q")
        old.wait(lambda: old.closing, "the first one waits")
        last = self.per_consumer("p", welcomed=False)
        self.check_fault(waiting.wait_end(), CODE.ABORTED, "REPLACED")
        self.assertIsNone(waiting.welcome)
        left.finish()
        old.end(activation)
        last.wait_welcome()
        self.assertEqual(last.start_of(consumer), 1)

    def test_A10_a_session_takes_the_name_of_a_transient_producer(self):
        consumer = self.consumer()
        self.publish("p", [event(1)])
        session = self.session("p")
        with self.assertFault(CODE.ALREADY_EXISTS, "NAME_TAKEN"):
            self.publish("p", [event(2)])
        session.send(0, [event(3)])
        consumer.wait_events(2)
        session.finish()
        eventually(lambda: self.daemon.producer("p") is None, "the name is free")
        self.publish("p", [event(4)])
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("p"), [1, 3, 4])


class Removing(WithSessions, Case):
    """A7, A8, A11, A15."""

    def test_A11_an_unknown_one_is_not_found_and_nothing_changes(self):
        session, consumer = self.per_consumer("here"), self.consumer()
        activation = session.start_of(consumer)
        before = [
            (each.name, each.epoch, each.state)
            for each in self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers
        ]
        for mode in (0, CANCEL):
            with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=['"her?"']):
                self.remove("her?", mode)
        with self.assertFault(CODE.INVALID_ARGUMENT, "UNKNOWN_ENUM", "mode"):
            self.remove("here", 3)
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "deadline"):
            self.remove("here", seconds=3601)
        after = [
            (each.name, each.epoch, each.state)
            for each in self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers
        ]
        self.assertEqual(after, before)
        session.send(activation, [event(1)])
        consumer.wait_events(1)
        self.assertEqual((session.closing, session.stops), (None, {}))

    def test_A7_A8_drain_stops_its_activations_and_it_does_not_return(self):
        session, other = self.per_consumer("p", ends_on_stop=False), self.per_consumer("other")
        consumer = self.consumer()
        activation = session.start_of(consumer)
        answer = self.remove("p", seconds=60)
        self.assertEqual((answer.name, answer.activations, answer.per_consumer), ("p", 1, True))
        stop = session.wait_stop(activation)
        session.wait(lambda: session.closing, "the session gets closing")
        self.assertEqual((stop.reason, session.closing.reason), ("REMOVED", "REMOVED"))
        self.assertGreater(stop.deadline_unix_nano, time.time_ns() + 20 * 10**9)
        late = self.consumer()
        self.assertEqual(other.start_of(late), 2)
        self.assertEqual(len(session.starts), 1, "a new consumer does not activate it")
        self.assertIsNone(self.daemon.producer("p"), "its name is free at once")
        self.session("p", on_duplicate=REJECT)
        session.end(activation, events=[event(1)])
        self.check_fault(session.wait_end(), CODE.FAILED_PRECONDITION, "REMOVED")
        consumer.wait_events(1)
        other.send(other.start_of(consumer), [event(2)])
        consumer.wait_events(2)
        self.assertFalse(consumer.ended, "the consumer's stream stays open")

    def test_A7_cancel_ends_it_at_once_and_what_is_queued_is_delivered(self):
        session, consumer = self.per_consumer("p", ends_on_stop=False), self.without_credit()
        activation = session.start_of(consumer)
        session.send(activation, [event(number) for number in range(20)])
        session.wait_confirmed()
        self.remove("p", CANCEL)
        self.check_fault(session.wait_end(), CODE.FAILED_PRECONDITION, "REMOVED")
        if activation in session.stops:
            self.assertEqual(session.stops[activation].deadline_unix_nano, 0)
        consumer.credit(events=100)
        consumer.wait_events(20)
        self.state_of(consumer, "p", v1.PRODUCER_STATE_REMOVED)
        self.assertEqual((consumer.received.numbers("p"), consumer.received.lost), (list(range(20)), []))

    def test_A15_only_the_removed_one_stops(self):
        consumer = self.without_credit(subscribe_request(max_events=10000))
        removed, cancelled, stays = (self.session(name) for name in ("removed", "cancelled", "stays"))
        for number in range(50):
            for session in (removed, cancelled, stays):
                session.send(0, [event(number)])
        for session in (removed, cancelled, stays):
            session.wait_confirmed()
        self.remove("removed", seconds=30)
        self.remove("cancelled", CANCEL)
        removed.wait(lambda: removed.closing, "it is told to close")
        removed.send(0, [event(50)])
        removed.half_close()
        removed.wait_end()
        self.check_fault(cancelled.wait_end(), CODE.FAILED_PRECONDITION, "REMOVED")
        stays.send(0, [event(50)])
        stays.wait_confirmed()
        consumer.credit(events=1000)
        consumer.wait_events(152)
        for name, count in (("removed", 51), ("cancelled", 50), ("stays", 51)):
            self.assertEqual(
                consumer.received.numbers(name), list(range(count)), f"{name}: what was queued is delivered"
            )
        for name in ("removed", "cancelled"):
            self.state_of(consumer, name, v1.PRODUCER_STATE_REMOVED)

    def test_a_session_that_ignores_its_removal_ends_at_the_deadline(self):
        session, consumer = self.per_consumer("stubborn", ends_on_stop=False), self.consumer()
        session.start_of(consumer)
        shared = self.session("shared stubborn")
        began = time.monotonic()
        self.remove("stubborn", seconds=0.4)
        self.remove("shared stubborn", seconds=0.4)
        for each in (session, shared):
            self.check_fault(each.wait_end(), CODE.FAILED_PRECONDITION, "REMOVED")
        self.assertGreaterEqual(time.monotonic() - began, 0.38)
        eventually(
            lambda: [
                each
                for each in consumer.received.states
                if each.error.code == CODE.DEADLINE_EXCEEDED.value[0]
            ],
            "its end is reported",
        )
        expired = [line for line in self.daemon.log("activation.expired") if line["producer"] == "stubborn"]
        self.assertEqual([line["subscription"] for line in expired], [consumer.id])

    def test_a_transient_producer_is_forgotten_and_comes_back(self):
        consumer = self.consumer()
        first = self.publish("t", [event(1)])
        self.assertEqual(self.remove("t").kind, v1.Producer.TRANSIENT)
        self.assertIsNone(self.daemon.producer("t"))
        second = self.publish("t", [event(2)])
        self.assertGreater(second.epoch, first.epoch)
        consumer.wait_events(2)


class Draining(WithSessions, Case):
    """The server drains, and its sessions with it."""
    shared_daemon = False

    def begin(self, seconds, ends_on_stop=True):
        self.daemon = self.start_daemon("--drain-timeout", seconds)
        channel = self.channel(self.daemon.address)
        session = self.per_consumer("p", channel=channel, ends_on_stop=ends_on_stop)
        return channel, session, self.session("s", channel=channel), self.consumer(channel=channel)

    def exits(self):
        self.assertEqual(self.daemon.wait(), 0)
        self.assertNotRegex(self.daemon.stderr(), "Sanitizer|runtime error|check failed")

    def test_everyone_is_notified_and_the_last_events_are_delivered(self):
        channel, session, shared, consumer = self.begin("30s", ends_on_stop=False)
        activation = session.start_of(consumer)
        shared.send(0, [event(1)])
        shared.wait_confirmed()
        self.daemon.terminate()
        stop = session.wait_stop(activation)
        # `closing` comes before or after the stops: both are waited for.
        session.wait(lambda: session.closing, "the session gets closing")
        self.assertEqual((stop.reason, session.closing.reason), ("DRAINING", "DRAINING"))
        self.assertGreater(stop.deadline_unix_nano, time.time_ns())
        shared.wait(lambda: shared.closing, "the shared session gets closing")
        consumer.wait(lambda: consumer.received.closing, "the consumer gets closing")
        self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_SERVER_DRAINING)
        session.end(activation, events=[event(2)])
        self.check_fault(consumer.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        for each in (session, shared):
            self.check_fault(each.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.assertEqual((consumer.received.numbers("s"), consumer.received.numbers("p")), ([1], [2]))
        self.assertEqual(consumer.received.lost, [])
        self.exits()

    def test_a_session_that_ignores_the_drain_is_ended_and_named(self):
        _, session, shared, consumer = self.begin("3s", ends_on_stop=False)
        session.start_of(consumer)
        began = time.monotonic()
        self.daemon.terminate()
        self.check_fault(consumer.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        for each in (session, shared):
            fault = each.wait_end()
            self.assertEqual(fault.code, CODE.UNAVAILABLE, str(fault))
        self.assertGreaterEqual(time.monotonic() - began, 2, "a fifth is kept for the end")
        expired = [
            each for each in consumer.received.states if each.error.code == CODE.DEADLINE_EXCEEDED.value[0]
        ]
        self.assertEqual([each.source for each in expired], ["p"], consumer.received.states)
        self.exits()
        self.assertEqual([line["producer"] for line in self.daemon.log("activation.expired")], ["p"])

    def test_nothing_new_is_accepted_meanwhile(self):
        channel, session, _, consumer = self.begin("30s", ends_on_stop=False)
        activation = session.start_of(consumer)
        self.daemon.terminate()
        session.wait_stop(activation)
        late = self.session("late", SHARED, channel=channel, welcomed=False)
        fault = late.wait_end()
        self.assertEqual(fault.code, CODE.UNAVAILABLE, str(fault))
        self.assertIsNone(late.welcome)
        session.end(activation)
        consumer.wait_end()
        self.exits()

    def test_sessions_without_consumers_do_not_delay_the_drain(self):
        self.daemon = self.start_daemon("--drain-timeout", "60s")
        channel = self.channel(self.daemon.address)
        sessions = [
            self.session(f"s{n}", mode, channel=channel) for n, mode in enumerate((SHARED, PER_CONSUMER))
        ]
        began = time.monotonic()
        self.daemon.terminate()
        for session in sessions:
            self.check_fault(session.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.exits()
        self.assertLess(time.monotonic() - began, 30)


if __name__ == "__main__":
    main()
