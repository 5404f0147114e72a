#!/usr/bin/python3
"""Each way in which an upstream can fail, by its row: what a consumer sees in its stream, what Admin
shows, and when. The upstreams are raw HTTP/2, so that they can do what no library does."""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from harness.case import Case, main
from harness.client import subscribe_request
from harness.daemon import eventually, instrumented
from harness.h2frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    message,
)
from harness.protos import duration, message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

ADD = v1.AddProducerRequest
FAILURE = message_class("tributary.v1.Producer.Failure")
SHARED = message_class("tributary.v1.Endpoint").SHARED
DIAL, STREAM = FAILURE.DIAL, FAILURE.STREAM
UNAVAILABLE, ACTIVE = v1.PRODUCER_STATE_UNAVAILABLE, v1.PRODUCER_STATE_ACTIVE
ACK = 1
SOON = 5 * (6 if instrumented() else 1)  # "at once", on a busy machine
PUSH_PROMISE = 5


class Peer:
    """One connection of the daemon, from the upstream's side."""

    def __init__(self, connection):
        self.connection = connection
        connection.settimeout(30)
        self.stream = 0

    def send(self, *frames):
        self.connection.sendall(b"".join(frames))

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.connection.recv(size - len(data))
            if not more:
                raise ConnectionError("the daemon closed it")
            data += more
        return data

    def settings(self):
        """The connection comes about."""
        self.send(frame(SETTINGS), frame(SETTINGS, ACK))
        self.read(len(PREFACE))

    def call(self):
        """Waits for the call; its request has come, too."""
        self.settings()
        kinds = set()
        while not {HEADERS, DATA} <= kinds:
            head = self.read(9)
            self.read(int.from_bytes(head[:3], "big"))
            kinds.add(head[3])
            if head[3] == HEADERS:
                self.stream = struct.unpack(">I", head[5:])[0]

    def headers(self, *more, status="200", kind="application/grpc", flags=0):
        block = literal(":status", status) + (literal("content-type", kind) if kind else b"")
        block += b"".join(literal(*each) for each in more)
        self.send(frame(HEADERS, END_HEADERS | flags, self.stream, block))

    def data(self, payload, flags=0):
        self.send(frame(DATA, flags, self.stream, payload))

    def trailers(self, *pairs):
        block = b"".join(literal(*each) for each in pairs)
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, self.stream, block))

    def reset(self, code):
        self.send(frame(RST_STREAM, 0, self.stream, struct.pack(">I", code)))

    def goaway(self, code, last=0, text=b""):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + text))

    def hold(self):
        """Until the daemon closes it."""
        with contextlib.suppress(OSError):
            while self.connection.recv(65536):
                pass

    def flood(self, *frames):
        """Until the daemon closes it."""
        data = b"".join(frames)
        data *= max(1, 65536 // len(data))
        with contextlib.suppress(OSError):
            while True:
                self.connection.sendall(data)


class Raw:
    """An upstream that does `act(peer)` with each connection."""

    def __init__(self, act):
        self.act, self.connections = act, []
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = "127.0.0.1:%d" % self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listening.accept()[0]
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.act(Peer(connection))

    def stop(self):
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def accepted(act):
    """An upstream that has answered the call with headers before it does `act`."""

    def whole(peer):
        peer.call()
        peer.headers()
        act(peer)

    return whole


def called(act):
    def whole(peer):
        peer.call()
        act(peer)

    return whole


def connected(act):
    def whole(peer):
        peer.settings()
        act(peer)

    return whole


def then_hold(*acts):
    def whole(peer):
        for act in acts:
            act(peer)
        peer.hold()

    return whole


def speak(text):
    def act(peer):
        peer.connection.recv(1000)
        peer.connection.sendall(text)
        peer.hold()

    return act


def reply(text):
    def act(peer):
        peer.connection.recv(1000)
        peer.connection.sendall(text)

    return act


def close_with_reset(peer):
    peer.connection.recv(10)
    peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# ---- what happens before the call is accepted, and afterwards: name, act, code, where, text ----

DIALLING = (
    ("closes", lambda peer: peer.connection.recv(10), 14, "the upstream closed the connection"),
    ("resets", close_with_reset, 14, "the upstream closed the connection"),
    ("http1", speak(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 14, "does not speak HTTP/2 without TLS"),
    ("noise", speak(b"\xff" * 1000), 14, "does not speak HTTP/2 without TLS"),
    ("tls-alert", reply(b"\x15\x03\x01\x00\x02\x02\x46"), 14, "it may expect TLS"),
    ("silent", lambda peer: peer.hold(), 14, "not connected within 1000 ms"),
    ("half-settings", lambda peer: (peer.send(frame(SETTINGS)[:5]), peer.hold()), 14, "not connected"),
)

STREAMING = (
    ("flag-7", then_hold(lambda p: p.data(message(b"x", 7))), 13, "the flag of a message is neither"),
    ("compressed", then_hold(lambda p: p.data(message(b"x", 1))), 12, "named no encoding"),
    ("claims-2GiB", then_hold(lambda p: p.data(struct.pack(">BI", 0, (2 << 30) - 1) + b"x" * 100)), 8,
     "a message declares too many bytes: 2147483647, at most"),
    ("large-frame", then_hold(lambda p: p.send(frame(DATA, 0, 1, b"x" * (1 << 20)))), 13, "larger than"),
    ("bad-hpack", lambda p: (p.send(frame(HEADERS, END_HEADERS | END_STREAM, p.stream, b"\xff" * 20)),
                             p.hold()), None, ""),
    ("push", then_hold(lambda p: p.send(frame(PUSH_PROMISE, 4, p.stream, b"\0\0\0\2"))), 13, "PUSH_PROMISE"),
    ("data-on-no-stream", then_hold(lambda p: p.send(frame(DATA, 0, 77, message(b"x")))), 13, "never opened"),
    ("refused-stream", then_hold(lambda p: p.reset(7)), 14, "RST_STREAM"),
    ("cancel", then_hold(lambda p: p.reset(8)), 1, "RST_STREAM"),
    ("internal", then_hold(lambda p: p.reset(2)), 13, "RST_STREAM"),
    ("lost", lambda p: None, 14, ""),  # "Socket closed" or "Connection reset by peer"
    ("lost-in-a-message", lambda p: p.data(message(b"x" * 100)[:50]), 14, ""),
    ("goaway-pings", lambda p: p.goaway(11, 0, b"too_many_pings"), 14, ""),
    ("no-trailers", then_hold(lambda p: p.data(message(b"x"), END_STREAM)), 2, ""),
    ("end-in-a-message", then_hold(lambda p: p.data(message(b"x" * 100)[:50], END_STREAM)), 2, ""),
    ("no-status", then_hold(lambda p: p.trailers(("a", "b"))), 2, "No status received"),
    ("status-99", then_hold(lambda p: p.trailers(("grpc-status", "99"), ("grpc-message", "odd"))), 2, "odd"),
    ("its-own", then_hold(lambda p: p.trailers(("grpc-status", "9"), ("grpc-message", "%C3%BC"))), 9, "ü"),
    ("bad-text", then_hold(lambda p: p.trailers(("grpc-status", "9"), ("grpc-message", "a%FF%0A"))), 9,
     "a??"),
)

HTTP = (
    ("503", lambda p: p.headers(status="503", kind="text/html", flags=END_STREAM), 14, "503"),
    ("404", lambda p: p.headers(status="404", kind="text/html", flags=END_STREAM), 12, "404"),
    ("html", lambda p: (p.headers(kind="text/html"), p.data(b"<html>", END_STREAM)), None, ""),
    ("trailers-only", lambda p: p.headers(("grpc-status", "12"), ("grpc-message", "nil"), flags=END_STREAM),
     12, "nil"),
    ("headers-20K", lambda p: p.headers(("x", "y" * 20000)), None, ""),
    ("goaway", lambda p: p.goaway(0), 14, "GOAWAY"),
)

PONG = frame(PING, 0, 0, b"12345678")
FLOODS = (
    ("settings", lambda p: [frame(SETTINGS)], "SETTINGS"),
    ("pings", lambda p: [PONG], "PING"),
    ("pongs", lambda p: [frame(PING, ACK, 0, b"12345678")], "PING"),
    ("empty-data", lambda p: [frame(DATA, 0, p.stream)], "without data"),
    ("tiny-data", lambda p: [frame(DATA, 0, p.stream, message(b"x" * 60000)[:1])], ""),
    ("window", lambda p: [frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))], "WINDOW_UPDATE"),
    ("resets", lambda p: [frame(RST_STREAM, 0, 1, struct.pack(">I", 8))], ""),
    ("headers", lambda p: [frame(HEADERS, END_HEADERS, p.stream, literal("a", "b"))], ""),
    ("continuations", lambda p: [frame(HEADERS, 0, p.stream, literal("a", "b"))]
     + [frame(CONTINUATION, 0, p.stream, literal("a", "b" * 100))] * 1000, ""),
    ("unknown", lambda p: [frame(99, 0, 0, b"")], "carry nothing"),
    ("empty-messages", lambda p: [frame(DATA, 0, p.stream, message(b"") * 100)], "empty messages"),
)


