#!/usr/bin/python3
"""Consume: credit, new selectors, drain, answers in the stream, limits."""
import threading

import grpc

from harness.case import Case, main
from harness.client import EVERYTHING, event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.sessions import ACK, CREDIT, DRAIN, SELECT, STEP, PAIR, WithSessions, drain_step, of

CODE = grpc.StatusCode


def size_of(each):
    """The size of one event on the wire: its tag, its length, its bytes."""
    length = each.ByteSize()
    return 2 + (length > 127) + (length > 16383) + length


class Beginning(WithSessions, Case):
    def refused(self, *requests):
        raw = [each if isinstance(each, bytes) else each.SerializeToString() for each in requests]
        list(v1.stub("Subscriber", self.daemon.channel, raw=True).Consume(iter(raw), timeout=PATIENCE))

    def test_init_comes_first(self):
        for first in (
            STEP(),
            STEP(credit=CREDIT(events=1)),
            STEP(ack=ACK()),
            STEP(select=SELECT(selectors=EVERYTHING)),
            drain_step(),
        ):
            with self.subTest(first=first.WhichOneof("step")):
                with self.assertFault(CODE.INVALID_ARGUMENT, "NO_INIT", "init"):
                    self.refused(first)
        with self.assertFault(CODE.INVALID_ARGUMENT, "NO_MESSAGE"):
            self.refused()

    def test_a_bad_init_is_refused_as_Subscribe_refuses_it(self):
        with self.assertFault(CODE.INVALID_ARGUMENT, "EMPTY", "init.selectors"):
            self.refused(STEP(init=v1.SubscribeRequest()))
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "init.start.last"):
            self.refused(STEP(init=subscribe_request(start=v1.Start(last=1025))))
        with self.assertFault(CODE.INVALID_ARGUMENT, "UNKNOWN_ENUM", "init.end_when"):
            self.refused(STEP(init=subscribe_request(end_when=4)))
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "init.buffer.fallback"):
            self.refused(
                STEP(init=subscribe_request(overflow=v1.OVERFLOW_BLOCK, fallback=v1.OVERFLOW_LATEST_PER_KEY))
            )

    def test_a_malformed_step_ends_the_stream_and_nothing_else(self):
        good = STEP(init=subscribe_request())
        other = self.consuming(channel=self.daemon.channel)
        for bad in (b"\xff\xff\xff", b"\x12\x02\x08", b"\x0b\x0c", b"\x10\x01", b"\x32\x04\x0a\x02\x0a\x7f"):
            with self.subTest(bad=bad):
                with self.assertFault(CODE.INVALID_ARGUMENT):
                    self.refused(good, bad)
                with self.assertFault(CODE.INVALID_ARGUMENT):
                    self.refused(bad)
        self.publish("p", [event(1)])
        other.wait_events(1)
        self.assertEqual(len(self.daemon.subscriptions()), 1)

    def test_everything_that_Subscribe_does(self):
        consumer = self.consuming(subscribe_request(name="mine", max_events=7))
        self.assertEqual((consumer.started.settings.max_events, consumer.started.settings.revision), (7, 0))
        self.assertEqual(self.daemon.subscription(consumer.id).name, "mine")
        for number in range(100):
            self.publish("p", [event(number)])
            consumer.wait_events(number + 1)
        self.assertEqual(consumer.received.numbers("p"), list(range(100)))

    def test_a_half_close_right_after_init_drains(self):
        call = v1.stub("Subscriber", self.daemon.channel).Consume(
            iter([STEP(init=subscribe_request())]), timeout=PATIENCE
        )
        batches = list(call)
        self.assertTrue(batches[0].HasField("started"))
        self.assertEqual(
            [batch.closing.reason for batch in batches if batch.HasField("closing")],
            [v1.CLOSING_REASON_FINISHED],
        )

    def test_steps_sent_together_with_init_are_followed_in_their_order(self):
        steps = [
            STEP(credit=CREDIT(events=2)),
            STEP(ack=ACK()),
            STEP(select=SELECT(selectors=of("q"))),
            STEP(nack=ACK()),
        ]
        consumer = self.consuming(subscribe_request(of("p")), steps=steps)
        consumer.wait_answer(5)
        consumer.wait_revision(1)
        self.assertEqual([each.request for each in consumer.received.answers], [3, 5])
        self.publish("p", [event(1)])
        self.publish("q", [event(n) for n in range(5)])
        consumer.wait_events(2)
        self.assertEqual([each[0] for each in consumer.received.events], ["q", "q"])


