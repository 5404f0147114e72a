#!/usr/bin/python3
"""The acceptance cases of aggregation (letter A) with endpoints as producers: dialling, flow, cancels,
and the log. test_endpoints_acceptance.py has the others."""
import contextlib
import socket
import statistics
import threading
import time

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.endpoints import ENDPOINT, UNAVAILABLE, Endpoints, numbered
from harness.peer import Peer
from harness.protos import duration, v1
from harness.sessions import of

CODE = grpc.StatusCode
BLOCK, OLDEST, NEWEST, DISCONNECT = (
    v1.OVERFLOW_BLOCK,
    v1.OVERFLOW_DROP_OLDEST,
    v1.OVERFLOW_DROP_NEWEST,
    v1.OVERFLOW_DISCONNECT,
)
SHARED, PER_CONSUMER, BY_REQUEST = ENDPOINT.SHARED, ENDPOINT.PER_CONSUMER, ENDPOINT.BY_REQUEST
SLOWER = 8 if instrumented() else 1


class Dials:
    """A listening socket that counts who connects. It holds the connections, or closes them at once."""

    def __init__(self, holds):
        self._holds, self.held = holds, []
        self.count, self._changed = 0, threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = "127.0.0.1:%d" % self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self._listening.accept()[0]
                if self._holds:
                    self.held.append(connection)
                else:
                    connection.close()
                with self._changed:
                    self.count += 1
                    self._changed.notify_all()

    def wait(self, count):
        with self._changed:
            if not self._changed.wait_for(lambda: self.count >= count, PATIENCE):
                raise AssertionError(f"{self.count} of {count} dials within {PATIENCE:g} s")

    def let_go(self, number):
        """Whether the daemon closed that connection."""
        held = self.held[number]
        held.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            while held.recv(4096):
                pass
        return True

    def stop(self):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self.held:
            each.close()


class Dialling(Endpoints):
    """A23. A witness with the same times shows that the next dial would have come."""

    def dials(self, holds):
        dials = Dials(holds)
        self.addCleanup(dials.stop)
        return dials

    def no_further(self, holds, activation, how):
        watched, witness = self.dials(holds), self.dials(holds)
        times = {"connect_timeout": duration(0.15 if holds else 5), "backoff": duration(0.15),
                 "max_backoff": duration(0.15), "activation": activation}
        self.add("watched", watched.address, **times)
        consumer = self.consumer(subscribe_request(of("watched")))
        watched.wait(1)
        if not holds:  # it is in backoff
            self.wait_state(consumer, "watched", UNAVAILABLE)
        before = watched.count
        how(consumer)
        if holds:
            self.assertTrue(watched.let_go(before - 1), "the dial that is under way is given up")
        self.add("witness", witness.address, **times)
        other = self.consumer(subscribe_request(of("witness")))
        witness.wait(3)
        self.assertEqual(watched.count, before)
        for name in ("watched", "witness"):
            self.remove(name)
        for each in (consumer, other):
            each.cancel()

    def test_A23_a_consumer_that_cancels_while_it_is_dialled_ends_the_dialling(self):
        cancel = lambda consumer: consumer.cancel()
        for activation in (PER_CONSUMER, BY_REQUEST):
            for holds in (True, False):
                with self.subTest(activation=activation, connecting=holds):
                    self.no_further(holds, activation, cancel)

    def test_A23_removed_while_it_is_dialled(self):
        remove = lambda consumer: self.remove("watched")
        for activation, holds in ((PER_CONSUMER, True), (SHARED, True), (SHARED, False)):
            with self.subTest(activation=activation, connecting=holds):
                self.no_further(holds, activation, remove)

    def test_A23_one_of_two_that_cancels_leaves_the_other_ones_dialling(self):
        dials = self.dials(True)
        self.add("p", dials.address, connect_timeout=duration(0.2), backoff=duration(0.05))
        gone, stays = [self.consumer(subscribe_request(of("p"), request=each)) for each in (b"1", b"2")]
        dials.wait(1)
        gone.cancel()
        dials.wait(dials.count + 2)
        self.wait_state(stays, "p", UNAVAILABLE)


