#!/usr/bin/python3
"""sort_window: events in the order of their times, across producers (docs/order.md)."""
import itertools
import json
import random
import subprocess
import threading
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import duration, message_class, v1
from harness.sessions import WithSessions, of

CODE = grpc.StatusCode
# Longer than any test: nothing goes because of its time.
LONG = 60
MS = 1_000_000


def window(seconds=LONG, **fields):
    return v1.SortWindow(duration=duration(seconds), **fields)


def sorting(seconds=LONG, sort=(), **fields):
    """A request that sorts."""
    return subscribe_request(sort_window=window(seconds, **dict(sort)), **fields)


def timed(number, at, **fields):
    return event(number, time_unix_nano=at, **fields)


class Sorting(WithSessions, Case):
    def times(self, consumer):
        return [each.time_unix_nano for _, _, _, each in consumer.received.events]

    def order(self, consumer):
        """Who sent each event, in the order of arrival."""
        return [source for source, _, _, _ in consumer.received.events]

    def queued(self, consumer, events):
        eventually(
            lambda: self.daemon.subscription(consumer.id).queued.events == events, f"{events} events are held"
        )
        return self.daemon.subscription(consumer.id, sources=True)

    def finish(self, consumer):
        v1.stub("Subscriber", self.daemon.channel).Finish(
            v1.FinishRequest(subscription_id=consumer.id), timeout=PATIENCE
        )
        self.assertIsNone(consumer.wait_end())


class Order(Sorting):
    def test_producers_that_are_late_by_less_than_the_window_are_merged_exactly(self):
        names, rounds = [f"p{number:02}" for number in range(16)], 60
        consumer = self.consumer(sorting(2, max_events=4096))
        streams = {name: self.publishing(name) for name in names}
        dice = random.Random(20261130)

        # In each round every producer has made its events before any of them is sent.
        for number in range(rounds):
            made = [(name, [timed(number, time.time_ns()) for _ in range(2)]) for name in names]
            dice.shuffle(made)
            for name, events in made:
                streams[name].send(events)
        consumer.wait_events(rounds * len(names) * 2)
        times = self.times(consumer)
        self.assertEqual(times, sorted(times))
        self.assertGreater(
            sum(a != b for a, b in itertools.pairwise(self.order(consumer))), rounds, "they alternate"
        )
        seen = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(seen)
        self.assertEqual((seen.sorted_late, seen.sort_full, seen.dropped.events), (0, 0, 0))
        settings = consumer.started.settings
        self.assertEqual((settings.sort_duration_nanos, settings.sort_events), (2000 * MS, 2048))

    def test_without_a_window_the_order_of_arrival_stays(self):
        consumer, now = self.consumer(), time.time_ns()
        for number, ago in enumerate((1, 3, 2)):
            self.publish(f"p{number}", [timed(number, now - ago * MS)])
        consumer.wait_events(3)
        self.assertEqual(self.order(consumer), ["p0", "p1", "p2"])
        settings = consumer.started.settings
        self.assertEqual((settings.sort_duration_nanos, settings.sort_events), (0, 0))

    def test_an_event_goes_when_its_window_is_over_though_nothing_follows(self):
        consumer, began = self.consumer(sorting(0.3)), time.monotonic()
        self.publish("p", [timed(0, time.time_ns())])
        consumer.wait_events(1)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_what_comes_too_late_goes_at_once_and_is_counted(self):
        before = self.daemon.counters()["events.sorted_late"]
        consumer, now = self.consumer(sorting(0.2)), time.time_ns()
        self.publish("a", [timed(0, now)])
        consumer.wait_events(1)
        began = time.monotonic()
        self.publish("b", [timed(1, now - 5 * MS), timed(2, now - 4 * MS)])
        consumer.wait_events(3)
        self.assertLess(time.monotonic() - began, 0.15)
        self.assertEqual(self.daemon.subscription(consumer.id).sorted_late, 2)
        self.assertEqual(self.daemon.counters()["events.sorted_late"], before + 2)

    def test_a_producer_keeps_its_order_whatever_times_it_names(self):
        consumer, now = self.consumer(sorting(0.1)), time.time_ns()
        odd = (0, 1, now + 3_600_000 * MS, (1 << 64) - 1, (1 << 63) - 1, 1 << 63, now, now - 1, 5)
        for number, at in enumerate(odd):
            self.publish("odd", [timed(number, at)])
        self.publish("even", [timed(number, now + number) for number in range(50)])
        consumer.wait_events(len(odd) + 50)
        self.assertEqual(consumer.received.numbers("odd"), list(range(len(odd))))
        self.assertEqual(consumer.received.numbers("even"), list(range(50)))

    def test_a_producer_with_a_wrong_clock_makes_no_other_late(self):
        consumer = self.consumer(sorting(0.4, max_events=4096))
        ahead = self.publishing("ahead")
        for number in range(20):
            ahead.send([timed(number, time.time_ns() + 3_600_000 * MS)])
            made = [(name, timed(number, time.time_ns())) for name in ("a", "b", "c")]
            for name, each in reversed(made):
                self.publish(name, [each])
        consumer.wait_events(80)
        self.assertEqual(self.daemon.subscription(consumer.id).sorted_late, 0)
        times = [each.time_unix_nano for source, _, _, each in consumer.received.events if source != "ahead"]
        self.assertEqual(times, sorted(times))

    def test_a_field_of_the_data_says_the_time(self):
        def stamp(at):
            """Field 2 is a message whose field 3 is a fixed64."""
            return b"\x12\x09\x19" + at.to_bytes(8, "little")

        consumer, now = self.consumer(sorting(0.5, {"field": "2.3"})), time.time_ns()
        for name, ago in (("a", 1), ("b", 3), ("c", 2)):
            self.publish(name, [v1.Event(data=stamp(now - ago * MS), time_unix_nano=now)])
        consumer.wait_events(3)
        self.assertEqual(self.order(consumer), ["b", "c", "a"])

    def test_history_comes_in_order(self):
        first = self.consumer(subscribe_request(start=v1.Start(last=1)))  # from now on there is one
        now = time.time_ns()
        for number in range(10):
            for name, offset in (("h1", 2), ("h2", 0), ("h3", 1)):
                self.publish(name, [timed(number, now - (100 - 3 * number) * MS + offset * MS)])
        first.wait_events(30)
        consumer = self.consumer(sorting(0.2, start=v1.Start(last=10)))
        consumer.wait_events(30)
        self.assertEqual(self.order(consumer), ["h2", "h3", "h1"] * 10)


