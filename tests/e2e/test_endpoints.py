#!/usr/bin/python3
"""Endpoints: producers that the server dials. The upstreams are servers of Python's gRPC."""
import os
import socket
import struct
import tempfile
import threading
import time

import grpc

from harness.case import main
from harness.client import Consumer, connect, event, subscribe_request
from harness.daemon import eventually
from harness.endpoints import (
    ACTIVE,
    ADD,
    CONNECTING,
    ENDED,
    ENDPOINT,
    FAILURE,
    IDLE,
    PRODUCER,
    REMOVED,
    UNAVAILABLE,
    WithUpstreams,
)
from harness.h2frames import (
    DATA,
    END_HEADERS,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    SETTINGS,
    frame,
    literal,
    message,
)
from harness.protos import duration, fault_of, message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
class PerConsumer(WithUpstreams):
    def test_any_stream_is_a_producer_and_its_bytes_pass_unchanged(self):
        upstream = self.upstream()
        added = self.add("feed", upstream.address, metadata={"token": "secret"}, labels={"zone": "a"})
        self.assertEqual((added.kind, added.state), (PRODUCER.ENDPOINT, IDLE))
        self.assertEqual((added.endpoint.metadata["token"], added.labels["zone"]), ("***", "a"))
        consumer = self.consumer(subscribe_request(of("feed"), request=b"\x0a\x03abc"))
        call = upstream.wait_calls(1)
        messages = [b"", b"\x00\xff", bytes(range(256)) * 300, b"last"]
        call.send(*messages)
        self.wait_datas(consumer, "feed", messages)
        self.assertEqual((call.method, call.requests), ("/demo.Feed/Watch", [b"\x0a\x03abc"]))
        self.assertEqual(call.metadata["token"], "secret")
        eventually(lambda: call.closed, "this side half-closes after the request")
        types = {each.content_type for _, _, _, each in consumer.received.events}
        self.assertEqual(types, {"application/grpc; method=/demo.Feed/Watch"})
        self.assertEqual(self.daemon.producer("feed").upstream_calls, 1)

    def test_A1_without_a_consumer_nothing_is_dialled(self):
        upstream = self.upstream()
        self.add("idle", upstream.address)
        other = self.upstream()
        self.add("witness", other.address)
        self.consumer(subscribe_request(of("witness")))
        other.wait_calls(1)
        self.assertEqual((len(upstream.calls), self.daemon.producer("idle").state), (0, IDLE))

    def test_A3_each_consumer_has_a_call_with_its_request(self):
        upstream = self.upstream()
        self.add("p", upstream.address)
        consumers = [self.consumer(subscribe_request(of("p"), request=b"%d" % i)) for i in range(3)]
        upstream.wait_calls(3)
        eventually(lambda: all(call.requests for call in upstream.calls), "all requests came")
        for call in upstream.calls:
            call.send(b"answer to " + call.requests[0])
        for i, consumer in enumerate(consumers):
            self.wait_datas(consumer, "p", [b"answer to %d" % i])

    def test_A21_a_cancelled_consumer_cancels_its_call_and_no_other(self):
        upstream = self.upstream()
        self.add("p", upstream.address)
        gone, stays = self.consumer(subscribe_request(of("p"), request=b"gone")), None
        first = upstream.wait_calls(1)
        stays = self.consumer(subscribe_request(of("p"), request=b"stays"))
        second = upstream.wait_calls(2)
        gone.cancel()
        self.assertTrue(first.over.wait(5), "the upstream's call is cancelled")
        second.send(b"on")
        self.wait_datas(stays, "p", [b"on"])
        self.assertFalse(second.over.is_set())

    def test_A4_an_endpoint_that_comes_later_reaches_consumers_that_wait(self):
        upstream = self.upstream()
        consumer = self.consumer(subscribe_request(of("late-*")))
        began = time.monotonic()
        self.add("late-1", upstream.address)
        upstream.wait_calls(1).send(b"x")
        self.wait_datas(consumer, "late-1", [b"x"])
        self.assertLess(time.monotonic() - began, 2)
        self.wait_state(consumer, "late-1", ACTIVE)

    def test_removing_it_ends_the_calls_and_not_the_consumer(self):
        upstream, other = self.upstream(), self.upstream()
        self.add("goes", upstream.address)
        self.add("stays", other.address)
        consumer = self.consumer()
        first, second = upstream.wait_calls(1), other.wait_calls(1)
        first.send(b"1")
        self.wait_datas(consumer, "goes", [b"1"])
        self.assertEqual(self.remove("goes").name, "goes")
        self.assertTrue(first.over.wait(5))
        second.send(b"2")
        self.wait_datas(consumer, "stays", [b"2"])
        self.assertIsNone(self.daemon.producer("goes"))
        eventually(lambda: self.states(consumer, "goes")[-1] in (ENDED, REMOVED), "its end is reported")

    def test_requests_are_sent_in_order_and_half_close_waits(self):
        upstream = self.upstream()
        self.add("open", upstream.address, requests=[b"one", b"", b"three"], half_close=ENDPOINT.KEEP_OPEN)
        consumer = self.consumer(subscribe_request(of("open"), request=b"not sent"))
        call = upstream.wait_calls(1)
        eventually(lambda: len(call.requests) == 3, "three requests came")
        call.send(b"x")
        self.wait_datas(consumer, "open", [b"x"])
        self.assertEqual((call.requests, call.closed), ([b"one", b"", b"three"], False))

    def test_an_upstream_that_ends_is_ended_and_not_dialled_again(self):
        upstream = self.upstream()
        self.add("done", upstream.address, backoff=duration(0.01))
        consumer = self.consumer(subscribe_request(of("done")))
        call = upstream.wait_calls(1)
        call.send(b"only")
        call.end()
        self.wait_state(consumer, "done", ENDED)
        self.assertEqual(self.datas(consumer, "done"), [b"only"])
        time.sleep(0.2)
        self.assertEqual(len(upstream.calls), 1)

    def test_a_failure_is_unavailable_with_code_and_text_and_is_dialled_again(self):
        upstream = self.upstream()
        self.add("fails", upstream.address, backoff=duration(0.05))
        consumer = self.consumer(subscribe_request(of("fails")))
        upstream.wait_calls(1).end(CODE.INTERNAL, "disk on fire")
        self.wait_state(consumer, "fails", UNAVAILABLE)
        error = [state.error for state in consumer.received.states if state.state == UNAVAILABLE][0]
        self.assertEqual((error.code, error.message), (13, "disk on fire"))
        upstream.wait_calls(2).send(b"again")
        self.wait_datas(consumer, "fails", [b"again"])
        failed = [each for each in self.daemon.log("endpoint.failed") if each["producer"] == "fails"]
        self.assertEqual([(each["producer"], each["where"]) for each in failed], [("fails", "STREAM")])

    def test_restart_never_and_always(self):
        upstream = self.upstream()
        self.add("never", upstream.address, restart=ENDPOINT.NEVER, backoff=duration(0.01))
        consumer = self.consumer(subscribe_request(of("never")))
        upstream.wait_calls(1).end(CODE.ABORTED, "no")
        self.wait_state(consumer, "never", ENDED)
        again = self.upstream()
        self.add("always", again.address, restart=ENDPOINT.ALWAYS, backoff=duration(0.01))
        self.consumer(subscribe_request(of("always")))
        again.wait_calls(1).end()
        again.wait_calls(2)
        self.assertEqual(len(upstream.calls), 1)

    def test_nobody_listens_is_a_failure_to_dial(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.add("nobody", f"127.0.0.1:{port}", backoff=duration(0.05), max_backoff=duration(0.1))
        consumer = self.consumer(subscribe_request(of("nobody")))
        self.wait_state(consumer, "nobody", UNAVAILABLE)
        producer = self.daemon.producer("nobody")
        self.assertEqual((producer.failure.code, producer.failure.where), (14, FAILURE.DIAL))
        self.assertIn("refused", producer.failure.message.lower())
        upstream = self.upstream(address=f"127.0.0.1:{port}")
        upstream.wait_calls(1).send(b"there")
        self.wait_datas(consumer, "nobody", [b"there"])
        self.assertFalse(self.daemon.producer("nobody").HasField("failure"))

    def test_a_peer_that_says_nothing_is_given_up_in_time(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            port = silent.getsockname()[1]
            self.add("silent", f"127.0.0.1:{port}", connect_timeout=duration(0.2))
            consumer = self.consumer(subscribe_request(of("silent")))
            self.wait_state(consumer, "silent", UNAVAILABLE)
            self.assertEqual(self.daemon.producer("silent").failure.where, FAILURE.DIAL)
            self.remove("silent")

    def test_first_message_and_idle_timeouts(self):
        upstream = self.upstream()
        self.add(
            "slow",
            upstream.address,
            first_message_timeout=duration(0.1),
            idle_timeout=duration(0.2),
            backoff=duration(0.01),
        )
        consumer = self.consumer(subscribe_request(of("slow")))
        first = upstream.wait_calls(1)
        self.assertTrue(first.over.wait(5))
        second = upstream.wait_calls(2)
        second.send(b"x")
        self.wait_datas(consumer, "slow", [b"x"])
        self.assertTrue(second.over.wait(5))
        for text in ("no first message within 100 ms", "no message within 200 ms"):
            consumer.wait(lambda: text in {each.error.message for each in consumer.received.states}, text)

    def test_messages_in_time_and_a_pause_are_no_timeout(self):
        upstream = self.upstream()
        self.add("first", upstream.address, first_message_timeout=duration(0.2))
        self.add("paused", upstream.address, idle_timeout=duration(0.3))
        first = self.consumer(subscribe_request(of("first")))
        call = upstream.wait_calls(1)
        call.send(b"x")
        self.wait_datas(first, "first", [b"x"])
        paused = self.consumer(subscribe_request(of("paused"), overflow=v1.OVERFLOW_BLOCK, max_events=8))
        paused.hold()
        messages = [b"%d" % i + b"." * 50000 for i in range(400)]
        flood = upstream.wait_calls(2)
        flood.send(*messages)
        eventually(lambda: self.daemon.producer("paused").paused_activations == 1, "it is paused")
        self.assertFalse(flood.over.wait(0.6), "it is not read, so it cannot be late")
        self.assertFalse(call.over.is_set(), "its first message was in time")
        paused.resume()
        paused.wait_events(400, patience=60)
        self.assertEqual(self.datas(paused, "paused"), messages)

    def test_an_upstream_that_does_not_read_is_accepted_when_it_sends(self):
        def serve(listening):
            with listening.accept()[0] as peer, peer.makefile("rb") as come:
                peer.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0)))
                come.read(len(PREFACE))
                head = come.read(9)
                while head[3] != HEADERS:
                    come.read(int.from_bytes(head[:3], "big"))
                    head = come.read(9)
                block = literal(":status", "200") + literal("content-type", "application/grpc")
                peer.sendall(frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, 0, 1, message(b"x")))
                come.read()

        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=serve, args=(listening,), daemon=True).start()
            self.add("w", "127.0.0.1:%d" % listening.getsockname()[1], connect_timeout=duration(0.3))
            consumer = self.consumer(subscribe_request(of("w")))
            self.wait_datas(consumer, "w", [b"x"])
            self.wait_state(consumer, "w", ACTIVE)
            time.sleep(0.5)
            self.assertFalse(self.daemon.producer("w").HasField("failure"))
            self.remove("w")

    def test_a_message_over_the_limit_ends_the_call_with_the_bound(self):
        upstream = self.upstream()
        self.add("large", upstream.address, backoff=duration(10))
        consumer = self.consumer(subscribe_request(of("large")))
        upstream.wait_calls(1).send(b"x" * (1 << 20))
        self.wait_state(consumer, "large", UNAVAILABLE)
        self.assertIn("at most", self.daemon.producer("large").failure.message)

    def test_an_upstream_that_allows_few_calls_of_a_connection_gets_more_connections(self):
        upstream = self.upstream(streams=2)
        self.add("few", upstream.address, connect_timeout=duration(0.3), backoff=duration(0.1))
        channel = connect(self.daemon.address)
        self.addCleanup(channel.close)
        consumers = [Consumer(channel, subscribe_request(of("few"))) for _ in range(20)]
        upstream.wait_calls(20, patience=10)
        for call in upstream.calls:
            call.send(b"x")
        for consumer in consumers:
            self.wait_datas(consumer, "few", [b"x"])
            consumer.cancel()

    def test_large_messages_of_many_calls_at_once_end_none_of_them(self):
        upstream = self.upstream(threads=100)
        self.add("many", upstream.address, backoff=duration(60))
        channel = connect(self.daemon.address)
        self.addCleanup(channel.close)
        consumers = [
            Consumer(channel, subscribe_request(of("many")), keep=False) for _ in range(80)
        ]
        upstream.wait_calls(80)
        for call in upstream.calls:
            call.send(*[b"." * 300000] * 3)
        for consumer in consumers:
            consumer.wait_accounted(3, patience=60)
            self.assertNotIn(UNAVAILABLE, self.states(consumer, "many"))
            consumer.cancel()

    def test_a_consumer_that_blocks_stops_the_upstream_and_loses_nothing(self):
        upstream = self.upstream()
        self.add("flood", upstream.address)
        consumer = self.consumer(subscribe_request(of("flood"), overflow=v1.OVERFLOW_BLOCK, max_events=8))
        consumer.hold()
        call = upstream.wait_calls(1)
        messages = [b"%d" % i + b"." * 50000 for i in range(400)]
        call.send(*messages)
        eventually(lambda: self.daemon.producer("flood").paused_activations == 1, "it is paused")
        consumer.resume()
        consumer.wait_events(400, patience=60)
        self.assertEqual(self.datas(consumer, "flood"), messages)
        self.assertEqual(consumer.received.lost, [])

    def test_an_upstream_that_refuses_is_not_asked_again_soon(self):
        for activation in (ENDPOINT.PER_CONSUMER, ENDPOINT.SHARED):
            upstream, name = self.upstream(), f"refuses-{activation}"
            upstream.refuse = (CODE.UNIMPLEMENTED, "no such method")
            self.add(name, upstream.address, activation=activation, backoff=duration(0.01))
            consumer = self.consumer(subscribe_request(of(name)))
            self.wait_state(consumer, name, UNAVAILABLE)
            time.sleep(0.3)
            self.assertEqual(len(upstream.calls), 1)

    def test_a_unix_socket(self):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, "s")
        upstream = self.upstream(address=f"unix:{path}")
        self.addCleanup(os.rmdir, folder)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        self.add("unix", f"unix:{path}")
        consumer = self.consumer(subscribe_request(of("unix")))
        upstream.wait_calls(1).send(b"x")
        self.wait_datas(consumer, "unix", [b"x"])


