#!/usr/bin/python3
"""X9: an upstream that is no tributary, or a bad one. It can only hurt itself."""
import time

import grpc

from harness.cascade import SUBSCRIBE, add, cascade, remove
from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream

ACTIVE, UNAVAILABLE, ENDED, REMOVED, RESYNC = (
    v1.PRODUCER_STATE_ACTIVE,
    v1.PRODUCER_STATE_UNAVAILABLE,
    v1.PRODUCER_STATE_ENDED,
    v1.PRODUCER_STATE_REMOVED,
    v1.PRODUCER_STATE_RESYNC,
)
BUDGET, GAP, OLDEST = v1.LOSS_REASON_BUDGET, v1.LOSS_REASON_RESUME_GAP, v1.LOSS_REASON_OVERFLOW_OLDEST
REQUEST = message_class("tributary.v1.SubscribeRequest")
CODE = grpc.StatusCode


def run(source, first=1, count=1, epoch=7, **fields):
    events = [event(first + i) for i in range(count)]
    return v1.Run(source=source, epoch=epoch, first_sequence=first, events=events, **fields)


def batch(*runs, **fields):
    return v1.EventBatch(runs=runs, **fields).SerializeToString()


def state(source, number, epoch=7, **fields):
    return v1.ProducerStatus(source=source, epoch=epoch, state=number, **fields)


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.upstream = Upstream()
        self.addCleanup(self.upstream.stop)
        self.addCleanup(self.end)
        add(self.daemon, cascade("up", self.upstream.address))
        self.call = self.upstream.wait_calls(1)

    def end(self):
        remove(self.daemon, "up")
        eventually(lambda: self.daemon.live()["live.relayed"] == 0, "every source is gone")

    def sequences(self, consumer, source):
        return [sequence for name, _, sequence, _ in consumer.received.events if name == source]

    def wait_sequences(self, consumer, source, expected):
        consumer.wait(
            lambda: len(self.sequences(consumer, source)) >= len(expected), f"{expected} of {source}"
        )
        self.assertEqual(self.sequences(consumer, source), expected)

    def wait_state(self, consumer, source, number):
        consumer.wait(
            lambda: any(s.source == source and s.state == number for s in consumer.received.states),
            f"state {number} of {source}",
        )

    def wait_refused(self, code):
        """The call ends, and the endpoint, which does not call again, says why."""
        self.assertTrue(self.call.over.wait(10), "the call is over")
        eventually(lambda: self.daemon.producer("up").failure.code, "the failure is shown")
        failure = self.daemon.producer("up").failure
        self.assertEqual(failure.code, code.value[0], failure)


