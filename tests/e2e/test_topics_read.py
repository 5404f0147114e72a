#!/usr/bin/python3
"""Consumers of stored topics: where they begin (S13), that they keep up and fall behind, and how they
end."""
import threading
import time

import grpc

from harness.case import main
from harness.client import EVERYTHING, Consumer, connect, event, number_of, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode
CAUGHT_UP = v1.END_WHEN_CAUGHT_UP


def states_of(consumer):
    return [(each.source, each.state) for each in consumer.received.states]


class Reading(TopicsCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.create("orders")
        self.connected = []
        self.addCleanup(lambda: [channel.close() for channel in self.connected])

    def channel(self):
        self.connected.append(connect(self.daemon.address))
        return self.connected[-1]

    def publish(self, first, last, producer="web"):
        events = [event(number, topic="orders") for number in range(first, last + 1)]
        request = v1.PublishRequest(events=events, producer=producer)
        return v1.stub("Publisher", self.channel()).Publish(request, timeout=PATIENCE)

    def consumer(self, selectors=EVERYTHING, **fields):
        return Consumer(self.channel(), subscribe_request(selectors, **fields))

    def all_from(self, start, selectors=EVERYTHING, **fields):
        """The numbers that a stream gets until it has caught up."""
        consumer = self.consumer(selectors, start=start, end_when=CAUGHT_UP, **fields)
        self.assertIsNone(consumer.wait_end())
        return consumer.received.numbers("@orders")

    def test_a_stream_begins_where_its_start_says(self):
        self.publish(1, 10)
        self.publish(11, 15, producer="app")
        for start, first in (
            (v1.Start(earliest={}), 1),
            (v1.Start(sequence=4), 4),
            (v1.Start(last=3), 13),
            (v1.Start(time_unix_nano=1), 1),
            (v1.Start(live={}), 16),
        ):
            self.assertEqual(self.all_from(start), list(range(first, 16)), str(start))
        self.restart()
        self.assertEqual(self.all_from(v1.Start(earliest={})), list(range(1, 16)), "after a restart")
        by_app = [v1.Selector(producer="app")]
        self.assertEqual(self.all_from(v1.Start(earliest={}), by_app), list(range(11, 16)))

    def test_a_sequence_that_was_trimmed_is_out_of_range_and_the_first_is_named(self):
        for number in range(1, 31):
            self.publish(number, number)
        self.update("orders", max_events=10)
        eventually(lambda: self.topic("orders").first_sequence > 1, "the oldest leave")
        first = self.topic("orders").first_sequence
        late = self.consumer(start=v1.Start(sequence=1))
        fault = late.wait_end()
        self.assertEqual((fault.code, fault.reason), (CODE.OUT_OF_RANGE, "TRIMMED"))
        self.assertIn(f"the first is {first}", fault.message)
        self.assertEqual(dict(fault.parts["google.rpc.ErrorInfo"].metadata), {
            "field": "topic", "value": '"@orders"', "bound": f"sequence 1: the first is {first}"})
        self.assertEqual(late.received.delivered, 0)
        self.assertEqual(self.all_from(v1.Start(sequence=first)), list(range(first, 31)))
        self.assertEqual(self.all_from(v1.Start(earliest={})), list(range(first, 31)))

    def test_a_sequence_that_is_not_there_yet_is_waited_for(self):
        self.publish(1, 2)
        consumer = self.consumer(start=v1.Start(sequence=5))
        self.publish(3, 8)
        consumer.wait_events(4)
        self.assertEqual(consumer.received.numbers("@orders"), [5, 6, 7, 8])

    def test_a_slow_consumer_gets_each_event_once_and_costs_no_memory(self):
        consumer = self.consumer(start=v1.Start(earliest={}), max_events=16)
        consumer.hold()
        for first in range(1, 20001, 1000):
            self.publish(first, first + 999)
        consumer.resume()
        consumer.wait_events(20000)
        self.assertEqual(consumer.received.numbers("@orders"), list(range(1, 20001)))
        self.assertEqual(consumer.received.lost, [])

    def test_a_stream_that_resumes_misses_nothing_and_gets_nothing_twice(self):
        token, positions, read = b"", {}, []

        def note(batch):
            nonlocal token
            for each in batch.progress.positions:
                positions[each.source] = each
            for each in (batch.started, batch.closing, batch.progress):
                if each.resume_token:
                    token = each.resume_token
                    positions.clear()

        start = v1.Start(earliest={})
        for round_of in range(5):
            self.publish(round_of * 100 + 1, round_of * 100 + 100)
            consumer = Consumer(
                self.channel(),
                subscribe_request(EVERYTHING, start=start, end_when=CAUGHT_UP),
                on_batch=note,
            )
            self.assertIsNone(consumer.wait_end())
            read += consumer.received.numbers("@orders")
            start = v1.Start(positions={"resume_token": token, "positions": positions.values()})
            if round_of == 2:
                self.kill_and_start()
        self.assertEqual(read, list(range(1, 501)))

    def test_the_last_token_stands_behind_the_last_event(self):
        self.publish(1, 3000)
        tokens = []

        def keep_token(batch):
            for note in (batch.progress, batch.closing):
                if note.resume_token:
                    tokens.append(note.resume_token)

        for _ in range(30):
            request = subscribe_request(
                start=v1.Start(earliest={}), end_when=CAUGHT_UP, max_events=50, max_batch_events=7
            )
            consumer = Consumer(self.channel(), request, on_batch=keep_token)
            self.assertIsNone(consumer.wait_end())
            self.assertEqual(len(consumer.received.numbers("@orders")), 3000)
            self.assertEqual(self.all_from(v1.Start(resume=tokens[-1])), [])

    def test_an_event_that_has_expired_is_not_delivered_and_is_reported(self):
        live = self.consumer()
        second = 10**9
        expires = [1, 0, time.time_ns() + 3600 * second, time.time_ns() - second, 0]
        events = [
            event(number, topic="orders", expires_unix_nano=at) for number, at in enumerate(expires, 1)
        ]
        v1.stub("Publisher", self.channel()).Publish(v1.PublishRequest(events=events), timeout=PATIENCE)
        late = self.consumer(start=v1.Start(earliest={}), end_when=CAUGHT_UP)
        self.assertIsNone(late.wait_end())
        live.wait_events(3)
        for consumer in (live, late):
            self.assertEqual(consumer.received.numbers("@orders"), [2, 3, 5])
            lost = [(each.reason, each.count, each.count_unknown) for each in consumer.received.lost]
            self.assertEqual(sum(count for _, count, _ in lost), 2)
            self.assertEqual({(reason, unknown) for reason, _, unknown in lost},
                             {(v1.LOSS_REASON_EXPIRED, False)})

    @staticmethod
    def numbers_of(consumer, epoch):
        return [number_of(each.data) for _, at, _, each in consumer.received.events if at == epoch]

    def test_S25_a_topic_is_made_and_deleted_while_its_name_is_published(self):
        # Each event reaches a consumer once: live before, through the topic, and live again. What a
        # deletion overtakes is reported to it; what the store accepted behind one is counted.
        consumer = self.consumer(EVERYTHING, overflow=v1.OVERFLOW_BLOCK)
        channel, sent, stopping = self.channel(), [0], threading.Event()

        def publish():
            stub = v1.stub("Publisher", channel)
            while not stopping.is_set():
                request = v1.PublishRequest(
                    producer="web", confirm=v1.CONFIRM_RECEIVED,
                    events=[event(sent[0] + 1, topic="busy"), event(sent[0] + 2, topic="busy")])
                stub.Publish(request, timeout=PATIENCE)
                sent[0] += 2

        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        epochs = []
        for _ in range(3):
            before = sent[0]
            eventually(lambda: sent[0] > before + 20, "live events")
            epochs.append(self.create("busy").epoch)
            eventually(lambda: self.topic("busy").next_sequence > 20, "stored events")
            late = self.consumer([v1.Selector(producer="@busy")], start=v1.Start(earliest={}))
            late.wait_events(20)
            eventually(lambda: len(self.numbers_of(consumer, epochs[-1])) >= 20, "they are delivered")
            first = self.numbers_of(consumer, epochs[-1])[:20]
            self.assertEqual(late.received.numbers("@busy")[:20], first)
            self.delete("busy")
            late.wait(lambda: ("@busy", v1.PRODUCER_STATE_REMOVED) in states_of(late), "its end")
        stopping.set()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())
        received = consumer.received

        def all_there():
            unstored = self.daemon.counters()["events.accepted_lost"]
            return received.delivered + sum(each.count for each in received.lost) + unstored == sent[0]

        eventually(all_there, "all events are delivered or reported")
        self.assertLessEqual({(each.source, each.reason) for each in received.lost},
                             {("@busy", v1.LOSS_REASON_TRIMMED)})
        numbers = [number_of(each.data) for *_, each in received.events]
        self.assertEqual(len(set(numbers)), len(numbers), "no event comes twice")
        for epoch in epochs:
            sequences = [sequence for source, at, sequence, _ in consumer.received.events if at == epoch]
            self.assertEqual(sequences, list(range(1, len(sequences) + 1)))
        self.assertEqual(len(set(epochs)), 3)

    def test_a_topic_that_is_deleted_ends_for_its_consumers(self):
        self.publish(1, 3)
        consumer = self.consumer(start=v1.Start(earliest={}))
        consumer.wait_events(3)
        self.delete("orders")
        consumer.wait(lambda: ("@orders", v1.PRODUCER_STATE_REMOVED) in states_of(consumer), "its end")
        self.create("orders")
        self.publish(4, 5)
        consumer.wait_events(5)
        self.assertEqual(consumer.received.lost, [])


if __name__ == "__main__":
    main()
