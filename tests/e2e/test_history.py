#!/usr/bin/python3
"""start.last: the newest events of a shared producer, then live, with none twice and none
missing."""
import threading

from harness.case import Case, main
from harness.client import EVERYTHING, event, subscribe_request
from harness.daemon import PATIENCE
from harness.protos import v1
from harness.sessions import WithSessions, of


class History(WithSessions, Case):
    def setUp(self):
        super().setUp()
        # The history begins with the first such subscription.
        self.consumer(subscribe_request(of("nobody"), start=v1.Start(last=1)))

    def last(self, count, selectors=EVERYTHING, **fields):
        return self.consumer(subscribe_request(selectors, start=v1.Start(last=count), **fields))

    def test_exactly_the_newest_n_then_live(self):
        session = self.session("exact")
        for number in range(0, 60, 3):
            session.send(0, [event(number + offset) for offset in range(3)])
        session.wait_confirmed()
        consumers = {count: self.last(count, of("exact")) for count in (1, 2, 3, 10, 59, 60, 61, 1024)}
        session.send(0, [event(60)])
        for count, consumer in consumers.items():
            have = min(count, 60)
            consumer.wait_events(have + 1)
            self.assertEqual(consumer.received.numbers("exact"), list(range(60 - have, 61)), f"last {count}")
            self.assertEqual(consumer.received.events[0][2], 60 - have + 1, "with their own sequence numbers")

    def test_each_producer_has_a_history_and_only_matching_events_are_sent(self):
        for name in ("h1", "h2"):
            self.publish(name, [event(number, topic="odd" if number % 2 else "even") for number in range(50)])
        consumer = self.last(5, [v1.Selector(producer="h?", topic="odd")])
        consumer.wait_events(10)
        for name in ("h1", "h2"):
            self.assertEqual(consumer.received.numbers(name), [41, 43, 45, 47, 49])

    def test_at_most_1024_are_kept(self):
        session = self.session("many")
        for number in range(0, 3000, 100):
            session.send(0, [event(number + offset) for offset in range(100)])
        session.wait_confirmed()
        consumer = self.last(1024, of("many"), max_events=5000)
        session.send(0, [event(3000)])
        consumer.wait_events(1025)
        self.assertEqual(consumer.received.numbers("many"), list(range(3000 - 1024, 3001)))

    def test_a_megabyte_is_kept_and_no_more_than_that(self):
        session = self.session("big")
        for number in range(40):
            session.send(0, [event(number, size=100_000)])
        session.wait_confirmed()
        consumer = self.last(1024, of("big"))
        session.send(0, [event(40, size=10)])
        consumer.wait(lambda: 40 in consumer.received.numbers("big"), "the live one comes")
        numbers = consumer.received.numbers("big")
        self.assertEqual(numbers, list(range(numbers[0], 41)))
        self.assertTrue(8 <= len(numbers) - 1 <= 11, f"{len(numbers) - 1} of 100 kB each are kept")

    def test_limit_events_with_last_ends_at_once(self):
        self.publish("state", [event(number) for number in range(9)])
        consumer = self.last(3, of("state"), limit_events=3)
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("state"), [6, 7, 8])

    def test_per_consumer_activations_have_no_history(self):
        session = self.per_consumer("per-consumer")
        first = self.consumer(subscribe_request(of("per-consumer")))
        session.send(session.start_of(first), [event(1)])
        first.wait_events(1)
        second = self.last(10, of("per-consumer"))
        session.send(session.start_of(second), [event(2)])
        second.wait_events(1)
        self.assertEqual(second.received.numbers("per-consumer"), [2])

    def test_under_load_no_event_comes_twice_and_none_is_missing(self):
        sessions, stop = [self.session(f"seam {n}") for n in range(3)], threading.Event()

        def publish(session):
            number = 0
            while not stop.is_set():
                for _ in range(5):
                    session.send(0, [event(number + offset) for offset in range(3)])
                    number += 3
                session.wait_confirmed()

        threads = [threading.Thread(target=publish, args=(session,), daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        try:
            for attempt in range(40):
                before = {
                    session.name: self.daemon.producer(session.name).last_sequence for session in sessions
                }
                consumer = self.last(20, of("seam *"), max_events=1 << 20, max_bytes=64 << 20)
                after = {
                    session.name: self.daemon.producer(session.name).last_sequence for session in sessions
                }
                consumer.wait(
                    lambda: all(len(consumer.received.numbers(name)) >= 25 for name in before),
                    "each goes on live",
                )
                consumer.cancel()
                for name in before:
                    sequences = [each[2] for each in consumer.received.events if each[0] == name]
                    self.assertEqual(
                        sequences,
                        list(range(sequences[0], sequences[0] + len(sequences))),
                        f"{name}, attempt {attempt}",
                    )
                    self.assertEqual(consumer.received.numbers(name)[0] + 1, sequences[0])
                    self.assertTrue(
                        max(before[name] - 19, 1) <= sequences[0] <= max(after[name] - 19, 1),
                        (before, sequences[0], after),
                    )
                self.assertEqual(consumer.received.lost, [])
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)


if __name__ == "__main__":
    main()
