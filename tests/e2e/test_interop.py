#!/usr/bin/python3
"""The gRPC interoperability cases that apply, with this server's services in place of the usual
ones."""
import struct

import grpc

from harness.case import Case, main
from harness.client import Consumer, event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.rawh2 import DATA, frame, message

CODE = grpc.StatusCode


class Interop(Case):
    def test_empty_unary(self):
        self.assertTrue(self.daemon.admin().GetInfo(v1.GetInfoRequest()).version)

    def test_empty_stream(self):
        self.assertEqual(list(v1.stub("Publisher", self.channel()).PublishStream(iter([]))), [])

    def test_large_messages_both_ways(self):
        consumer = self.consumer()
        for size in (1, 65535, 65536, 1 << 19, (1 << 20) - 200):
            self.publish("large", [event(size, size=size)])
        consumer.wait_events(5)
        self.assertEqual(
            [len(each[3].data) for each in consumer.received.events][1:],
            [65535, 65536, 1 << 19, (1 << 20) - 200],
        )

    def test_client_streaming_ping_pong(self):
        stream = self.publishing("ping pong")
        for number in range(1, 101):
            stream.send([event(number)])
            stream.wait_confirmed(number)
        stream.finish()

    def test_cancel_after_begin(self):
        stream = self.publishing("cancel after begin", channel=self.ready_channel())
        stream.cancel()
        self.assertEqual(stream.fault.code, CODE.CANCELLED)

    def test_cancel_after_first_response(self):
        stream = self.publishing("cancel after first")
        stream.send([event(1)])
        stream.wait_confirmed()
        stream.cancel()
        self.assertEqual(stream.fault.code, CODE.CANCELLED)

        consumer = self.consumer()
        self.assertEqual(consumer.cancel().code, CODE.CANCELLED)

    def test_timeout_on_sleeping_server(self):
        call = v1.stub("Subscriber", self.channel()).Subscribe(subscribe_request(), timeout=0.3)
        with self.assertRaises(grpc.RpcError) as held:
            list(call)
        self.assertEqual(held.exception.code(), CODE.DEADLINE_EXCEEDED)

    def test_special_status_message(self):
        get = self.daemon.admin().GetProducer
        with self.assertFault(
            CODE.NOT_FOUND,
            "PRODUCER_NOT_FOUND",
            contains=[r'" 100% Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88  "'],
        ):
            get(v1.GetProducerRequest(name=" 100% Unicode BMP ☺ and non-BMP 😈  "))
        with self.assertFault(
            CODE.INVALID_ARGUMENT, "BAD_NAME", "name", [r'"\t\ntest with whitespace\r\nand']
        ):
            get(v1.GetProducerRequest(name="\t\ntest with whitespace\r\nand\t\n"))

    def test_unimplemented_method_and_service(self):
        for path in (
            "/tributary.v1.Publisher/Unknown",
            "/no.such.Service/Publish",
            "/tributary.v1.Publisher",
            "/",
            "/a/b/c",
        ):
            with self.subTest(path=path):
                for shape in ("unary_unary", "stream_stream"):
                    call = getattr(self.daemon.channel, shape)(path)
                    with self.assertFault(CODE.UNIMPLEMENTED, "METHOD_NOT_SERVED"):
                        call(b"") if shape == "unary_unary" else list(call(iter([b"x"])))

    def test_a_consumer_that_accepts_compression_gets_none(self):
        stream = self.raw().call(
            "/tributary.v1.Admin/GetInfo", b"", {"grpc-accept-encoding": "gzip, deflate, identity"}
        )
        stream.wait_end()
        self.assertEqual((stream.status, stream.compressed), (0, [0]))

    def test_metadata_passes_or_is_ignored(self):
        metadata = (
            ("x-empty", ""),
            ("x-bin", b"\x00\xff\x01"),
            ("x-long", "v" * 4000),
            ("x-twice", "1"),
            ("x-twice", "2"),
            ("user-agent", "odd/1"),
        )
        self.publish("meta", [])
        v1.stub("Publisher", self.channel()).Publish(
            v1.PublishRequest(producer="meta", events=[event(1)]), metadata=metadata
        )

    def test_too_much_metadata_ends_no_other_connection(self):
        consumer = self.consumer()
        stub = v1.stub("Admin", self.channel())
        with self.assertRaises(grpc.RpcError) as held:
            stub.GetInfo(v1.GetInfoRequest(), metadata=[(f"x-{n}", "v" * 1000) for n in range(80)])
        self.assertIn(held.exception.code(), (CODE.RESOURCE_EXHAUSTED, CODE.UNAVAILABLE, CODE.INTERNAL))
        self.publish("others", [event(1)])
        consumer.wait_events(1)

    def test_wait_for_ready_and_many_calls_on_one_connection(self):
        channel = self.channel()
        stub = v1.stub("Admin", channel)
        futures = [
            stub.GetInfo.future(v1.GetInfoRequest(), wait_for_ready=True, timeout=PATIENCE)
            for _ in range(300)
        ]
        self.assertTrue(all(future.result().version for future in futures))

    def test_many_streams_on_one_connection(self):
        channel = self.channel()
        consumers = [self.consumer(channel=channel, keep=False) for _ in range(100)]
        self.publish("to all", [event(n) for n in range(10)])
        for consumer in consumers:
            consumer.wait_events(10)
        for consumer in consumers:
            consumer.call.cancel()


