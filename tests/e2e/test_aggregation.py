#!/usr/bin/python3
"""The acceptance cases of aggregation (letter A) that apply to transient producers."""
import threading
import unicodedata

import grpc

from harness.case import Case, main
from harness.client import event, number_of, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1

CODE = grpc.StatusCode
BLOCK, OLDEST, NEWEST, DISCONNECT = (
    v1.OVERFLOW_BLOCK,
    v1.OVERFLOW_DROP_OLDEST,
    v1.OVERFLOW_DROP_NEWEST,
    v1.OVERFLOW_DISCONNECT,
)


class Aggregation(Case):
    arguments = ("--write-timeout", "120s")

    def test_A3_two_producers_merge(self):
        consumer = self.consumer()
        one, two = self.publishing("one"), self.publishing("two")
        one.send([event(1)])
        two.send([event(2)])
        one.finish()
        two.finish()
        consumer.wait_events(2)
        self.assertEqual((consumer.received.numbers("one"), consumer.received.numbers("two")), ([1], [2]))

    def test_A9_a_producer_that_is_blocked_delays_no_other(self):
        stuck = self.stalled(
            selectors=[v1.Selector(producer="stuck")], overflow=BLOCK, block_timeout=60, max_events=4
        )
        blocked = self.publishing("stuck")
        for number in range(200):
            blocked.send([event(number, size=500)])
        eventually(lambda: self.daemon.blocked("stuck"), "it blocks")

        consumer = self.consumer(subscribe_request([v1.Selector(producer="free*")]))
        for name in ("free 1", "free 2"):
            stream = self.publishing(name)
            for number in range(500):
                stream.send([event(number)])
            stream.finish()
        consumer.wait_events(1000)
        producer = self.daemon.producer("stuck")
        self.assertEqual(
            (producer.state, producer.blocked_calls),
            (v1.PRODUCER_STATE_BLOCKED, 1),
            "it was blocked all that time",
        )
        self.assertLess(blocked.confirmed, 200)
        stuck.read()
        blocked.finish()
        stuck.wait_accounted(200)
        self.assertEqual((stuck.received.numbers("stuck"), stuck.received.lost), (list(range(200)), []))

    def test_A11_list_and_get(self):
        admin = self.daemon.admin()
        names = [f"a11/{n:02d}" for n in range(25)]
        for name in names:
            self.publish(name, [event(1), event(2, size=100)])
        found, token = [], ""
        while True:
            page = admin.ListProducers(
                v1.ListProducersRequest(pattern="a11/*", page_size=10, page_token=token)
            )
            self.assertLessEqual(len(page.producers), 10)
            found += [producer.name for producer in page.producers]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(found, names, "in the order of their names, each once")

        producer = admin.GetProducer(v1.GetProducerRequest(name=names[3]))
        self.assertEqual(
            (producer.name, producer.kind, producer.last_sequence), (names[3], v1.Producer.TRANSIENT, 2)
        )
        self.assertEqual(producer.published.events, 2)
        self.assertEqual(
            producer.published.bytes, sum(2 + each.ByteSize() for each in (event(1), event(2, size=100)))
        )
        self.assertTrue(producer.peer.startswith("127.0.0.1:"), producer.peer)
        self.assertGreater(producer.last_event_unix_nano, 0)
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=['"a11/99"']):
            admin.GetProducer(v1.GetProducerRequest(name="a11/99"))
        again = [
            producer.name
            for producer in admin.ListProducers(v1.ListProducersRequest(pattern="a11/*")).producers
        ]
        self.assertEqual(again, names, "a request for an unknown one changed nothing")

    def test_A12_a_stalled_consumer_slows_no_other(self):
        """For each policy: while one does not read, the other gets everything, in order. With BLOCK
        after the fallback has become active once."""
        for policy in (BLOCK, OLDEST, NEWEST, DISCONNECT):
            with self.subTest(policy=v1.enum_name("Overflow", policy)):
                stuck = self.stalled(overflow=policy, max_events=16, block_timeout=0.1)
                other = self.consumer(subscribe_request(max_events=1 << 16, overflow=BLOCK, block_timeout=30))
                stream = self.publishing("p")
                for number in range(0, 4000, 4):
                    stream.send([event(number + offset, size=200) for offset in range(4)])
                stream.finish()
                other.wait_events(4000)
                self.assertEqual(other.received.numbers("p"), list(range(4000)))
                self.assertEqual(other.received.lost, [])
                stuck.cancel()
                other.cancel()

    def test_A15_a_producer_that_ends_in_mid_stream_affects_no_other(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=60, max_events=100000)
        ending, cancelled, going_on = (
            self.publishing("ending"),
            self.publishing("cancelled"),
            self.publishing("going on"),
        )
        for number in range(100):
            for stream in (ending, cancelled, going_on):
                stream.send([event(number, size=300)])
        ending.finish()
        cancelled.wait_confirmed()
        cancelled.cancel()
        going_on.send([event(100)])
        going_on.wait_confirmed()
        consumer.read()
        consumer.wait_accounted(301)
        for name, count in (("ending", 100), ("cancelled", 100), ("going on", 101)):
            self.assertEqual(
                consumer.received.numbers(name), list(range(count)), f"{name}: what was queued is delivered"
            )
        self.assertEqual(consumer.received.lost, [])

    def test_A17_fifo_from_64_producers_to_16_consumers(self):
        producers, each = 64, 96
        consumers = [
            self.consumer(
                subscribe_request(max_events=1 << 20, max_bytes=64 << 20, notices=v1.NOTICES_NONE),
                keep=False,
                on_batch=self.checker(),
            )
            for _ in range(16)
        ]
        channels = [self.channel() for _ in range(4)]
        streams = [self.publishing(f"fifo {n}", channel=channels[n % 4]) for n in range(producers)]
        for number in range(0, each, 4):
            for stream in streams:
                stream.send([event(number + offset) for offset in range(4)])
        for stream in streams:
            stream.finish()
        for consumer in consumers:
            consumer.wait_events(producers * each, 2 * PATIENCE)
            self.assertEqual(
                {tuple(position) for position in consumer.received.positions.values()}, {(1, each, each, 0)}
            )
            self.assertEqual(len(consumer.received.positions), producers)

    @staticmethod
    def checker():
        """Compares payloads with sequences: number n has sequence n + 1."""
        def check(batch):
            for run in batch.runs:
                assert not run.sequences
                for offset, each in enumerate(run.events):
                    assert number_of(each.data) + 1 == run.first_sequence + offset, (
                        run.source,
                        run.first_sequence,
                        offset,
                        each.data,
                    )
        return check

    def test_A19_max_events_1_with_BLOCK_blocks_the_producer_after_a_bounded_number(self):
        consumer = self.stalled(overflow=BLOCK, block_timeout=600, max_events=1)
        stream = self.publishing("blocked")
        for number in range(300):
            stream.send([event(number, size=400)])
        eventually(lambda: self.daemon.blocked("blocked"), "the producer is blocked")
        held = self.daemon.producer("blocked")
        # One waits, one batch of one is in flight, one is parked; the transport has as many as its
        # window and buffers hold.
        self.assertLess(held.last_sequence, 60)
        subscription = self.daemon.subscription(consumer.id, sources=True)
        self.assertTrue(subscription.blocked)
        self.assertLessEqual(subscription.queued.events, 2)
        self.check_totals(subscription)
        self.assertLess(stream.confirmed, 60)

        consumer.read()
        stream.finish()
        consumer.wait_accounted(300)
        self.assertEqual(
            (consumer.received.numbers("blocked"), consumer.received.lost), (list(range(300)), [])
        )

    def test_A22_a_flooder_loses_and_nine_quiet_producers_do_not(self):
        consumer = self.stalled(overflow=OLDEST, max_events=1000, max_bytes=1 << 20)
        flooder = self.publishing("flooder")
        quiet = [self.publishing(f"quiet {n}") for n in range(9)]
        for number in range(50):
            for stream in quiet:
                stream.send([event(number, size=100)])
            for part in range(4):
                flooder.send([event(number * 160 + part * 40 + offset, size=100) for offset in range(40)])
        for stream in quiet + [flooder]:
            stream.finish()
        subscription = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(subscription)
        self.assertGreater(subscription.dropped.events, 5000)
        consumer.read()
        consumer.wait_accounted(50 * 160 + 9 * 50)
        for n in range(9):
            self.assertEqual(consumer.received.numbers(f"quiet {n}"), list(range(50)))
        self.assertEqual({lost.source for lost in consumer.received.lost}, {"flooder"})
        self.assertEqual({lost.reason for lost in consumer.received.lost}, {v1.LOSS_REASON_OVERFLOW_OLDEST})


