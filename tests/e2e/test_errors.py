#!/usr/bin/python3
"""Errors: each names field, value and bound, carries google.rpc.Status, and affects no other
call."""
import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.protos import Stub, duration, v1

CODE = grpc.StatusCode
INVALID = CODE.INVALID_ARGUMENT


class EventBounds(Case):
    def setUp(self):
        super().setUp()
        self.producer = v1.stub("Publisher", self.channel())

    def take(self, **fields):
        self.producer.Publish(v1.PublishRequest(producer="bounds", **fields))

    def refuse(self, reason, field, contains=(), **fields):
        with self.assertFault(INVALID, reason, field, contains):
            self.take(**fields)

    def test_texts_of_an_event(self):
        for field in ("id", "topic", "key", "type", "content_type"):
            with self.subTest(field=field):
                self.take(events=[v1.Event(**{field: "x" * 256})])
                self.refuse(
                    "TOO_LONG",
                    f"events[0].{field}",
                    ["256", '"' + "x" * 64],
                    events=[v1.Event(**{field: "x" * 257})],
                )

    def test_bytes_are_counted_not_characters(self):
        self.take(events=[v1.Event(topic="ä" * 128)])
        self.refuse("TOO_LONG", "events[0].topic", events=[v1.Event(topic="ä" * 128 + "x")])

    def test_topics_and_types_are_printable(self):
        for field in ("topic", "type"):
            self.take(events=[v1.Event(**{field: "käse/☃ *"})])
            for bad in ("a\nb", "\x1b[1m", "\x7f", "\x85", "\u2028"):
                self.refuse("BAD_NAME", f"events[0].{field}", events=[v1.Event(**{field: bad})])

    def test_headers(self):
        self.take(events=[v1.Event(headers={f"h{n}": "" for n in range(64)})])
        self.refuse(
            "TOO_MANY_HEADERS",
            "events[0].headers",
            ["64"],
            events=[v1.Event(headers={f"h{n}": "" for n in range(65)})],
        )
        self.take(events=[v1.Event(headers={"k" * 256: "v" * 8192})])
        with self.assertFault(INVALID, "TOO_LONG", contains=["events[0].headers", "256"]):
            self.take(events=[v1.Event(headers={"k" * 257: ""})])
        with self.assertFault(INVALID, "TOO_LONG", contains=['events[0].headers["name"]', "8192"]):
            self.take(events=[v1.Event(headers={"name": "v" * 8193})])
        with self.assertFault(INVALID, "EMPTY", contains=["events[0].headers"]):
            self.take(events=[v1.Event(headers={"": "v"})])

    def test_the_size_of_an_event_and_of_a_batch(self):
        def request_of(size, head):
            # What the outer message adds: two tags and lengths, and the name.
            request = v1.PublishRequest(producer="bounds", events=[*head, v1.Event(data=b"")])
            while request.ByteSize() < size:
                request.events[-1].data += b"d" * max(1, size - request.ByteSize() - 12)
            return request

        edge = request_of(1 << 20, [v1.Event()])
        self.assertEqual(edge.ByteSize(), 1 << 20)
        self.producer.Publish(edge)
        with self.assertFault(INVALID, "BATCH_TOO_LARGE", contains=["1048576"]):
            edge.events[-1].data += b"d"
            self.producer.Publish(edge)

    def test_finding_43_an_event_of_exactly_the_maximum_is_taken(self):
        largest = v1.Event(data=b"d" * ((1 << 20) - 4))
        self.assertEqual(largest.ByteSize(), 1 << 20)
        for name in ("n", 256 * "n"):
            self.producer.Publish(v1.PublishRequest(producer=name, events=[largest]))
        largest.data += b"d"
        with self.assertFault(INVALID, "EVENT_TOO_LARGE", contains=["1048576"]):
            self.producer.Publish(v1.PublishRequest(producer="n", events=[largest]))

    def test_the_number_of_events_in_a_batch(self):
        self.take(events=[v1.Event()] * 65536)
        with self.assertFault(INVALID, "TOO_MANY_EVENTS", contains=["65536"]):
            self.take(events=[v1.Event()] * 65537)

    def test_finding_28_far_beyond_the_limit_the_answer_is_the_same(self):
        for size in ((1 << 20) + (2 << 10), (1 << 20) + (65 << 10), 2 << 20, 4 << 20):
            with self.subTest(size=size):
                with self.assertFault(INVALID, "BATCH_TOO_LARGE", contains=["at most 1048576"]):
                    self.take(events=[v1.Event(data=b"d" * size)])

    def test_an_unknown_confirm_is_refused(self):
        self.take(events=[event(1)], confirm=v1.CONFIRM_RECEIVED)
        for bad in (3, 4, 100, -1):
            with self.assertFault(INVALID, contains=["confirm"]):
                self.take(events=[event(1)], confirm=bad)