class Shared(WithUpstreams):
    def test_one_call_serves_all_consumers(self):
        upstream = self.upstream()
        self.add("s", upstream.address, activation=ENDPOINT.SHARED, requests=[b"q"])
        call = upstream.wait_calls(1)
        consumers = [self.consumer(subscribe_request(of("s"))) for _ in range(3)] + [self.consumer()]
        call.send(b"a", b"b")
        for consumer in consumers:
            self.wait_datas(consumer, "s", [b"a", b"b"])
        for consumer in consumers[:3]:
            consumer.cancel()
        call.send(b"c")
        self.wait_datas(consumers[3], "s", [b"a", b"b", b"c"])
        self.assertEqual(len(upstream.calls), 1)
        self.assertFalse(call.over.is_set())

    def test_its_states_reach_bound_consumers_and_wildcards(self):
        upstream = self.upstream()
        bound, everything = self.consumer(subscribe_request(of("s*"))), self.consumer()
        self.add("s", upstream.address, activation=ENDPOINT.SHARED, backoff=duration(0.3))
        upstream.wait_calls(1)
        for consumer in (bound, everything):
            self.wait_state(consumer, "s", ACTIVE)
        upstream.calls[0].end(CODE.UNAVAILABLE, "going down")
        for consumer in (bound, everything):
            self.wait_state(consumer, "s", UNAVAILABLE)
            errors = [each.error for each in consumer.received.states if each.state == UNAVAILABLE]
            self.assertEqual((errors[0].code, errors[0].message), (14, "going down"))
        upstream.wait_calls(2)
        for consumer in (bound, everything):
            consumer.wait(lambda: self.states(consumer, "s")[-1] == ACTIVE, "it is active again")

    def test_removing_it_cancels_the_call_at_once(self):
        upstream = self.upstream()
        self.add("s", upstream.address, activation=ENDPOINT.SHARED)
        consumer = self.consumer()
        call = upstream.wait_calls(1)
        call.send(b"x")
        self.wait_datas(consumer, "s", [b"x"])
        self.remove("s", mode=v1.RemoveProducerRequest.DRAIN, deadline=5)
        self.assertTrue(call.over.wait(2), "a method that is not ours knows no stop")
        self.wait_state(consumer, "s", REMOVED)

    def test_a_blocking_consumer_holds_it_back_for_the_block_timeout_only(self):
        upstream = self.upstream()
        self.add("s", upstream.address, activation=ENDPOINT.SHARED)
        call = upstream.wait_calls(1)
        slow = self.consumer(
            subscribe_request(of("s"), overflow=v1.OVERFLOW_BLOCK, max_events=4, block_timeout=0.1)
        )
        slow.hold()
        fast = self.consumer(subscribe_request(of("s")))
        call.send(*[b"%d " % i + b"." * 100000 for i in range(200)])
        fast.wait_accounted(200, patience=30)
        slow.resume()