class Names(Case):
    """A18: bad names are refused, good ones stay distinct, and none is a pattern."""

    def refused(self, name, reason):
        with self.assertFault(CODE.INVALID_ARGUMENT, reason, "producer"):
            self.publish(name, [event(1)])
        stream = self.publishing(name)
        stream.send([event(1)])
        stream.wait(lambda: stream.ended, "the stream is refused")
        self.check_fault(stream.fault, CODE.INVALID_ARGUMENT, reason, "producer")

    def test_A18_bad_names_are_refused(self):
        for name in (
            "a\x01b",
            "line\nbreak",
            "\t",
            "del\x7f",
            "c1\x9f",
            "sep\u2028",
            "para\u2029",
            "esc\x1b[0m",
        ):
            with self.subTest(name=name):
                self.refused(name, "BAD_NAME")
        for name in ("x" * 257, "x" * 4096, "ä" * 129):
            with self.subTest(name=name[:4], size=len(name)):
                self.refused(name, "TOO_LONG")
        self.assertFalse(
            [
                producer
                for producer in self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers
                if producer.name.startswith(("x", "ä", "a", "l", "d", "c", "e"))
            ],
            "nothing was registered",
        )

    def test_A18_the_longest_name_and_one_character(self):
        consumer = self.consumer()
        for name in ("x" * 256, "ä" * 128, "y", " "):
            self.publish(name, [event(1)])
        consumer.wait_events(4)
        self.assertEqual({each[0] for each in consumer.received.events}, {"x" * 256, "ä" * 128, "y", " "})

    def test_A18_an_empty_name_for_get_is_no_wildcard(self):
        self.publish("somebody", [event(1)])
        with self.assertRaises(grpc.RpcError) as held:
            self.daemon.admin().GetProducer(v1.GetProducerRequest(name=""))
        self.assertIn(held.exception.code(), (CODE.INVALID_ARGUMENT, CODE.NOT_FOUND))

    def test_A18_no_name_is_a_wildcard(self):
        consumer = self.consumer(subscribe_request([v1.Selector(producer="plain")]))
        stars = self.consumer(subscribe_request([v1.Selector(producer="?")]))
        for name in ("*", "?", "pl*", "[a-z]*", "plain"):
            self.publish(name, [event(1)])
        consumer.wait_events(1)
        stars.wait_events(2)
        self.assertEqual([each[0] for each in consumer.received.events], ["plain"])
        self.assertEqual([each[0] for each in stars.received.events], ["*", "?"])
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND"):
            self.daemon.admin().GetProducer(v1.GetProducerRequest(name="pla*"))
        self.assertEqual(self.daemon.admin().GetProducer(v1.GetProducerRequest(name="*")).name, "*")

    def test_A18_names_that_look_alike_stay_distinct(self):
        composed, decomposed = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
        names = [composed, decomposed, "cafe", "Cafe", "cafe ", "саfe", "a", "aa", "a\u00a0", "a\u200b"] + [
            f"n{n}" for n in range(500)
        ]
        consumer = self.consumer()
        threads = [
            threading.Thread(
                target=lambda part: [self.publish(name, [event(names.index(name))]) for name in part],
                args=(names[n::4],),
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        consumer.wait_events(len(names))
        self.assertEqual(
            {each[0]: number_of(each[3].data) for each in consumer.received.events},
            {name: n for n, name in enumerate(names)},
        )
        self.assertEqual({each[2] for each in consumer.received.events}, {1}, "each has its own sequences")


if __name__ == "__main__":
    main()
