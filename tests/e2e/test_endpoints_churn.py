#!/usr/bin/python3
"""Endpoints come and go, one by one and by the thousand, while consumers and a flood are there: what a
round costs, and that no descriptor, no memory and no upstream call is left."""
import contextlib
import os
import socket
import statistics
import time

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.endpoints import ADD, ENDPOINT, Endpoints
from harness.peer import Peer
from harness.protos import duration, v1
from harness.sessions import of
from harness.upstreams import endpoint

CODE = grpc.StatusCode
CANCEL = v1.RemoveProducerRequest.CANCEL
SHARED, PER_CONSUMER, BY_REQUEST = ENDPOINT.SHARED, ENDPOINT.PER_CONSUMER, ENDPOINT.BY_REQUEST
SLOWER = 8 if instrumented() else 1


class Rounds(Endpoints):
    """Endpoints come and go while 100 consumers and a flood are there."""
    arguments = ("--log-level", "warn")
    rounds = 450 // SLOWER
    crowd = 1000 // (4 if instrumented() else 1)

    def setUp(self):
        super().setUp()
        self.consumers = self.raw()
        request = subscribe_request(of("x"), notices=v1.NOTICES_NONE, heartbeat_interval=0)
        request.selectors.add(producer="round-*")
        for _ in range(100):
            self.consumers.call("/tributary.v1.Subscriber/Subscribe", request.SerializeToString())
        self.consumers.wait(
            lambda: all(stream.messages for stream in self.consumers.streams.values()), "all have begun"
        )

    def descriptors(self):
        """What the daemon has open: `socket:[17]`, `anon_inode:[eventfd]`."""
        folder, found = f"/proc/{self.daemon.pid}/fd", []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"{folder}/{name}"))
        return found

    def release(self, upstreams, live, descriptors):
        """Expects that nothing is left of any endpoint."""
        for upstream in upstreams:
            eventually(lambda: all(call.over.is_set() for call in upstream.calls), "no upstream call is left")
        names = ("live.endpoints", "live.activations", "live.producers", "live.upstream_bytes")
        left = lambda: [name for name in names if self.daemon.live()[name] > live[name]]
        eventually(lambda: not left(), f"as before: {live}")
        try:
            eventually(lambda: len(self.descriptors()) <= len(descriptors) + 1, "descriptors as before")
        except AssertionError as error:
            new = [each for each in self.descriptors() if each not in descriptors]
            raise AssertionError(f"{error}: {len(descriptors)}; new are {new}") from None

    def test_A16_rounds_cost_the_same_and_leave_nothing(self):
        upstream, admin = self.upstream(), self.daemon.admin()
        took, memory, live, descriptors = [], [], self.daemon.live(), self.descriptors()
        for number in range(self.rounds):
            began = time.monotonic()
            admin.AddProducer(
                ADD(endpoint=endpoint(f"round-{number % 7}", upstream.address, activation=SHARED))
            )
            upstream.wait_calls(number + 1)
            admin.RemoveProducer(v1.RemoveProducerRequest(name=f"round-{number % 7}", mode=CANCEL))
            self.assertTrue(upstream.calls[number].over.wait(PATIENCE), "its call is over")
            took.append(time.monotonic() - began)
            if number % (self.rounds // 3) == self.rounds // 3 - 1:
                memory.append(self.daemon.memory_bytes())
        third = self.rounds // 3
        first, last = statistics.median(took[:third]), statistics.median(took[-third:])
        print(
            f"\n  {self.rounds} rounds with 100 consumers: {first * 1e3:.2f} ms a round at first, "
            f"{last * 1e3:.2f} ms at last; {', '.join(f'{each / 2**20:.1f}' for each in memory)} MiB"
        )
        self.assertLess(last, 2 * first + 0.005, "the cost of a round is constant")
        if not instrumented():
            self.assertLess(memory[-1] - memory[0], 3 << 20, "memory is flat")
        self.release([upstream], live, descriptors)

    def come_and_go(self, upstreams):
        """Adds `crowd` endpoints: of each activation, of upstreams that serve, refuse and are silent."""
        admin = self.daemon.admin()
        for number in range(self.crowd):
            fields = {"activation": (SHARED, BY_REQUEST, PER_CONSUMER, SHARED)[number % 4]}
            address = upstreams[number % len(upstreams)]
            fields["connect_timeout"] = duration(1)
            admin.AddProducer(ADD(endpoint=endpoint(f"crowd-{number}", address, **fields)))
            if number % 3 == 0:  # while it is being dialled
                self.remove(f"crowd-{number}")
        for number in range(self.crowd):
            if number % 3:
                self.assertEqual(self.remove(f"crowd-{number}").name, f"crowd-{number}")

    @contextlib.contextmanager
    def loaded(self):
        """A flood and its consumer are there. Afterwards they are gone, and what waited for the consumer
        is too: on a busy machine that is 12 MB at one moment, and nothing at another."""
        consumers = self.daemon.live()["live.subscriptions"]
        flood, sink = Peer("flood", self.daemon.address), Peer("sink", self.daemon.address)
        try:
            eventually(lambda: self.daemon.producer("flood"), "the load is there")
            eventually(lambda: self.daemon.live()["live.subscriptions"] > consumers, "and its consumer")
            yield
        finally:
            sink.stop()
            flood.stop()
        eventually(lambda: self.daemon.live()["live.subscriptions"] == consumers, "the consumer is gone")

    def test_1000_endpoints_that_come_and_go_under_load_leave_nothing(self):
        serving, refusing = self.upstream(threads=1200, streams=2000), self.upstream()
        refusing.refuse = (CODE.UNAVAILABLE, "not now")
        asks, memory = self.consumer(subscribe_request(of("crowd-*"), request=b"all")), []
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as silent:
            addresses = [serving.address, serving.address, refusing.address,
                         "127.0.0.1:%d" % silent.getsockname()[1]]
            for _ in range(2):
                with self.loaded():
                    live, descriptors = self.daemon.live(), self.descriptors()
                    self.come_and_go(addresses)
                    self.release([serving, refusing], live, descriptors)
                memory.append(self.daemon.memory_bytes())
        print(f"\n  2 x {self.crowd} endpoints: {', '.join(f'{each / 2**20:.1f}' for each in memory)} MiB")
        self.assertGreater(len(serving.calls), self.crowd // 4, "many were dialled")
        self.assertFalse(asks.ended)
        if not instrumented():  # the daemon gives free memory back a moment later
            eventually(lambda: self.daemon.memory_bytes() - memory[0] < 6 << 20, "memory is flat")


if __name__ == "__main__":
    main()
