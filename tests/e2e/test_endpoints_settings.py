#!/usr/bin/python3
"""Endpoints: key and time from inside messages, histories of their own, and what Admin shows."""
import struct
import time

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.endpoints import ADD, ENDPOINT, WithUpstreams
from harness.protos import duration, fault_of, message_class, v1
from harness.sessions import of

CODE = grpc.StatusCode
CONTROL = message_class("tributary.v1.ProduceControl")


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """A varint, or bytes; a float stands for a fixed64."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<Q", int(value))
    return varint(number << 3) + varint(value)


class Fields(WithUpstreams):
    def read(self, name, messages, **fields):
        upstream = self.upstream()
        self.add(name, upstream.address, **fields)
        consumer = self.consumer(subscribe_request(of(name)))
        upstream.wait_calls(1).send(*messages)
        self.wait_datas(consumer, name, messages)
        return [(each.key, each.time_unix_nano) for _, _, _, each in consumer.received.events]

    def test_key_and_time_are_read_from_raw_bytes(self):
        stamp = field(1, 1_700_000_000) + field(2, 5)
        messages = [
            field(1, field(3, b"k")) + field(7, stamp),
            field(1, field(3, 42)) + field(7, 77),
            field(1, field(3, "é".encode())) + field(7, 99.0),
            field(2, b"neither"),
            field(1, field(3, b"large")) + field(9, b"x" * 300_000),
            b"",
        ]
        self.assertEqual(
            self.read("both", messages, key_field="1.3", time_field="7"),
            [("k", 1_700_000_000_000_000_005), ("42", 77), ("é", 99), ("", 0), ("large", 0), ("", 0)],
        )

    def test_what_cannot_be_read_is_counted_and_refuses_nothing(self):
        before = self.daemon.counters()["upstream.unread_fields"]
        broken = [b"\xff\xff\xff", field(1, b"\xff"), field(1, b"x" * 257), b"\x08\x01" * 5000]
        messages = [*broken, field(1, b"good")]
        keys = [key for key, _ in self.read("broken", messages, key_field="1")]
        self.assertEqual(keys, ["", "", "", "", "good"])
        self.assertEqual(self.daemon.counters()["upstream.unread_fields"] - before, 4)

    def test_selectors_see_the_key(self):
        upstream = self.upstream()
        self.add("keyed", upstream.address, key_field="1", activation=ENDPOINT.SHARED)
        consumer = self.consumer(subscribe_request([v1.Selector(producer="keyed", keys=["b"])]))
        upstream.wait_calls(1).send(field(1, b"a"), field(1, b"b"), field(1, b"c"))
        self.wait_datas(consumer, "keyed", [field(1, b"b")])


class Histories(WithUpstreams):
    def last(self, name, count, request=b""):
        return self.consumer(
            subscribe_request(of(name), request=request, start=v1.Start(last=count), max_events=5000)
        )

    def test_a_shared_endpoint_keeps_as_much_as_it_may_from_the_first_event_on(self):
        upstream = self.upstream()
        self.add("kept", upstream.address, activation=ENDPOINT.SHARED, history_events=3)
        call = upstream.wait_calls(1)
        call.send(*(b"%d" % i for i in range(10)))
        eventually(lambda: self.daemon.producer("kept").last_sequence == 10, "all came")
        self.wait_datas(self.last("kept", 100), "kept", [b"7", b"8", b"9"])

    def test_bytes_bound_it_too(self):
        upstream = self.upstream()
        self.add("small", upstream.address, activation=ENDPOINT.SHARED, history_bytes=4096)
        call = upstream.wait_calls(1)
        messages = [bytes([65 + i]) * 1500 for i in range(6)]
        for count, message in enumerate(messages, 1):  # a busy server coalesces what comes together
            call.send(message)
            eventually(lambda n=count: self.daemon.producer("small").last_sequence == n, "it came")
        consumer = self.last("small", 100)
        call.send(b"live")
        consumer.wait(lambda: self.datas(consumer, "small")[-1:] == [b"live"], "the live one")
        self.assertIn(self.datas(consumer, "small"), ([*messages[-2:], b"live"], [messages[-1], b"live"]))

    def test_each_request_has_a_history(self):
        upstream = self.upstream()
        self.add("each", upstream.address, activation=ENDPOINT.BY_REQUEST, history_events=2)
        first, other = (self.consumer(subscribe_request(of("each"), request=each)) for each in (b"1", b"2"))
        upstream.wait_calls(2)
        eventually(lambda: all(call.requests for call in upstream.calls), "their requests")
        for call in upstream.calls:
            call.send(*(call.requests[0] + b"%d" % i for i in range(4)))
        self.wait_datas(first, "each", [b"10", b"11", b"12", b"13"])
        self.wait_datas(other, "each", [b"20", b"21", b"22", b"23"])
        self.wait_datas(self.last("each", 100, b"2"), "each", [b"22", b"23"])


class Rules(WithUpstreams):
    def refused(self, reason, contains, **fields):
        request = dict(name="x", address="127.0.0.1:1", method="/a.B/C")
        request.update(fields)
        fault = fault_of(lambda: self.daemon.admin().AddProducer(ADD(endpoint=v1.Endpoint(**request))))
        self.assertEqual((fault.code, fault.reason), (CODE.INVALID_ARGUMENT, reason), fault)
        self.assertIn(contains, fault.message)

    def test_bad_input_names_field_value_and_bound(self):
        for path in ("a", "0", "1.", "1.2.3.4.5.6.7.8.9", "536870912", "1" * 1000):
            self.refused("BAD_FIELD_PATH", "endpoint.key_field", key_field=path)
            self.refused("BAD_FIELD_PATH", "endpoint.time_field", time_field=path)
        self.refused("BAD_FIELD_PATH", "EventBatch", key_field="1", decode=ENDPOINT.EVENT_BATCH)
        shared = dict(activation=ENDPOINT.SHARED)
        self.refused("OUT_OF_BOUNDS", "endpoint.history_events", history_events=1025, **shared)
        self.refused("OUT_OF_BOUNDS", "endpoint.history_bytes", history_bytes=1023, **shared)
        self.refused("OUT_OF_BOUNDS", "endpoint.history_bytes", history_bytes=2**40, **shared)
        self.refused("OUT_OF_BOUNDS", "PER_CONSUMER", history_events=1)

    def test_open_calls_are_the_upstream_calls(self):
        upstream = self.upstream()
        added = self.add("calls", upstream.address)
        self.assertEqual((added.open_calls, added.upstream_calls), (0, 0))
        for _ in range(3):
            self.consumer(subscribe_request(of("calls")))
        upstream.wait_calls(3)
        shown = self.daemon.producer("calls")
        self.assertEqual((shown.open_calls, shown.upstream_calls), (3, 3))


class Stops(WithUpstreams):
    def test_a_consumer_that_finishes_and_then_cancels_ends_its_call_at_once(self):
        upstream = self.upstream()
        self.add("slow", upstream.address, method="")
        consumer = self.consumer(subscribe_request(of("slow")))
        call = upstream.wait_calls(1)
        eventually(lambda: call.requests, "start came")
        v1.stub("Subscriber", self.channel()).Finish(
            v1.FinishRequest(subscription_id=consumer.id, drain=duration(60))
        )
        eventually(lambda: len(call.requests) == 2, "stop came")
        self.assertTrue(CONTROL.FromString(call.requests[1]).HasField("stop"))
        began = time.monotonic()
        consumer.cancel()
        self.assertTrue(call.over.wait(5), "not at the deadline of the drain")
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    main()