class Native(WithUpstreams):
    METHOD = "/tributary.v1.Upstream/Produce"
    CONTROL = message_class("tributary.v1.ProduceControl")

    def batch(self, *numbers):
        run = message_class("tributary.v1.Run")
        return v1.EventBatch(
            runs=[run(events=[event(number)], source="inner") for number in numbers]
        ).SerializeToString()

    def test_start_brings_the_request_and_stop_ends_it_gently(self):
        upstream = self.upstream()
        self.add("n", upstream.address, method="")
        consumer = self.consumer(subscribe_request(of("n"), request=b"question"))
        call = upstream.wait_calls(1)
        eventually(lambda: call.requests, "start came")
        start = self.CONTROL.FromString(call.requests[0]).start
        self.assertEqual((call.method, start.request, start.subscription_id),
                         (self.METHOD, b"question", consumer.id))
        call.send(self.batch(1, 2, 3))
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("n"), [1, 2, 3])
        self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name="n", deadline=duration(10)))
        eventually(lambda: len(call.requests) == 2, "stop came")
        self.assertEqual(self.CONTROL.FromString(call.requests[1]).stop.reason, "REMOVED")
        call.send(self.batch(4))
        call.end()
        consumer.wait_events(4)
        self.wait_state(consumer, "n", ENDED)

    def test_one_that_does_not_stop_is_cancelled_at_the_deadline(self):
        upstream = self.upstream()
        self.add("n", upstream.address, method="")
        self.consumer(subscribe_request(of("n")))
        call = upstream.wait_calls(1)
        self.remove("n", mode=v1.RemoveProducerRequest.DRAIN, deadline=0.3)
        self.assertTrue(call.over.wait(5))

    def test_a_batch_that_is_no_batch_ends_the_call(self):
        upstream = self.upstream()
        self.add("n", upstream.address, method="", backoff=duration(5))
        consumer = self.consumer(subscribe_request(of("n")))
        upstream.wait_calls(1).send(b"\xff\xff\xff")
        self.wait_state(consumer, "n", UNAVAILABLE)
        self.assertEqual(self.daemon.producer("n").failure.code, 3)


