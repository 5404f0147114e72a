#!/usr/bin/python3
"""How a fan-in call ends, and what its trailers tell then (docs/fan-in.md, rules 11, 21 and 29)."""
import threading
import time

import grpc

from harness.case import main
from harness.daemon import eventually
from harness.fanin import METHOD, FanInCall, WithFanIn
from harness.protos import v1
from test_endpoint_failures import Raw, accepted

CODE = grpc.StatusCode
MANY = METHOD + ",requests=many"
PARTIAL = ("tributary-end", "partial-ok")
DROPS = (("tributary-policy", "drop-newest"), ("tributary-buffer-events", "10"))


class Trailers(WithFanIn):
    """Each ending by the server has the trailers that an ending by the upstreams has."""

    shared_daemon = False

    def setUp(self):
        self.daemon = self.start_daemon("--fan-in", "127.0.0.1:0", "--write-timeout", "2s")
        self.fan_in = self.channel(self.daemon.addresses[-1])

    def flooded(self, *metadata):
        """A call that has lost messages of one endpoint, and whose other one has failed."""
        failing, flooding = self.serving("bad"), self.serving("flood")
        call = self.call(metadata=(*metadata, PARTIAL))
        failing.wait_calls(1).end(CODE.INTERNAL, "disk")
        call.held.clear()
        flooding.wait_calls(1).send(*(b"%06d" % i + bytes(10000) for i in range(3000)))
        return call, flooding.calls[0]

    def check(self, call, reason="OVERFLOW_NEWEST"):
        lost = int(call.of("tributary-lost-total")[0])
        self.assertGreater(lost, 0)
        self.assertEqual(call.of("tributary-lost"), [f"flood {reason} {lost}"])
        self.assertEqual(call.of("tributary-failed"), ["bad INTERNAL disk"])
        self.assertEqual(call.of("tributary-failed-total"), ["1"])
        self.assertEqual(call.of("tributary-endpoint"), [])

    def dropped(self):
        return self.daemon.counters()["events.dropped"]

    def test_a_kick(self):
        call, _ = self.flooded(*DROPS)
        eventually(lambda: self.dropped() > 1000, "messages are dropped")
        call.held.set()
        call.wait(100)
        self.daemon.admin().Disconnect(
            v1.DisconnectRequest(subscription_id=self.subscription().id, reason="maintenance")
        )
        self.assertEqual(call.wait_end(), CODE.CANCELLED)
        self.assertIn("maintenance", call.details)
        self.assertEqual([key for key, _ in call.trailers if key == "grpc-status-details-bin"],
                         ["grpc-status-details-bin"])
        self.check(call)

    def test_a_drain_of_the_server(self):
        call, there = self.flooded(*DROPS)
        eventually(lambda: self.dropped() > 1000, "messages are dropped")
        self.daemon.terminate()
        self.assertTrue(there.over.wait(5))
        call.held.set()
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertIn("draining", call.details)
        self.check(call)
        self.assertEqual(self.daemon.wait(), 0)

    def test_a_client_that_is_too_slow(self):
        call, there = self.flooded(("tributary-policy", "disconnect"), ("tributary-buffer-events", "10"))
        eventually(lambda: self.dropped() > 0, "the channel is broken")
        call.held.set()
        self.assertEqual(call.wait_end(), CODE.RESOURCE_EXHAUSTED)
        self.assertTrue(there.over.wait(5))
        self.assertIn("too slow", call.details)
        self.assertEqual(call.of("tributary-failed"), ["bad INTERNAL disk"])

    def test_a_message_that_is_refused(self):
        failing, other = self.serving("bad"), self.serving("other")
        call = self.call(metadata=[PARTIAL], half_close=False)
        other.wait_calls(1)
        failing.wait_calls(1).end(CODE.INTERNAL, "disk")
        eventually(lambda: self.subscription().producers_matched == 1, "the part has ended")
        call.send(b"a second one")
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
        self.assertEqual(call.of("tributary-failed"), ["bad INTERNAL disk"])

    def test_endpoints_that_the_end_itself_has_ended_are_not_called_failed(self):
        upstreams = [self.serving(f"web-{number}") for number in range(3)]
        for end in ("fail-fast", "all-ok", "partial-ok"):
            with self.subTest(end):
                before = len(upstreams[0].calls)
                call = self.call(metadata=[("tributary-end", end)])
                for upstream in upstreams:
                    upstream.wait_calls(before + 1)
                self.daemon.admin().Disconnect(
                    v1.DisconnectRequest(subscription_id=self.subscription().id, reason="maintenance")
                )
                self.assertEqual(call.wait_end(), CODE.CANCELLED)
                self.assertEqual(call.of("tributary-failed-total"), [])
                eventually(lambda: not self.daemon.subscriptions(), "it is gone")

    def test_a_kick_behind_the_last_end_cuts_what_waits_and_is_not_OK(self):
        upstream = self.serving("web")
        call = self.call()
        call.held.clear()
        there = upstream.wait_calls(1)
        there.send(*[bytes(100000)] * 300)
        call.held.set()
        call.wait(1)
        call.held.clear()
        there.end()
        shown = self.subscription()
        there.over.wait(1)
        self.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=shown.id, reason="maintenance"))
        call.held.set()
        self.assertEqual(call.wait_end(), CODE.CANCELLED)
        self.assertLess(len(call.messages), 300)