class Requests(Hostile):
    def test_the_request_of_a_cascade_is_for_everything(self):
        eventually(lambda: self.call.requests, "its request")
        request = REQUEST.FromString(self.call.requests[0])
        self.assertEqual([each.producer for each in request.selectors], ["*"])
        self.assertEqual((request.buffer.max_events, request.buffer.max_bytes), (65536, 32 << 20))
        self.assertEqual(self.call.method, SUBSCRIBE)

    def test_the_next_call_resumes_behind_what_was_taken(self):
        consumer = self.consumer()
        progress = v1.Progress(resume_token=b"token-1")
        self.call.send(batch(run("a", 1, 5), run("b", 1, 5), progress=progress))
        self.call.send(batch(run("a", 6, 4)))
        self.call.send(batch(progress=v1.Progress(positions=[v1.Position(source="b", epoch=7, sequence=9)])))
        self.wait_sequences(consumer, "up/a", list(range(1, 10)))
        self.call.end(CODE.UNAVAILABLE, "blip")
        second = self.upstream.wait_calls(2)
        eventually(lambda: second.requests, "its request")
        start = REQUEST.FromString(second.requests[0]).start
        self.assertEqual(start.positions.resume_token, b"token-1")
        positions = {(p.source, p.epoch, p.sequence) for p in start.positions.positions}
        self.assertEqual(positions, {("a", 7, 9), ("b", 7, 9)})
        self.assertEqual([each.producer for each in REQUEST.FromString(second.requests[0]).selectors], ["*"])
        # what it sends again is left out
        second.send(batch(run("a", 8, 4)))
        self.wait_sequences(consumer, "up/a", list(range(1, 12)))
        self.assertEqual(consumer.received.lost, [])
        self.assertEqual(self.daemon.producer("up/a").published.events, 11)

    def test_a_token_that_is_not_taken_is_dropped_and_the_gap_is_told(self):
        consumer = self.consumer()
        self.call.send(batch(run("a"), progress=v1.Progress(resume_token=b"bad")))
        self.wait_sequences(consumer, "up/a", [1])
        self.call.end(CODE.UNAVAILABLE, "blip")
        self.upstream.wait_calls(2).end(CODE.INVALID_ARGUMENT, "a bad token")
        third = self.upstream.wait_calls(3)
        eventually(lambda: third.requests, "its request")
        self.assertFalse(REQUEST.FromString(third.requests[0]).HasField("start"))
        consumer.wait(lambda: consumer.received.lost, "the gap")
        gap = consumer.received.lost[0]
        self.assertEqual((gap.source, gap.reason, gap.count_unknown, gap.upstream), ("up/a", GAP, True, True))

    def test_the_origin_of_a_stored_topics_events_gets_the_prefix(self):
        consumer = self.consumer()
        self.call.send(batch(run("@orders", 1, 2, origin="web-1"), run("@orders", 3, origin="eu/web-2")))
        self.call.send(batch(run("@orders", 4, origin="web-1"), run("@orders", 5), run("a", 1, 1)))
        self.call.send(batch(run("@orders", 0, 2, sequences=[7, 9], origin="n" * 256)))
        self.wait_sequences(consumer, "up/@orders", [1, 2, 3, 4, 5, 7, 9])
        origins = {sequence: origin for (_, sequence), origin in consumer.received.origins.items()}
        long = origins.pop(7)
        self.assertEqual(origins.pop(9), long)
        self.assertEqual((len(long), long[:5]), (256, "up/nn"))
        self.assertEqual(origins, {1: "up/web-1", 2: "up/web-1", 3: "up/eu/web-2", 4: "up/web-1"})
        # the topic is a producer here, which its whole name selects
        whole = self.consumer(subscribe_request([v1.Selector(producer="up/@*")]))
        self.call.send(batch(run("@orders", 10, origin="web-1")))
        self.wait_sequences(whole, "up/@orders", [10])

    def test_a_call_that_ends_well_ends_its_sources(self):
        consumer = self.consumer()
        self.call.send(batch(run("a", 1, 3)))
        self.call.end()
        self.wait_state(consumer, "up/a", ENDED)
        self.wait_sequences(consumer, "up/a", [1, 2, 3])


class Refused(Hostile):
    def test_bad_messages_end_the_call(self):
        consumer = self.consumer()
        beyond = v1.Position(source="a", sequence=1 << 63)
        bad = [
            (b"\xff\xff\xff", "malformed"),
            (b"\x08\x01", "a number in place of a run"),
            (batch(run("")), "no name"),
            (batch(run("a\nb")), "a control character"),
            (batch(run("@t", origin="a\nb")), "a bad origin"),
            (batch(run("@t", origin="n" * 257)), "a long origin"),
            (batch(run("n" * 257)), "a long name"),
            (batch(run("a", 0)), "no sequence"),
            (batch(run("a", 1 << 63)), "a huge sequence"),
            (batch(run("a", 0, 2, sequences=[5])), "too few sequences"),
            (batch(run("a", 0, 2, sequences=[5, 5])), "a sequence twice"),
            (batch(run("a", 0, 2, sequences=[6, 5])), "falling sequences"),
            (batch(lost=[v1.Lost(source="\t", count=1)]), "a bad name of a loss"),
            (batch(producers=[state("\x7f", ACTIVE)]), "a bad name of a state"),
            (batch(progress=v1.Progress(positions=[v1.Position(source="")])), "a position of nobody"),
            (batch(progress=v1.Progress(positions=[beyond])), "a huge position"),
            (b"\x0a\x02\x0a\xff", "a malformed run"),
        ]
        for number, (message, what) in enumerate(bad):
            with self.subTest(what):
                remove(self.daemon, "up")
                add(self.daemon, cascade("up", self.upstream.address, restart=v1.Endpoint.NEVER))
                self.call = self.upstream.wait_calls(number + 2)
                self.call.send(message)
                self.wait_refused(CODE.INVALID_ARGUMENT)
        self.assertEqual(consumer.received.events, [])

    def test_a_name_that_somebody_else_has_is_not_taken(self):
        self.publish("up/taken", [event(1)])
        consumer = self.consumer()
        self.call.send(batch(run("taken", 1, 3), run("b", 1, 2)))
        self.wait_sequences(consumer, "up/b", [1, 2])
        consumer.wait(lambda: consumer.received.lost, "the loss is told")
        lost = consumer.received.lost[0]
        self.assertEqual((lost.source, lost.count, lost.reason, lost.upstream), ("up", 3, BUDGET, True))
        self.assertEqual(self.sequences(consumer, "up/taken"), [])
        # and nobody takes one of the endpoint's
        with self.assertFault(CODE.ALREADY_EXISTS, "NAME_TAKEN"):
            self.publish("up/b", [event(1)])

    def test_bad_endpoints_are_refused(self):
        def added(**fields):
            return add(self.daemon, cascade("other", self.upstream.address, **fields))

        with self.assertFault(CODE.INVALID_ARGUMENT, "UNSUPPORTED", "endpoint.activation"):
            added(activation=v1.Endpoint.PER_CONSUMER)
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "endpoint.history_events"):
            added(history_events=10)
        with self.assertFault(CODE.INVALID_ARGUMENT, "TOO_LONG", "endpoint.name"):
            add(self.daemon, cascade("n" * 201, self.upstream.address))


