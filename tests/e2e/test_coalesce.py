#!/usr/bin/python3
"""Publishing streams that keep the server so busy that it coalesces their messages. Producers and
consumers must see no difference.

The server decides whether to coalesce. Its counters show it: `chunks.in` below `messages.in`."""
import time

import grpc

from harness.case import Case, main
from harness.client import number_of, subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.flood import HEAD, Flood, Windowed, plain
from harness.protos import v1
from harness.rawh2 import message

COUNT, STREAMS = 20_000, 4
LARGE_BUFFER = dict(overflow=v1.OVERFLOW_BLOCK, block_timeout=60, max_events=1 << 20, max_bytes=64 << 20)
UNAVAILABLE = 14


def odd(number):
    """Every hundredth message is wrong, in one of three ways."""
    if number % 100 != 99:
        return None
    kinds = [message(b"\x0a\x03\x12\x01\xff"),  # a topic that is not UTF-8
             message((HEAD + b"%08d " % number)[5:] + b"\x18\x07"),  # an unknown confirm
             plain(number, producer="somebody else")]
    return kinds[number // 100 % 3]


REASONS = ["BAD_UTF8", "UNKNOWN_ENUM", "PRODUCER_CHANGED"]


class Coalesce(Case):
    arguments = ("--write-timeout", "300s")

    def flood(self, name, count=None, daemon=None, **options):
        flood = Flood((daemon or self.daemon).address, name, count, **options)
        self.addCleanup(flood.close)
        return flood

    def large_consumer(self, **options):
        return self.consumer(subscribe_request(**LARGE_BUFFER), **options)

    def one_epoch(self, consumer, name):
        """The numbers that came from a producer, and their epoch. There must be one epoch only,
        with sequences from 1 on."""
        found = [
            (epoch, sequence, number_of(each.data))
            for source, epoch, sequence, each in consumer.received.events
            if source == name
        ]
        self.assertEqual(len({epoch for epoch, _, _ in found}), 1)
        self.assertEqual([sequence for _, sequence, _ in found], list(range(1, len(found) + 1)))
        return [number for _, _, number in found], found[0][0]

    def grown(self, before):
        after = self.daemon.counters()
        return {
            name: after[name] - before[name]
            for name in ("messages.in", "chunks.in", "events.in", "batches.refused")
        }

    def until_coalesced(self, round):
        """Runs rounds until the server was busy enough to coalesce. A round returns how many
        messages were accepted and refused."""
        for turn in range(10):
            before = self.daemon.counters()
            accepted, refused = round(turn)
            grown = self.grown(before)
            self.assertEqual(
                (grown["messages.in"], grown["events.in"], grown["batches.refused"]),
                (accepted, accepted, refused),
            )
            self.assertLessEqual(grown["chunks.in"], accepted)
            if grown["chunks.in"] < accepted:
                print(f"\n  {accepted} messages in {grown['chunks.in']} chunks", flush=True)
                return
        self.fail("messages were never coalesced")


class Whole(Coalesce):
    def test_four_streams_arrive_whole_and_in_order(self):
        def round(turn):
            consumer = self.large_consumer()
            floods = [self.flood(f"whole {turn} {n}", COUNT) for n in range(STREAMS)]
            for flood in floods:
                flood.wait_confirmed(COUNT, 4 * PATIENCE)
            consumer.wait_events(STREAMS * COUNT, 4 * PATIENCE)
            for flood in floods:
                numbers, epoch = self.one_epoch(consumer, flood.name)
                self.assertEqual(numbers, list(range(COUNT)))
                self.assertEqual(
                    (flood.last.confirmed_batch, flood.last.last_sequence, flood.last.epoch),
                    (COUNT, COUNT, epoch),
                )
                self.assertEqual(flood.refused, {})
                flood.close()
            self.assertEqual(consumer.received.lost, [])
            consumer.cancel()
            return STREAMS * COUNT, 0

        self.until_coalesced(round)

    def test_every_hundredth_is_refused_and_the_others_arrive(self):
        def round(turn):
            consumer = self.large_consumer()
            floods = [self.flood(f"odd {turn} {n}", COUNT, odd=odd) for n in range(STREAMS)]
            for flood in floods:
                flood.wait_confirmed(COUNT, 4 * PATIENCE)
            good = [number for number in range(COUNT) if odd(number) is None]
            consumer.wait_events(STREAMS * len(good), 4 * PATIENCE)
            for flood in floods:
                numbers, epoch = self.one_epoch(consumer, flood.name)
                self.assertEqual(numbers, good)
                self.assertEqual(
                    flood.refused,
                    {number + 1: REASONS[number // 100 % 3] for number in range(99, COUNT, 100)},
                )
                self.assertEqual(
                    (flood.last.confirmed_batch, flood.last.last_sequence, flood.last.epoch),
                    (COUNT, len(good), epoch),
                )
                flood.close()
            consumer.cancel()
            return STREAMS * len(good), STREAMS * (COUNT - len(good))

        self.until_coalesced(round)

    def test_a_half_close_right_after_the_last_message_ends_with_ok(self):
        def round(turn):
            consumer = self.large_consumer()
            floods = [self.flood(f"closed {turn} {n}", COUNT, half_close=True) for n in range(STREAMS)]
            for flood in floods:
                self.assertEqual(flood.wait_end(4 * PATIENCE), 0)
                self.assertEqual((flood.last.confirmed_batch, flood.last.last_sequence), (COUNT, COUNT))
            consumer.wait_events(STREAMS * COUNT, 4 * PATIENCE)
            for flood in floods:
                self.assertEqual(self.one_epoch(consumer, flood.name)[0], list(range(COUNT)))
                flood.close()
            consumer.cancel()
            return STREAMS * COUNT, 0

        self.until_coalesced(round)


class Blocked(Coalesce):
    """Consumers that block, and streams that are aborted."""
    forget = "60s"

    def bounded(self, before):
        """While it is blocked the server holds one coalesced chunk and one message per stream, not
        the flood."""
        self.assertLess(self.daemon.live()["live.chunk_bytes"], 1 << 20)
        grown = self.daemon.memory_bytes() - before
        if not instrumented():  # a sanitizer keeps what was freed
            self.assertLess(grown, 24 << 20, f"grew by {grown >> 20} MiB")

    def test_a_slow_consumer_that_blocks_loses_nothing(self):
        consumer = self.consumer(
            subscribe_request(
                overflow=v1.OVERFLOW_BLOCK, block_timeout=3600, max_events=32, max_batch_events=32
            ),
            on_batch=lambda batch: time.sleep(0.0005),
            channel=self.channel(**{"http2.lookahead_bytes": 4096, "http2.bdp_probe": 0}),
        )
        before, count = self.daemon.memory_bytes(), COUNT // STREAMS
        floods = [self.flood(f"slow {n}", count) for n in range(STREAMS)]
        while any(flood.last.confirmed_batch < count for flood in floods) and not consumer.ended:
            self.bounded(before)
        for flood in floods:
            flood.wait_confirmed(count)
        consumer.wait_events(STREAMS * count, 4 * PATIENCE)
        self.assertEqual(consumer.received.lost, [])
        for flood in floods:
            self.assertEqual(self.one_epoch(consumer, flood.name)[0], list(range(count)))
            self.assertEqual((flood.last.last_sequence, flood.refused), (count, {}))
            flood.close()

    def test_streams_that_are_aborted_while_blocked_leave_balanced_totals(self):
        consumer = self.stalled(
            selectors=[v1.Selector(producer="aborted*")],
            overflow=v1.OVERFLOW_BLOCK,
            block_timeout=3600,
            max_events=1000,
        )
        before, calls = self.daemon.memory_bytes(), self.daemon.live()["live.calls"]
        floods = [self.flood(f"aborted {n}") for n in range(STREAMS)]
        for flood in floods:
            eventually(lambda: self.daemon.blocked(flood.name), f"{flood.name} is blocked")
        self.bounded(before)
        for flood in floods:
            flood.abort()
        eventually(lambda: self.daemon.live()["live.calls"] == calls, "their calls are gone")
        seen = self.daemon.subscription(consumer.id, sources=True)
        self.check_totals(seen)
        published = {flood.name: self.daemon.producer(flood.name).published.events for flood in floods}
        self.assertEqual({source.source: source.accepted.events for source in seen.sources}, published)
        self.assertEqual(
            seen.accepted.events, seen.delivered.events + seen.dropped.events + seen.queued.events
        )
        self.assertLessEqual(seen.queued.events, 1000 + 4096)
        consumer.read()
        consumer.wait_accounted(sum(published.values()))
        for (source, _), (_, last, delivered, lost) in consumer.received.positions.items():
            self.assertEqual(delivered + lost, published[source])
        for flood in floods:
            # In the order of publishing. What is missing was reported as lost.
            numbers = consumer.received.numbers(flood.name)
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertLessEqual(flood.last.confirmed_batch, published[flood.name])

    def test_streams_that_are_aborted_while_nothing_blocks_deliver_what_was_accepted(self):
        calls = self.daemon.live()["live.calls"]
        consumer = self.large_consumer()
        floods = [self.flood(f"flows {n}") for n in range(STREAMS)]
        for flood in floods:
            flood.wait_confirmed(COUNT // STREAMS)
        for flood in floods:
            flood.abort()
        eventually(lambda: self.daemon.live()["live.calls"] == calls + 1, "their calls are gone")
        published = {flood.name: self.daemon.producer(flood.name).published.events for flood in floods}
        consumer.wait_events(sum(published.values()), 4 * PATIENCE)
        for flood in floods:
            numbers, _ = self.one_epoch(consumer, flood.name)
            self.assertEqual(numbers, list(range(published[flood.name])))
            self.assertLessEqual(flood.last.confirmed_batch, len(numbers))
        self.check_totals(self.daemon.subscription(consumer.id, sources=True))
        consumer.cancel()

    def test_short_streams_beside_a_flood_end_properly(self):
        consumer = self.large_consumer()
        flood = self.flood("long")
        flood.wait_confirmed(1)
        connection = Windowed(self.daemon.address)
        self.addCleanup(connection.close)
        streams = []
        for turn in range(200):
            data = plain(0, producer=f"short {turn}") + b"".join(plain(number) for number in range(1, 50))
            stream = connection.request("/tributary.v1.Publisher/PublishStream")
            connection.send_all(stream, data, end=turn % 2 == 0)
            if turn % 2:
                stream.abort()
            else:
                streams.append((f"short {turn}", stream))
        for name, stream in streams:
            stream.wait_end()
            self.assertEqual(stream.status, 0)
            self.assertEqual(v1.PublishStreamResponse.FromString(stream.messages[-1]).confirmed_batch, 50)
        whole = flood.finish()
        self.assertEqual(flood.wait_end(4 * PATIENCE), 0)
        consumer.wait(
            lambda: (consumer.received.numbers("long") or [0])[-1] == whole - 1,
            "the flood has arrived",
            4 * PATIENCE,
        )
        for name, _ in streams:
            self.assertEqual(self.one_epoch(consumer, name)[0], list(range(50)))
        for turn in range(1, 200, 2):
            numbers = consumer.received.numbers(f"short {turn}")
            self.assertEqual(
                numbers, list(range(len(numbers))), "a stream that was aborted ends somewhere, without a hole"
            )
        self.assertEqual(self.one_epoch(consumer, "long")[0], list(range(whole)))
        flood.close()
        consumer.cancel()


class Removed(Coalesce):
    def publishes(self):
        producer = self.daemon.producer("removed")
        return producer is not None and producer.published.events > 0

    def test_a_producer_that_is_removed_comes_back_in_a_new_epoch(self):
        consumer = self.large_consumer()
        flood = self.flood("removed")
        for turn in range(1, 6):
            flood.wait_confirmed(turn * 2000)
            eventually(self.publishes, "it is there, and has published")
            self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name="removed"), timeout=PATIENCE)
        sent = flood.finish()
        self.assertEqual(flood.wait_end(4 * PATIENCE), 0)
        self.assertEqual((flood.last.confirmed_batch, flood.refused), (sent, {}))
        consumer.wait_events(sent, 4 * PATIENCE)
        self.assertEqual(
            consumer.received.numbers("removed"), list(range(sent)), "all that was confirmed, and in order"
        )
        self.assertEqual(consumer.received.lost, [])
        epochs = {}  # in the order of arrival, with the last sequence
        for _, epoch, sequence, _ in consumer.received.events:
            self.assertEqual(sequence, epochs.get(epoch, 0) + 1, "from 1 on, without a hole")
            epochs[epoch] = sequence
            self.assertEqual(epoch, list(epochs)[-1], "an epoch that is over does not come back")
        self.assertEqual(len(epochs), 6)
        self.assertEqual((flood.last.epoch, flood.last.last_sequence), list(epochs.items())[-1])
        # An answer names an epoch, and the last sequence that was accepted in it.
        for answer in flood.answers:
            self.assertLessEqual(answer.last_sequence, epochs[answer.epoch])
        flood.close()
        consumer.cancel()


class Drained(Coalesce):
    shared_daemon = False

    def test_sigterm_in_mid_flood_delivers_what_was_confirmed_and_nothing_else(self):
        daemon = self.start_daemon("--drain-timeout", "20s")
        channel = self.channel(daemon.address)
        consumer = self.consumer(subscribe_request(**LARGE_BUFFER), channel=channel)
        floods = [self.flood(f"drained {n}", daemon=daemon) for n in range(STREAMS)]
        for flood in floods:
            flood.wait_confirmed(COUNT // STREAMS)
        daemon.terminate()
        for flood in floods:
            self.assertEqual(flood.wait_end(4 * PATIENCE), UNAVAILABLE)
            self.assertIn("the server is draining", flood.stream.status_message)
        self.check_fault(consumer.wait_end(4 * PATIENCE), grpc.StatusCode.UNAVAILABLE, "DRAINING")
        total = 0
        for flood in floods:
            numbers, epoch = self.one_epoch(consumer, flood.name)
            self.assertEqual(numbers, list(range(flood.last.confirmed_batch)))
            self.assertEqual(
                (flood.last.last_sequence, flood.last.epoch, flood.refused), (len(numbers), epoch, {})
            )
            total += len(numbers)
        self.assertEqual(consumer.received.lost, [])
        self.assertEqual(daemon.wait(), 0)
        stopped, = daemon.log("server.stopped")
        self.assertEqual(
            (stopped["events_in"], stopped["events_out"], stopped["events_dropped"]), (total, total, 0)
        )


if __name__ == "__main__":
    main()