class Rules(WithUpstreams):
    def refused(self, code, reason, contains="", call=None, **fields):
        request = dict(name="x", address="127.0.0.1:1", method="/a.B/C")
        request.update(fields)
        add = lambda: self.daemon.admin().AddProducer(ADD(endpoint=v1.Endpoint(**request)))
        fault = fault_of(call or add)
        self.assertEqual((fault.code, fault.reason), (code, reason), fault)
        self.assertIn(contains, fault.message)

    def test_bad_input_names_field_value_and_bound(self):
        bad = CODE.INVALID_ARGUMENT
        self.refused(bad, "EMPTY", "endpoint.name", name="")
        self.refused(bad, "BAD_NAME", "@x", name="@x")
        self.refused(bad, "EMPTY", "endpoint.address", address="")
        for address in ("foo:1:2", "host", "127.0.0.1:0", "127.0.0.1:70000", "ipv4:localhost:1", "unix:",
                        "ipv6:1.2.3.4:5", "dns:"):
            self.refused(bad, "BAD_ADDRESS", "endpoint.address", address=address)
        for method in ("no-slash", "/only", "/a/b/c", "//x", "/a/", "/a b/c"):
            self.refused(bad, "BAD_METHOD", "endpoint.method", method=method)
        self.refused(bad, "TOO_LONG", "endpoint.method", method="/a/" + "x" * 300)
        self.refused(bad, "TOO_MANY", "endpoint.requests", requests=[b""] * 17)
        self.refused(bad, "TOO_LONG", "endpoint.requests", requests=[b"x" * (256 * 1024 + 1)])
        for key in ("Upper", "grpc-timeout", "te", ":path", "a b", "x-bin", "-bin", ""):
            self.refused(bad, "BAD_METADATA", "endpoint.metadata", metadata={key: "v"})
        self.refused(bad, "BAD_METADATA", "endpoint.metadata", metadata={"key": "line\nbreak"})
        self.refused(bad, "TOO_MANY", "endpoint.metadata", metadata={f"k{i}": "" for i in range(33)})
        self.refused(bad, "OUT_OF_BOUNDS", "endpoint.backoff", backoff=duration(0.001))
        self.refused(bad, "OUT_OF_BOUNDS", "endpoint.idle_timeout", idle_timeout=duration(100000))
        self.refused(bad, "UNKNOWN_ENUM", "activation", activation=9)
        self.refused(bad, "EMPTY", "endpoint", call=lambda: self.daemon.admin().AddProducer(ADD()))

    def test_names(self):
        upstream, other = self.upstream(), self.upstream()
        self.add("taken", upstream.address)
        self.refused(CODE.ALREADY_EXISTS, "NAME_TAKEN", "endpoint.name", name="taken")
        self.refused(CODE.INVALID_ARGUMENT, "BAD_NAME", "endpoint.authority", authority="a\n")
        consumer = self.consumer(subscribe_request(of("taken")))
        first = upstream.wait_calls(1)
        self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint("taken", other.address))
        )
        self.assertTrue(first.over.wait(5))
        other.wait_calls(1).send(b"new")
        self.wait_datas(consumer, "taken", [b"new"])
        update = lambda name: self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint(name, other.address))
        )
        self.refused(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", call=lambda: update("unknown"))
        self.publish("transient", [event(1)])
        self.refused(CODE.FAILED_PRECONDITION, "NOT_AN_ENDPOINT", call=lambda: update("transient"))


class Itself(WithUpstreams):
    def test_a_server_is_no_consumer_of_its_own(self):
        method = "/tributary.v1.Subscriber/Subscribe"
        request = subscribe_request().SerializeToString()
        self.add("self", self.daemon.address, method=method, requests=[request], backoff=duration(5))
        consumer = self.consumer(subscribe_request(of("self")))
        self.wait_state(consumer, "self", UNAVAILABLE)
        failure = self.daemon.producer("self").failure
        self.assertEqual((failure.code, "consumer of its own" in failure.message), (9, True), failure)
        self.assertEqual(len(self.daemon.subscriptions()), 1)


class Churn(WithUpstreams):
    def test_endpoints_that_come_and_go_leave_nothing(self):
        upstream = self.upstream(threads=200)
        fds = lambda: len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
        consumer, before = self.consumer(), fds()
        for _ in range(3):
            for i in range(50):
                self.daemon.admin().AddProducer(ADD(endpoint=endpoint(f"c{i}", upstream.address)))
            for i in range(50):
                self.remove(f"c{i}")
        eventually(lambda: self.daemon.live()["live.endpoints"] == 0, "no endpoint is left", 20)
        eventually(lambda: all(call.over.is_set() for call in upstream.calls), "no call is left", 20)
        eventually(lambda: fds() <= before + 1, "no descriptor is left", 30)
        self.publish("witness", [event(1)])
        consumer.wait_events(1)

    def test_the_daemon_ends_while_calls_are_open(self):
        upstream = self.upstream()
        daemon = self.start_daemon()
        for i in range(3):
            daemon.admin().AddProducer(
                ADD(endpoint=endpoint(f"e{i}", upstream.address, activation=ENDPOINT.SHARED))
            )
        upstream.wait_calls(3)
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)
        self.assertTrue(all(call.over.wait(5) for call in upstream.calls))


if __name__ == "__main__":
    main()