class Bounds(WithFanIn):
    def test_what_a_call_keeps_of_endpoints_that_come_and_go_is_bounded_and_the_sums_are_exact(self):
        stays, failing = self.serving("stays", metadata=[]), self.upstream()
        call = self.call(metadata=[PARTIAL])
        stays.wait_calls(1)
        live = self.daemon.counters()["live.upstream_bytes"]
        for number in range(100):
            self.add(f"e{number}", failing.address, method="", serve=[METHOD], serve_answer_metadata=["x-*"])
            there = failing.wait_calls(number + 1)
            there.context.set_trailing_metadata((("x-more", "y" * 100),))
            there.end(CODE.INTERNAL, f"{number} " + "x" * 150)
            eventually(lambda: self.subscription().producers_matched == 1, "its part has ended")
            self.remove(f"e{number}")
        eventually(lambda: self.daemon.counters()["live.upstream_bytes"] < live + 100_000, "little is kept")
        stays.calls[0].end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(call.of("tributary-failed-total"), ["100"])
        named = call.of("tributary-failed")
        self.assertEqual([line.split()[0] for line in named], [f"e{number}" for number in range(len(named))])
        self.assertGreater(len(named), 20)
        left_out = int(call.of("tributary-left-out")[0])
        self.assertEqual(len(named) + len(call.of("x-more")) + left_out, 200)


class NotReading(WithFanIn):
    """An upstream that does not read what the client sends."""

    arguments = ("--fan-in", "127.0.0.1:0", "--write-timeout", "1s")

    def test_it_is_ended_at_the_write_timeout_and_the_others_go_on(self):
        over = threading.Event()
        deaf = Raw(accepted(lambda peer: over.wait()))
        self.addCleanup(deaf.stop)
        self.addCleanup(over.set)
        self.add("deaf", deaf.address, method="", serve=[MANY])
        good = self.serving("good", [MANY])
        before = self.daemon.counters()["upstream.not_reading"]
        call = self.call(b"0", metadata=[PARTIAL], half_close=False)
        there = good.wait_calls(1)
        began = time.monotonic()
        large = bytes(600_000)
        call.send(large, b"1", b"2")
        there.send(b"meanwhile")
        self.assertEqual(call.wait(1), [b"meanwhile"])
        eventually(lambda: there.requests[1:] == [large, b"1", b"2"], "the others get what follows")
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(self.daemon.counters()["upstream.not_reading"] - before, 1)
        call.half_close()
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(call.of("tributary-failed"), [
            "deaf RESOURCE_EXHAUSTED request: the peer did not read in time: ms without progress (got 1000)"
        ])

    def test_pauses_between_messages_do_not_count(self):
        late = self.serving("web", [MANY])
        call = self.call(b"0", half_close=False)
        there = late.wait_calls(1)
        for number in range(3):
            call.send(bytes(600_000))
            eventually(lambda n=number: len(there.requests) == n + 2, "it came")
            time.sleep(0.5)  # together longer than the timeout
        call.half_close()
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)


if __name__ == "__main__":
    main()
