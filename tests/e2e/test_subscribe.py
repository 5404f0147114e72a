#!/usr/bin/python3
"""Subscribing: settings, selectors, notices, the endings of a stream, and resume tokens."""
import grpc

from harness.case import Case, main
from harness.client import Consumer, connect, event, publish, subscribe_request
from harness.daemon import eventually
from harness.protos import duration, message_class, v1

CODE = grpc.StatusCode
SELECT, PAIR = v1.Selector, message_class("tributary.v1.Selector.Pair")


class Settings(Case):
    def test_started_comes_first_with_the_defaults_filled_in(self):
        settings = self.consumer().started.settings
        self.assertEqual((settings.max_events, settings.max_bytes), (1024, 4 << 20))
        self.assertEqual(
            (settings.overflow, settings.max_age_nanos),
            (v1.OVERFLOW_UNSPECIFIED, 0),
            "by producer: shared ones drop their oldest",
        )
        self.assertEqual((settings.linger_nanos, settings.heartbeat_interval_nanos), (500_000, 10 * 10**9))
        self.assertEqual((settings.max_batch_events, settings.max_batch_bytes), (4096, 256 << 10))

    def test_started_repeats_the_requested_settings(self):
        request = subscribe_request(
            overflow=v1.OVERFLOW_BLOCK,
            fallback=v1.OVERFLOW_DISCONNECT,
            max_events=7,
            max_bytes=8,
            block_timeout=2.5,
            max_age=3,
            linger=0,
            heartbeat_interval=0,
            max_batch_events=9,
            max_batch_bytes=10,
            name="mine",
        )
        consumer = self.consumer(request)
        settings = consumer.started.settings
        self.assertEqual((settings.max_events, settings.max_bytes), (7, 8))
        self.assertEqual((settings.overflow, settings.fallback), (v1.OVERFLOW_BLOCK, v1.OVERFLOW_DISCONNECT))
        self.assertEqual((settings.block_timeout_nanos, settings.max_age_nanos), (2_500_000_000, 3 * 10**9))
        self.assertEqual((settings.linger_nanos, settings.heartbeat_interval_nanos), (0, 0))
        self.assertEqual((settings.max_batch_events, settings.max_batch_bytes), (9, 10))
        seen = self.daemon.subscription(consumer.id)
        self.assertEqual((seen.name, seen.settings), ("mine", settings))

    def test_block_defaults_to_a_tenth_of_a_second_and_drop_oldest(self):
        settings = self.consumer(subscribe_request(overflow=v1.OVERFLOW_BLOCK)).started.settings
        self.assertEqual(
            (settings.block_timeout_nanos, settings.fallback), (100_000_000, v1.OVERFLOW_DROP_OLDEST)
        )

    def test_every_setting_is_accepted_at_its_bound_and_refused_beyond(self):
        hour, day = 3600, 86400
        buffer = lambda **fields: {"buffer": v1.Buffer(**fields)}
        edges = [  # field, at the edge, beyond, reason
            (
                "buffer.max_events",
                buffer(max_events=1 << 20),
                buffer(max_events=(1 << 20) + 1),
                "OUT_OF_BOUNDS",
            ),
            (
                "buffer.max_bytes",
                buffer(max_bytes=256 << 20),
                buffer(max_bytes=(256 << 20) + 1),
                "OUT_OF_BOUNDS",
            ),
            (
                "buffer.max_age",
                buffer(max_age=duration(day)),
                buffer(max_age=duration(day + 1)),
                "OUT_OF_BOUNDS",
            ),
            (
                "buffer.block_timeout",
                buffer(overflow=1, block_timeout=duration(hour)),
                buffer(overflow=1, block_timeout=duration(hour + 1)),
                "OUT_OF_BOUNDS",
            ),
            ("buffer.overflow", buffer(overflow=4), buffer(overflow=6), "UNKNOWN_ENUM"),
            (
                "buffer.fallback",
                buffer(overflow=1, fallback=2),
                buffer(overflow=1, fallback=6),
                "UNKNOWN_ENUM",
            ),
            ("linger", {"linger": duration(1)}, {"linger": duration(1.001)}, "OUT_OF_BOUNDS"),
            (
                "heartbeat_interval",
                {"heartbeat_interval": duration(0.1)},
                {"heartbeat_interval": duration(0.099)},
                "OUT_OF_BOUNDS",
            ),
            (
                "heartbeat_interval",
                {"heartbeat_interval": duration(hour)},
                {"heartbeat_interval": duration(hour + 1)},
                "OUT_OF_BOUNDS",
            ),
            ("max_batch_events", {"max_batch_events": 65536}, {"max_batch_events": 65537}, "OUT_OF_BOUNDS"),
            (
                "max_batch_bytes",
                {"max_batch_bytes": 1 << 20},
                {"max_batch_bytes": (1 << 20) + 1},
                "OUT_OF_BOUNDS",
            ),
            ("name", {"name": "n" * 256}, {"name": "n" * 257}, "TOO_LONG"),
            ("request", {"request": b"r" * 65536}, {"request": b"r" * 65537}, "TOO_LONG"),
            ("notices", {"notices": 2}, {"notices": 3}, "UNKNOWN_ENUM"),
        ]
        for field, edge, beyond, reason in edges:
            with self.subTest(field=field):
                self.consumer(v1.SubscribeRequest(selectors=[SELECT(producer="*")], **edge)).cancel()
                with self.assertFault(CODE.INVALID_ARGUMENT, reason, field):
                    self.refuse(v1.SubscribeRequest(selectors=[SELECT(producer="*")], **beyond))

    def test_every_bound_of_a_selector_is_accepted_and_refused_beyond(self):
        pair = PAIR
        edges = [
            ("selectors", [SELECT(topic="t")] * 64, [SELECT(topic="t")] * 65, "TOO_MANY"),
            ("selectors[0].producer", [SELECT(producer="p" * 256)], [SELECT(producer="p" * 257)], "TOO_LONG"),
            (
                "selectors[1].topic",
                [SELECT(topic="a"), SELECT(topic="t" * 256)],
                [SELECT(topic="a"), SELECT(topic="t" * 257)],
                "TOO_LONG",
            ),
            ("selectors[0].keys", [SELECT(keys=["k"] * 64)], [SELECT(keys=["k"] * 65)], "TOO_MANY"),
            ("selectors[0].keys[0]", [SELECT(keys=["k" * 256])], [SELECT(keys=["k" * 257])], "TOO_LONG"),
            (
                "selectors[0].types[1]",
                [SELECT(types=["t", "t" * 256])],
                [SELECT(types=["t", "t" * 257])],
                "TOO_LONG",
            ),
            (
                "selectors[0].headers",
                [SELECT(headers=[pair(name="n", value="*")] * 64)],
                [SELECT(headers=[pair(name="n", value="*")] * 65)],
                "TOO_MANY",
            ),
            (
                "selectors[0].headers[0].name",
                [SELECT(headers=[pair(name="n", value="*")])],
                [SELECT(headers=[pair(value="*")])],
                "EMPTY",
            ),
            (
                "selectors[0].labels",
                [SELECT(labels=[pair(name="n", value="*")] * 64)],
                [SELECT(labels=[pair(name="n", value="*")] * 65)],
                "TOO_MANY",
            ),
        ]
        for field, edge, beyond, reason in edges:
            with self.subTest(field=field):
                self.consumer(subscribe_request(edge)).cancel()
                with self.assertFault(CODE.INVALID_ARGUMENT, reason, field):
                    self.refuse(subscribe_request(beyond))

    def test_a_request_without_selectors_is_refused_and_explains_how_to_select_everything(self):
        with self.assertFault(CODE.INVALID_ARGUMENT, "EMPTY", "selectors"):
            self.refuse(v1.SubscribeRequest())

    def test_a_malformed_or_negative_duration_is_refused(self):
        for bad in (
            duration(-1),
            type(duration(0))(nanos=-1),
            type(duration(0))(nanos=10**9),
            type(duration(0))(seconds=1, nanos=-1),
        ):
            with self.assertFault(CODE.INVALID_ARGUMENT, "BAD_DURATION", "linger"):
                self.refuse(v1.SubscribeRequest(selectors=[SELECT(producer="*")], linger=bad))

    def refuse(self, request):
        list(v1.stub("Subscriber", self.daemon.channel).Subscribe(request, timeout=30))


