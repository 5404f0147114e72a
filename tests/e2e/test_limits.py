#!/usr/bin/python3
"""The limits of one connection: metadata of a call, pings, calls at a time, age. What goes beyond is
refused or ended, and nobody else notices."""
import contextlib
import random
import time

import grpc

from harness import rawh2
from harness.case import Case, main
from harness.client import event, publish, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.rawh2 import END_HEADERS, PING, frame, literal, message

CODE = grpc.StatusCode
GET_INFO = "/tributary.v1.Admin/GetInfo"
SUBSCRIBE = "/tributary.v1.Subscriber/Subscribe"
UNAVAILABLE, RESOURCE_EXHAUSTED = 14, 8


class Metadata(Case):
    """Finding 12. The limit is 64 KiB. gRPC core's own is 256 KiB."""

    def call(self, channel, size, name="x"):
        value = b"v" * size if name.endswith("-bin") else "v" * size
        stub = v1.stub("Admin", channel)
        return stub.GetInfo(v1.GetInfoRequest(), metadata=[(name, value)], timeout=PATIENCE)

    def test_a_call_with_too_much_is_refused_alone(self):
        channel = self.ready_channel()
        consumer = self.consumer(channel=channel)
        for name, sizes in (("x", (65000, 66000, 250000)), ("x-bin", (48000, 50000, 180000))):
            self.assertTrue(self.call(channel, sizes[0], name).version, "below the limit it is served")
            for size in sizes[1:]:
                with self.subTest(name=name, size=size):
                    with self.assertFault(
                        CODE.RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE", contains=["metadata", "at most 65536"]
                    ):
                        self.call(channel, size, name)
        publish(channel, "still served", [event(1)])
        consumer.wait_events(1)

    def test_the_number_in_the_fault_counts_as_rfc_9113_does(self):
        connection = self.raw()
        eventually(lambda: connection.settings_acked, "the server knows our settings")
        fields = [("x", "v" * 70000), ("empty", "")]
        stream = connection.call(GET_INFO, b"", headers=fields)
        stream.wait_end()
        known = [(":method", "POST"), (":scheme", "http"), (":path", GET_INFO), (":authority", "test"),
                 ("te", "trailers"), ("content-type", "application/grpc")]
        size = sum(len(name) + len(value) + 32 for name, value in known + fields)
        self.assertEqual(stream.status, RESOURCE_EXHAUSTED)
        self.assertIn(f"(got {size})", stream.status_message)

    def test_many_small_fields_count_too(self):
        fields = [(f"x{number}", "v") for number in range(2000)]
        with self.assertFault(CODE.RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE"):
            v1.stub("Admin", self.channel()).GetInfo(v1.GetInfoRequest(), metadata=fields, timeout=PATIENCE)

    def test_a_header_block_in_frames_of_the_usual_size_is_read_up_to_the_bound_of_the_core(self):
        connection = self.raw()
        eventually(lambda: connection.settings_acked, "nothing of ours comes between the frames")
        stream = connection.streams[1] = rawh2.Stream(connection, 1)
        fields = {":method": "POST", ":scheme": "http", ":path": GET_INFO, ":authority": "test",
                  "te": "trailers", "content-type": "application/grpc", "x": "v" * 260000}
        block = b"".join(literal(name, value) for name, value in fields.items())
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        for number, piece in enumerate(pieces):
            kind = rawh2.CONTINUATION if number else rawh2.HEADERS
            connection.send(frame(kind, END_HEADERS if number + 1 == len(pieces) else 0, 1, piece))
        stream.send(message(b""), end=True)
        stream.wait_end()
        self.assertEqual(stream.status, RESOURCE_EXHAUSTED)
        self.assertIn("at most 65536", stream.status_message)

    def test_beyond_the_bound_of_the_core_only_the_senders_connection_ends(self):
        other = self.consumer()
        connection = self.raw()
        eventually(lambda: connection.settings_acked, "the server knows our settings")
        connection.request(GET_INFO, headers=[("x", "v" * 263000)], end=True)
        eventually(lambda: connection.closed, "its connection ends")
        self.publish("still served", [event(1)])
        other.wait_events(1)


class SmallMetadata(Case):
    arguments = ("--max-header-bytes", "2K")

    def test_the_limit_is_an_option(self):
        stub = v1.stub("Admin", self.channel())
        self.assertTrue(stub.GetInfo(v1.GetInfoRequest(), metadata=[("x", "v" * 1000)]).version)
        with self.assertFault(CODE.RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE", contains=["at most 2048 bytes"]):
            stub.GetInfo(v1.GetInfoRequest(), metadata=[("x", "v" * 2000)])


class Pings(Case):
    """Finding 34. Time runs ten times as fast as with the default, which is 2 s."""

    arguments = ("--min-ping-interval", "200ms")

    def ping(self, connection, times, interval):
        """By a fixed clock, with jitter. Stops where the connection has closed."""
        start = time.monotonic()
        for number in range(times):
            due = start + interval * (number + random.uniform(-0.2, 0.2))
            time.sleep(max(due - time.monotonic(), 0))
            if connection.closed:
                return
            try:
                connection.send(frame(PING, 0, 0, b"12345678"))
            except OSError:
                return

    def test_pings_by_a_fixed_clock_are_fine_with_calls_and_without(self):
        for with_call in (False, True):
            with self.subTest(with_call=with_call):
                connection = self.raw()
                if with_call:
                    request = subscribe_request(heartbeat_interval=3600)
                    connection.call(SUBSCRIBE, request.SerializeToString())
                self.ping(connection, times=12, interval=0.5)
                stream = connection.call(GET_INFO, b"")
                stream.wait_end()
                self.assertEqual((stream.status, connection.goaway), (0, None))

    def test_keepalive_of_a_grpc_library_is_fine(self):
        channel = self.channel(**{
            "keepalive_time_ms": 500, "keepalive_timeout_ms": 5000, "keepalive_permit_without_calls": 1,
            "http2.max_pings_without_data": 0, "http2.min_ping_interval_without_data_ms": 500})
        consumer = self.consumer(subscribe_request(heartbeat_interval=3600), channel=channel)
        time.sleep(6)
        self.publish("still there", [event(1)])
        consumer.wait_events(1)

    def test_too_many_pings_end_the_connection_with_goaway(self):
        connection = self.raw()
        self.ping(connection, times=40, interval=0.02)
        eventually(lambda: connection.closed, "the connection ends")
        self.assertIn(b"too_many_pings", connection.goaway)
        line = eventually(lambda: self.daemon.log("connection.ended"), "the log says so")[-1]
        self.assertEqual((line["reason"], "ENHANCE_YOUR_CALM" in line["detail"]), ("BY_CORE", True))

    def test_a_few_that_come_together_after_a_standstill_are_forgiven(self):
        connection = self.raw()
        connection.send(frame(PING, 0, 0, b"12345678") * 8)
        stream = connection.call(GET_INFO, b"")
        stream.wait_end()
        self.assertEqual((stream.status, connection.goaway), (0, None))


class Age(Case):
    shared_daemon = False

    def test_a_connection_of_that_age_takes_no_new_calls_and_ends_after_the_grace_time(self):
        daemon = self.start_daemon("--max-connection-age", "1s", "--connection-age-grace", "1s")
        connection = self.raw(daemon.address)
        stream = connection.call(SUBSCRIBE, subscribe_request().SerializeToString())
        start = time.monotonic()
        eventually(lambda: connection.goaway, "the server says that it takes no new calls")
        self.assertGreater(time.monotonic() - start, 0.8)
        self.assertFalse(stream.ended, "its calls go on")
        eventually(lambda: stream.status is not None, "the grace time is over")
        self.assertEqual(stream.status, UNAVAILABLE)
        self.assertGreater(time.monotonic() - start, 1.8)
        eventually(lambda: connection.closed, "the connection ends")
        daemon.close_channel()
        daemon.stop()

    def test_a_client_connects_again_and_loses_no_call(self):
        daemon = self.start_daemon("--max-connection-age", "1s", "--connection-age-grace", "10s")
        stub = v1.stub("Admin", self.channel(daemon.address))
        until = time.monotonic() + 4
        while time.monotonic() < until:
            stub.GetInfo(v1.GetInfoRequest(), timeout=PATIENCE)
            time.sleep(0.01)
        self.assertGreaterEqual(daemon.counters()["connections"], 3)
        daemon.stop()

    def test_without_the_option_it_never_ages(self):
        daemon = self.start_daemon()
        connection = self.raw(daemon.address)
        connection.call(SUBSCRIBE, subscribe_request().SerializeToString())
        time.sleep(2)
        self.assertEqual((connection.goaway, connection.closed), (None, False))
        connection.close()
        daemon.stop()


class Calls(Case):
    arguments = ("--max-calls-per-connection", "3")

    def test_a_call_beyond_the_limit_waits_and_others_are_served(self):
        channel = self.ready_channel()
        consumers = [self.consumer(channel=channel) for _ in range(3)]
        with self.assertRaises(grpc.RpcError) as refused:
            v1.stub("Admin", channel).GetInfo(v1.GetInfoRequest(), timeout=1)
        self.assertEqual(refused.exception.code(), CODE.DEADLINE_EXCEEDED)
        self.consumer()
        info = self.daemon.admin().GetInfo(v1.GetInfoRequest())
        self.assertEqual(info.max_calls_per_connection, 3)
        consumers[0].cancel()
        self.assertTrue(v1.stub("Admin", channel).GetInfo(v1.GetInfoRequest(), timeout=PATIENCE).version)


def begin_messages(connection, count):
    """So many streams, each with 6000 bytes of a message of 7000."""
    for number in range(count):
        stream = connection.request("/tributary.v1.Publisher/PublishStream")
        stream.send(message(bytes(7000))[:6000])
        if number % 8 == 7:
            time.sleep(0.01)  # the window of the connection is 64 KiB


class Messages(Case):
    arguments = ("--max-batch-bytes", "64K", "--max-unfinished-bytes", "4M")

    def test_finding_28_the_server_answers_each_size_that_the_guard_lets_pass(self):
        channel = self.ready_channel()
        consumer = self.consumer(channel=channel)
        for size in (70_000, 140_000, 3_000_000, 3_276_000):
            with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE", contains=["65536"]):
                self.publish("p", [event(1, size=size)], channel=channel)
        self.publish("p", [event(1)], channel=channel)
        consumer.wait_events(1)
        with self.assertFault(CODE.UNAVAILABLE):
            self.publish("p", [event(1, size=4_000_000)], channel=self.channel())
        eventually(lambda: self.daemon.log("connection.ended"), "the guard says why")
        self.assertEqual(self.daemon.log("connection.ended")[-1]["reason"], "MESSAGE_TOO_LARGE")

    def test_finding_28_a_publishing_stream_goes_on_after_each_such_size(self):
        consumer = self.consumer()
        stream = self.publishing("p")
        for number, size in enumerate((10, 70_000, 140_000, 3_000_000, 10)):
            stream.send([event(number, size=size)])
        stream.finish()
        self.assertEqual([each.batch for each in stream.refused], [2, 3, 4])
        self.assertEqual({each.reason for each in stream.refused}, {"BATCH_TOO_LARGE"})
        consumer.wait_events(2)
        self.assertEqual(consumer.received.numbers("p"), [0, 4])

    def test_finding_28_other_requests_have_a_bound_too(self):
        large = subscribe_request(request=b"r" * 200_000)
        with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE", contains=["131072"]):
            list(v1.stub("Subscriber", self.channel()).Subscribe(large))
        with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE"):
            v1.stub("Admin", self.channel()).ListProducers(
                v1.ListProducersRequest(pattern="p" * 200_000)
            )

    # Finding 1.
    def test_unfinished_messages_end_their_connection_beyond_the_option(self):
        connection = self.raw()
        begin_messages(connection, 600)
        time.sleep(0.5)
        self.assertEqual([s.number for s in connection.streams.values() if s.reset is not None], [])
        self.assertFalse(connection.closed, "3.6 MB are fine")
        with contextlib.suppress(OSError):
            begin_messages(connection, 200)
        eventually(lambda: connection.closed, "4.8 MB are not")
        ends = [line["reason"] for line in self.daemon.log("connection.ended")]
        self.assertIn("UNFINISHED", ends)


class ManyConnections(Case):
    """Finding 1. 18 KB for each unfinished message: 850 of them are the share of a local peer."""

    arguments = ("--max-kept-bytes", "16M")

    def test_the_connection_that_keeps_the_most_ends_and_no_other_one(self):
        consumer = self.consumer()
        few, many, last = self.raw(), self.raw(), self.raw()
        begin_messages(few, 100)
        begin_messages(many, 600)
        self.assertFalse(many.closed)
        begin_messages(last, 300)
        eventually(lambda: many.closed, "150 messages more than fit")
        line = eventually(lambda: self.daemon.log("connection.ended"), "the log says why")[-1]
        self.assertEqual((line["reason"], line["count"]), ("KEPT_BY_PEER", 1))
        for connection in (few, last):
            stream = connection.call(GET_INFO, b"")
            stream.wait_end()
            self.assertEqual(stream.status, 0)
        self.publish("others", [event(1)])
        consumer.wait_events(1)


if __name__ == "__main__":
    main()
