#!/usr/bin/python3
"""Rows 20, 22 and 24: calls and connections that end early soon leave nothing behind."""
import random
import statistics
import struct
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually, instrumented
from harness.protos import v1
from harness.rawh2 import DATA, END_HEADERS, HEADERS, PREFACE, frame, literal, message

CODE = grpc.StatusCode
# An instrumented server on a busy machine gets more time.
SLOWER = 8 if instrumented() else 1


class Cancelling(Case):
    arguments = ("--write-timeout", "120s")

    def live_subscriptions(self):
        return self.daemon.live()["live.subscriptions"]

    def test_row_20_a_cancelled_consumer_is_released_soon(self):
        channel = self.channel()
        took = []
        for _ in range(200):
            consumer = self.consumer(channel=channel, keep=False)
            began = time.monotonic()
            consumer.call.cancel()
            while self.live_subscriptions():
                self.assertLess(time.monotonic() - began, 10)
            took.append((time.monotonic() - began) * 1000)
            consumer.wait_end()
        median, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
        print(
            f"\n  cancel to released, as this client sees it: median {median:.1f} ms, p99 {p99:.1f} ms",
            flush=True,
        )
        self.assertLess(median, 10 * SLOWER)
        self.assertLess(p99, 100 * SLOWER)

    def test_row_20_a_thousand_cancels_at_once_leave_nothing(self):
        channels = [self.ready_channel() for _ in range(4)]
        stub = [v1.stub("Subscriber", channel) for channel in channels]
        for _ in range(5):
            calls = [stub[n % 4].Subscribe(subscribe_request()) for n in range(200)]
            self.publish("p", [event(1)])
            for call in calls:
                call.cancel()
        eventually(lambda: self.live_subscriptions() == 0, "all are released")

    def test_row_20_a_publisher_that_leaves_while_blocked_is_released(self):
        stuck = self.stalled(overflow=v1.OVERFLOW_BLOCK, block_timeout=3600, max_events=1)
        stream = self.publishing("blocked")
        for number in range(100):
            stream.send([event(number, size=1000)])
        eventually(lambda: self.daemon.blocked("blocked"), "it blocks")
        stream.cancel()
        eventually(lambda: self.daemon.producer("blocked").open_calls == 0, "its call is gone")
        self.check_totals(self.daemon.subscription(stuck.id, sources=True))

    def test_row_20_publishers_that_give_up_while_blocked_do_not_pile_up(self):
        stuck = self.stalled(overflow=v1.OVERFLOW_BLOCK, block_timeout=3600, max_events=4)
        stub = v1.stub("Publisher", self.channel())
        for number in range(60):
            try:
                stub.Publish(
                    v1.PublishRequest(producer="impatient", events=[event(number, size=10_000)]), timeout=0.05
                )
            except grpc.RpcError as error:
                self.assertEqual(error.code(), CODE.DEADLINE_EXCEEDED)
        eventually(lambda: self.daemon.producer("impatient").open_calls == 0, "no call is left")
        seen = self.daemon.subscription(stuck.id, sources=True)
        self.check_totals(seen)
        self.assertLess(seen.queued.events, 20)
        self.assertLess(self.daemon.live()["live.chunks"], 20)


class Deadlines(Case):
    """Row 22. HTTP/2 by hand, so that the server keeps the deadline and not the client."""
    GRID = (
        ("1m", 0.001),
        ("5m", 0.005),
        ("20m", 0.02),
        ("100000u", 0.1),
        ("500m", 0.5),
        ("1S", 1.0),
        ("3000m", 3.0),
    )

    def test_row_22_a_subscription_ends_at_its_deadline(self):
        connection = self.raw()
        for text, seconds in self.GRID:
            with self.subTest(timeout=text):
                began = time.monotonic()
                stream = connection.call(
                    "/tributary.v1.Subscriber/Subscribe",
                    subscribe_request().SerializeToString(),
                    {"grpc-timeout": text},
                )
                connection.wait(lambda: stream.ended or stream.reset is not None, "the stream ends")
                took = time.monotonic() - began
                self.assertLess(took, seconds + 0.02 * SLOWER + 0.1)
                self.assertGreaterEqual(took, seconds - 0.005)
                if stream.status is not None:
                    self.assertEqual(stream.status, CODE.DEADLINE_EXCEEDED.value[0])
        eventually(lambda: self.daemon.live()["live.subscriptions"] == 0, "no work after it")

    def test_row_22_a_publishing_stream_ends_at_its_deadline(self):
        stream = self.publishing("in time", timeout=0.3)
        stream.send([event(1)])
        stream.wait(lambda: stream.ended, "the stream ends")
        self.assertEqual(stream.fault.code, CODE.DEADLINE_EXCEEDED)

    def test_row_22_a_huge_or_odd_timeout_does_no_harm(self):
        connection = self.raw()
        for text in ("99999999H", "0n", "00000001H", "1", "H", ""):
            stream = connection.call("/tributary.v1.Admin/GetInfo", b"", {"grpc-timeout": text})
            connection.wait(lambda: stream.ended or stream.reset is not None, f"an end with {text!r}")
        stream = connection.call("/tributary.v1.Admin/GetInfo", b"")
        stream.wait_end()
        self.assertEqual(stream.status, 0)