class Selecting(Case):
    def setUp(self):
        super().setUp()
        self.events = [
            event(0, topic="orders/eu", key="k1", type="created"),
            event(1, topic="orders/us", key="k2", type="created", headers={"customer": "a"}),
            event(2, topic="orders/eu", key="k2", type="deleted", headers={"customer": "b"}),
            event(3, topic="stock", key="", type="created", headers={"customer": "a", "x": ""}),
            event(4),
        ]

    def wanted(self, selectors, exclude=()):
        """The numbers of the events that such a consumer receives from two producers, as (alpha's,
        beta's)."""
        consumer = self.consumer(subscribe_request(selectors, exclude=list(exclude)))
        marks = self.consumer()
        for name in ("alpha", "beta"):
            self.publish(name, self.events)
        marks.wait_events(10)
        self.daemon.admin()  # Publish answers after the filter was applied
        matched = self.daemon.subscription(consumer.id).accepted.events
        consumer.wait_events(matched)
        for source, _, sequence, each in consumer.received.events:
            same = [
                other
                for name, _, number, other in marks.received.events
                if name == source and number == sequence
            ]
            self.assertEqual(
                same, [each], "each event keeps its own sequence number where others were filtered out"
            )
        found = tuple(consumer.received.numbers(name) for name in ("alpha", "beta"))
        consumer.cancel()
        marks.cancel()
        return found

    def test_set_fields_and_together(self):
        self.assertEqual(self.wanted([SELECT(topic="orders/*", types=["created"])]), ([0, 1], [0, 1]))
        self.assertEqual(self.wanted([SELECT(producer="beta", topic="orders/eu", keys=["k2"])]), ([], [2]))

    def test_selectors_or_together(self):
        self.assertEqual(
            self.wanted([SELECT(producer="alpha", topic="stock"), SELECT(keys=["k1"])]), ([0, 3], [0])
        )

    def test_one_of_the_keys_or_types_is_enough(self):
        self.assertEqual(self.wanted([SELECT(keys=["k1", "k2"])]), ([0, 1, 2], [0, 1, 2]))
        self.assertEqual(self.wanted([SELECT(types=["del*", "nothing"])]), ([2], [2]))

    def test_globs(self):
        self.assertEqual(self.wanted([SELECT(producer="?lpha")]), ([0, 1, 2, 3, 4], []))
        self.assertEqual(self.wanted([SELECT(topic="*/?s")]), ([1], [1]))
        self.assertEqual(self.wanted([SELECT(topic="orders/")]), ([], []))
        self.assertEqual(
            self.wanted([SELECT(topic="[os]*")]), ([], []), "everything but * and ? matches itself"
        )

    def test_headers_must_be_there(self):
        pair = PAIR
        self.assertEqual(self.wanted([SELECT(headers=[pair(name="customer", value="a")])]), ([1, 3], [1, 3]))
        self.assertEqual(
            self.wanted([SELECT(headers=[pair(name="customer", value="*"), pair(name="x", value="*")])]),
            ([3], [3]),
        )

    def test_transient_producers_carry_no_labels(self):
        self.assertEqual(self.wanted([SELECT(labels=[PAIR(name="zone", value="*")])]), ([], []))

    def test_exclude_wins(self):
        self.assertEqual(
            self.wanted([SELECT(producer="*")], [SELECT(producer="beta"), SELECT(types=["created"])]),
            ([2, 4], []),
        )

    def test_a_run_with_holes_names_its_sequences(self):
        runs = []
        consumer = self.consumer(
            subscribe_request([SELECT(types=["created"])]), on_batch=lambda batch: runs.extend(batch.runs)
        )
        self.publish("holes", self.events)
        consumer.wait_events(3)
        eventually(lambda: sum(len(run.events) for run in runs) == 3, "the runs are noted")
        found = []
        for run in runs:
            found += list(run.sequences) or list(
                range(run.first_sequence, run.first_sequence + len(run.events))
            )
        self.assertEqual(found, [1, 2, 4])

    def test_the_last_of_a_repeated_header_or_field_decides(self):
        entry = lambda value: b"\x32\x08\x0a\x03hdr\x12\x01" + value
        body = b"\x12\x01a\x12\x01b" + entry(b"1") + entry(b"2") + b"\x42\x022 "
        consumer = self.consumer(
            subscribe_request([SELECT(topic="b", headers=[PAIR(name="hdr", value="2")])])
        )
        v1.stub("Publisher", self.daemon.channel, raw=True).Publish(
            b"\x0a" + bytes([len(body)]) + body + b"\x12\x01r"
        )
        consumer.wait_events(1)