class Answers(WithSessions, Case):
    def check_answer(self, consumer, number, code, reason, *contains):
        answer = consumer.wait_answer(number)
        self.assertEqual((answer.code, answer.reason), (code.value[0], reason), str(answer))
        for part in contains:
            self.assertIn(part, answer.message)

    def test_acks_are_refused_and_the_stream_goes_on(self):
        consumer = self.consuming()
        position = v1.Position(source="p", epoch=1, sequence=1)
        for kind in ("ack", "nack", "extend"):
            number = consumer.step(STEP(**{kind: ACK(positions=[position])}))
            self.check_answer(consumer, number, CODE.FAILED_PRECONDITION, "NOT_DURABLE")
        self.publish("p", [event(1)])
        consumer.wait_events(1)
        self.assertEqual([each.request for each in consumer.received.answers], [2, 3, 4])

    def test_a_second_init_is_answered_in_the_stream(self):
        consumer = self.consuming(subscribe_request(of("p")))
        self.check_answer(
            consumer, consumer.step(STEP(init=subscribe_request(of("q")))), CODE.INVALID_ARGUMENT, "NO_INIT"
        )
        self.publish("q", [event(0)])
        self.publish("p", [event(1)])
        consumer.wait_events(1)
        self.assertEqual(consumer.received.numbers("p"), [1])

    def test_selects_and_drains_that_cannot_be_followed(self):
        consumer = self.consuming(subscribe_request(of("p")))
        check = self.check_answer
        check(consumer, consumer.select([]), CODE.INVALID_ARGUMENT, "EMPTY", "select.selectors")
        check(
            consumer,
            consumer.select([v1.Selector(topic="t" * 257)]),
            CODE.INVALID_ARGUMENT,
            "TOO_LONG",
            "select.selectors[0].topic",
        )
        check(
            consumer,
            consumer.select(of("p"), exclude=[v1.Selector(keys=["k"] * 65)]),
            CODE.INVALID_ARGUMENT,
            "TOO_MANY",
            "select.exclude[0].keys",
        )
        check(consumer, consumer.drain(3601), CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "drain.deadline")
        check(consumer, consumer.drain(-1), CODE.INVALID_ARGUMENT, "BAD_DURATION", "drain.deadline")
        self.assertFalse(consumer.received.revisions)
        self.publish("p", [event(1)])
        consumer.wait_events(1)

    def test_a_select_that_costs_too_much_is_refused_and_the_old_filter_stays(self):
        search = PAIR(name="h", value="*" + "a" * 240 + "?")
        dear = [v1.Selector(headers=[search] * 12)]  # a peer's share is enough for two
        consumer = self.consuming(subscribe_request(of("p")))
        others = [self.consumer(subscribe_request(dear)) for _ in range(2)]
        self.check_answer(
            consumer, consumer.select(dear), CODE.RESOURCE_EXHAUSTED, "PEER_FILTER_COST", "select.selectors"
        )
        self.publish("p", [event(1)])
        consumer.wait_events(1)
        for other in others:
            other.cancel()

    def test_a_select_while_the_stream_ends_is_refused(self):
        session, consumer = self.per_consumer("p", ends_on_stop=False), self.consuming()
        activation = session.start_of(consumer)
        consumer.drain(60)
        self.check_answer(consumer, consumer.select(of("q")), CODE.UNAVAILABLE, "DRAINING")
        session.end(activation)
        self.assertIsNone(consumer.wait_end())

    def test_a_consumer_that_reads_no_answers_has_its_steps_left_unread_and_none_is_lost(self):
        consumer = self.consuming()
        consumer.hold()
        numbers = [consumer.step(STEP(ack=ACK())) for _ in range(3000)]
        consumer.resume()
        consumer.wait(lambda: len(consumer.received.answers) >= 3000, "every step is answered")
        self.assertEqual([each.request for each in consumer.received.answers], numbers)