class WithRaw(Case):
    def raw_upstream(self, act):
        upstream = Raw(act)
        self.addCleanup(upstream.stop)
        return upstream

    def add(self, name, address, **fields):
        late = {"connect_timeout": duration(1), "backoff": duration(60), "max_backoff": duration(60)}
        self.daemon.admin().AddProducer(ADD(endpoint=endpoint(name, address, **{**late, **fields})))
        self.addCleanup(
            lambda: self.daemon.admin().RemoveProducer(
                v1.RemoveProducerRequest(name=name, mode=v1.RemoveProducerRequest.CANCEL)
            )
        )

    def fails(self, name, address, where, code, text, within=SOON, **fields):
        """Adds an endpoint for one consumer, and expects how it fails."""
        self.add(name, address, **fields)
        consumer = self.consumer(subscribe_request(of(name)))
        began = time.monotonic()
        consumer.wait(
            lambda: any(state.state == UNAVAILABLE for state in consumer.received.states),
            f"{name} is unavailable",
        )
        took = time.monotonic() - began
        states = [state.state for state in consumer.received.states]
        error = [state.error for state in consumer.received.states if state.state == UNAVAILABLE][0]
        failure = self.daemon.producer(name).failure
        shown = f"{name}: {error.code} {error.message!r} {states} after {took:.3f} s"
        self.assertEqual((failure.code, failure.message), (error.code, error.message), shown)
        self.assertEqual(failure.where, where, shown)
        if where == DIAL:  # the next state may overtake ACTIVE
            self.assertNotIn(ACTIVE, states, shown)
        if code is not None:
            self.assertEqual(error.code, code, shown)
        self.assertNotEqual(error.code, 0, shown)
        self.assertIn(text, error.message, shown)
        self.assertLess(took, within, shown)
        lines = lambda: [line for line in self.daemon.log("endpoint.failed") if line["producer"] == name]
        eventually(lines, f"a line about {name}")
        self.assertEqual([line["message"] for line in lines()], [error.message], shown)
        consumer.cancel()
        return took


