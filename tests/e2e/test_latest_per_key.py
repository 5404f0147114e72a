#!/usr/bin/python3
"""LATEST_PER_KEY: the newest value of each key waits, the older ones are COALESCED."""
from harness.case import Case, main
from harness.client import event, number_of, subscribe_request
from harness.protos import v1
from harness.sessions import WithSessions


class LatestPerKey(WithSessions, Case):
    def request(self, **fields):
        return subscribe_request(overflow=v1.OVERFLOW_LATEST_PER_KEY, **fields)

    def test_the_newest_value_wins_and_the_older_ones_are_COALESCED(self):
        consumer = self.without_credit(self.request())
        for number in range(100):
            self.publish("p", [event(number, key=f"k{number % 5}")])
        seen = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(seen)
        self.assertEqual((seen.accepted.events, seen.queued.events, seen.dropped.events), (100, 5, 95))
        self.assertEqual(
            [each.reason for each in seen.losses if each.lost.events], [v1.LOSS_REASON_COALESCED]
        )
        consumer.credit(events=100)
        consumer.wait_accounted(100)
        self.assertEqual(consumer.received.numbers("p"), [95, 96, 97, 98, 99])
        self.assertEqual({each.reason for each in consumer.received.lost}, {v1.LOSS_REASON_COALESCED})
        self.assertEqual(consumer.started.settings.overflow, v1.OVERFLOW_LATEST_PER_KEY)

    def test_keys_belong_to_a_source_and_topic_and_the_empty_key_never_merges(self):
        consumer = self.without_credit(self.request())
        for name in ("p", "q"):
            for number in range(4):
                self.publish(
                    name,
                    [
                        event(number * 10 + offset, topic=topic, key="k")
                        for offset, topic in enumerate(("t", "u", ""))
                    ],
                )
                self.publish(name, [event(1000 + number)])
        consumer.credit(events=1000)
        consumer.wait_accounted(2 * 16)
        for name in ("p", "q"):
            self.assertEqual(consumer.received.numbers(name), [1000, 1001, 1002, 30, 31, 32, 1003])
            self.assertEqual(consumer.received.lost_count(source=name), 9)

    def test_a_new_value_goes_to_the_tail(self):
        consumer = self.without_credit(self.request())
        self.publish(
            "p",
            [event(0, key="a"), event(1, key="b"), event(2, key="a"), event(3, key="c"), event(4, key="b")],
        )
        consumer.credit(events=10)
        consumer.wait_accounted(5)
        self.assertEqual(consumer.received.numbers("p"), [2, 3, 4])

    def test_distinct_keys_over_the_bounds_are_dropped_oldest(self):
        consumer = self.without_credit(self.request(max_events=10))
        self.publish("p", [event(number, key=f"k{number}") for number in range(30)])
        consumer.credit(events=100)
        consumer.wait_accounted(30)
        self.assertEqual(consumer.received.numbers("p"), list(range(20, 30)))
        self.assertEqual({each.reason for each in consumer.received.lost}, {v1.LOSS_REASON_OVERFLOW_OLDEST})

    def test_it_applies_to_activations_and_never_pauses_them(self):
        session, consumer = self.per_consumer("p"), self.without_credit(self.request(max_events=4))
        activation = session.start_of(consumer)
        for number in range(300):
            session.send(activation, [event(number, key="k%d" % (number % 3))])
        session.wait_confirmed()
        consumer.credit(events=100)
        consumer.wait_accounted(300)
        self.assertEqual((consumer.received.numbers("p"), session.pauses), ([297, 298, 299], 0))

    def test_a_reader_that_keeps_up_sees_the_last_value_of_every_key(self):
        consumer = self.consumer(self.request(max_events=64))
        sessions = [self.session(f"p{n}") for n in range(4)]
        for number in range(0, 2000, 5):
            for session in sessions:
                session.send(
                    0, [event(number + offset, key=f"k{(number + offset) % 10}") for offset in range(5)]
                )
        consumer.wait_accounted(4 * 2000)
        for n in range(4):
            newest = {
                each.key: number_of(each.data)
                for source, _, _, each in consumer.received.events
                if source == f"p{n}"
            }
            self.assertEqual(newest, {f"k{key}": 1990 + key for key in range(10)})
            numbers = consumer.received.numbers(f"p{n}")
            self.assertEqual(numbers, sorted(numbers))


if __name__ == "__main__":
    main()