class Flow(Endpoints):
    arguments = ("--write-timeout", "120s")

    def test_A12_a_stalled_consumer_slows_no_other(self):
        """For each policy. With BLOCK on a shared call after the fallback has become active once."""
        for activation in (SHARED, PER_CONSUMER):
            for policy in (BLOCK, OLDEST, NEWEST, DISCONNECT):
                with self.subTest(activation=activation, policy=v1.enum_name("Overflow", policy)):
                    self.slows_no_other(activation, policy)

    def slows_no_other(self, activation, policy):
        upstream = self.served("p", activation=activation)
        stuck = self.stalled(selectors=of("p"), overflow=policy, max_events=16, block_timeout=0.1)
        other = self.consumer(
            subscribe_request(of("p"), max_events=1 << 16, overflow=BLOCK, block_timeout=30)
        )
        calls = 1 if activation == SHARED else 2
        upstream.wait_calls(calls)
        eventually(lambda: self.daemon.producer("p").subscriptions == 2, "both are bound")
        for call in upstream.calls:
            call.send(*numbered(range(1000), size=200))
        other.wait_events(1000)
        self.assertEqual((other.received.numbers("p"), other.received.lost), (list(range(1000)), []))
        stuck.cancel()
        other.cancel()
        self.remove("p")

    def test_A19_max_events_1_with_BLOCK_holds_the_upstream_after_a_bounded_number(self):
        for activation in (PER_CONSUMER, SHARED):
            upstream = self.served("p", activation=activation)
            consumer = self.stalled(selectors=of("p"), overflow=BLOCK, block_timeout=600, max_events=1)
            call = upstream.wait_calls(1)
            eventually(lambda: self.daemon.producer("p").subscriptions == 1, "it is bound")
            call.send(*numbered(range(300), size=8000))
            shown = lambda: self.daemon.producer("p")
            eventually(lambda: shown().paused_activations or shown().blocked_calls, "it is held")
            left = [0, -1]

            def settled():
                time.sleep(0.1)
                left[:] = [left[1], call.answers.qsize()]
                return left[0] == left[1]

            eventually(settled, "the upstream sends no more")
            # The window of a call is 64 KiB; the rest is in the buffers of the two libraries.
            self.assertLess(300 - call.answers.qsize(), 60)
            subscription = self.daemon.subscription(consumer.id, sources=True)
            self.assertLessEqual(subscription.queued.events, 2)
            self.check_totals(subscription)
            consumer.read()
            consumer.wait_accounted(300)
            self.assertEqual((consumer.received.numbers("p"), consumer.received.lost), (list(range(300)), []))
            consumer.cancel()
            self.remove("p")

    def test_A22_a_flooder_loses_and_nine_quiet_ones_do_not(self):
        for activation in (SHARED, PER_CONSUMER):
            upstreams = {name: self.served(name, activation=activation)
                         for name in ["flooder"] + [f"quiet {n}" for n in range(9)]}
            consumer = self.stalled(overflow=OLDEST, max_events=1000, max_bytes=1 << 20)
            calls = {name: upstream.wait_calls(1) for name, upstream in upstreams.items()}
            for name in calls:
                eventually(lambda: self.daemon.producer(name).subscriptions == 1, "it is bound")
            for part in range(5):
                calls["flooder"].send(*numbered(range(part * 800, part * 800 + 800), size=100))
                for name in upstreams:
                    if name != "flooder":
                        calls[name].send(*numbered(range(part * 10, part * 10 + 10), size=100))
                self.published("flooder", part * 800 + 800)
            for name in upstreams:
                self.published(name, 4000 if name == "flooder" else 50)
            subscription = self.daemon.subscription(consumer.id, sources=True)
            self.check_totals(subscription)
            self.assertGreater(subscription.dropped.events, 2500)
            consumer.read()
            consumer.wait_accounted(4000 + 9 * 50)
            for n in range(9):
                self.assertEqual(consumer.received.numbers(f"quiet {n}"), list(range(50)))
            self.assertEqual({lost.source for lost in consumer.received.lost}, {"flooder"})
            consumer.cancel()
            for name in upstreams:
                self.remove(name)