class Notices(Case):
    def test_heartbeats_come_at_the_requested_interval(self):
        consumer = self.consumer(subscribe_request(heartbeat_interval=0.1, notices=v1.NOTICES_NONE))
        consumer.wait(lambda: consumer.received.heartbeats >= 3, "three heartbeats")

    def test_no_heartbeat_when_the_interval_is_zero(self):
        quiet = self.consumer(subscribe_request(heartbeat_interval=0, notices=v1.NOTICES_NONE))
        clock = self.consumer(subscribe_request(heartbeat_interval=0.1, notices=v1.NOTICES_NONE))
        clock.wait(lambda: clock.received.heartbeats >= 5, "five heartbeats of another")
        self.assertEqual((quiet.received.heartbeats, quiet.received.batches), (0, 1))

    def test_progress_has_positions_and_totals(self):
        consumer = self.consumer(subscribe_request([SELECT(producer="p", topic="a")]))
        answer = self.publish("p", [event(n, topic="a" if n < 3 else "b") for n in range(5)])

        def reported():
            progress = consumer.received.progress
            return progress and any(
                position.source == "p" and position.sequence == 5 for position in progress.positions
            )

        consumer.wait(reported, "the position after what was filtered out")
        progress = consumer.received.progress
        self.assertEqual((progress.delivered, progress.lost), (3, 0))
        self.assertEqual(
            {(position.source, position.epoch) for position in progress.positions}, {("p", answer.epoch)}
        )
        self.assertTrue(0 < len(progress.resume_token) <= 65536)

    def test_states_of_matching_producers_are_reported(self):
        stream = self.publishing("there before")
        stream.send([event(1)])
        stream.wait_confirmed()
        consumer = self.consumer(subscribe_request([SELECT(producer="there*")]))
        self.assertEqual(consumer.started.producers_matched, 1)
        self.publish("there later", [event(1)])
        self.publish("not wanted", [event(1)])
        consumer.wait(
            lambda: {status.source for status in consumer.received.states} >= {"there before", "there later"},
            "both are reported",
        )
        self.assertEqual(
            {status.source for status in consumer.received.states}, {"there before", "there later"}
        )

    def test_no_states_with_NOTICES_NONE(self):
        consumer = self.consumer(subscribe_request(notices=v1.NOTICES_NONE))
        self.publish("unsaid", [event(1)])
        consumer.wait_events(1)
        consumer.wait(lambda: consumer.received.progress, "Progress still comes")
        self.assertEqual(consumer.received.states, [])