class Values(Case):
    """A value is quoted, escaped, and truncated to 64 bytes. The details have at most 2 KiB."""

    def test_values_are_escaped_and_truncated(self):
        cases = [
            ("a\nb\x1b", r'"a\nb\x1b"'),
            ("\t" * 300, '"' + r"\t" * 64 + '"...'),
            ('say "hi" \\\x01', r'\"hi\" \\\x01'),
            ("smile 😀\x01", r"\xf0\x9f\x98\x80"),
        ]
        for name, shown in cases:
            with self.subTest(name=name[:20]):
                with self.assertFault(INVALID, field="producer", contains=[shown]) as held:
                    self.publish(name, [event(1)])
                self.assertTrue(held["fault"].message.isascii() and held["fault"].message.isprintable())

    def test_what_is_not_found_is_quoted_too(self):
        for name, shown in (
            ("no body", '"no body"'),
            ("  ", '"  "'),
            ("😀", r'"\xf0\x9f\x98\x80"'),
            ("100%41", '"100%41"'),
            ('"', r'"\""'),
        ):
            with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=[shown]) as held:
                self.daemon.admin().GetProducer(v1.GetProducerRequest(name=name))
            self.assertIn("google.rpc.ErrorInfo", held["fault"].parts)


class AdminRequests(Case):
    def test_page_sizes_and_tokens(self):
        admin = self.daemon.admin()
        for method, request in (
            (admin.ListProducers, v1.ListProducersRequest),
            (admin.ListSubscriptions, v1.ListSubscriptionsRequest),
        ):
            method(request(page_size=1000))
            with self.assertFault(INVALID, "OUT_OF_BOUNDS", "page_size", ["1000", "1001"]):
                method(request(page_size=1001))
            with self.assertFault(INVALID, field="page_token"):
                method(request(page_token="made\x01up" * 100))

    def test_a_pattern_that_is_too_long(self):
        with self.assertFault(INVALID, "TOO_LONG", "pattern"):
            self.daemon.admin().ListProducers(v1.ListProducersRequest(pattern="p" * 257))

    def test_drain_deadlines(self):
        consumer = self.consumer()
        with self.assertFault(INVALID, "OUT_OF_BOUNDS", "deadline"):
            self.daemon.admin().Disconnect(
                v1.DisconnectRequest(subscription_id=consumer.id, drain=True, deadline=duration(3601))
            )
        with self.assertFault(INVALID, "OUT_OF_BOUNDS", "drain"):
            v1.stub("Subscriber", self.daemon.channel).Finish(
                v1.FinishRequest(subscription_id=consumer.id, drain=duration(3601))
            )
        self.assertFalse(consumer.ended)


class Malformed(Case):
    """A malformed message ends its own call, and no other call of its connection."""

    def test_the_connection_and_its_other_calls_live_on(self):
        channel = self.channel()
        consumer = self.consumer(channel=channel)
        stream = self.publishing("well-formed", channel=channel)
        stream.send([event(0)])
        stream.wait_confirmed()
        raw = {
            service: v1.stub(service, channel, raw=True) for service in ("Publisher", "Subscriber", "Admin")
        }
        for number in range(1, 21):
            bad = b"\x0a\xff"
            with self.assertFault(INVALID, "BAD_VARINT"):
                raw["Publisher"].Publish(bad)
            with self.assertFault(INVALID):
                list(raw["Subscriber"].Subscribe(bad))
            with self.assertFault(INVALID):
                raw["Admin"].ListProducers(bad)
            stream.send([event(number)])
        stream.finish()
        consumer.wait_events(21)
        self.assertEqual(consumer.received.numbers("well-formed"), list(range(21)))

    def test_on_a_stream_it_is_a_refused_batch(self):
        consumer = self.consumer()
        stub = v1.stub("Publisher", self.channel(), raw=True)
        good = v1.PublishStreamRequest(events=[event(1)], producer="stream").SerializeToString()
        answers = [
            v1.PublishStreamResponse.FromString(raw)
            for raw in stub.PublishStream(iter([good, b"\x0a\x02\x0b\x0c", good]))
        ]
        refused = [each for answer in answers for each in answer.refused]
        self.assertEqual([(each.batch, each.reason) for each in refused], [(2, "GROUP")])
        self.assertIn("events[0]", refused[0].message)
        self.assertEqual(answers[-1].confirmed_batch, 3)
        consumer.wait_events(2)

    def test_a_call_without_a_request_is_refused(self):
        for service, method in (("Publisher", "Publish"), ("Subscriber", "Subscribe"), ("Admin", "GetInfo")):
            call = self.channel().stream_unary(f"/tributary.v1.{service}/{method}")
            with self.assertFault(INVALID, "NO_MESSAGE"):
                call(iter([]))

    def test_every_list_of_requests_is_read_strictly(self):
        stub = Stub(self.channel(), "tributary.v1.Admin", raw=True)
        for bad, reason in (
            (b"\x0a\x02\xff\xfe", "BAD_UTF8"),
            (b"\x0a\x01\x00", "BAD_UTF8"),
            (b"\x08\x01", "WRONG_WIRE_TYPE"),
            (b"\x0b\x0c", "GROUP"),
            (b"\x00\x00", "BAD_TAG"),
            (b"\x0a\x05ab", "BAD_LENGTH"),
        ):
            with self.subTest(bad=bad), self.assertFault(INVALID, reason):
                stub.GetProducer(bad)

    def test_a_refused_subscription_sends_no_message(self):
        call = v1.stub("Subscriber", self.channel()).Subscribe(subscribe_request([]))
        with self.assertFault(INVALID, "EMPTY", "selectors"):
            next(call)


if __name__ == "__main__":
    main()