class Cancelling(Endpoints):
    """A21, with times."""
    cancels = 100 // SLOWER

    @staticmethod
    def asked_with(upstream, request):
        """The call with this request. (The load has a call, too.)"""
        return eventually(
            lambda: next((each for each in reversed(upstream.calls) if each.requests == [request]), None),
            "its call came",
        )

    def measure(self, what):
        """From the cancel to the upstream's handler, in turns with a plain call, which shows how busy
        this machine is."""
        upstream, channel, took, turns = self.served("p"), self.channel(), [], []
        stub, info = v1.stub("Subscriber", channel), v1.stub("Admin", self.channel())
        for number in range(self.cancels):
            call = stub.Subscribe(subscribe_request(of("p"), request=b"%d" % number, notices=v1.NOTICES_NONE))
            upstream_call = self.asked_with(upstream, b"%d" % number)
            began = time.monotonic()
            call.cancel()
            self.assertTrue(upstream_call.over.wait(PATIENCE), "the cancel arrives")
            took.append(upstream_call.over_at - began)
            began = time.monotonic()
            info.GetProducer(v1.GetProducerRequest(name="p"), timeout=PATIENCE)
            turns.append(time.monotonic() - began)
        median, turn = statistics.median(took) * 1e3, statistics.median(turns) * 1e3
        print(f"\n  cancel to upstream, {what}: median {median:.2f} ms; a call there and back {turn:.2f} ms")
        # On a busy machine part of the time is the wait for a core, which is not the server's.
        self.assertLess(median, 10 * SLOWER + 2 * turn)

    def test_A21_idle(self):
        self.measure("idle")

    def test_A21_under_load(self):
        sink, flood = Peer("sink", self.daemon.address), Peer("flood", self.daemon.address)
        self.addCleanup(sink.stop)
        self.addCleanup(flood.stop)
        eventually(lambda: self.daemon.producer("flood"), "the load is there")
        self.measure("under load")


class Logged(Endpoints):
    def lines(self, name, **fields):
        return [
            each for each in self.daemon.log(name)
            if all(each.get(field) == value for field, value in fields.items())
        ]

    def test_A25_one_line_per_change(self):
        own, shared = self.served("a25", backoff=duration(0.05)), self.served("a25-all", activation=SHARED)
        shared.wait_calls(1)
        consumer = self.consuming(subscribe_request(of("a25")))
        call = own.wait_calls(1)
        call.send(b"1", b"2")
        consumer.wait_events(2)
        call.end(CODE.ABORTED, "once")
        own.wait_calls(2).send(b"3")
        consumer.wait_events(3)
        consumer.cancel()
        self.assertTrue(own.calls[1].over.wait(5))
        for name in ("a25", "a25-all"):
            self.remove(name)
        eventually(lambda: len(self.lines("producer.removed")) == 2, "all is logged")
        for name, count in (
            ("producer.added", 2),
            ("producer.removed", 2),
            ("subscription.added", 1),
            ("subscription.ended", 1),
            ("endpoint.failed", 1),
            ("endpoint.recovered", 1),
        ):
            self.assertEqual(len(self.lines(name)), count, f"{name}: {self.daemon.log(name)}")
        started, ended = self.lines("activation.started"), self.lines("activation.ended")
        self.assertEqual([each["producer"] for each in started], ["a25", "a25"])
        self.assertEqual([each["producer"] for each in ended], ["a25", "a25"])
        self.assertEqual((ended[0]["code"], ended[0]["events"]), ("ABORTED", 2))
        failed = self.lines("endpoint.failed")[0]
        self.assertEqual((failed["where"], failed["code"], failed["message"]), ("STREAM", "ABORTED", "once"))


if __name__ == "__main__":
    main()