class Ending(Case):
    arguments = ("--write-timeout", "60s")

    def test_finish_delivers_what_is_queued_and_ends_with_ok(self):
        consumer = self.consumer(subscribe_request(max_events=100000))
        for number in range(200):
            self.publish("p", [event(number * 10 + offset) for offset in range(10)])
        self.finish(consumer)
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), list(range(2000)))
        self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_FINISHED)
        self.assertTrue(consumer.received.closing.resume_token)

    def test_finish_is_idempotent_while_the_stream_lives_and_not_found_afterwards(self):
        consumer = self.consumer()
        self.finish(consumer)
        consumer.wait_end()
        eventually(lambda: not self.daemon.subscription(consumer.id), "the subscription is gone")
        with self.assertFault(CODE.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", contains=[consumer.id]):
            self.finish(consumer)

    def test_nothing_published_after_finish_is_delivered(self):
        consumer = self.consumer()
        self.publish("p", [event(1)])
        self.finish(consumer)
        self.publish("p", [event(2)])
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), [1])

    def test_finish_of_an_unknown_subscription_is_not_found(self):
        for name in ("nobody", "x" * 300):
            with self.assertFault(CODE.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", contains=['"' + name[:64]]):
                v1.stub("Subscriber", self.daemon.channel).Finish(v1.FinishRequest(subscription_id=name))

    def test_disconnect_is_a_cancel_with_its_reason(self):
        consumer = self.consumer()
        self.daemon.admin().Disconnect(
            v1.DisconnectRequest(subscription_id=consumer.id, reason="you were rude 😀")
        )
        self.check_fault(consumer.wait_end(), CODE.CANCELLED, "KICKED", contains=["you were rude"])

    def test_disconnect_with_drain_ends_gently(self):
        consumer = self.consumer()
        self.publish("p", [event(1), event(2)])
        answer = self.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=consumer.id, drain=True))
        self.assertEqual((answer.id, answer.draining), (consumer.id, True))
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), [1, 2])
        self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_DISCONNECTED)

    def test_disconnect_of_an_unknown_subscription_is_not_found(self):
        with self.assertFault(CODE.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", contains=["nobody"]):
            self.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id="nobody"))

    def test_disconnect_with_too_long_a_reason_is_refused(self):
        consumer = self.consumer()
        with self.assertFault(CODE.INVALID_ARGUMENT, "TOO_LONG", "reason"):
            self.daemon.admin().Disconnect(
                v1.DisconnectRequest(subscription_id=consumer.id, reason="r" * 257)
            )
        self.assertFalse(consumer.ended)

    def finish(self, consumer, **fields):
        v1.stub("Subscriber", self.daemon.channel).Finish(
            v1.FinishRequest(subscription_id=consumer.id, **fields)
        )


