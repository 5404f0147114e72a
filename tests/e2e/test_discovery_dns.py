#!/usr/bin/python3
"""Endpoints with each_address: one producer for each address of a name. The names are the test's own
(harness/names.py); the upstreams are servers of Python's gRPC at addresses of the loopback network."""
import json
import socket
import subprocess
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import Daemon, binary, eventually
from harness.h2frames import SETTINGS, frame
from harness.names import Names
from harness.protos import duration, fault_of, message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
CONNECTING, ACTIVE, UNAVAILABLE = (
    v1.PRODUCER_STATE_CONNECTING,
    v1.PRODUCER_STATE_ACTIVE,
    v1.PRODUCER_STATE_UNAVAILABLE,
)
ENDPOINT = message_class("tributary.v1.Endpoint")
PRODUCER = message_class("tributary.v1.Producer")
PORT = 9


class WithNames(Case):
    shared_daemon = False

    def setUp(self):
        self.names = Names()
        self.addCleanup(self.names.close)
        self.daemon = Daemon("--transient-forget", "2s", env=self.names.env)
        self._started.append(self.daemon)
        self.addCleanup(self.end)
        self.live_at_start = self.daemon.live()

    def end(self):
        self.daemon.close_channel()
        if self.daemon.process.poll() is None:
            self.daemon.stop()
        else:
            self.daemon.kill()

    def add(self, name="web", address=f"web.test:{PORT}", period=1, on_duplicate=0, **fields):
        fields = {"each_address": True, "resolve_period": duration(period), **fields}
        return self.daemon.admin().AddProducer(
            v1.AddProducerRequest(endpoint=endpoint(name, address, **fields), on_duplicate=on_duplicate)
        )

    def remove(self, name, mode=v1.RemoveProducerRequest.CANCEL):
        return self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=name, mode=mode))

    def children(self, name="web"):
        return sorted(self.daemon.producer(name).children)

    def wait_children(self, *addresses, name="web", port=PORT):
        expected = sorted(f"{name}@{address}:{port}" for address in addresses)
        eventually(lambda: self.children(name) == expected, f"the children are {expected}")
        return expected

    def wait_state(self, state, name="web"):
        eventually(lambda: self.daemon.producer(name).state == state, f"state {state} of {name}")
        return self.daemon.producer(name)

    def states(self, consumer, source):
        return [state.state for state in consumer.received.states if state.source == source]


