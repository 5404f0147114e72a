#!/usr/bin/python3
"""Producer sessions (Register): hello and its bounds, shared events, a session that does not read,
and the log."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, number_of, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.sessions import PAIR, PER_CONSUMER, END, WithSessions, of

CODE = grpc.StatusCode


class Hellos(WithSessions, Case):
    def refused(self, *requests):
        """Sends these messages on a Register. Returns how it ended. Bytes are sent as they are."""
        raw = [each if isinstance(each, bytes) else each.SerializeToString() for each in requests]
        list(v1.stub("Publisher", self.daemon.channel, raw=True).Register(iter(raw), timeout=PATIENCE))

    def refused_hello(self, code, reason, field, **hello):
        with self.assertFault(code, reason, field):
            self.refused(v1.RegisterRequest(hello=v1.Hello(**hello)))

    def test_welcome_names_the_epoch_and_the_reserve(self):
        began = time.time_ns()
        session = self.session("w")
        self.assertEqual((session.welcome.reserve_events, session.welcome.reserve_bytes), (1024, 256 << 10))
        self.assertLess(abs(session.welcome.epoch - began), 300 * 10**9, "the epoch is the server's clock")
        session.wait_confirmed()
        self.assertEqual(session.confirmed, 1, "hello counts as a message")
        self.assertGreater(self.session("x").welcome.epoch, session.welcome.epoch)

    def test_A18_names_of_hello(self):
        for name in ("a\x01b", "line\nbreak", "\t", "del\x7f", "c1\x9f", "sep\u2028"):
            with self.subTest(name=name):
                self.refused_hello(CODE.INVALID_ARGUMENT, "BAD_NAME", "hello.name", name=name)
        for name in ("x" * 257, "x" * 4096, "ä" * 129):
            with self.subTest(name=name[:4], size=len(name)):
                self.refused_hello(CODE.INVALID_ARGUMENT, "TOO_LONG", "hello.name", name=name)
        self.refused_hello(CODE.INVALID_ARGUMENT, "EMPTY", "hello.name", name="")
        for name in ("x" * 256, "ä" * 128, "y", " ", "*"):
            with self.subTest(name=name[:4], size=len(name)):
                self.session(name).finish()
        self.assertEqual(
            [
                producer.name
                for producer in self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers
            ],
            [],
        )

    def test_A18_labels_and_topics_of_hello(self):
        good, bad = CODE.INVALID_ARGUMENT, "hello.labels[0]"
        for label, reason in (
            ({"": "v"}, "EMPTY"),
            ({"a\x01": "v"}, "BAD_NAME"),
            ({"n" * 257: "v"}, "TOO_LONG"),
            ({"n" * 4096: "v"}, "TOO_LONG"),
            ({"n": "v" * 257}, "TOO_LONG"),
            ({"n": "v" * 4096}, "TOO_LONG"),
        ):
            with self.subTest(label=str(label)[:30]):
                self.refused_hello(good, reason, bad, name="p", labels=label)
        self.refused_hello(
            good, "TOO_MANY", "hello.labels", name="p", labels={f"n{n}": "" for n in range(65)}
        )
        for topic, reason in (("", "EMPTY"), ("a\nb", "BAD_NAME"), ("t" * 257, "TOO_LONG")):
            with self.subTest(topic=topic[:4]):
                self.refused_hello(good, reason, "hello.topics[1]", name="p", topics=["fine", topic])
        self.refused_hello(good, "TOO_MANY", "hello.topics", name="p", topics=["t"] * 65)

        labels = {"n" * 256: "v" * 256, "empty": "", **{f"n{n}": "v" for n in range(62)}}
        self.session("edges", labels=labels, topics=["t" * 256] + ["u"] * 63)
        seen = self.daemon.producer("edges")
        self.assertEqual((dict(seen.labels), list(seen.topics)), (labels, ["t" * 256] + ["u"] * 63))

    def test_unknown_modes_are_refused(self):
        for field in ("mode", "on_duplicate", "handover"):
            with self.subTest(field=field):
                self.refused_hello(
                    CODE.INVALID_ARGUMENT, "UNKNOWN_ENUM", f"hello.{field}", name="p", **{field: 3}
                )

    def test_hello_comes_first_and_once(self):
        hello = v1.RegisterRequest(hello=v1.Hello(name="once"))
        for requests, field in (
            ([], "hello"),
            ([v1.RegisterRequest()], "hello"),
            ([v1.RegisterRequest(events=[event(1)])], "hello"),
            ([v1.RegisterRequest(hello=v1.Hello(name="once"), events=[event(1)])], "events"),
            ([hello, hello], "hello"),
        ):
            with self.subTest(requests=len(requests), field=field):
                with self.assertFault(CODE.INVALID_ARGUMENT, "NO_HELLO") as held:
                    self.refused(*requests)
                self.assertIn(field, held["fault"].message)
        self.assertIsNone(self.daemon.producer("once"))

    def test_a_malformed_message_ends_the_session_only(self):
        """Other calls on the same connection go on, and the messages before it were accepted."""
        hello = v1.RegisterRequest(hello=v1.Hello(name="bad"))
        first = v1.RegisterRequest(events=[event(1)])
        channel = self.daemon.channel
        other, consumer = self.session("other", channel=channel), self.consumer(channel=channel)
        worse = [
            (b"\xff\xff\xff", None),
            (b"\x0a\x7f", "BAD_LENGTH"),
            (b"\x0b\x0c", "GROUP"),
            (b"\x12\x00", "WRONG_WIRE_TYPE"),
            (b"\x20\x01", "WRONG_WIRE_TYPE"),
            (b"\x22\x02\x08\xff", None),
            (b"\x22\x03\x1a\x01\xff", "BAD_UTF8"),
            (v1.RegisterRequest(end=END(code=17)), "OUT_OF_BOUNDS"),
            (v1.RegisterRequest(end=END(code=-1)), "OUT_OF_BOUNDS"),
            (v1.RegisterRequest(end=END(message="m" * 1025)), "TOO_LONG"),
            (v1.RegisterRequest(events=[v1.Event(topic="a\x01")]), "BAD_NAME"),
        ]
        for number, (bad, reason) in enumerate(worse, 1):
            with self.subTest(bad=str(bad)[:40]):
                with self.assertFault(CODE.INVALID_ARGUMENT, reason):
                    self.refused(hello, first, bad)
                consumer.wait_events(number)
        other.send(0, [event(2)])
        consumer.wait_events(len(worse) + 1)
        self.assertEqual(consumer.received.numbers("other"), [2])
        eventually(lambda: self.daemon.producer("bad") is None, "the name is free")

    def test_events_for_an_impossible_activation_are_refused(self):
        shared, session = self.session("shared"), self.per_consumer("per-consumer")
        shared.send(1, [event(1)])
        self.check_fault(shared.wait_end(), CODE.INVALID_ARGUMENT, "ACTIVATION_UNKNOWN", "activation")
        session.send(0, [event(1)])
        self.check_fault(session.wait_end(), CODE.INVALID_ARGUMENT, "ACTIVATION_UNKNOWN", "activation")

    def test_an_end_of_an_unknown_activation_changes_nothing(self):
        session = self.per_consumer("p")
        session.end(7)
        session.end(0, code=5, message="m" * 1024)
        session.wait_confirmed()
        consumer = self.consumer()
        self.assertEqual(session.start_of(consumer), 1)

    def test_too_many_producers(self):
        daemon = self.start_daemon("--max-producers", "2", "--local-peer-share", "100")
        channel = self.channel(daemon.address)
        one, _ = self.session("1", channel=channel), self.session("2", channel=channel)
        third = self.session("3", channel=channel, welcomed=False)
        self.check_fault(third.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_MANY_PRODUCERS")
        one.finish()
        eventually(lambda: daemon.producer("1") is None, "a place is free again")
        self.session("3", channel=channel)
        daemon.stop()


class Shared(WithSessions, Case):
    def test_A3_two_sessions_merge(self):
        consumer = self.consumer()
        self.session("one").send(0, [event(1)])
        self.session("two").send(0, [event(2)])
        consumer.wait_events(2)
        self.assertEqual((consumer.received.numbers("one"), consumer.received.numbers("two")), ([1], [2]))

    def test_labels_are_selected_and_shown(self):
        eu = self.session("eu", labels={"zone": "eu", "tier": "1"}, topics=["a", "b"])
        us = self.session("us", labels={"zone": "us"})
        request = subscribe_request([v1.Selector(labels=[PAIR(name="zone", value="e*")])])
        consumer, tiers = self.consumer(request), self.consumer(
            subscribe_request([v1.Selector(labels=[PAIR(name="tier", value="*")])])
        )
        everybody = self.consumer()
        self.assertEqual((consumer.started.producers_matched, everybody.started.producers_matched), (1, 2))
        for session in (us, eu):
            session.send(0, [event(1)])
        self.publish("transient", [event(1)])
        everybody.wait_events(3)
        for one in (consumer, tiers):
            one.wait_events(1)
            self.assertEqual(
                [each[0] for each in one.received.events], ["eu"], "transient producers carry no labels"
            )
        seen = self.daemon.producer("eu")
        self.assertEqual(
            (seen.kind, dict(seen.labels), list(seen.topics)),
            (v1.Producer.SESSION, {"zone": "eu", "tier": "1"}, ["a", "b"]),
        )
        self.assertEqual(
            (seen.per_consumer, seen.subscriptions, seen.published.events, seen.last_sequence),
            (False, 3, 1, 1),
        )
        self.assertEqual(seen.epoch, eu.welcome.epoch)
        self.assertTrue(seen.peer.startswith("127.0.0.1:"), seen.peer)

    def test_messages_with_events_are_counted(self):
        before = self.daemon.counters()
        session = self.session("counted")
        for number in range(3):
            session.send(0, [event(number), event(number)])
        session.send(0, [])
        session.wait_confirmed()
        after = self.daemon.counters()
        self.assertEqual(
            [after[name] - before[name] for name in ("messages.in", "chunks.in", "events.in")], [3, 3, 6]
        )
        session.finish()

    def test_a_half_close_ends_the_session_and_what_it_sent_is_delivered(self):
        consumer = self.without_credit()
        session = self.session("p")
        for number in range(50):
            session.send(0, [event(number)])
        session.finish()
        eventually(lambda: self.daemon.producer("p") is None, "the session is gone")
        consumer.credit(events=1000)
        consumer.wait_events(50)
        self.assertEqual(consumer.received.numbers("p"), list(range(50)))
        gone = self.state_of(consumer, "p", v1.PRODUCER_STATE_REMOVED)
        self.assertEqual((gone.epoch, gone.error.code), (session.welcome.epoch, 0))

    def test_a_lost_session_is_reported_with_its_cause(self):
        consumer = self.consumer()
        session = self.session("p")
        session.send(0, [event(1)])
        session.wait_confirmed()
        session.cancel()
        lost = self.state_of(consumer, "p", v1.PRODUCER_STATE_ENDED)
        self.assertEqual(
            (lost.error.code, lost.error.message), (CODE.UNAVAILABLE.value[0], "the producer was lost")
        )
        self.assertEqual(consumer.received.numbers("p"), [1])
        self.session("p").send(0, [event(2)])
        consumer.wait_events(2)
        self.assertEqual(
            len({each[1] for each in consumer.received.events}), 2, "it comes back in a new epoch"
        )

    def test_A17_fifo_from_64_sessions_to_16_consumers(self):
        sessions, each = 64, 96

        def check(batch):
            for run in batch.runs:
                for offset, one in enumerate(run.events):
                    assert number_of(one.data) + 1 == run.first_sequence + offset, (
                        run.source,
                        run.first_sequence,
                        offset,
                        one.data,
                    )

        channels = [self.channel() for _ in range(4)]
        request = subscribe_request(max_events=1 << 20, max_bytes=64 << 20, notices=v1.NOTICES_NONE)
        consumers = [
            self.consumer(request, channel=channels[n % 4], keep=False, on_batch=check) for n in range(16)
        ]
        producers = [self.session(f"fifo {n}", channel=channels[n % 4]) for n in range(sessions)]
        for number in range(0, each, 4):
            for session in producers:
                session.send(0, [event(number + offset) for offset in range(4)])
        for session in producers:
            session.finish(2 * PATIENCE)
        for consumer in consumers:
            consumer.wait_events(sessions * each, 2 * PATIENCE)
            self.assertEqual(
                {(position[2], position[3]) for position in consumer.received.positions.values()}, {(each, 0)}
            )
            self.assertEqual(len(consumer.received.positions), sessions)

    def test_A22_a_flooding_session_loses_and_nine_quiet_ones_do_not(self):
        consumer = self.without_credit(
            subscribe_request(overflow=v1.OVERFLOW_DROP_OLDEST, max_events=1000, max_bytes=1 << 20)
        )
        flooder, quiet = self.session("flooder"), [self.session(f"quiet {n}") for n in range(9)]
        for number in range(50):
            for session in quiet:
                session.send(0, [event(number, size=100)])
            flooder.send(0, [event(number * 80 + offset, size=100) for offset in range(80)])
        for session in quiet + [flooder]:
            session.finish()
        self.check_totals(self.daemon.subscription(consumer.id, sources=True))
        consumer.credit(events=1 << 30)
        consumer.wait_accounted(50 * 80 + 9 * 50)
        for n in range(9):
            self.assertEqual(consumer.received.numbers(f"quiet {n}"), list(range(50)))
        self.assertEqual(
            {(lost.source, lost.reason) for lost in consumer.received.lost},
            {("flooder", v1.LOSS_REASON_OVERFLOW_OLDEST)},
        )

    def test_A12_a_stalled_consumer_slows_no_other_of_a_shared_session(self):
        for policy in (
            v1.OVERFLOW_BLOCK,
            v1.OVERFLOW_DROP_OLDEST,
            v1.OVERFLOW_DROP_NEWEST,
            v1.OVERFLOW_DISCONNECT,
            v1.OVERFLOW_LATEST_PER_KEY,
        ):
            with self.subTest(policy=v1.enum_name("Overflow", policy)):
                stuck = self.without_credit(
                    subscribe_request(overflow=policy, max_events=16, block_timeout=0.1)
                )
                other = self.consumer(
                    subscribe_request(max_events=1 << 16, overflow=v1.OVERFLOW_BLOCK, block_timeout=30)
                )
                session = self.session("p")
                for number in range(0, 2000, 4):
                    session.send(0, [event(number + offset, size=200) for offset in range(4)])
                session.finish()
                other.wait_events(2000)
                self.assertEqual((other.received.numbers("p"), other.received.lost), (list(range(2000)), []))
                if policy == v1.OVERFLOW_DISCONNECT:
                    self.check_fault(stuck.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")
                else:
                    self.check_totals(self.daemon.subscription(stuck.id, sources=True))
                stuck.cancel()
                other.cancel()

    def test_a_blocking_consumer_blocks_a_shared_session(self):
        consumer = self.without_credit(
            subscribe_request(overflow=v1.OVERFLOW_BLOCK, block_timeout=600, max_events=4)
        )
        session = self.session("p")
        for number in range(50):
            session.send(0, [event(number)])
        eventually(lambda: self.daemon.blocked("p"), "the session is blocked")
        self.assertLess(session.confirmed, 10)
        self.assertEqual(self.daemon.producer("p").state, v1.PRODUCER_STATE_BLOCKED)
        consumer.credit(events=1000)
        consumer.wait_events(50)
        session.wait_confirmed()
        self.assertEqual((consumer.received.numbers("p"), consumer.received.lost), (list(range(50)), []))


class Stubborn(WithSessions, Case):
    arguments = ("--write-timeout", "1s")

    def test_A9_a_session_that_never_reads_delays_no_other_and_is_aborted(self):
        deaf = self.raw(window=0, replenish=False).request("/tributary.v1.Publisher/Register")
        hello = v1.RegisterRequest(hello=v1.Hello(name="deaf", mode=PER_CONSUMER)).SerializeToString()
        deaf.send(len(hello).to_bytes(5, "big") + hello)
        eventually(lambda: self.daemon.producer("deaf"), "it is registered")
        silent, good = self.per_consumer("silent", ends_on_stop=False), self.per_consumer("good")
        consumers = [self.consumer() for _ in range(10)]
        for consumer in consumers:
            good.send(good.start_of(consumer), [event(1)])
        for consumer in consumers:
            consumer.wait_events(1)
        deaf.wait_end()
        self.assertEqual(deaf.status, CODE.RESOURCE_EXHAUSTED.value[0], deaf.status_message)
        self.assertIn("did not read", deaf.status_message)
        lost = self.state_of(consumers[0], "deaf", v1.PRODUCER_STATE_ENDED)
        self.assertEqual(lost.error.code, CODE.UNAVAILABLE.value[0])
        for consumer in consumers[5:]:
            consumer.cancel()
        for consumer in consumers[:5]:
            good.send(good.start_of(consumer), [event(2)])
        for consumer in consumers[:5]:
            consumer.wait_events(2)
        eventually(
            lambda: len(silent.live) == 5,
            "the activations of consumers that left are stopped, the others are not",
        )


class Log(WithSessions, Case):
    def lines(self, event_name, **fields):
        return [
            line
            for line in self.daemon.log(event_name)
            if all(line.get(name) == value for name, value in fields.items())
        ]

    def test_A25_one_line_per_change(self):
        session, shared = self.per_consumer("a25"), self.session("a25 shared")
        consumer = self.consuming(subscribe_request(of("a25*")))
        activation = session.start_of(consumer)
        session.send(activation, [event(1), event(2)])
        consumer.wait_events(2)
        consumer.half_close()
        self.assertIsNone(consumer.wait_end())
        second = self.consumer(subscribe_request(of("a25*")))
        session.end(session.start_of(second))
        session.wait_confirmed()
        second.cancel()
        self.remove("a25")
        session.wait_end()
        shared.finish()
        eventually(
            lambda: len(self.lines("subscription.ended")) == 2 and len(self.lines("producer.removed")) == 2,
            "everything is logged",
        )
        for name, count in (
            ("producer.added", 2),
            ("producer.closing", 1),
            ("producer.removed", 2),
            ("subscription.added", 2),
            ("subscription.draining", 1),
            ("activation.started", 2),
            ("activation.stopping", 1),
            ("activation.ended", 2),
        ):
            self.assertEqual(len(self.lines(name)), count, f"{name}: {self.daemon.log(name)}")
        added, removed = (
            self.lines("producer.added", producer="a25")[0],
            self.lines("producer.removed", producer="a25")[0],
        )
        self.assertEqual(
            (added["mode"], added["epoch"], removed["epoch"]),
            ("PER_CONSUMER", session.welcome.epoch, session.welcome.epoch),
        )
        self.assertEqual((removed["reason"], removed["events"]), ("REMOVED", 2))
        ended = self.lines("activation.ended", subscription=consumer.id)[0]
        self.assertEqual(
            (ended["reason"], ended["code"], ended["events"], ended["activation"]),
            ("ENDED", "OK", 2, activation),
        )
        self.assertEqual(self.lines("activation.stopping")[0]["reason"], "FINISHED")
        self.assertEqual(self.lines("activation.ended", subscription=second.id)[0]["reason"], "ENDED")
        self.assertEqual(self.lines("subscription.ended", subscription=consumer.id)[0]["delivered"], 2)


if __name__ == "__main__":
    main()
