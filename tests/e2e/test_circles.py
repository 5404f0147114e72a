#!/usr/bin/python3
"""Circles of servers whose calls lead to calls: the first server that a call comes back to refuses
it, and nothing runs away (X9)."""
import time

import grpc

from harness.case import Case, main
from harness.client import Consumer, connect, event, publish, subscribe_request
from harness.daemon import eventually
from harness.endpoints import ENDPOINT, UNAVAILABLE
from harness.fanin import METHOD, FanInCall
from harness.protos import duration, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
SUBSCRIBE, CONSUME = "/tributary.v1.Subscriber/Subscribe", "/tributary.v1.Subscriber/Consume"
MARK = "tributary-process"
EVERYTHING = subscribe_request().SerializeToString()
INIT = v1.ConsumeRequest(init=subscribe_request()).SerializeToString()
PER_CONSUMER, SHARED, BY_REQUEST = ENDPOINT.PER_CONSUMER, ENDPOINT.SHARED, ENDPOINT.BY_REQUEST


def calls(daemon):
    return daemon.counters()["calls"]


class Circles(Case):
    shared_daemon = False

    def server(self, *arguments):
        """A daemon that serves fan-in, too: (daemon, its address, its address for fan-in)."""
        daemon = self.start_daemon("--fan-in", "127.0.0.1:0", *arguments)
        return daemon, daemon.address, daemon.addresses[-1]

    def add(self, daemon, name, address, **fields):
        fields.setdefault("backoff", duration(0.05))
        fields.setdefault("max_backoff", duration(0.2))
        request = v1.AddProducerRequest(endpoint=endpoint(name, address, **fields))
        return daemon.admin().AddProducer(request)

    def joins(self, daemon, *selectors, **options):
        channel = connect(daemon.address)
        self.addCleanup(channel.close)
        consumer = Consumer(channel, subscribe_request(*selectors, **options))
        self.addCleanup(consumer.cancel)
        return consumer

    def fan_in_call(self, address, method=METHOD, metadata=()):
        channel = connect(address)
        self.addCleanup(channel.close)
        call = FanInCall(channel, method, metadata)
        self.addCleanup(call.cancel)
        return call.send(b"request").half_close()

    def upstream(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        return upstream

    def failed(self, daemon, name, *parts):
        """Waits until this endpoint was refused, and its text has these parts."""
        def failure():
            found = daemon.producer(name).failure
            return found.code == CODE.FAILED_PRECONDITION.value[0] and found

        found = eventually(failure, f"{name} is refused")
        for part in parts:
            self.assertIn(part, found.message)

    def expect_quiet(self, *daemons, seconds=1.0, calls_each=60):
        """What goes on is no more than some refused attempts, and the number of calls does not grow."""
        before = [(calls(daemon), daemon.live()["live.calls"]) for daemon in daemons]
        time.sleep(seconds)  # a measurement: how many calls come in this time
        for daemon, (all_calls, live) in zip(daemons, before):
            self.assertLess(calls(daemon) - all_calls, calls_each, "no calls run away")
            self.assertLess(daemon.live()["live.calls"], live + 10)


class FanIn(Circles):
    def test_X9_a_circle_of_two_ends_with_a_clear_error(self):
        a, _, a_fan_in = self.server()
        b, _, b_fan_in = self.server()
        self.add(a, "b", b_fan_in, method="", serve=[METHOD])
        self.add(b, "a", a_fan_in, method="", serve=[METHOD])
        for address in (a_fan_in, b_fan_in):
            call = self.fan_in_call(address)
            self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
            self.assertIn("consumer of its own", call.details)
            self.assertIn("through 1 other server", call.details)
        self.expect_quiet(a, b)

    def test_X9_a_circle_of_four(self):
        servers = [self.server() for _ in range(4)]
        for number, (daemon, _, _) in enumerate(servers):
            self.add(daemon, "next", servers[(number + 1) % 4][2], method="", serve=[METHOD])
        call = self.fan_in_call(servers[2][2])
        self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
        self.assertIn("through 3 other servers", call.details)
        self.expect_quiet(*(daemon for daemon, _, _ in servers))

    def test_what_is_no_circle_goes_on_beside_it(self):
        a, _, a_fan_in = self.server()
        b, _, b_fan_in = self.server()
        real = self.upstream()
        self.add(a, "b", b_fan_in, method="", serve=[METHOD])
        self.add(b, "a", a_fan_in, method="", serve=[METHOD])
        self.add(b, "real", real.address, method="", serve=[METHOD])
        call = self.fan_in_call(a_fan_in, metadata=[("tributary-end", "partial-ok")])
        upstream = real.wait_calls(1)
        upstream.send(b"one", b"two")
        upstream.end()
        self.assertEqual(call.wait(2), [b"one", b"two"])
        # At b one of two has failed. Its rule is the default: all must end well.
        self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
        # With the first one's mark and that of the second.
        self.assertEqual(len([value for key, value in upstream.pairs if key == MARK]), 2)

    def test_a_diamond_is_no_circle(self):
        """Two ways to the same server: each is a call of its own."""
        a, _, a_fan_in = self.server()
        b, _, b_fan_in = self.server()
        c, _, c_fan_in = self.server()
        real = self.upstream()
        self.add(a, "b", b_fan_in, method="", serve=[METHOD])
        self.add(a, "c", c_fan_in, method="", serve=[METHOD])
        self.add(b, "c", c_fan_in, method="", serve=[METHOD])
        self.add(c, "real", real.address, method="", serve=[METHOD])
        call = self.fan_in_call(a_fan_in)
        real.wait_calls(2)
        for number, upstream in enumerate(real.calls):
            upstream.send(b"%d" % number)
            upstream.end()
        self.assertEqual(sorted(call.wait(2)), [b"0", b"1"])
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_more_than_16_servers_are_refused(self):
        _, _, address = self.server()
        marks = [(MARK, f"{number:032x}") for number in range(17)]
        call = self.fan_in_call(address, metadata=marks)
        self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
        self.assertIn("too many servers", call.details)
        self.assertIn("at most 16", call.details)

    def test_marks_are_passed_on_and_what_is_none_is_not(self):
        a, _, a_fan_in = self.server()
        real = self.upstream()
        self.add(a, "real", real.address, method="", serve=[METHOD])
        marks = [f"{number:032x}" for number in range(16)]
        odd = ["", "x", "A" * 32, "g" * 32, "0" * 31, "0" * 33, " " * 32]
        call = self.fan_in_call(a_fan_in, metadata=[(MARK, value) for value in [*odd, *marks, *odd]])
        upstream = real.wait_calls(1)
        seen = [value for key, value in upstream.pairs if key == MARK]
        self.assertEqual(seen[1:], marks)
        self.assertRegex(seen[0], "^[0-9a-f]{32}$")
        upstream.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_a_server_that_dials_its_own_fan_in_by_an_endpoint_of_events(self):
        a, _, a_fan_in = self.server()
        for name, activation in (("per", PER_CONSUMER), ("all", SHARED), ("by", BY_REQUEST)):
            self.add(a, name, a_fan_in, activation=activation)
        self.joins(a)
        for name in ("per", "all", "by"):
            self.failed(a, name, "consumer of its own")
        self.expect_quiet(a)


class Subscribers(Circles):
    """Endpoints that have another tributary's stream as any method, or as batches."""

    def flat(self, activation, decode, **fields):
        shape = {"method": SUBSCRIBE, "requests": [EVERYTHING]}
        return {"activation": activation, "decode": decode, **shape, **fields}

    def check_two(self, fields):
        a, a_address, _ = self.server()
        b, b_address, _ = self.server()
        self.add(a, "b", b_address, **fields)
        self.add(b, "a", a_address, **fields)
        at_a = self.joins(a)
        # The call for this consumer goes to b, and from there back to a.
        self.failed(b, "a", "consumer of its own", "through 1 other server")
        publish(b.channel, "p", [event(number) for number in range(3)])
        eventually(lambda: at_a.received.events, "b's events come")
        self.joins(b)
        self.failed(a, "b", "consumer of its own", "through 1 other server")
        publish(a.channel, "q", [event(number) for number in range(3)])
        self.expect_quiet(a, b)
        published = a.counters()["events.in"], b.counters()["events.in"]
        time.sleep(0.5)  # a measurement: how many events come in this time
        self.assertLess(a.counters()["events.in"] - published[0], 50, "no events run away")
        self.assertLess(b.counters()["events.in"] - published[1], 50)

    def test_X9_per_consumer_raw(self):
        self.check_two(self.flat(PER_CONSUMER, ENDPOINT.RAW))

    def test_X9_per_consumer_batches(self):
        self.check_two(self.flat(PER_CONSUMER, ENDPOINT.EVENT_BATCH))

    def test_X9_by_request_raw(self):
        self.check_two(self.flat(BY_REQUEST, ENDPOINT.RAW))

    def test_X9_by_request_batches(self):
        self.check_two(self.flat(BY_REQUEST, ENDPOINT.EVENT_BATCH))

    def test_X9_consume(self):
        self.check_two(
            self.flat(PER_CONSUMER, ENDPOINT.EVENT_BATCH, method=CONSUME, half_close=ENDPOINT.KEEP_OPEN)
            | {"requests": [INIT]}
        )

    def test_shared_is_refused_when_it_is_added(self):
        a, _, _ = self.server()
        for method, decode in (
            (SUBSCRIBE, ENDPOINT.RAW), (SUBSCRIBE, ENDPOINT.EVENT_BATCH), (CONSUME, ENDPOINT.RAW),
            (CONSUME, ENDPOINT.EVENT_BATCH), (CONSUME, ENDPOINT.AUTO),
        ):
            field, words = "endpoint.activation", ["BY_REQUEST"]
            with self.assertFault(CODE.INVALID_ARGUMENT, "UNSUPPORTED", field, words):
                self.add(a, "b", "127.0.0.1:1", **self.flat(SHARED, decode, method=method))
        self.add(a, "b", "127.0.0.1:1", **self.flat(SHARED, ENDPOINT.CASCADE))

    def test_X9_a_cascade_and_batches_of_each_other(self):
        a, a_address, _ = self.server()
        b, b_address, _ = self.server()
        self.add(a, "b", b_address, method=SUBSCRIBE)
        self.add(b, "a", a_address, **self.flat(PER_CONSUMER, ENDPOINT.EVENT_BATCH))
        # The cascade is a consumer of b, so b calls a for it.
        self.failed(b, "a", "consumer of its own", "through 1 other server")
        at_a, at_b = self.joins(a), self.joins(b)
        publish(a.channel, "p", [event(number) for number in range(5)])
        publish(b.channel, "q", [event(number) for number in range(5)])
        eventually(lambda: at_a.received.numbers("b/q") == list(range(5)), "a has b's events")
        eventually(lambda: at_b.received.numbers("q") == list(range(5)), "b has its own")
        self.expect_quiet(a, b)
        self.assertEqual(at_a.received.numbers("p"), list(range(5)))

    def test_X9_a_ring_that_closes_behind_a_shared_call(self):
        """BY_REQUEST calls that are open already have come through fewer servers: others do not join
        them."""
        servers = [self.server() for _ in range(3)]
        fields = self.flat(BY_REQUEST, ENDPOINT.EVENT_BATCH)

        def closes(number):
            self.add(servers[number][0], "next", servers[(number + 1) % 3][1], **fields)

        closes(0)
        closes(2)
        self.joins(servers[0][0])
        self.joins(servers[2][0])
        eventually(lambda: len(servers[1][0].subscriptions()) >= 2, "both ways lead to the second server")
        closes(1)
        for daemon, _, _ in servers:
            publish(daemon.channel, "p", [event(0)])
        eventually(
            lambda: any(
                server[0].producer("next").failure.code == CODE.FAILED_PRECONDITION.value[0]
                for server in servers
            ),
            "the circle is refused where it closes",
        )
        self.expect_quiet(*(server[0] for server in servers))
        before = [server[0].counters()["events.in"] for server in servers]
        time.sleep(0.5)  # a measurement: how many events come in this time
        for server, count in zip(servers, before):
            self.assertLess(server[0].counters()["events.in"] - count, 50, "no events run away")

    def test_a_server_that_dials_itself(self):
        a, address, _ = self.server()
        for number, (activation, decode) in enumerate(
            (activation, decode)
            for activation in (PER_CONSUMER, BY_REQUEST)
            for decode in (ENDPOINT.RAW, ENDPOINT.EVENT_BATCH)
        ):
            self.add(a, f"self-{number}", address, **self.flat(activation, decode))
        self.joins(a)
        for number in range(4):
            self.failed(a, f"self-{number}", "consumer of its own")
        self.expect_quiet(a)
        self.assertEqual(len(a.subscriptions()), 1)

    def test_consumers_of_other_servers_share_a_call_among_themselves(self):
        inner, inner_address, _ = self.server()
        upstream = self.upstream()
        self.add(inner, "up", upstream.address, activation=BY_REQUEST)
        plain = [self.joins(inner, of("up"), request=b"r") for _ in range(2)]
        outer, _, _ = self.server()
        request = subscribe_request(of("up"), request=b"r").SerializeToString()
        for number in range(2):
            self.add(outer, f"in-{number}", inner_address, method=SUBSCRIBE, activation=PER_CONSUMER,
                     decode=ENDPOINT.EVENT_BATCH, requests=[request])
        self.joins(outer)
        eventually(lambda: len(inner.subscriptions()) == 4, "all have joined")
        upstream.wait_calls(2)
        eventually(lambda: inner.producer("up").open_calls == 2, "two calls for four consumers")
        marks = sorted(
            len([value for key, value in call.pairs if key == MARK]) for call in upstream.calls
        )
        self.assertEqual(marks, [1, 2])
        self.assertEqual(len(plain), 2)


if __name__ == "__main__":
    main()