class Resuming(Case):
    forget = "60s"

    def token_of(self, consumer):
        v1.stub("Subscriber", self.daemon.channel).Finish(v1.FinishRequest(subscription_id=consumer.id))
        self.assertIsNone(consumer.wait_end())
        return consumer.received.closing.resume_token

    def resumed(self, token, **fields):
        return self.consumer(subscribe_request(start=v1.Start(resume=token), **fields))

    def test_the_gap_is_reported_exactly(self):
        first = self.consumer()
        answer = self.publish("gone on", [event(n) for n in range(5)])
        self.publish("stood still", [event(0)])
        token = self.token_of(first)
        self.publish("gone on", [event(n) for n in range(5, 12)])

        second = self.resumed(token)
        self.publish("gone on", [event(12)])
        second.wait_events(1)
        gaps = [lost for lost in second.received.lost if lost.source == "gone on"]
        self.assertEqual(len(gaps), 1)
        self.assertEqual(
            (
                gaps[0].reason,
                gaps[0].count,
                gaps[0].first_sequence,
                gaps[0].last_sequence,
                gaps[0].epoch,
                gaps[0].count_unknown,
            ),
            (v1.LOSS_REASON_RESUME_GAP, 7, 6, 12, answer.epoch, False),
        )
        self.assertEqual([lost for lost in second.received.lost if lost.source == "stood still"], [])
        self.assertEqual([each[2] for each in second.received.events], [13])
        self.check_totals(self.daemon.subscription(second.id, sources=True))

    def test_a_source_that_began_in_the_meantime_has_a_gap_from_1(self):
        first = self.consumer()
        token = self.token_of(first)
        self.publish("new meanwhile", [event(n) for n in range(4)])
        second = self.resumed(token)
        self.publish("new meanwhile", [event(4)])
        second.wait_events(1)
        gaps = [
            (lost.count, lost.first_sequence, lost.last_sequence)
            for lost in second.received.lost
            if lost.source == "new meanwhile"
        ]
        self.assertEqual(gaps, [(4, 1, 4)])

    def test_no_gap_where_nothing_was_missed(self):
        first = self.consumer()
        self.publish("still", [event(0)])
        second = self.resumed(self.token_of(first))
        self.publish("still", [event(1)])
        second.wait_events(1)
        self.assertEqual([lost for lost in second.received.lost if lost.source == "still"], [])

    def test_a_token_of_progress_works_as_well(self):
        first = self.consumer()
        self.publish("resumed", [event(n) for n in range(3)])
        first.wait(
            lambda: first.received.progress
            and any(p.sequence == 3 for p in first.received.progress.positions),
            "Progress at 3",
        )
        token = first.received.progress.resume_token
        first.cancel()
        self.publish("resumed", [event(3), event(4)])
        second = self.resumed(token)
        self.publish("resumed", [event(5)])
        second.wait_events(1)
        self.assertEqual(
            [
                (lost.count, lost.first_sequence, lost.last_sequence)
                for lost in second.received.lost
                if lost.source == "resumed"
            ],
            [(2, 4, 5)],
        )

    def test_a_damaged_token_is_refused(self):
        token = self.token_of(self.consumer())
        damaged = token[:-1] + bytes([token[-1] ^ 1])
        for bad in (damaged, token[:-1], token + b"x", b"nonsense", b"x" * 65537):
            with self.assertFault(CODE.INVALID_ARGUMENT, contains=["start.resume"]):
                list(
                    v1.stub("Subscriber", self.daemon.channel).Subscribe(
                        subscribe_request(start=v1.Start(resume=bad)), timeout=30
                    )
                )

    def test_positions_are_at_most_16384(self):
        gone = [v1.Position(source=f"u{n:05}", epoch=5, sequence=9) for n in range(16385)]
        with self.assertFault(
            CODE.INVALID_ARGUMENT,
            "TOO_MANY",
            field="start.positions.positions",
            contains=["16385", "at most 16384"],
        ):
            list(
                v1.stub("Subscriber", self.daemon.channel).Subscribe(
                    subscribe_request(start=v1.Start(positions={"positions": gone})), timeout=30
                )
            )
        consumer = self.consumer(subscribe_request(start=v1.Start(positions={"positions": gone[:-1]})))
        consumer.wait(lambda: len(consumer.received.lost) == 16384, "every source is reported")
        self.assertEqual(
            {lost.source for lost in consumer.received.lost}, {p.source for p in gone[:-1]}
        )
        self.assertEqual(self.daemon.counters()["live.position_bytes"], 0)

    def test_an_epoch_that_changed_makes_the_count_unknown(self):
        daemon = self.start_daemon("--transient-forget", "3s")
        channel = connect(daemon.address)
        self.addCleanup(channel.close)
        first = Consumer(channel)
        before = publish(channel, "again", [event(0)])
        first.wait(lambda: first.received.progress and first.received.progress.positions, "a token")
        token = first.received.progress.resume_token
        first.wait(
            lambda: any(s.state == v1.PRODUCER_STATE_REMOVED for s in first.received.states),
            "it is forgotten",
        )
        first.cancel()
        stream = self.publishing("again", channel=channel)
        stream.send([event(1), event(2)])
        stream.wait_confirmed()
        after = stream.answers[-1]
        self.assertGreater(after.epoch, before.epoch)
        second = Consumer(channel, subscribe_request(start=v1.Start(resume=token)))
        stream.send([event(3)])
        second.wait_events(1)
        gaps = [lost for lost in second.received.lost if lost.source == "again"]
        self.assertTrue(gaps and all(lost.reason == v1.LOSS_REASON_RESUME_GAP for lost in gaps))
        self.assertTrue(any(lost.count_unknown for lost in gaps))
        stream.finish()
        second.cancel()
        channel.close()
        daemon.stop()


if __name__ == "__main__":
    main()