class Ends(Sorting):
    def hold(self, consumer):
        """Three events of three producers, whose times are in the opposite order."""
        now = time.time_ns()
        for number, name in enumerate("abc"):
            self.publish(name, [timed(number, now - number * MS)])
        return self.queued(consumer, 3)

    def test_what_is_held_is_queued_and_not_delivered(self):
        consumer = self.consumer(sorting(heartbeat_interval=0.1))
        seen = self.hold(consumer)
        self.check_totals(seen)
        self.assertEqual((seen.accepted.events, seen.delivered.events, seen.queued.events), (3, 0, 3))
        held = {each.name: each.last_sequence for each in map(self.daemon.producer, "abc")}
        consumer.wait(lambda: consumer.received.heartbeats >= 3, "heartbeats while events are held")
        self.assertEqual(consumer.received.delivered, 0)
        progress = consumer.received.progress
        for position in progress.positions if progress else ():
            if position.source in held:
                self.assertLess(position.sequence, held[position.source])

    def test_a_drain_lets_everything_go_at_once_in_order(self):
        consumer = self.consumer(sorting())
        self.hold(consumer)
        began = time.monotonic()
        self.finish(consumer)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.order(consumer), ["c", "b", "a"])

    def test_the_half_close_of_a_Consume_too(self):
        consumer = self.consuming(sorting())
        self.hold(consumer)
        consumer.half_close()
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(self.order(consumer), ["c", "b", "a"])

    def test_a_consumer_that_leaves_leaves_nothing_behind(self):
        consumer = self.consumer(sorting())
        self.hold(consumer)
        consumer.cancel()
        eventually(lambda: not self.daemon.subscriptions(), "the subscription is gone")

    def test_a_shutdown_delivers_what_is_held(self):
        daemon = self.start_daemon()
        consumer = self.consumer(sorting(), channel=self.channel(daemon.address))
        now = time.time_ns()
        for number, name in enumerate("abc"):
            self.publish(name, [timed(number, now - number * MS)], channel=daemon.channel)
        daemon.stop()
        self.check_fault(consumer.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.assertEqual(self.order(consumer), ["c", "b", "a"])

    def test_a_select_lets_go_what_was_held_before_it(self):
        consumer = self.consuming(sorting())
        self.hold(consumer)
        consumer.select([v1.Selector(producer="z")])
        _, before = consumer.wait_revision(1)
        consumer.wait_events(3)
        self.assertEqual((before, self.order(consumer)), (3, ["c", "b", "a"]))

    def test_no_event_goes_without_credit(self):
        consumer = self.without_credit(sorting(0.05))
        now = time.time_ns()
        self.publish("a", [timed(0, now)])
        self.publish("b", [timed(1, now - MS)])
        self.queued(consumer, 2)
        consumer.credit(events=1)
        consumer.wait_events(1)
        self.assertEqual(self.order(consumer), ["b"])
        self.queued(consumer, 1)
        consumer.credit(events=1)
        consumer.wait_events(2)

    def test_limit_events_counts_what_was_sent(self):
        consumer = self.consumer(sorting(0.2, limit_events=2))
        now = time.time_ns()
        for number, name in enumerate("abc"):
            self.publish(name, [timed(number, now - number * MS)])
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(self.order(consumer), ["c", "b"])

    def test_the_last_state_of_a_producer_comes_after_its_last_event(self):
        session = self.per_consumer("s")
        consumer = self.consumer(sorting(0.5, selectors=of("s")))
        activation = session.start_of(consumer)
        session.send(activation, [timed(0, time.time_ns())])
        session.end(activation)
        self.state_of(consumer, "s", v1.PRODUCER_STATE_ENDED)
        self.assertEqual(consumer.received.delivered, 1)

    def test_a_token_does_not_cover_what_is_held(self):
        consumer = self.consumer(sorting())
        self.publish("a", [timed(0, time.time_ns())])
        self.queued(consumer, 1)
        token = consumer.started.resume_token
        consumer.cancel()
        resumed = self.consumer(sorting(start=v1.Start(resume=token)))
        resumed.wait(lambda: resumed.received.lost, "the gap is reported")
        self.assertEqual(
            [(lost.source, lost.count, lost.reason) for lost in resumed.received.lost if lost.source == "a"],
            [("a", 1, v1.LOSS_REASON_RESUME_GAP)],
        )

    def test_closing_has_a_token_that_does_not_cover_it_either(self):
        consumer = self.consuming(sorting(0.05))
        now = time.time_ns()
        self.publish("a", [timed(number, now + number) for number in range(3)])
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("a"), [0, 1, 2])
        self.finish(consumer)
        resumed = self.consumer(sorting(0.05, start=v1.Start(resume=consumer.received.progress.resume_token)))
        self.publish("a", [timed(3, time.time_ns())])
        resumed.wait_events(1)
        self.assertEqual(resumed.received.lost, [])


