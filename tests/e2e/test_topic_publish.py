#!/usr/bin/python3
"""Publishing into stored topics: confirmed after the commit, all of a batch or nothing, once for each
number, and in order. S2, S3, S15, S22, S24, and the publishers of row_13."""
import queue
import unittest

import grpc

from harness.bad_disk import OnBadDisk
from harness.case import main
from harness.client import Consumer, connect, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import fault_of, v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode
STORED, RECEIVED = v1.CONFIRM_STORED, v1.CONFIRM_RECEIVED


def events(topic, *texts):
    return [v1.Event(topic=topic, data=text.encode()) for text in texts]


def numbers(first, publisher_id=b"me", life=0):
    return v1.PublisherNumbers(id=publisher_id, first_number=first, life=life)


class Stream:
    """One PublishStream, written and read by the test."""

    def __init__(self, channel):
        self.requests = queue.Queue()
        self.call = v1.stub("Publisher", channel).PublishStream(iter(self.requests.get, None))
        self.confirmed, self.refused, self.ranges, self.duplicates = 0, {}, [], 0
        self.last_sequence = 0
        self.sent = 0

    def send(self, *args, **fields):
        self.requests.put(v1.PublishStreamRequest(*args, **fields))
        self.sent += 1

    def wait(self, batch=None):
        while self.confirmed < (self.sent if batch is None else batch):
            self._apply(next(self.call))

    def _apply(self, answer):
        self.confirmed = answer.confirmed_batch
        self.refused.update({each.batch: each.reason for each in answer.refused})
        self.ranges += answer.ranges
        self.duplicates = answer.duplicates
        self.last_sequence = answer.last_sequence

    def close(self):
        self.requests.put(None)
        for answer in self.call:
            self._apply(answer)


class PublishCase(TopicsCase):
    def setUp(self):
        super().setUp()
        self.channels = []
        self.addCleanup(lambda: [channel.close() for channel in self.channels])

    def channel(self):
        self.channels.append(connect(self.daemon.address))
        return self.channels[-1]

    def publish(self, batch, producer="web", **fields):
        request = v1.PublishRequest(events=batch, producer=producer, **fields)
        return v1.stub("Publisher", self.channel()).Publish(request, timeout=PATIENCE)

    def refused(self, batch, code, reason, *parts, **fields):
        fault = fault_of(lambda: self.publish(batch, **fields))
        self.assertEqual((fault.code, fault.reason), (code, reason), str(fault))
        for part in parts:
            self.assertIn(part, fault.message)
        return fault

    def range_of(self, answer):
        return [(each.topic, each.first_sequence, each.last_sequence) for each in answer.ranges]

    def next_sequence(self, name):
        return self.topic(name).next_sequence