class Dialling(WithRaw):
    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = "127.0.0.1:%d" % closed.getsockname()[1]
        self.fails("nobody", address, DIAL, 14, "Connection refused")

    def test_there_is_no_such_name(self):
        self.fails("no-name", "dns:nosuch.invalid:1", DIAL, 14, "", within=30)

    def test_a_full_backlog_swallows_the_connection(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            fillers = []
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
                fillers.append(filler)
            took = self.fails("swallowed", "127.0.0.1:%d" % full.getsockname()[1], DIAL, 14,
                              "not connected within 1000 ms")
            self.assertGreater(took, 0.9)
            for filler in fillers:
                filler.close()

    def test_before_the_call(self):
        for name, act, code, text in DIALLING:
            with self.subTest(name):
                self.fails(name, self.raw_upstream(act).address, DIAL, code, text)

    def test_no_stream_is_free(self):
        def serve(peer):
            peer.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 0)), frame(SETTINGS, ACK))
            peer.hold()

        self.fails("no-stream", self.raw_upstream(serve).address, DIAL, 14,
                   "connected, but the call was not accepted within 1000 ms")


    def test_a_connection_that_nobody_wants_any_more_is_closed_before_its_settings_come(self):
        came, removed, closed = threading.Event(), threading.Event(), threading.Event()

        def serve(peer):
            peer.read(len(PREFACE))
            came.set()
            removed.wait(30)
            with contextlib.suppress(OSError):
                peer.send(frame(SETTINGS), frame(SETTINGS, ACK))
            peer.hold()
            closed.set()

        admin = self.daemon.admin()
        address = self.raw_upstream(serve).address
        admin.AddProducer(ADD(endpoint=endpoint("unwanted", address, activation=SHARED)))
        self.assertTrue(came.wait(SOON), "it dials")
        admin.RemoveProducer(
            v1.RemoveProducerRequest(name="unwanted", mode=v1.RemoveProducerRequest.CANCEL)
        )
        eventually(lambda: self.daemon.live()["live.endpoints"] == 0, "the endpoint is gone")
        removed.set()
        self.assertTrue(closed.wait(SOON), "the connection is gone, too")