class Credit(WithSessions, Case):
    def test_not_one_event_beyond_the_credit(self):
        granted, delivered = [0], [0]

        def check(batch):
            delivered[0] += sum(len(run.events) for run in batch.runs)
            assert delivered[0] <= granted[0], f"{delivered[0]} delivered, {granted[0]} granted"

        consumer = self.without_credit(subscribe_request(max_events=10000), on_batch=check)
        session = self.session("p")
        for number in range(0, 1000, 10):
            session.send(0, [event(number + offset) for offset in range(10)])
        session.wait_confirmed()
        for grant in (1, 1, 2, 7, 10, 11, 100, 3, 865):
            seen = self.daemon.subscription(consumer.id)
            self.assertEqual((seen.accepted.events, seen.delivered.events), (1000, granted[0]))
            granted[0] += grant
            consumer.credit(events=grant)
            consumer.wait_events(granted[0])
            eventually(
                lambda: self.daemon.subscription(consumer.id).delivered.events == granted[0],
                "everything within the credit is delivered",
            )
        self.assertEqual(granted, [1000])
        self.assertEqual((consumer.received.numbers("p"), consumer.received.lost), (list(range(1000)), []))

    def test_not_one_byte_beyond_the_credit(self):
        events = [event(number, size=10 + number * 7 % 500) for number in range(200)]
        consumer = self.without_credit(subscribe_request(max_events=10000))
        self.publish("p", events)
        granted, had = 0, 0
        sizes = [size_of(each) for each in events]
        while had < len(events):
            granted += 997
            consumer.credit(size=997)
            # The first credit has bytes, and no events at all.
            if granted == 997:
                consumer.credit(events=10000)
            wanted = max(n for n in range(len(events) + 1) if sum(sizes[:n]) <= granted)
            consumer.wait_events(wanted)
            had = wanted
            delivered = eventually(
                lambda: self.is_settled(consumer, wanted), "everything within the credit is delivered"
            )
            self.assertEqual((delivered.events, delivered.bytes), (wanted, sum(sizes[:wanted])))
        self.assertEqual(consumer.received.numbers("p"), list(range(200)))

    def is_settled(self, consumer, count):
        delivered = self.daemon.subscription(consumer.id).delivered
        return delivered if delivered.events >= count else None

    def test_bytes_alone_leave_events_unlimited_and_the_other_way_round(self):
        events = [event(number, size=100) for number in range(50)]
        by_bytes = self.consuming(steps=[STEP(credit=CREDIT(bytes=10 * size_of(events[0])))])
        by_events = self.consuming(steps=[STEP(credit=CREDIT(events=20))])
        by_bytes.wait_answer(by_bytes.step(STEP(ack=ACK())))  # answered, so the step before it was read
        by_events.wait_answer(by_events.step(STEP(ack=ACK())))
        self.publish("p", events)
        for consumer, count in ((by_bytes, 10), (by_events, 20)):
            consumer.wait_events(count)
            self.assertEqual(
                eventually(lambda: self.is_settled(consumer, count), "it is delivered").events, count
            )
        by_bytes.credit(size=1 << 40)
        by_events.credit(events=1 << 40)
        for consumer in (by_bytes, by_events):
            consumer.wait_events(50)

    def test_losses_answers_states_and_closing_need_no_credit(self):
        session = self.per_consumer("s", ends_on_stop=True)
        consumer = self.without_credit(
            subscribe_request(of("*"), overflow=v1.OVERFLOW_DROP_OLDEST, max_events=5, heartbeat_interval=0)
        )
        session.start_of(consumer)
        for number in range(0, 60, 20):
            self.publish("p", [event(number + offset) for offset in range(20)])
            consumer.wait(lambda: consumer.received.lost_count() == 15 + number, "the loss is reported")
        consumer.wait_answer(consumer.step(STEP(ack=ACK())))
        self.state_of(consumer, "p", v1.PRODUCER_STATE_ACTIVE)
        consumer.drain(0.3)
        consumer.wait(lambda: consumer.received.closing, "closing is sent")
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(
            (consumer.received.delivered, consumer.received.lost_count(v1.LOSS_REASON_DRAIN_CUT)), (0, 5)
        )

    def test_the_largest_credits_add_up_without_overflow(self):
        consumer = self.consuming()
        for _ in range(3):
            consumer.credit(events=2**64 - 1, size=2**64 - 1)
        self.publish("p", [event(number) for number in range(100)])
        consumer.wait_events(100)

    def test_credit_under_load_from_many(self):
        """Credit arrives while events do. The order is kept, and with BLOCK nothing is lost."""
        consumer = self.without_credit(
            subscribe_request(overflow=v1.OVERFLOW_BLOCK, block_timeout=600, max_events=64)
        )
        sessions = [self.session(f"p{n}") for n in range(8)]
        for number in range(200):
            for session in sessions:
                session.send(0, [event(number)])
        while consumer.received.delivered < 1600:
            granted = consumer.received.delivered + 97
            consumer.credit(events=97)
            consumer.wait_events(min(granted, 1600), 2 * PATIENCE)
        for n in range(8):
            self.assertEqual(consumer.received.numbers(f"p{n}"), list(range(200)))
        self.assertEqual(consumer.received.lost, [])