class Addresses(WithNames):
    def test_each_address_is_a_producer_that_comes_and_goes_with_the_answer(self):
        first = Upstream(address="127.0.0.1:0")
        self.addCleanup(first.stop)
        second = Upstream(address=f"127.0.0.2:{first.port}")
        self.addCleanup(second.stop)
        self.names.set("web.test", "127.0.0.1")
        added = self.add(address=f"web.test:{first.port}", labels={"zone": "a"})
        self.assertEqual((added.kind, added.state), (PRODUCER.ENDPOINT, CONNECTING))
        self.wait_children("127.0.0.1", port=first.port)
        consumer = self.consumer(subscribe_request(of("web@*"), request=b"q"))
        call = first.wait_calls(1)
        call.send(b"one")
        consumer.wait_events(1)
        self.names.set("web.test", "127.0.0.2", "127.0.0.1")
        self.wait_children("127.0.0.1", "127.0.0.2", port=first.port)
        second.wait_calls(1).send(b"two")
        consumer.wait_events(2)
        self.names.set("web.test", "127.0.0.2")
        self.wait_children("127.0.0.2", port=first.port)
        self.assertTrue(call.over.wait(10), "the call of the address that is gone has ended")
        self.assertFalse(second.calls[0].over.is_set(), "the other one goes on")
        second.calls[0].send(b"three")
        consumer.wait_events(3)
        sources = [source for source, *_ in consumer.received.events]
        self.assertEqual(sources, [f"web@127.0.0.{i}:{first.port}" for i in (1, 2, 2)])
        self.assertEqual(len(second.calls), 1)

    def test_a_child_shows_where_it_comes_from(self):
        self.names.set("web.test", "127.0.0.7", "::1")
        self.add(labels={"zone": "a"}, metadata={"token": "secret"}, requests=[b"x"], restart=ENDPOINT.NEVER)
        expected = self.wait_children("127.0.0.7", "[::1]")
        self.assertIn(f"web@[::1]:{PORT}", expected)
        child = self.daemon.producer(f"web@127.0.0.7:{PORT}")
        self.assertEqual((child.origin, child.origin_text), (PRODUCER.DNS, "web"))
        self.assertEqual(child.kind, PRODUCER.ENDPOINT)
        self.assertEqual(dict(child.labels), {"zone": "a", "set": "web", "address": f"127.0.0.7:{PORT}"})
        shown = child.endpoint
        self.assertEqual((shown.name, shown.address), (child.name, f"127.0.0.7:{PORT}"))
        self.assertEqual((shown.each_address, shown.HasField("resolve_period")), (False, False))
        self.assertEqual((shown.method, list(shown.requests)), ("/demo.Feed/Watch", [b"x"]))
        self.assertEqual((shown.metadata["token"], shown.restart), ("***", ENDPOINT.NEVER))
        parent = self.wait_state(ACTIVE)
        self.assertEqual((parent.origin, parent.origin_text), (PRODUCER.OPERATOR, ""))
        self.assertTrue(parent.endpoint.each_address)
        self.assertEqual(parent.endpoint.resolve_period.seconds, 1)

    def test_the_authority_is_the_name(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            self.names.set("web.test", "127.0.0.1")
            self.add(address=f"web.test:{port}")
            self.consumer(subscribe_request(of("web@*")))
            listening.settimeout(10)
            with listening.accept()[0] as peer:
                peer.sendall(frame(SETTINGS, 0, 0))
                received = b""
                while b"/demo.Feed/Watch" not in received:
                    received += peer.recv(4096)
                while f"web.test:{port}".encode() not in received:
                    received += peer.recv(4096)
            self.remove("web")

    def test_without_a_good_answer_everything_stays(self):
        self.names.set("web.test", "127.0.0.1", "127.0.0.2")
        self.add()
        names = self.wait_children("127.0.0.1", "127.0.0.2")
        consumer = self.consumer()
        for change, text in (
            (lambda: self.names.fail("web.test", socket.EAI_NONAME), "not known"),
            (lambda: self.names.fail("web.test", socket.EAI_AGAIN), "emporary failure"),
            (lambda: self.names.set("web.test"), "no address"),
        ):
            change()
            eventually(lambda: text in self.daemon.producer("web").failure.message, text)
            parent = self.daemon.producer("web")
            self.assertEqual((parent.state, sorted(parent.children)), (UNAVAILABLE, names))
            self.assertEqual(parent.failure.code, 14)
            consumer.wait(
                lambda: any(text in state.error.message for state in consumer.received.states),
                "consumers hear it",
            )
        before = self.daemon.counters()["dns.failed"]
        eventually(lambda: self.daemon.counters()["dns.failed"] >= before + 2, "it is asked again")
        self.assertEqual(len(self.daemon.log("endpoint.addresses_failed")), 3, "each failure is said once")
        self.names.set("web.test", "127.0.0.2", "127.0.0.3")
        self.wait_children("127.0.0.2", "127.0.0.3")
        self.assertFalse(self.wait_state(ACTIVE).HasField("failure"))
        eventually(lambda: len(self.daemon.log("endpoint.addresses_found")) == 1, "its recovery is logged")

    def test_more_than_1000_addresses_are_said_and_the_first_1000_stay(self):
        addresses = [f"127.7.{i // 250}.{1 + i % 250}" for i in range(1003)]
        self.names.set("web.test", *reversed(addresses))
        self.add()
        eventually(lambda: len(self.children()) == 1000, "1000 children")
        eventually(lambda: self.daemon.producer("web").HasField("failure"), "it is said")
        self.assertIn("1003 addresses are too many", self.daemon.producer("web").failure.message)
        before = self.children()
        self.names.set("web.test", *addresses)
        lookups = self.daemon.counters()["dns.lookups"]
        eventually(lambda: self.daemon.counters()["dns.lookups"] >= lookups + 2, "two more look-ups")
        self.assertEqual(self.children(), before)
        self.remove("web")
        eventually(lambda: self.daemon.counters()["live.endpoints"] == 0, "they are gone")
        eventually(lambda: self.daemon.counters()["live.dns_sets"] == 0, "the set too")


class Owners(WithNames):
    def test_removing_the_set_removes_all_and_frees_the_names(self):
        self.names.set("web.test", "127.0.0.1", "127.0.0.2")
        self.add()
        names = self.wait_children("127.0.0.1", "127.0.0.2")
        shown = self.remove("web", v1.RemoveProducerRequest.DRAIN)
        self.assertEqual(sorted(shown.children), names)
        for name in ["web", *names]:
            eventually(lambda: self.daemon.producer(name) is None, f"{name} is gone")
        self.add()
        self.wait_children("127.0.0.1", "127.0.0.2")

    def test_a_child_cannot_be_removed_or_replaced_alone(self):
        self.names.set("web.test", "127.0.0.1")
        self.add()
        [child] = self.wait_children("127.0.0.1")
        admin = self.daemon.admin()
        calls = (
            lambda: self.remove(child),
            lambda: admin.UpdateProducer(v1.UpdateProducerRequest(endpoint=endpoint(child, "127.0.0.1:1"))),
            lambda: self.add(child, "127.0.0.1:1", each_address=False, resolve_period=None,
                             on_duplicate=v1.AddProducerRequest.REPLACE),
        )
        for call in calls:
            fault = fault_of(call)
            self.assertEqual((fault.code, fault.reason), (CODE.FAILED_PRECONDITION, "DEFINED_ELSEWHERE"))
            self.assertIn("the addresses of web", fault.message)
        self.assertIsNotNone(self.daemon.producer(child))

    def test_an_update_gives_all_of_it_other_settings(self):
        self.names.set("web.test", "127.0.0.1")
        self.names.set("other.test", "127.0.0.3")
        self.add()
        self.wait_children("127.0.0.1")
        self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint("web", f"other.test:{PORT}", each_address=True))
        )
        self.wait_children("127.0.0.3")
        eventually(lambda: self.daemon.producer(f"web@127.0.0.1:{PORT}") is None, "the old child is gone")
        self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint("web", f"127.0.0.1:{PORT}"))
        )
        eventually(lambda: self.daemon.producer(f"web@127.0.0.3:{PORT}") is None, "it is one producer now")
        self.assertEqual(self.children(), [])

    def test_a_name_that_is_in_use_is_said_and_the_address_gets_it_when_it_is_free(self):
        taken = f"web@127.0.0.1:{PORT}"
        self.daemon.admin().AddProducer(v1.AddProducerRequest(endpoint=endpoint(taken, "127.0.0.1:1")))
        self.names.set("web.test", "127.0.0.1", "127.0.0.2")
        self.add()
        eventually(lambda: "1 of 2 addresses" in self.daemon.producer("web").failure.message, "it is said")
        self.assertEqual(self.daemon.producer("web").state, ACTIVE)
        self.assertEqual(self.daemon.producer(taken).origin, PRODUCER.OPERATOR)
        self.remove(taken)
        eventually(
            lambda: (found := self.daemon.producer(taken)) and found.origin == PRODUCER.DNS, "it has the name"
        )
        eventually(lambda: not self.daemon.producer("web").HasField("failure"), "all is well")

    def test_the_tool_adds_and_shows_a_set(self):
        def tool(*words):
            done = subprocess.run(
                [binary("tributary"), "producers", *words, "-s", self.daemon.address], capture_output=True
            )
            return done.returncode, done.stdout.decode(), done.stderr.decode()

        self.names.set("web.test", "127.0.0.1")
        code, text, _ = tool("add", "web", f"web.test:{PORT}", "--each-address", "--resolve-period", "1s")
        self.assertEqual((code, "web is added" in text), (0, True), text)
        self.wait_children("127.0.0.1")
        _, text, _ = tool("get", "web")
        self.assertRegex(text, r"(?s)resolve period\s+1 s.*addresses\s+1\n\s+web@127.0.0.1:9\n")
        shown = json.loads(tool("get", f"web@127.0.0.1:{PORT}", "-o", "json")[1])
        self.assertEqual((shown["origin"], shown["origin_text"]), ("dns", "web"))
        shown = json.loads(tool("get", "web", "-o", "json")[1])
        self.assertEqual(shown["children"], [f"web@127.0.0.1:{PORT}"])
        code, _, text = tool("rm", f"web@127.0.0.1:{PORT}")
        self.assertNotEqual(code, 0)
        self.assertIn("the addresses of web", text)
        code, _, text = tool("add", "x", "h:1", "--resolve-period", "1s")
        self.assertEqual((code, "--each-address only" in text), (2, True), text)

    def test_bad_definitions_are_refused_by_name(self):
        for fields, field in (
            ({"address": "127.0.0.1:1"}, "endpoint.address"),
            ({"address": "unix:/x"}, "endpoint.address"),
            ({"name": "n" * 193}, "endpoint.name"),
            ({"period": 0.5}, "endpoint.resolve_period"),
            ({"period": 3601}, "endpoint.resolve_period"),
            ({"each_address": False}, "endpoint.each_address"),
            ({"labels": {f"l{i}": "x" for i in range(63)}}, "endpoint.labels"),
        ):
            fault = fault_of(lambda: self.add(**fields))
            self.assertEqual((fault.code, fault.fields), (CODE.INVALID_ARGUMENT, [field]), fields)

    def test_the_hub_drains_with_a_set_in_it(self):
        self.names.set("web.test", *[f"127.0.1.{i}" for i in range(1, 40)])
        self.names.hang("hangs.test")
        self.add()
        self.add("hangs", "hangs.test:1")
        eventually(lambda: len(self.children()) == 39, "39 children")
        began = time.monotonic()
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 5)


class Resolver(WithNames):
    def test_a_resolver_that_hangs_holds_nobody_up(self):
        hanging = [f"h{i}.test" for i in range(12)]
        self.names.hang(*hanging)
        self.names.set("web.test", "127.0.0.1")
        for i, name in enumerate(hanging):
            self.add(f"h{i}", f"{name}:1")
        began = time.monotonic()
        self.add()
        self.wait_children("127.0.0.1")
        self.assertLess(time.monotonic() - began, 12, "it waits for one deadline of 10 s at most")
        self.publish("other", [event(1)])
        eventually(lambda: "has not answered" in self.daemon.producer("h0").failure.message, "it is late")
        self.assertEqual(self.daemon.producer("h0").state, UNAVAILABLE)
        self.names.set("web.test", "127.0.0.2")
        began = time.monotonic()
        self.wait_children("127.0.0.2")
        self.assertLess(time.monotonic() - began, 5, "those that were late leave their places")
        self.names.set(hanging[0], "127.0.0.9")
        self.wait_children("127.0.0.9", name="h0", port=1)
        self.remove("h1")
        self.assertIsNone(self.daemon.producer("h1"))


if __name__ == "__main__":
    main()