class Numbers(Hostile):
    def test_sequences_that_repeat_are_dropped_and_counted(self):
        before = self.daemon.counters()["events.repeated"]
        consumer = self.consumer()
        self.call.send(batch(run("a", 1, 3)), batch(run("a", 1, 3)), batch(run("a", 2, 4)))
        self.call.send(batch(run("a", 0, 3, sequences=[4, 9, 11])), batch(run("a", 3, 1)))
        self.wait_sequences(consumer, "up/a", [1, 2, 3, 4, 5, 9, 11])
        eventually(lambda: self.daemon.counters()["events.repeated"] == before + 7, "what was repeated")

    def test_epochs_that_go_back_and_forth(self):
        consumer = self.consumer(subscribe_request(max_events=1 << 16))
        for round_number in range(20):
            for epoch in (9, 3, 9, 5, 1):
                self.call.send(batch(run("a", 1 + round_number, 1, epoch)))
        # Nothing is lost of an epoch that goes on; at most two of them are there at a time.
        self.call.send(batch(run("last")))
        self.wait_sequences(consumer, "up/last", [1])
        self.assertLessEqual(self.daemon.producer("up").inner_sources, 3)
        self.assertGreaterEqual(len({e for s, e, *_ in consumer.received.events if s == "up/a"}), 4)

    def test_losses_with_huge_numbers(self):
        consumer = self.consumer()
        huge = (1 << 64) - 1
        self.call.send(
            batch(
                run("a", 1, 2),
                lost=[
                    v1.Lost(source="a", epoch=7, count=huge, bytes=huge, reason=OLDEST),
                    v1.Lost(source="a", epoch=7, count=5, first_sequence=huge, last_sequence=huge, reason=77),
                    v1.Lost(source="a", epoch=huge, count=2, first_sequence=9, last_sequence=3, reason=9),
                    v1.Lost(count=4, reason=BUDGET),
                ],
            )
        )
        self.wait_sequences(consumer, "up/a", [1, 2])
        consumer.wait(lambda: len(consumer.received.lost) >= 4, "the losses")
        found = {(l.source, l.count, l.count_unknown, l.reason) for l in consumer.received.lost}
        other = v1.LOSS_REASON_REPORTED_BY_PRODUCER
        expected = {
            ("up/a", 0, True, OLDEST),
            ("up/a", 5, False, other),
            ("up/a", 2, False, other),
            ("up", 4, False, BUDGET),
        }
        self.assertEqual(found, expected)
        self.assertTrue(all(each.upstream for each in consumer.received.lost))
        mine = self.daemon.subscription(consumer.id)
        self.assertEqual((mine.dropped.events, mine.accepted.events), (0, 2))

    def test_states_of_any_number(self):
        consumer = self.consumer()
        error = message_class("tributary.v1.ProducerStatus.Error")
        self.call.send(batch(producers=[state("a", ACTIVE), state("", RESYNC), state("ghost", REMOVED)]))
        self.call.send(b"\x1a\x0c" + b"\x0a\x01x\x11\x07" + b"\0" * 7)  # no state at all
        self.call.send(batch(producers=[state("a", UNAVAILABLE, error=error(code=99, message="n\nx" * 200))]))
        self.wait_state(consumer, "up/a", UNAVAILABLE)
        last = [each for each in consumer.received.states if each.source == "up/a"][-1]
        self.assertEqual(last.error.code, CODE.UNKNOWN.value[0])
        self.assertLessEqual(len(last.error.message), 256)
        self.assertIsNone(self.daemon.producer("up/ghost"))