class ByHand(Case):
    """Requests that no gRPC library sends."""

    def setUp(self):
        super().setUp()
        self.connection = self.raw()

    def info(self, headers=(), **options):
        stream = self.connection.request("/tributary.v1.Admin/GetInfo", headers, **options)
        stream.send(message(b""), end=True)
        stream.wait_end()
        return stream

    def test_content_types(self):
        for content_type in ("application/grpc", "application/grpc+proto", "application/grpc;x=1"):
            self.assertEqual(self.info({"content-type": content_type}).status, 0, content_type)

    def test_odd_requests_affect_no_other_connection(self):
        """For some of them the core ends the whole connection. Other connections are not
        affected."""
        for headers in (
            {"content-type": "text/html"},
            {"te": None},
            {":authority": ""},
            {"grpc-timeout": "soon"},
            {"grpc-timeout": "-1S"},
            {"grpc-encoding": "snappy"},
            {"x-odd-bin": "not base64!"},
        ):
            with self.subTest(headers=headers):
                odd = self.raw()
                stream = odd.request("/tributary.v1.Admin/GetInfo", headers)
                stream.send(message(b""), end=True)
                odd.wait(lambda: stream.ended or stream.reset is not None or odd.closed, "some end")
                odd.close()
        self.assertEqual(self.info().status, 0)

    def test_a_message_in_many_small_frames(self):
        stream = self.connection.request("/tributary.v1.Publisher/Publish")
        request = v1.PublishRequest(
            producer="in pieces", events=[event(n, size=50) for n in range(15)]
        ).SerializeToString()
        for byte in message(request):
            stream.send(bytes([byte]))
        stream.send(b"", end=True)
        stream.wait_end()
        self.assertEqual(stream.status, 0)
        self.assertEqual(v1.PublishResponse.FromString(stream.messages[0]).last_sequence, 15)

    def test_many_messages_in_one_frame(self):
        stream = self.connection.request("/tributary.v1.Publisher/PublishStream")
        batches = [
            message(
                v1.PublishStreamRequest(
                    producer="packed" if n == 0 else "", events=[event(n)]
                ).SerializeToString()
            )
            for n in range(50)
        ]
        stream.send(b"".join(batches), end=True)
        stream.wait_end()
        self.assertEqual(stream.status, 0)
        answers = [v1.PublishStreamResponse.FromString(each) for each in stream.messages]
        self.assertEqual((answers[-1].confirmed_batch, answers[-1].last_sequence), (50, 50))

    def test_a_unary_call_with_two_messages(self):
        stream = self.connection.request("/tributary.v1.Admin/GetInfo")
        stream.send(message(b"") + message(b""), end=True)
        stream.wait_end()
        self.assertEqual(self.info().status, 0, "however the first ended, the connection lives")

    def test_a_message_truncated_by_the_end_of_the_stream(self):
        stream = self.connection.request("/tributary.v1.Publisher/Publish")
        stream.send(message(b"\x0a\x00\x0a\x00")[:7], end=True)
        stream.wait_end()
        self.assertNotEqual(stream.status, 0)
        self.assertEqual(self.info().status, 0)

    def ends_with(self, reason):
        """The guard ends the connection, says so in its GOAWAY and in the log, and no other one."""
        eventually(lambda: self.connection.closed, "the connection ends")
        self.assertIn(reason.encode(), self.connection.goaway)
        self.assertIn(reason, [line["reason"] for line in self.daemon.log("connection.ended")])
        self.connection = self.raw()
        self.assertEqual(self.info().status, 0)

    def test_a_declared_size_beyond_the_limit(self):
        stream = self.connection.request("/tributary.v1.Publisher/Publish")
        stream.send(struct.pack(">BI", 0, 2 << 20) + b"x" * 1000)
        self.assertEqual(
            self.info().status, 0, "other calls on the connection are served while it waits for the rest"
        )
        stream.abort()
        self.assertEqual(self.info().status, 0)

    def test_a_declared_size_beyond_the_limit_of_the_guard(self):
        stream = self.connection.request("/tributary.v1.Publisher/Publish")
        stream.send(struct.pack(">BI", 0, 1 << 30) + b"x" * 1000)
        self.ends_with("MESSAGE_TOO_LARGE")

    def test_a_bad_preface_or_frame_ends_one_connection_only(self):
        consumer = Consumer(self.channel())
        self.addCleanup(consumer.cancel)
        for garbage in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01" + bytes(200),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
        ):
            self.raw(preface=garbage).close()
        broken = self.raw()
        broken.send(b"\xff\xff\xff" + frame(DATA, 0, 1)[3:])
        eventually(lambda: broken.closed or broken.goaway is not None, "a frame of 16 MB ends its connection")
        self.publish("others", [event(1)])
        consumer.wait_events(1)


if __name__ == "__main__":
    main()