class Streaming(WithRaw):
    def test_after_the_call_was_accepted(self):
        for name, act, code, text in STREAMING:
            with self.subTest(name):
                self.fails(name, self.raw_upstream(accepted(act)).address, STREAM, code, text)

    def test_answers_that_are_no_stream(self):
        for name, act, code, text in HTTP:
            with self.subTest(name):
                self.fails(name, self.raw_upstream(called(then_hold(act))).address, STREAM, code, text)

    def test_no_answer_and_half_messages_are_ended_by_their_timers(self):
        timers = {"first_message_timeout": duration(0.5), "idle_timeout": duration(0.5)}
        for name, act, text in (
            ("no-answer", called(Peer.hold), "no first message within 500 ms"),
            ("headers-only", accepted(Peer.hold), "no first message within 500 ms"),
            ("half-first", accepted(then_hold(lambda p: p.data(message(b"x" * 100)[:50]))), "no first"),
            ("half", accepted(then_hold(lambda p: p.data(message(b"a") + message(b"x" * 100)[:50]))),
             "no message within 500 ms"),
        ):
            with self.subTest(name):
                took = self.fails(name, self.raw_upstream(act).address, STREAM, 14, text, **timers)
                self.assertGreater(took, 0.45)

    def test_a_message_over_the_limit_ends_its_call_alone(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.add("over", upstream.address)
        first, second = (self.consumer(subscribe_request(of("over"), request=name)) for name in (b"1", b"2"))
        upstream.wait_calls(2)
        calls = {bytes(call.requests[0]): call for call in upstream.calls if wait_request(call)}
        calls[b"1"].send(b"x" * 1_100_000)
        first.wait(lambda: any(s.state == UNAVAILABLE for s in first.received.states), "it ends")
        error = [s.error for s in first.received.states if s.state == UNAVAILABLE][0]
        self.assertEqual((error.code, "at most" in error.message), (8, True), error)
        calls[b"2"].send(b"on")
        second.wait_events(1)
        self.assertFalse(calls[b"2"].over.is_set())

    def test_a_frozen_peer_is_noticed_by_its_idle_timeout(self):
        program = ("import sys; sys.path.insert(0, sys.argv[1]); import test_endpoint_failures as t; "
                   "u = t.Raw(t.accepted(lambda p: (p.data(t.message(b'x')), p.hold()))); "
                   "print(u.address, flush=True); sys.stdin.read()")
        peer = self.start_program(sys.executable, "-c", program, os.path.dirname(os.path.abspath(__file__)),
                                  stdin=subprocess.PIPE)
        address = peer.stdout.readline().decode().strip()
        self.add("frozen", address, idle_timeout=duration(1))
        consumer = self.consumer(subscribe_request(of("frozen")))
        consumer.wait_events(1)
        peer.send_signal(signal.SIGSTOP)
        consumer.wait(lambda: any("no message within 1000 ms" in s.error.message
                                  for s in consumer.received.states), "it is noticed")
        peer.send_signal(signal.SIGCONT)

    def test_an_end_is_no_failure(self):
        act = accepted(then_hold(lambda p: (p.data(message(b"x")), p.trailers(("grpc-status", "0")))))
        self.add("ends", self.raw_upstream(act).address)
        consumer = self.consumer(subscribe_request(of("ends")))
        ended = v1.PRODUCER_STATE_ENDED
        consumer.wait(lambda: any(s.state == ended for s in consumer.received.states), "ENDED")
        self.assertFalse(self.daemon.producer("ends").HasField("failure"))


def wait_request(call):
    return eventually(lambda: call.requests, "the request came")


class Floods(WithRaw):
    """The guard ends the connection of the upstream, and nobody else's."""

    def test_floods_end_their_connection_and_nobody_elses(self):
        honest = Upstream()
        self.addCleanup(honest.stop)
        self.add("honest", honest.address)
        witness = self.consumer(subscribe_request(of("honest")))
        call = honest.wait_calls(1)
        for number, (name, frames, text) in enumerate(FLOODS):
            with self.subTest(name):
                act = accepted(lambda peer, frames=frames: peer.flood(*frames(peer)))
                self.fails(f"flood-{name}", self.raw_upstream(act).address, STREAM, None, text, within=60)
                call.send(b"%d" % number)
                witness.wait_events(number + 1)
        self.assertFalse(call.over.is_set())
        self.assertNotIn(UNAVAILABLE, [state.state for state in witness.received.states])

    def test_a_flood_of_messages_is_no_fault(self):
        """It waits its turn, as a peer that dials in does."""
        stop = threading.Event()

        def serve(peer):
            peer.call()
            peer.headers()
            window = 0
            while not stop.is_set():
                peer.data(message(b"x" * 100) * 100)
                window += 10500
                while window > 30000:  # what the daemon takes is announced again
                    head = peer.read(9)
                    payload = peer.read(int.from_bytes(head[:3], "big"))
                    if head[3] == WINDOW_UPDATE and head[5:] == bytes(4):
                        window -= struct.unpack(">I", payload)[0]

        self.add("fast", self.raw_upstream(serve).address)
        consumer = self.consumer(subscribe_request(of("fast")))
        consumer.wait(lambda: len(consumer.received.events) > 20000, "20 000 events", 60)
        self.assertFalse(self.daemon.producer("fast").HasField("failure"))
        stop.set()

    def test_a_giant_prefix_is_refused_before_its_bytes_come(self):
        def rss():
            with open(f"/proc/{self.daemon.pid}/statm") as file:
                return int(file.read().split()[1]) * 4096

        sent = []

        def serve(peer):
            peer.call()
            peer.headers()
            with contextlib.suppress(OSError):
                peer.data(struct.pack(">BI", 0, 200_000_000))
                while len(sent) < 10000:
                    peer.data(b"x" * 16000)
                    sent.append(16000)

        before = rss()
        self.fails("giant", self.raw_upstream(serve).address, STREAM, 8, "200000000, at most")
        self.assertLess(rss() - before, 32 << 20)
        reasons = lambda: {line["reason"] for line in self.daemon.log("connection.ended")}
        eventually(lambda: "MESSAGE_TOO_LARGE" in reasons(), "the log has the reason")


if __name__ == "__main__":
    main()