class Publish(PublishCase):
    def test_what_is_confirmed_is_there_after_a_kill(self):
        self.start()
        epoch = self.create("orders").epoch
        answer = self.publish(events("orders", "a", "b", "c"))
        self.assertEqual(self.range_of(answer), [("orders", 1, 3)])
        self.assertEqual(answer.ranges[0].epoch, epoch)
        self.assertEqual((answer.first_sequence, answer.last_sequence, answer.epoch), (0, 0, 0))
        answer = self.publish(events("orders", "d"), confirm=STORED)
        self.assertEqual(self.range_of(answer), [("orders", 4, 4)])
        self.kill_and_start()
        self.assertEqual(self.next_sequence("orders"), 5)
        self.assertEqual(self.range_of(self.publish(events("orders", "e"))), [("orders", 5, 5)])

    def test_a_consumer_gets_stored_events_through_the_topic_alone(self):
        self.start()
        self.create("orders")
        consumer = Consumer(self.channel())
        self.publish(events("orders", "1 ", "2 "))
        self.publish(events("live", "3 "))
        consumer.wait(lambda: consumer.received.delivered == 3, "all events")
        found = {source: [e.data for s, _, _, e in consumer.received.events if s == source]
                 for source in ("@orders", "web")}
        self.assertEqual(found, {"@orders": [b"1 ", b"2 "], "web": [b"3 "]})

    def test_a_batch_over_several_topics_is_stored_whole(self):
        self.start()
        for name in ("a", "b"):
            self.create(name)
        consumer = Consumer(self.channel())
        batch = events("a", "1 ") + events("live", "2 ") + events("b", "3 ", "4 ") + events("a", "5 ")
        answer = self.publish(batch)
        self.assertEqual(self.range_of(answer), [("a", 1, 2), ("b", 1, 2)])
        self.assertEqual((answer.first_sequence, answer.last_sequence), (1, 1))
        self.assertGreater(answer.epoch, 0)
        consumer.wait(lambda: consumer.received.delivered == 5, "all events")
        self.assertEqual(consumer.received.numbers("@a"), [1, 5])
        self.assertEqual(consumer.received.numbers("@b"), [3, 4])
        self.assertEqual(consumer.received.numbers("web"), [2])

    def test_only_events_of_stored_topics_can_be_confirmed_as_stored(self):
        self.start()
        self.create("a")
        refused = lambda batch, **fields: self.refused(
            batch, CODE.FAILED_PRECONDITION, "TOPIC_NOT_STORED", '"live"', **fields)
        refused(events("live", "x"), confirm=STORED)
        refused(events("a", "x") + events("live", "x"), confirm=STORED)
        refused(events("a", "x") + events("live", "x"), publisher=numbers(1))
        self.assertEqual(self.next_sequence("a"), 1)
        self.assertEqual(self.range_of(self.publish(events("a", "x"), confirm=RECEIVED)), [])
        eventually(lambda: self.next_sequence("a") == 2, "what was received is stored")

    def test_without_a_store_nothing_is_stored(self):
        self.daemon = self.start_daemon()
        self.refused(events("a", "x"), CODE.FAILED_PRECONDITION, "TOPIC_NOT_STORED", confirm=STORED)
        self.assertEqual(self.publish(events("a", "x")).last_sequence, 1)

    def test_names_of_topics_are_no_names_of_producers(self):
        self.start()
        self.refused(events("a", "x"), CODE.INVALID_ARGUMENT, "BAD_NAME", "'@' are for topics", producer="@a")
        hello = v1.Hello(name="@a")
        call = v1.stub("Publisher", self.channel()).Register(iter([v1.RegisterRequest(hello=hello)]))
        fault = fault_of(lambda: list(call))
        self.assertEqual((fault.code, fault.reason), (CODE.INVALID_ARGUMENT, "BAD_NAME"))

    def test_a_topic_is_made_when_something_is_published_to_it(self):
        self.start("--create-topics", "auto.*")
        self.assertEqual(self.range_of(self.publish(events("auto.a", "x") + events("auto.b", "y"))),
                         [("auto.a", 1, 1), ("auto.b", 1, 1)])
        self.assertEqual(self.publish(events("other", "x")).last_sequence, 1)
        self.assertEqual(self.names(), ["auto.a", "auto.b"])
        streams = [Stream(self.channel()) for _ in range(8)]
        for stream in streams:
            stream.send(producer="p", events=events("auto.c", "x"))
        for stream in streams:
            stream.close()
            self.assertEqual(stream.refused, {})
        self.assertEqual(self.next_sequence("auto.c"), 9)


