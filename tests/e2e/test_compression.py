#!/usr/bin/python3
"""Compressed messages (finding 29): gzip and deflate are read within the bounds of other messages,
everything else is refused by name, and nothing is taken for what it is not."""
import base64
import gzip
import os
import threading
import time
import zlib

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.flood import Windowed
from harness.h2frames import DATA, END_STREAM, frame, message
from harness.protos import rpc, v1
from harness.sessions import WithSessions

CODE = grpc.StatusCode
ENCODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}
KINDS = (grpc.Compression.Gzip, grpc.Compression.Deflate)
MAX = 1 << 20


def batch(*numbers, producer="zip", size=0):
    events = [event(number, size=size) for number in numbers]
    return v1.PublishRequest(producer=producer, events=events).SerializeToString()


def reason_of(stream):
    status = rpc.Status.FromString(base64.b64decode(stream.trailers["grpc-status-details-bin"] + b"=="))
    info = rpc.ErrorInfo()
    status.details[0].Unpack(info)
    return info.reason


class Clients(WithSessions, Case):
    """Python's gRPC compresses each request."""

    def test_finding_29_publish(self):
        consumer = self.consumer()
        stub = v1.stub("Publisher", self.channel())
        for number, kind in enumerate(KINDS):
            answer = stub.Publish(
                v1.PublishRequest(producer="kinds", events=[event(number, size=10000)]), compression=kind
            )
            self.assertEqual(answer.last_sequence, number + 1)
        consumer.wait_events(2)
        self.assertEqual(consumer.received.numbers("kinds"), [0, 1])

    def test_finding_29_every_call_of_a_channel_that_compresses(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                channel = grpc.insecure_channel(self.daemon.address, compression=kind)
                self.addCleanup(channel.close)
                name = f"of {kind}"
                consumer = self.consumer(channel=channel)
                consuming = self.consuming(channel=channel)
                session = self.session(f"session {name}", channel=channel)
                stream = self.publishing(name, channel=channel)
                for number in range(200):
                    stream.send([event(number, size=number * 10)])
                    session.send(0, [event(number, size=1000)])
                stream.finish()
                for each in (consumer, consuming):
                    each.wait_events(400)
                    self.assertEqual(each.received.numbers(name), list(range(200)))
                    self.assertEqual(each.received.numbers(f"session {name}"), list(range(200)))
                v1.stub("Admin", channel).GetInfo(v1.GetInfoRequest())
                consumer.cancel()
                consuming.cancel()
                session.finish()

    def test_finding_29_the_bounds_are_those_of_other_messages(self):
        stub = v1.stub("Publisher", self.channel())
        request = v1.PublishRequest(producer="zip", events=[v1.Event(data=b""), event(1)])
        request.events[0].data = b"d" * (MAX - 100)
        request.events[0].data += b"d" * (MAX - request.ByteSize())
        self.assertEqual(request.ByteSize(), MAX)
        for kind in KINDS:
            stub.Publish(request, compression=kind)
        request.events[0].data += b"d"
        for kind in KINDS:
            with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE", contains=["at most 1048576"]):
                stub.Publish(request, compression=kind)
        for size in (2 << 20, 50 << 20):
            with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE", contains=["at most 1048576"]):
                stub.Publish(
                    v1.PublishRequest(producer="zip", events=[v1.Event(data=bytes(size))]),
                    compression=grpc.Compression.Gzip,
                )

    def test_finding_29_what_is_inflated_is_charged(self):
        """As if it had come as it is."""
        consumers = [
            self.without_credit(subscribe_request(max_bytes=64 << 20, max_events=1000)) for _ in range(2)
        ]
        used = {}
        for kind in (None, grpc.Compression.Gzip):
            before = self.daemon.counters()["live.chunk_bytes"]
            for number in range(10):
                v1.stub("Publisher", self.daemon.channel).Publish(
                    v1.PublishRequest(producer=f"zip {kind}", events=[event(number, size=500_000)]),
                    compression=kind,
                )
            used[kind] = self.daemon.counters()["live.chunk_bytes"] - before
        self.assertGreater(used[None], 5_000_000)
        self.assertGreater(used[grpc.Compression.Gzip], 5_000_000)
        self.assertLess(used[grpc.Compression.Gzip], used[None] * 1.1)
        for consumer in consumers:
            consumer.cancel()

    def test_finding_29_bombs_do_not_grow_the_server(self):
        stub = v1.stub("Publisher", self.channel())
        request = v1.PublishRequest(producer="bomb", events=[v1.Event(data=bytes(100 << 20))])
        self.publish("zip", [event(1)])
        self.daemon.forget_memory_peak()
        before = self.daemon.memory_bytes()
        for _ in range(3):
            with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE"):
                stub.Publish(request, compression=grpc.Compression.Gzip)
        self.assertLess(self.daemon.memory_peak_bytes() - before, 32 << 20)


class ByHand(Case):
    def setUp(self):
        super().setUp()
        self.connection = self.raw()

    def publish_raw(self, payload, encoding=None, compressed=1):
        headers = {"grpc-encoding": encoding} if encoding else {}
        stream = self.connection.request("/tributary.v1.Publisher/Publish", headers)
        stream.send(message(payload, compressed=compressed), end=True)
        stream.wait_end()
        return stream

    def check_refused(self, stream, code, reason):
        self.assertEqual(stream.status, code.value[0], stream.status_message)
        self.assertEqual(reason_of(stream), reason)
        info = self.connection.call("/tributary.v1.Admin/GetInfo", b"")
        info.wait_end()
        self.assertEqual(info.status, 0, "the connection lives")

    def test_finding_29_answers_say_which_encodings_are_read(self):
        stream = self.connection.call("/tributary.v1.Admin/GetInfo", b"")
        stream.wait_end()
        self.assertEqual(stream.headers["grpc-accept-encoding"], b"identity, deflate, gzip")
        stream = self.connection.request("/tributary.v1.Publisher/PublishStream")
        self.connection.wait(lambda: stream.headers, "headers")
        self.assertEqual(stream.headers["grpc-accept-encoding"], b"identity, deflate, gzip")
        stream.send(b"", end=True)
        stream.wait_end()

    def test_finding_29_other_encodings_are_refused(self):
        consumer = self.consumer()
        for encoding in ("zstd", "snappy", "br", "GZIP", "gzip, gzip", "identity", None):
            with self.subTest(encoding=encoding):
                # What a decoder would take for an empty batch, for events, and for neither.
                for payload in (b"", batch(1), os.urandom(100)):
                    stream = self.publish_raw(payload, encoding)
                    self.check_refused(stream, CODE.UNIMPLEMENTED, "UNKNOWN_ENCODING")
                    # The status comes alone, or behind the headers.
                    accepted = (stream.headers | stream.trailers)["grpc-accept-encoding"]
                    self.assertEqual(accepted, b"identity, deflate, gzip")
        self.publish("after", [event(1)])
        consumer.wait_events(1)
        self.assertEqual(consumer.received.numbers("zip"), [])

    def test_finding_29_an_unknown_encoding_ends_a_publishing_stream(self):
        stream = self.connection.request("/tributary.v1.Publisher/PublishStream", {"grpc-encoding": "zstd"})
        stream.send(message(batch(1)) + message(batch(2), compressed=1))
        stream.wait_end()
        self.check_refused(stream, CODE.UNIMPLEMENTED, "UNKNOWN_ENCODING")
        stream.send(b"", end=True)

    def test_messages_without_the_flag_are_read_as_they_are(self):
        for encoding in ("gzip", "zstd", None):
            self.assertEqual(self.publish_raw(batch(1), encoding, compressed=0).status, 0)

    def test_finding_29_what_cannot_be_inflated(self):
        for encoding, compress in ENCODINGS.items():
            whole = compress(batch(*range(100)))
            cases = {
                "nothing": b"",
                "one byte": whole[:1],
                "all but the check": whole[:-1],
                "half": whole[:len(whole) // 2],
                "trailing bytes": whole + b"x",
                "trailing zeros": whole + bytes(8),
                "a wrong check": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
                "noise": os.urandom(1000),
                "the bytes themselves": batch(1),
                "the other encoding": next(f for e, f in ENCODINGS.items() if e != encoding)(batch(1)),
            }
            for name, payload in cases.items():
                with self.subTest(encoding=encoding, case=name):
                    stream = self.publish_raw(payload, encoding)
                    self.check_refused(stream, CODE.INVALID_ARGUMENT, "BAD_COMPRESSION")

    def test_an_empty_message_and_several_members(self):
        for encoding, compress in ENCODINGS.items():
            self.assertEqual(self.publish_raw(compress(b""), encoding).status, 0)
        consumer = self.consumer()
        whole = batch(1, 2, 3)
        members = b"".join(gzip.compress(whole[at:at + 7]) for at in range(0, len(whole), 7))
        self.assertEqual(self.publish_raw(members + gzip.compress(b""), "gzip").status, 0)
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("zip"), [1, 2, 3])
        # The format of deflate has no members.
        self.check_refused(
            self.publish_raw(zlib.compress(whole) * 2, "deflate"), CODE.INVALID_ARGUMENT, "BAD_COMPRESSION"
        )

    def test_finding_29_many_small_members_that_are_too_much_together(self):
        member = gzip.compress(bytes(60_000))
        stream = self.publish_raw(member * 20, "gzip")
        self.check_refused(stream, CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE")

    def test_finding_29_a_stream_goes_on_after_a_message_that_cannot_be_read(self):
        consumer = self.consumer()
        stream = self.connection.request("/tributary.v1.Publisher/PublishStream", {"grpc-encoding": "gzip"})
        bomb = gzip.compress(bytes(30 << 20))
        body = [gzip.compress(batch(1)), b"broken", bomb, gzip.compress(batch(2))]
        stream.send(b"".join(message(each, compressed=1) for each in body) + message(batch(3)), end=True)
        stream.wait_end()
        self.assertEqual(stream.status, 0)
        answers = [v1.PublishStreamResponse.FromString(each) for each in stream.messages]
        refused = [(each.batch, each.reason) for answer in answers for each in answer.refused]
        self.assertEqual(refused, [(2, "BAD_COMPRESSION"), (3, "BATCH_TOO_LARGE")])
        self.assertEqual(answers[-1].confirmed_batch, 5)
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("zip"), [1, 2, 3])

    def test_a_message_in_pieces(self):
        payload = message(gzip.compress(batch(*range(50), size=100)), compressed=1)
        stream = self.connection.request("/tributary.v1.Publisher/Publish", {"grpc-encoding": "gzip"})
        for at in range(0, len(payload), 50):
            stream.send(payload[at:at + 50])
        stream.send(b"", end=True)
        stream.wait_end()
        self.assertEqual(v1.PublishResponse.FromString(stream.messages[0]).last_sequence, 50)


class Crowd(Case):
    """Streams that send a kilobyte again and again that inflates to a megabyte."""

    BOMB = message(gzip.compress(bytes(MAX)), compressed=1)

    def crowd(self, address, streams, count, what=BOMB, **options):
        """A connection with so many streams, each of which sends `what` so many times."""
        connection = Windowed(address, **options)
        self.addCleanup(connection.close)
        opened = [
            connection.request("/tributary.v1.Publisher/PublishStream", {"grpc-encoding": "gzip"})
            for _ in range(streams)
        ]
        for stream in opened:
            threading.Thread(
                target=connection.send_all, args=(stream, what * count, True), daemon=True
            ).start()
        return opened

    @staticmethod
    def refused(stream):
        """The reasons of the messages that were refused."""
        return [
            each.reason
            for answer in stream.messages
            for each in v1.PublishStreamResponse.FromString(answer).refused
        ]

    def waits(self, channel, crowd):
        """How long an innocent's compressed messages take while the crowd is there, in order."""
        stub = v1.stub("Publisher", channel)
        request = v1.PublishRequest(producer="innocent", events=[event(1, size=200)])
        took, began = [], time.monotonic()
        while not all(stream.ended for stream in crowd):
            self.assertLess(time.monotonic() - began, PATIENCE)
            asked = time.monotonic()
            stub.Publish(request, compression=grpc.Compression.Gzip)
            took.append(time.monotonic() - asked)
        self.assertGreater(time.monotonic() - began, 1, "the bombs take a while")
        return sorted(took)

    def test_finding_29_bombs_do_not_stop_others(self):
        channel = self.channel()
        v1.stub("Publisher", channel).Publish(v1.PublishRequest(producer="innocent", events=[event(1)]))
        streams = self.crowd(self.daemon.address, 20, 100)
        took = self.waits(channel, streams)
        self.assertLess(took[len(took) * 99 // 100], 0.1)
        for stream in streams:
            refused = self.refused(stream)
            self.assertEqual((stream.status, len(refused), set(refused)), (0, 100, {"BAD_TAG"}))

    def test_finding_29_a_crowd_waits_for_others_not_they_for_it(self):
        """Four hundred messages wait all the time, of another peer, or of other connections of the
        same one. Those of an innocent are inflated in between."""
        daemon = self.start_daemon("--listen", "127.0.0.1:0", "--wire-threads", "1")
        for source in ("127.0.0.2", "127.0.0.1"):
            with self.subTest(source=source):
                crowd = []
                for _ in range(4):
                    crowd += self.crowd(daemon.address, 100, 10, source=source)
                took = self.waits(daemon.channel, crowd)
                self.assertLess(took[len(took) // 2], 0.05)
        eventually(lambda: daemon.counters()["live.deflated_bytes"] == 0, "all is given back")

    def test_finding_29_what_waits_is_charged_to_its_peer(self):
        """Of 16 MiB an eighth may wait, and a twentieth of it of one peer. What is beyond that is
        refused; another peer has space. The bombs of a connection are before the rest of it, so all
        of the rest waits at the same time."""
        share = (2 << 20) * 5 // 100
        options = ("--wire-threads", "1", "--memory-limit", "16M", "--local-peer-share", "5")
        daemon = self.start_daemon(*options)
        noise = message(gzip.compress(os.urandom(8000)), compressed=1)
        connection = Windowed(daemon.address, source="127.0.0.2")
        self.addCleanup(connection.close)

        def opened(count):
            path = "/tributary.v1.Publisher/PublishStream"
            return [connection.request(path, {"grpc-encoding": "gzip"}) for _ in range(count)]

        bombs, rest = opened(20), opened(40)
        for stream in rest:
            connection.send_all(stream, noise[:-1])
        eventually(lambda: connection.window_left > 2 * len(bombs) * len(self.BOMB), "window")
        connection.send(
            b"".join(frame(DATA, 0, stream.number, self.BOMB) for stream in bombs)
            + b"".join(frame(DATA, END_STREAM, stream.number, noise[-1:]) for stream in rest)
        )
        for stream in bombs:
            threading.Thread(
                target=connection.send_all, args=(stream, self.BOMB * 50, True), daemon=True
            ).start()
        most, began = 0, time.monotonic()
        stub = v1.stub("Publisher", daemon.channel)
        request = v1.PublishRequest(producer="innocent", events=[event(1, size=50_000)])
        while not all(stream.ended for stream in bombs + rest):
            self.assertLess(time.monotonic() - began, PATIENCE)
            stub.Publish(request, compression=grpc.Compression.Gzip)
            most = max(most, daemon.counters()["live.deflated_bytes"])
        reasons = [reason for stream in rest for reason in self.refused(stream)]
        self.assertEqual(len(reasons), len(rest))
        self.assertGreater(reasons.count("MEMORY_BUDGET"), len(rest) // 2)
        self.assertLess(reasons.count("MEMORY_BUDGET"), len(rest))
        self.assertGreater(most, 0)
        self.assertLessEqual(most, 2 * share, "of the peer and of the innocent")
        eventually(lambda: daemon.counters()["live.deflated_bytes"] == 0, "all is given back")


if __name__ == "__main__":
    main()