class Selecting(WithSessions, Case):
    def test_settings_follow_with_the_revision(self):
        consumer = self.consuming(subscribe_request(of("a"), max_events=77))
        for revision, name in enumerate(("b", "c", "a"), 1):
            consumer.select(of(name))
            settings, before = consumer.wait_revision(revision)
            self.assertEqual((settings.max_events, before), (77, revision - 1))
            for each in ("a", "b", "c"):
                self.publish(each, [event(revision)])
            consumer.wait_events(revision)
        self.assertEqual([each[0] for each in consumer.received.events], ["b", "c", "a"])
        self.state_of(consumer, "c", v1.PRODUCER_STATE_ENDED)
        self.state_of(consumer, "a", v1.PRODUCER_STATE_ACTIVE)

    def test_what_is_queued_stays_and_the_mark_follows_it(self):
        consumer = self.without_credit(subscribe_request([v1.Selector(topic="old")], max_events=1000))
        self.publish("p", [event(number, topic="old") for number in range(10)])
        consumer.select([v1.Selector(topic="new")])
        eventually(
            lambda: [
                line
                for line in self.daemon.log("subscription.selected")
                if line["subscription"] == consumer.id
            ],
            "it is in force",
        )
        self.publish("p", [event(number, topic="old" if number % 2 else "new") for number in range(10, 20)])
        self.assertEqual(consumer.received.revisions, [], "the mark waits behind the queued events")
        consumer.credit(events=1000)
        consumer.wait_events(15)
        self.assertEqual(consumer.wait_revision(1)[1], 10)
        self.assertEqual(consumer.received.numbers("p"), list(range(10)) + list(range(10, 20, 2)))

    def test_activations_follow_the_selectors(self):
        one, two, both = self.per_consumer("one"), self.per_consumer("two"), self.per_consumer("both")
        consumer = self.consuming(
            subscribe_request([v1.Selector(producer="one"), v1.Selector(producer="both")], request=b"r")
        )
        first, stays = one.start_of(consumer), both.start_of(consumer)
        consumer.select([v1.Selector(producer="two"), v1.Selector(producer="both")])
        stop = one.wait_stop(first)
        self.assertEqual((stop.reason, stop.deadline_unix_nano), ("FINISHED", 0))
        second = two.start_of(consumer)
        self.assertEqual(two.starts[second].request, b"r")
        both.send(stays, [event(1)])
        two.send(second, [event(2)])
        one.send(first, [event(3)])
        consumer.wait_events(2)
        self.assertEqual(({each[0] for each in consumer.received.events}, both.stops), ({"both", "two"}, {}))
        self.state_of(consumer, "one", v1.PRODUCER_STATE_ENDED)
        consumer.select(of("one"))
        again = one.wait_starts(2)[1]
        one.send(again, [event(4)])
        consumer.wait_events(3)

    def test_labels_and_excludes_are_selected_too(self):
        self.session("eu", labels={"zone": "eu"}), self.session("us", labels={"zone": "us"})
        consumer = self.consuming()
        consumer.select(
            [v1.Selector(labels=[PAIR(name="zone", value="*")])],
            exclude=[v1.Selector(labels=[PAIR(name="zone", value="us")])],
        )
        consumer.wait_revision(1)
        self.state_of(consumer, "us", v1.PRODUCER_STATE_ENDED)
        eventually(
            lambda: self.daemon.producer("eu").subscriptions == 1
            and self.daemon.producer("us").subscriptions == 0,
            "only eu is routed",
        )

    def test_no_old_events_after_the_mark_and_no_new_ones_missed_under_load(self):
        """The events of each producer alternate between two topics, and each select wants the other
        topic. At each mark the sequences of one topic end where those of the other begin. A larger
        hole would be a missed event, an overlap one too many."""
        topics, rounds = ("a", "b"), 40
        request = subscribe_request(
            [v1.Selector(topic="a")],
            overflow=v1.OVERFLOW_BLOCK,
            block_timeout=600,
            max_events=512,
            notices=v1.NOTICES_NONE,
        )

        def grant_what_was_read(batch):
            if batch.runs:
                consumer.credit(events=sum(len(run.events) for run in batch.runs))

        # Otherwise the marks would wait behind megabytes in the sockets of this process.
        consumer = self.without_credit(request, on_batch=grant_what_was_read)
        consumer.credit(events=400)
        stop = threading.Event()
        sessions = [self.session(f"p{n}") for n in range(4)]

        def publish(session):
            number = 0
            while not stop.is_set():
                for _ in range(10):
                    session.send(
                        0,
                        [event(number + offset, topic=topics[(number + offset) % 2]) for offset in range(7)],
                    )
                    number += 7
                session.wait_confirmed()

        threads = [threading.Thread(target=publish, args=(session,), daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        try:
            for revision in range(1, rounds + 1):
                consumer.select([v1.Selector(topic=topics[revision % 2])])
                _, before = consumer.wait_revision(revision)
                consumer.wait_events(before + 50)
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        self.assertEqual(
            [settings.revision for settings, _ in consumer.received.revisions], list(range(1, rounds + 1))
        )
        self.check_turns(consumer, topics)

    def check_turns(self, consumer, topics):
        marks = [before for _, before in consumer.received.revisions] + [consumer.received.delivered]
        last, first, turns = {}, 0, 0
        for revision, mark in enumerate(marks):
            seen = {}
            for source, _, sequence, each in consumer.received.events[first:mark]:
                self.assertEqual(
                    each.topic, topics[revision % 2], f"{source} {sequence} came under revision {revision}"
                )
                if source in seen:
                    self.assertEqual(sequence, seen[source] + 2, f"{source} under revision {revision}")
                elif source in last and last[source][0] == revision - 1:
                    self.assertIn(
                        sequence - last[source][1], (1, 3), f"{source} at the change to revision {revision}"
                    )
                    turns += 1
                seen[source] = sequence
            last.update({source: (revision, sequence) for source, sequence in seen.items()})
            first = mark
        self.assertGreater(turns, 40, "the load was there when the selectors changed")
        self.assertEqual(consumer.received.lost, [])


class Limits(WithSessions, Case):
    def test_limit_events_is_exact_and_ends_with_OK(self):
        for limit in (1, 100, 4097):
            with self.subTest(limit=limit):
                subscribed = self.consumer(subscribe_request(limit_events=limit, max_events=10000))
                consumed = self.consuming(subscribe_request(limit_events=limit, max_events=10000))
                self.publish("p", [event(number) for number in range(5000)])
                for consumer in (subscribed, consumed):
                    self.assertIsNone(consumer.wait_end())
                    self.assertEqual(consumer.received.numbers("p"), list(range(limit)))

    def test_limit_events_and_credit_both_apply(self):
        consumer = self.consuming(subscribe_request(limit_events=10), steps=[STEP(credit=CREDIT(events=4))])
        consumer.wait_answer(consumer.step(STEP(ack=ACK())))
        self.publish("p", [event(number) for number in range(50)])
        consumer.wait_events(4)
        consumer.credit(events=5)
        consumer.wait_events(9)
        self.assertFalse(consumer.ended)
        consumer.credit(events=5)
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), list(range(10)))


