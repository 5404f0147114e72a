#!/usr/bin/python3
"""How many upstreams are dialled at a time, and that those that do not answer keep nobody waiting."""
import contextlib
import json
import os
import pathlib
import socket
import tempfile
import time

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually, instrumented
from harness.endpoints import ACTIVE, ENDPOINT, UNAVAILABLE, WithUpstreams
from harness.protos import duration
from harness.sessions import of

MAX_DIALS, MAX_LATE = 128, 64
SLOWER = 8 if instrumented() else 1


class Dials(WithUpstreams):
    crowd = 600

    def setUp(self):
        super().setUp()
        self.descriptors_before = self.descriptors()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    @contextlib.contextmanager
    def swallowing(self):
        """An address whose connections do not come about: the backlog of its socket is full."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
            for _ in range(8):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            yield "127.0.0.1:%d" % full.getsockname()[1]

    @contextlib.contextmanager
    def silent(self):
        """An address that accepts connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
            yield "127.0.0.1:%d" % listening.getsockname()[1]

    def crowd_of(self, address, **fields):
        for number in range(self.crowd):
            self.add(f"dead-{number}", address, activation=ENDPOINT.SHARED, **fields)

    def check_crowd(self, address, **fields):
        """Neither the first dials of so many nor their later ones keep an upstream waiting that
        answers, or more descriptors than there are slots."""
        self.crowd_of(address, **fields)
        dials = lambda: self.daemon.live()["live.dials"]
        self.assertGreater(dials(), MAX_LATE)
        upstream = self.upstream()
        most, began = 0, time.monotonic()
        self.add("first", upstream.address, activation=ENDPOINT.SHARED)
        while not upstream.calls and time.monotonic() - began < 60:
            self.assertLessEqual(dials(), MAX_DIALS)
            most = max(most, self.descriptors())
            time.sleep(0.01)
        took = time.monotonic() - began
        self.assertTrue(upstream.calls, "it is dialled")
        self.assertLess(took, 10 * SLOWER)
        # Some sockets are being closed while others are opened in their place.
        self.assertLess(most - self.descriptors_before, 2 * MAX_DIALS + 20)
        eventually(lambda: dials() <= MAX_LATE, "later dials have fewer slots", patience=60)
        began = time.monotonic()
        self.add("second", upstream.address, activation=ENDPOINT.SHARED)
        upstream.wait_calls(2)
        later = time.monotonic() - began
        print(f"\n  {self.crowd} that do not answer: at most {most} descriptors; "
              f"one that answers waited {took:.2f} s, later {later * 1e3:.0f} ms")
        self.assertLess(later, 1 * SLOWER)
        self.assertGreater(self.daemon.live()["live.waiting_dials"], 0)

    def test_addresses_that_swallow_keep_nobody_waiting(self):
        with self.swallowing() as address:
            self.check_crowd(address)

    def test_silent_upstreams_keep_nobody_waiting(self):
        with self.silent() as address:
            self.check_crowd(address, connect_timeout=duration(5))

    def test_a_long_connect_timeout_holds_a_slot_no_longer_than_10_s_while_others_wait(self):
        with self.silent() as address:
            self.crowd_of(address, connect_timeout=duration(3600))
            text = "others wait, and it was not connected within 10"
            failed = lambda: self.daemon.log("endpoint.failed")
            eventually(lambda: any(text in line["message"] for line in failed()), "some yield", patience=60)

    def test_who_had_to_yield_says_so_and_is_dialled_again(self):
        with self.silent() as address:
            self.crowd_of(address, backoff=duration(0.01), max_backoff=duration(0.01))
            consumer = self.consumer(subscribe_request(of("*")))
            consumer.wait(lambda: any(
                state.state == UNAVAILABLE and "others wait, and it was not connected" in state.error.message
                for state in consumer.received.states), "one had to yield")

    def test_an_upstream_that_was_swallowed_and_comes_back_is_found(self):
        """It stands among the late ones by now, and those have slots that come free."""
        with self.swallowing() as address:
            self.crowd_of(address, connect_timeout=duration(1))
            with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
                fillers = [socket.socket() for _ in range(8)]
                for filler in fillers:
                    filler.setblocking(False)
                    filler.connect_ex(full.getsockname())
                back = "127.0.0.1:%d" % full.getsockname()[1]
                self.add("back", back, activation=ENDPOINT.SHARED, connect_timeout=duration(1),
                         backoff=duration(0.1), max_backoff=duration(0.1))
                consumer = self.consumer(subscribe_request(of("back")))
                self.wait_state(consumer, "back", UNAVAILABLE)
                for filler in fillers:
                    filler.close()
            again = self.upstream(address=back)
            self.wait_state(consumer, "back", ACTIVE)
            again.wait_calls(1)

    def test_removing_those_that_wait_leaves_nothing(self):
        with self.silent() as address:
            self.crowd_of(address)
            self.assertGreater(self.daemon.live()["live.waiting_dials"], 0)
            for number in range(self.crowd):
                self.remove(f"dead-{number}")
        live = lambda name: self.daemon.live()[f"live.{name}"]
        eventually(lambda: not live("waiting_dials") and not live("dials"), "no slot is held")
        eventually(lambda: not live("upstream_bytes") and not live("endpoints"), "nothing is left")
        eventually(lambda: self.descriptors() <= self.descriptors_before + 1, "no descriptor is left")


class Crowded(WithUpstreams):
    """A crowd of one peer, which comes all at once: the server itself, by a file. Nobody answers its
    TLS handshakes, of which eight begin in 100 ms."""

    crowd = 500

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tributary-dials-")
        cls.path = pathlib.Path(cls.folder.name)
        shape = {"method": "/demo.Feed/Watch", "activation": "SHARED", "tls": "system", "backoff": "1h"}
        (cls.path / "template.json").write_text(json.dumps(shape))
        cls.arguments = ("--endpoints-dir", cls.folder.name)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def waiting(self):
        return self.daemon.live()["live.waiting_dials"]

    def test_another_peer_and_plaintext_go_past_them(self):
        self.addCleanup(eventually, lambda: not self.daemon.live()["live.endpoints"], "all are gone", 60)
        listening = self.enterContext(socket.create_server(("0.0.0.0", 0), backlog=4096))
        other = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        other.settimeout(60)
        port, upstream = listening.getsockname()[1], self.upstream()
        targets = [f"127.1.{number // 250}.{number % 250 + 1}:{port}" for number in range(self.crowd)]
        (self.path / "new").write_text(json.dumps([{"targets": targets}]))
        (self.path / "new").rename(self.path / "crowd.json")
        self.addCleanup((self.path / "crowd.json").unlink)
        eventually(lambda: self.waiting() > self.crowd // 2, "they wait", patience=60)
        self.add("plain", upstream.address, activation=ENDPOINT.SHARED)
        self.add("tls", "127.0.0.1:%d" % other.getsockname()[1], activation=ENDPOINT.SHARED, tls="system")
        upstream.wait_calls(1)
        other.accept()[0].close()
        waiting = self.waiting()
        print(f"\n  both were dialled while {waiting} of {self.crowd} waited")
        self.assertGreater(waiting, 0)


if __name__ == "__main__":
    main()