class Aborting(Case):
    """Row 24: connections that are reset in the middle of something."""

    def test_row_24_aborts_in_mid_message_store_nothing_partial(self):
        chance = random.Random(24)
        consumer = self.consumer(
            subscribe_request(
                max_events=1 << 20, max_bytes=64 << 20, overflow=v1.OVERFLOW_BLOCK, block_timeout=60
            )
        )
        whole = 0
        for number in range(300):
            batch = message(
                v1.PublishStreamRequest(
                    producer="aborting", events=[event(n, size=100) for n in range(8)]
                ).SerializeToString()
            )
            connection = self.raw(read=False)
            stream = connection.request("/tributary.v1.Publisher/PublishStream")
            first = chance.random() < 0.5
            whole += 8 if first else 0
            stream.send((batch if first else b"") + batch[:chance.randrange(len(batch))])
            if first:
                # A message that a reset overtakes may be lost: wait until this one was accepted.
                eventually(lambda: consumer.received.delivered >= whole, "the whole message is accepted")
            if chance.random() < 0.3:
                stream.abort()
            connection.close(abort=chance.random() < 0.7)
        self.publish("aborting", [event(0)])
        consumer.wait_events(whole + 1)
        self.assertEqual(consumer.received.delivered, whole + 1)
        self.assertEqual(consumer.received.lost, [])

    def test_row_24_aborts_at_any_byte_of_a_connection(self):
        chance = random.Random(2024)
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": "/tributary.v1.Subscriber/Subscribe",
            ":authority": "a",
            "te": "trailers",
            "content-type": "application/grpc",
        }
        script = (
            PREFACE
            + frame(4)
            + frame(HEADERS, END_HEADERS, 1, b"".join(literal(*field) for field in fields.items()))
        )
        script += frame(DATA, 1, 1, message(subscribe_request().SerializeToString()))
        for _ in range(300):
            connection = self.raw(read=False, preface=b"")
            connection.send(script[:chance.randrange(len(script) + 1)])
            connection.close(abort=chance.random() < 0.7)
        self.publish("after them", [event(1)])

    def test_row_24_consumers_that_vanish_while_they_are_written_to(self):
        stream = self.publishing("going on")
        for number in range(100):
            consumer = self.stalled(overflow=v1.OVERFLOW_DROP_OLDEST)
            for part in range(5):
                stream.send([event(number * 5 + part, size=2000)])
            stream.wait_confirmed()
            if number % 2:
                consumer.read()
            consumer.connection.close(abort=number % 3 != 0)
        stream.finish()

    def test_row_24_silent_connections_are_closed(self):
        silent = [self.raw(preface=b"") for _ in range(5)]
        eventually(lambda: all(each.closed for each in silent), "they are closed")

    def test_row_24_resets_of_every_kind_of_call(self):
        connection = self.raw()
        paths = [
            f"/{service}/{method}"
            for service, methods in (
                ("tributary.v1.Publisher", ("Publish", "PublishStream")),
                ("tributary.v1.Subscriber", ("Subscribe", "Finish")),
                ("tributary.v1.Admin", ("ListProducers", "GetInfo")),
                ("grpc.health.v1.Health", ("Check", "Watch")),
                ("grpc.reflection.v1.ServerReflection", ("ServerReflectionInfo",)),
                ("no.such", ("Method",)),
            )
            for method in methods
        ]
        for number in range(400):
            stream = connection.request(paths[number % len(paths)])
            if number % 3 == 1:
                stream.send(message(b""))
            if number % 3 == 2:
                stream.send(struct.pack(">BI", 0, 100) + b"part")
            stream.abort(error=(0, 2, 8)[number % 3])
        last = connection.call("/tributary.v1.Admin/GetInfo", b"")
        last.wait_end()
        self.assertEqual(last.status, 0)


if __name__ == "__main__":
    main()