class Floods(Hostile):
    def test_100_000_sources(self):
        """One in each run: 10 000 have a place, the others are lost of the endpoint; a bystander
        notices nothing."""
        bystander = self.consumer(subscribe_request(of("innocent")))
        consumer = self.consumer(subscribe_request(of("up"), max_events=1 << 20), keep=False)
        began = time.monotonic()
        for first in range(0, 100_000, 1000):
            self.call.send(batch(*(run(f"s{i}") for i in range(first, first + 1000))))
        latencies = []
        while consumer.received.lost_count(source="up") < 90_000 and time.monotonic() < began + 120:
            sent = time.monotonic()
            delivered = bystander.received.delivered
            self.publish("innocent", [event(1)])
            bystander.wait_events(delivered + 1)
            latencies.append(time.monotonic() - sent)
            time.sleep(0.01)
        self.assertEqual(consumer.received.lost_count(source="up"), 90_000)
        producer = self.daemon.producer("up")
        self.assertEqual(producer.inner_sources, 10_000)
        self.assertLess(sorted(latencies)[len(latencies) // 2], 0.25)
        self.assertLessEqual(len(self.daemon.log("relayed.refused")), 15)

    def test_a_new_epoch_in_every_event(self):
        consumer = self.consumer(subscribe_request(of("up/*"), max_events=1 << 20), keep=False)
        for first in range(0, 5000, 100):
            self.call.send(batch(*(run("s", 1, 1, epoch) for epoch in range(first + 1, first + 101))))
        consumer.wait_events(5000)
        self.assertLessEqual(self.daemon.producer("up").inner_sources, 3)

    def test_removal_in_the_middle_of_a_flood(self):
        for first in range(0, 20_000, 500):
            self.call.send(batch(*(run(f"s{i}") for i in range(first, first + 500))))
        eventually(lambda: self.daemon.producer("up").inner_sources > 100, "some are there")
        remove(self.daemon, "up")
        self.assertTrue(self.call.over.wait(10), "the call is cancelled")
        eventually(lambda: self.daemon.live()["live.relayed"] == 0, "every source is gone")
        add(self.daemon, cascade("up", self.upstream.address))
        self.upstream.wait_calls(2)


class Blocked(Hostile):
    """A consumer with BLOCK that does not read: the call is not read either."""

    def block(self):
        consumer = self.stalled(
            selectors=of("up/*"), overflow=v1.OVERFLOW_BLOCK, block_timeout=3600, max_events=1000
        )
        for first in range(0, 10_000, 100):
            events = [event(first + i, size=1000) for i in range(100)]
            runs = [v1.Run(source=s, epoch=7, first_sequence=first + 1, events=events) for s in ("a", "b")]
            self.call.send(batch(*runs))
        eventually(lambda: self.daemon.blocked("up/a") or self.daemon.blocked("up/b"), "it is blocked")
        return consumer

    def test_what_waits_comes_when_the_consumer_reads(self):
        before = self.daemon.counters()["events.dropped"]
        consumer = self.block()
        states = {self.daemon.producer(name).state for name in ("up/a", "up/b")}
        self.assertIn(v1.PRODUCER_STATE_BLOCKED, states)
        consumer.read()
        eventually(lambda: self.daemon.producer("up/b").last_sequence == 10_000, "all has come")
        self.assertEqual(self.daemon.counters()["events.dropped"], before)

    def test_the_upstream_fails_while_it_is_blocked(self):
        self.block()
        self.call.end(CODE.UNAVAILABLE, "gone")
        self.upstream.stop()
        self.upstream = Upstream(f"127.0.0.1:{self.upstream.port}")
        self.addCleanup(self.upstream.stop)
        self.upstream.wait_calls(1)

    def test_the_endpoint_is_removed_while_it_is_blocked(self):
        self.block()
        remove(self.daemon, "up")
        self.assertTrue(self.call.over.wait(10), "the call is cancelled")
        eventually(lambda: self.daemon.live()["live.endpoints"] == 0, "the endpoint is gone")
        add(self.daemon, cascade("up", self.upstream.address))
        self.upstream.wait_calls(2)

    def test_the_consumer_leaves_while_it_is_blocked(self):
        self.block().cancel()
        eventually(lambda: self.daemon.producer("up/b").last_sequence == 10_000, "all has come")


class Forgotten(Hostile):
    arguments = ()
    forget = "100ms"

    def test_a_silent_source_is_forgotten_and_comes_back(self):
        consumer = self.consumer()
        self.call.send(batch(run("a")))
        self.wait_state(consumer, "up/a", ACTIVE)
        self.wait_state(consumer, "up/a", REMOVED)
        self.assertIsNone(self.daemon.producer("up/a"))
        self.call.send(batch(run("a", 2)))
        self.wait_sequences(consumer, "up/a", [1, 2])
        self.assertEqual(consumer.received.lost, [])


if __name__ == "__main__":
    main()