class Drains(WithSessions, Case):
    def test_what_is_queued_is_delivered_until_the_deadline_and_lost_after_it(self):
        for seconds, delivered in ((60, 20), (0, 0)):
            with self.subTest(seconds=seconds):
                consumer = self.without_credit()
                self.publish("p", [event(number) for number in range(20)])
                consumer.step(STEP(drain=DRAIN(deadline=drain_step(seconds).drain.deadline)))
                consumer.wait(lambda: consumer.received.closing, "closing is sent")
                consumer.credit(events=1000)
                self.assertIsNone(consumer.wait_end())
                self.assertEqual(
                    (consumer.received.delivered, consumer.received.lost_count(v1.LOSS_REASON_DRAIN_CUT)),
                    (delivered, 20 - delivered),
                )

    def test_a_second_drain_and_a_half_close_change_nothing(self):
        consumer = self.without_credit()
        self.publish("p", [event(1)])
        for _ in range(3):
            consumer.drain(60)
        consumer.wait_answer(consumer.step(STEP(ack=ACK())))
        consumer.half_close()
        eventually(
            lambda: self.daemon.subscription(consumer.id) is None,
            "without credit the deadline of the half-close ends it",
            2 * PATIENCE,
        )
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.lost_count(v1.LOSS_REASON_DRAIN_CUT), 1)


if __name__ == "__main__":
    main()