class Made(OnBadDisk, PublishCase):
    """Topics that are made because something is published to them."""

    def test_a_batch_that_is_refused_makes_no_topic(self):
        self.start("--create-topics", "auto.*")
        self.create("a")
        invalid, not_possible = CODE.INVALID_ARGUMENT, CODE.FAILED_PRECONDITION
        new = events("auto.1", "x")
        many = [event for i in range(64) for event in events(f"auto.{i}", "x")]
        self.refused(events("a", "x") + many, invalid, "OUT_OF_BOUNDS", "at most 64 stored topics")
        self.refused(many + events("auto.64", "x"), invalid, "OUT_OF_BOUNDS", "at most 64 stored topics")
        self.refused(new + events("live", "x"), not_possible, "TOPIC_NOT_STORED", '"live"', confirm=STORED)
        self.refused(events("live", "x") + new, not_possible, "TOPIC_NOT_STORED", publisher=numbers(1))
        self.refused(new, invalid, "OUT_OF_BOUNDS", publisher=numbers(2**64 - 1, life=2**64 - 1))
        self.refused(new, invalid, "BAD_NAME", producer="@a")
        stream = Stream(self.channel())
        stream.send(events=events("a", "x"), publisher=numbers(1))
        stream.wait()
        stream.send(events=new, publisher=numbers(1, b"another"))
        stream.send(events=[v1.Event(topic="auto.1", key="k" * 257)], publisher=numbers(2))
        stream.close()
        self.assertEqual(list(stream.refused), [2, 3])
        self.assertEqual(self.names(), ["a"])
        self.assertEqual(len(self.publish(many).ranges), 64, "as many as a batch may have")

    def test_peers_take_turns_when_topics_are_made(self):
        path = f"{self.folder}/socket"
        self.start_on_bad_disk("--create-topics", "auto.*", listen=("127.0.0.1:0", f"unix:{path}"))
        others = 400
        with self.disk_that("wait"):
            publisher = v1.stub("Publisher", self.channel())
            before = self.daemon.counters()["live.calls"]
            calls = [
                publisher.Publish.future(v1.PublishRequest(events=events(f"auto.{i}", "x")), timeout=PATIENCE)
                for i in range(others)
            ]
            eventually(lambda: self.daemon.counters()["live.calls"] >= before + others, "all calls wait")
            self.channels.append(connect(f"unix:{path}"))
            publisher = v1.stub("Publisher", self.channels[-1])
            calls.append(
                publisher.Publish.future(v1.PublishRequest(events=events("auto.mine", "x")), timeout=PATIENCE)
            )
            eventually(lambda: self.daemon.counters()["live.calls"] > before + others, "it waits, too")
        for call in calls:
            call.result()
        order = [topic.name for topic in sorted(self.topics(), key=lambda topic: topic.epoch)]
        self.assertLess(order.index("auto.mine"), 64 + 64, "not behind all that the other peer makes")