class Why(Sorting):
    def test_Explain_names_the_window(self):
        consumer = self.consumer(sorting(20))
        self.publish("a", [timed(0, time.time_ns())])
        self.queued(consumer, 1)
        answer = self.daemon.admin().Explain(v1.ExplainRequest(subscription_id=consumer.id))
        self.assertEqual(answer.limit, message_class("tributary.v1.Explanation").SORT_WINDOW, answer.sentence)
        self.assertIn("each is held for 20", answer.sentence)
        self.assertEqual({stat.name: stat.value for stat in answer.stats}["sort_window"], 20000)


class Policies(Sorting):
    def fill(self, consumer, names, each):
        """Every producer publishes so many events, one by one; a later producer has earlier
        times."""
        now = time.time_ns()
        for number in range(each):
            for place, name in enumerate(names):
                self.publish(name, [timed(number, now - (10 * each - 10 * number + place) * MS, key="k")])

    def check(self, consumer, accepted):
        seen = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(seen)
        self.assertEqual(seen.accepted.events, accepted)
        times = self.times(consumer)
        self.assertEqual(times, sorted(times))
        self.assertEqual(consumer.received.delivered + consumer.received.lost_count(), accepted)

    # A window that is full lets events go, so these consumers give no credit.
    def test_every_policy_loses_what_it_loses_without_a_window(self):
        for overflow, reason in (
            (v1.OVERFLOW_DROP_OLDEST, v1.LOSS_REASON_OVERFLOW_OLDEST),
            (v1.OVERFLOW_DROP_NEWEST, v1.LOSS_REASON_OVERFLOW_NEWEST),
            (v1.OVERFLOW_BLOCK, v1.LOSS_REASON_BLOCK_TIMEOUT),
            (v1.OVERFLOW_LATEST_PER_KEY, v1.LOSS_REASON_COALESCED),
        ):
            with self.subTest(overflow=v1.enum_name("Overflow", overflow)):
                consumer = self.without_credit(
                    sorting(
                        0.02,
                        max_events=10,
                        overflow=overflow,
                        block_timeout=0.01,
                        selectors=of("p") + of("q"),
                    )
                )
                self.fill(consumer, ("p", "q"), 15)
                queued = 2 if overflow == v1.OVERFLOW_LATEST_PER_KEY else 10
                self.queued(consumer, queued)
                consumer.credit(events=1000)
                consumer.wait_accounted(30)
                self.assertEqual({lost.reason for lost in consumer.received.lost}, {reason})
                self.assertEqual(consumer.received.delivered, queued)
                self.check(consumer, 30)
                consumer.cancel()

    def test_DISCONNECT_ends_the_stream(self):
        consumer = self.without_credit(sorting(max_events=4, overflow=v1.OVERFLOW_DISCONNECT))
        self.publish("p", [timed(number, time.time_ns()) for number in range(9)])
        self.check_fault(consumer.wait_end(), CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")

    def test_a_full_window_loses_nothing_and_holds_nobody_back(self):
        for overflow in (v1.OVERFLOW_DROP_OLDEST, v1.OVERFLOW_BLOCK):
            consumer = self.consumer(sorting(max_events=100, overflow=overflow, selectors=of("p") + of("q")))
            now = time.time_ns()
            for number in range(300):
                self.publish("pq"[number % 2], [timed(number, now + number)])
            consumer.wait_events(250)
            seen = self.queued(consumer, 50)
            self.check_totals(seen)
            self.assertEqual((seen.dropped.events, seen.sort_full, seen.sorted_late), (0, 250, 0))
            times = self.times(consumer)
            self.assertEqual(times, sorted(times))
            consumer.cancel()

    def test_activations_are_sorted_and_go_on_when_they_were_paused(self):
        sessions = [self.per_consumer(name) for name in ("s", "t")]
        consumer = self.without_credit(
            sorting(0.05, max_events=20, overflow=v1.OVERFLOW_BLOCK, selectors=of("s") + of("t"))
        )
        activations = [session.start_of(consumer) for session in sessions]
        now = time.time_ns()
        for number in range(40):
            for place, (session, activation) in enumerate(zip(sessions, activations)):
                session.send(activation, [timed(number, now - (100 - 2 * number - place) * MS)])
        for session in sessions:
            session.wait(lambda session=session: session.pauses > 0, "its activation is paused")
        consumer.credit(events=1000)
        consumer.wait_events(80)
        for name in ("s", "t"):
            self.assertEqual(consumer.received.numbers(name), list(range(40)))
        self.assertEqual(consumer.received.lost, [])

    def test_many_consumers_with_windows_of_their_own(self):
        consumers = [self.consumer(sorting(0.05 * (1 + n % 4), max_events=8192)) for n in range(12)]
        consumers += [self.consumer(subscribe_request(max_events=8192)) for _ in range(2)]
        streams = [self.publishing(f"m{n}") for n in range(8)]

        def pump(stream, seed):
            dice = random.Random(seed)
            for number in range(100):
                stream.send([timed(number, time.time_ns() - dice.randrange(2 * MS))])

        threads = [threading.Thread(target=pump, args=pair) for pair in zip(streams, range(8))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for consumer in consumers:
            consumer.wait_events(800)
            consumer.complete({f"m{n}": 100 for n in range(8)})


class Short(Sorting):
    arguments = ("--memory-limit", "16M", "--write-timeout", "120s")

    def test_nothing_is_held_while_memory_is_short(self):
        consumer = self.consumer(sorting(max_events=1 << 16, max_bytes=256 << 20))
        greedy = [
            self.without_credit(subscribe_request(of(f"g{n}"), max_bytes=256 << 20, max_events=1 << 20))
            for n in range(4)
        ]
        self.publish("early", [timed(0, time.time_ns())])
        self.queued(consumer, 1)
        for number in range(60):
            for n in range(len(greedy)):
                self.publish(f"g{n}", [event(number, size=100_000)])
        consumer.wait(
            lambda: any(source == "early" for source, *_ in consumer.received.events),
            "what was held has gone long before its time",
        )
        self.check_totals(self.daemon.subscription(consumer.id, sources=True))


class Input(Sorting):
    def refused(self, request, field, *parts):
        for call in ("Subscribe", "Consume"):
            stub = v1.stub("Subscriber", self.channel())
            init = v1.ConsumeRequest(init=request)
            stream = stub.Subscribe(request) if call == "Subscribe" else stub.Consume(iter([init]))
            with self.assertFault(
                CODE.INVALID_ARGUMENT, field=field if call == "Subscribe" else "init." + field, contains=parts
            ):
                next(stream)

    def test_a_bad_window_is_refused_with_field_value_and_bound(self):
        self.refused(sorting(0), "sort_window.duration", "0.000000000 s", "1 ms")
        self.refused(sorting(61), "sort_window.duration", "61.000000000 s", "1 min")
        self.refused(sorting(-1), "sort_window.duration", "-1.000000000 s")
        self.refused(sorting(1, max_age=1), "sort_window.duration", "buffer.max_age")
        self.refused(sorting(1, {"events": 513}), "sort_window.events", "513", "at most 512")
        self.refused(sorting(1, max_events=1), "buffer.max_events", "at least 2")
        for bad in ("x", "0", "1.", "1..2", "1.2.3.4.5.6.7.8.9", "536870912", "1" * 100):
            self.refused(sorting(1, {"field": bad}), "sort_window.field", "1 to 8 field numbers")

    def test_an_empty_window_has_defaults(self):
        consumer = self.consumer(subscribe_request(sort_window=v1.SortWindow(), max_events=2000))
        settings = consumer.started.settings
        self.assertEqual((settings.sort_duration_nanos, settings.sort_events), (100 * MS, 1000))


class Tool(Sorting):
    def sub(self, *arguments):
        return subprocess.run(
            [binary("tributary"), "sub", "-s", self.daemon.address, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def test_sub_prints_in_the_order_of_times(self):
        process = self.start_program(
            binary("tributary"), "sub", "--sort-window", "400ms,100", "-o", "jsonl", "-n", "3", text=True
        )
        eventually(lambda: self.daemon.subscriptions(), "it has subscribed")
        listed = self.start_program(binary("tributary"), "subs", "ls", "-o", "json", text=True)
        shown = json.loads(listed.communicate(timeout=PATIENCE)[0])
        self.assertEqual(shown["settings"]["sort_window_ns"], 400 * MS)
        self.assertEqual(shown["settings"]["sort_events"], 100)
        self.assertEqual((shown["sorted_late"], shown["sort_full"]), (0, 0))
        now = time.time_ns()
        for number, name in enumerate("abc"):
            self.publish(name, [timed(number, now - number * MS)])
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([line.get("producer", line.get("source")) for line in lines], ["c", "b", "a"])

    def test_bad_options_are_named(self):
        for arguments, part in (
            (["--sort-window", "x"], "--sort-window 'x'"),
            (["--sort-window", "2m"], "must be"),
            (["--sort-window", "1s,0"], "the number of events"),
            (["--sort-window", "1s,"], "the number of events"),
            (["--sort-field", "3"], "only with --sort-window"),
            (["--sort-window", "1s", "--sort-field", "a.b"], "sort_window.field"),
            (["--sort-window", "1s,600"], "at most 512"),
        ):
            done = self.sub(*arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    main()