class Numbers(PublishCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.create("a")

    def test_a_batch_that_is_sent_again_is_stored_once(self):
        first = self.publish(events("a", "1", "2"), publisher=numbers(1))
        self.assertEqual(self.range_of(first), [("a", 1, 2)])
        again = self.publish(events("a", "1", "2", "3"), publisher=numbers(1))
        self.assertEqual((self.range_of(again), again.duplicates), ([("a", 3, 3)], 2))
        self.kill_and_start()
        again = self.publish(events("a", "1", "2", "3"), publisher=numbers(1))
        self.assertEqual((self.range_of(again), again.duplicates), ([], 3))
        self.assertEqual(self.next_sequence("a"), 4)

    def test_consumers_do_not_get_duplicates(self):
        consumer = Consumer(self.channel())
        self.publish(events("a", "1 ", "2 "), publisher=numbers(1))
        self.publish(events("a", "1 ", "2 ", "3 "), publisher=numbers(1))
        self.publish(events("a", "4 "), publisher=numbers(4))
        consumer.wait(lambda: consumer.received.delivered == 4, "all events")
        self.assertEqual(consumer.received.numbers("@a"), [1, 2, 3, 4])

    def test_gaps_and_earlier_lives_are_refused(self):
        self.publish(events("a", "1"), publisher=numbers(1, life=7))
        batch = events("a", "x")
        gap = self.refused(batch, CODE.FAILED_PRECONDITION, "NUMBER_GAP", "the next number is 2", "got 3",
                           publisher=numbers(3, life=7))
        self.assertEqual(gap.parts["google.rpc.ErrorInfo"].metadata["bound"], "the next number is 2")
        self.refused(batch, CODE.ABORTED, "PUBLISHER_FENCED", publisher=numbers(2, life=6))
        self.refused(batch, CODE.FAILED_PRECONDITION, "PUBLISHER_UNKNOWN", publisher=numbers(2, b"new"))
        self.assertEqual(self.range_of(self.publish(batch, publisher=numbers(100, life=8))), [("a", 2, 2)])

    def test_each_bound_is_named(self):
        batch = events("a", "x", "y")
        bad = CODE.INVALID_ARGUMENT
        self.refused(batch, bad, "EMPTY", "publisher.id", publisher=v1.PublisherNumbers(first_number=1))
        self.refused(batch, bad, "TOO_LONG", "publisher.id", publisher=numbers(1, b"x" * 65))
        self.refused(batch, bad, "OUT_OF_BOUNDS", "publisher.first_number", publisher=numbers(0))
        self.refused(batch, bad, "OUT_OF_BOUNDS", "publisher.first_number", publisher=numbers((1 << 64) - 1))
        self.refused(batch[1:], bad, "OUT_OF_BOUNDS", "publisher.first_number", "2^64 - 1",
                     publisher=numbers((1 << 64) - 1))
        self.publish(batch, publisher=numbers(1, b"x" * 64))
        self.publish(batch[1:], publisher=numbers((1 << 64) - 2, b"x" * 64, life=9))

    def test_behind_a_refused_batch_those_on_their_way_are_refused(self):
        self.publish(events("a", "1"), publisher=numbers(1, life=1))
        stream = Stream(self.channel())
        # a new life whose first batch is refused does not begin with the second one
        stream.send(producer="web", events=events("nope", "x"), publisher=numbers(1, life=2))
        stream.send(events=events("a", "y"), publisher=numbers(2, life=2))
        stream.send(events=events("a", "z"), publisher=numbers(3, life=2))
        stream.wait()
        self.assertEqual(stream.refused, {1: "TOPIC_NOT_STORED", 2: "NUMBER_GAP", 3: "NUMBER_GAP"})
        stream.send(events=events("a", "1"), publisher=numbers(1, life=2))
        stream.send(events=events("a", "2"), publisher=numbers(2, life=2))
        stream.send(events=events("a", "4"), publisher=numbers(4, life=2))
        stream.send(events=events("a", "5"), publisher=numbers(5, life=2))
        stream.close()
        gaps = dict.fromkeys((2, 3, 6, 7), "NUMBER_GAP")
        self.assertEqual(stream.refused, {1: "TOPIC_NOT_STORED", **gaps})
        self.assertEqual(self.next_sequence("a"), 4)

    def test_a_stream_has_one_publisher(self):
        stream = Stream(self.channel())
        stream.send(producer="web", events=events("a", "x"), publisher=numbers(1))
        stream.send(events=events("a", "x"), publisher=numbers(1, b"other"))
        stream.close()
        self.assertEqual(stream.refused, {2: "PUBLISHER_CHANGED"})


class Streams(PublishCase):
    def setUp(self):
        super().setUp()
        self.start()
        for name in ("a", "b"):
            self.create(name)

    def test_many_batches_are_on_their_way_and_answers_stay_in_order(self):
        stream = Stream(self.channel())
        for i in range(500):
            stream.send(producer="web", events=events("a" if i % 3 else "b", *["x"] * 10))
        stream.close()
        self.assertEqual((stream.confirmed, stream.refused), (500, {}))
        self.assertEqual((self.next_sequence("a"), self.next_sequence("b")), (3331, 1671))
        self.assertEqual(max(each.last_sequence for each in stream.ranges if each.topic == "a"), 3330)

    def test_live_events_keep_their_order_behind_mixed_batches(self):
        consumer = Consumer(self.channel(), subscribe_request(max_events=100000))
        stream = Stream(self.channel())
        number = 0
        for i in range(300):
            batch = []
            for kind in ((0,), (0, 1), (1,), (1, 0, 1))[i % 4]:
                number += 1
                batch += events("a" if kind else "live", f"{number} ")
            stream.send(producer="web", events=batch)
        stream.close()
        self.assertEqual((stream.confirmed, stream.refused), (300, {}))
        consumer.wait(lambda: consumer.received.delivered == number, "all events")
        for source in ("web", "@a"):
            found = consumer.received.numbers(source)
            self.assertEqual(found, sorted(found))
        self.assertEqual(stream.last_sequence, len(consumer.received.numbers("web")))

    def test_a_refused_batch_does_not_end_the_stream(self):
        stream = Stream(self.channel())
        stream.send(producer="web", events=events("a", "x"))
        stream.send(events=events("live", "x"), confirm=STORED)
        stream.send(events=events("a", "y"))
        stream.send(events=events("live", "z"))
        stream.send(events=[v1.Event(topic="a\n")])
        stream.send(events=events("b", "z"), confirm=RECEIVED)
        stream.close()
        self.assertEqual(stream.refused, {2: "TOPIC_NOT_STORED", 5: "BAD_NAME"})
        self.assertEqual((stream.confirmed, stream.last_sequence), (6, 1))
        eventually(lambda: self.next_sequence("b") == 2, "what was received is stored")

    def test_a_stream_that_is_cut_off_has_its_batches_stored(self):
        stream = Stream(self.channel())
        for _ in range(100):
            stream.send(producer="web", events=events("a", *["x"] * 100))
        stream.wait(50)
        stream.call.cancel()
        eventually(lambda: self.daemon.counters()["live.append_bytes"] == 0, "nothing is left behind")
        self.assertGreaterEqual(self.next_sequence("a"), 5001)

    def test_a_batch_has_events_of_64_topics_at_most(self):
        for i in range(65):
            self.create(f"t{i}")
        batch = [event for i in range(65) for event in events(f"t{i}", "x")]
        self.refused(batch, CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "64", '"t64"')
        self.assertEqual(len(self.publish(batch[:64]).ranges), 64)


class Session:
    """One Register in mode SHARED, written and read by the test."""

    def __init__(self, channel, name, mode=v1.Hello.SHARED):
        self.requests = queue.Queue()
        self.call = v1.stub("Publisher", channel).Register(iter(self.requests.get, None))
        self.confirmed, self.refused, self.ranges, self.duplicates = 0, {}, [], 0
        self.sent = 0
        self.send(hello=v1.Hello(name=name, mode=mode))
        self.wait()

    def send(self, **fields):
        self.requests.put(v1.RegisterRequest(**fields))
        self.sent += 1

    def wait(self):
        while self.confirmed < self.sent:
            self._apply(next(self.call))

    def _apply(self, answer):
        for command in answer.commands:
            if command.HasField("refused"):
                self.refused[command.refused.message] = command.refused.reason
            if command.HasField("confirm"):
                self.confirmed = command.confirm.message
                self.ranges += command.confirm.ranges
                self.duplicates = command.confirm.duplicates

    def close(self):
        self.requests.put(None)
        for answer in self.call:
            self._apply(answer)


class Sessions(PublishCase):
    def setUp(self):
        super().setUp()
        self.start("--create-topics", "auto.*")
        self.create("a")

    def test_a_shared_session_stores_and_its_confirm_follows_the_commit(self):
        consumer = Consumer(self.channel(), subscribe_request(max_events=100000))
        session = Session(self.channel(), "s")
        for i in range(300):
            session.send(events=events("a", f"{i} "))
        session.wait()
        self.assertEqual(self.next_sequence("a"), 301)
        self.assertEqual(max(each.last_sequence for each in session.ranges), 300)
        self.assertEqual(session.refused, {})
        consumer.wait(lambda: consumer.received.delivered == 300, "all events")
        self.assertEqual(consumer.received.numbers("@a"), list(range(300)))
        session.close()

    def test_live_events_of_a_session_keep_their_order(self):
        consumer = Consumer(self.channel(), subscribe_request(max_events=100000))
        session = Session(self.channel(), "s")
        number = 0
        for i in range(200):
            batch = []
            for kind in ((0,), (0, 1), (1,), (1, 0, 1))[i % 4]:
                number += 1
                batch += events("a" if kind else "live", f"{number} ")
            session.send(events=batch)
        session.close()
        self.assertEqual((session.confirmed, session.refused), (201, {}))
        consumer.wait(lambda: consumer.received.delivered == number, "all events")
        for source in ("s", "@a"):
            found = consumer.received.numbers(source)
            self.assertEqual(found, sorted(found))

    def test_a_refused_message_does_not_end_the_session(self):
        session = Session(self.channel(), "s")
        session.send(events=events("a", "1", "2"), publisher=numbers(1))
        session.send(events=events("a", "1", "2", "3"), publisher=numbers(1))
        session.send(events=events("a", "x"), publisher=numbers(9))
        session.send(events=events("live", "x"), publisher=numbers(4))
        session.send(events=events("live", "x"))
        session.send(events=events("auto.s", "x"))
        session.close()
        self.assertEqual(session.refused, {4: "NUMBER_GAP", 5: "TOPIC_NOT_STORED"})
        self.assertEqual((session.confirmed, session.duplicates), (7, 2))
        self.assertEqual((self.next_sequence("a"), self.next_sequence("auto.s")), (4, 2))

    def test_activations_store_nothing(self):
        session = Session(self.channel(), "s", v1.Hello.PER_CONSUMER)
        consumer = Consumer(self.channel(), subscribe_request([v1.Selector(producer="s")]))
        start = None
        while not start:
            for command in next(session.call).commands:
                start = command.start if command.HasField("start") else start
        session.send(activation=start.activation, events=events("a", "1 "))
        consumer.wait(lambda: consumer.received.delivered == 1, "the event")
        self.assertEqual(consumer.received.numbers("s"), [1])
        self.assertEqual(self.next_sequence("a"), 1)
        session.close()


if __name__ == "__main__":
    main()
