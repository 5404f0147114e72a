#!/usr/bin/python3
"""Upstreams that come back during a fan-in call (docs/fan-in.md, rule 8)."""
import socket
import time

import grpc

from harness.case import main
from harness.daemon import eventually
from harness.endpoints import ENDPOINT
from harness.fanin import METHOD, WithFanIn
from harness.protos import duration, v1

CODE = grpc.StatusCode
REJOIN = METHOD + ",end=partial-ok,rejoin=yes"
QUICK = {"backoff": duration(0.05), "max_backoff": duration(0.05)}


class Rejoin(WithFanIn):
    def two(self, serve=REJOIN, metadata=(), wait=duration(0.05), **fields):
        """A call of two endpoints; what the second one sees of it is the last value."""
        fields |= {"backoff": wait, "max_backoff": wait}
        first, second = (self.serving(name, [serve], **fields) for name in ("first", "second"))
        call = self.call(b"ask", metadata=metadata)
        return call, first, first.wait_calls(1), second.wait_calls(1)

    def parts(self):
        return self.subscription().producers_matched

    def test_a_server_that_is_restarted_joins_again_with_the_first_request(self):
        call, first, one, two = self.two()
        one.send(b"1")
        call.wait(1)
        first.stop()
        two.send(b"2")
        call.wait(2)
        again = self.upstream(address=first.address)
        there = again.wait_calls(1)
        eventually(lambda: there.requests == [b"ask"] and there.closed, "the request, and the half-close")
        there.send(b"3")
        self.assertEqual(call.wait(3), [b"1", b"2", b"3"])
        there.end()
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertGreaterEqual(int(call.of("tributary-failed-total")[0]), 1)
        self.assertEqual({line.split()[0] for line in call.of("tributary-failed")}, {"first"})

    def test_one_that_was_down_from_the_beginning_joins_when_it_is_there(self):
        down = self.upstream()
        down.stop()
        self.add("first", down.address, method="", serve=[REJOIN], **QUICK)
        second = self.serving("second", [REJOIN])
        call = self.call()
        two = second.wait_calls(1)
        self.upstream(address=down.address).wait_calls(1).send(b"late")
        self.assertEqual(call.wait(1), [b"late"])
        two.end()

    def test_the_others_get_messages_while_one_cannot_be_reached(self):
        serve = METHOD + ",requests=many,end=partial-ok,rejoin=yes"
        first, second = (self.serving(name, [serve], **QUICK) for name in ("first", "second"))
        call = self.call(b"ask", half_close=False)
        two = (first.wait_calls(1), second.wait_calls(1))[1]
        first.stop()
        with socket.create_server(("127.0.0.1", first.port), reuse_port=True) as hole:
            with hole.accept()[0]:  # nothing is answered there
                began = time.monotonic()
                for number in range(5):
                    call.send(b"%d" % number)
                    eventually(lambda number=number: len(two.requests) == number + 2, "the next message")
                self.assertLess(time.monotonic() - began, 5)
        again = self.upstream(address=first.address)
        there = again.wait_calls(1)
        there.send(b"here")
        call.wait(1)
        call.send(b"late").half_close()
        eventually(lambda: there.requests == [b"ask", b"late"] and there.closed, "what follows")
        eventually(lambda: two.requests[-1] == b"late" and two.closed, "the same for the other one")
        there.end()
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_the_half_close_passes_one_that_cannot_be_reached(self):
        serve = METHOD + ",requests=many,end=partial-ok,rejoin=yes"
        first, second = (self.serving(name, [serve], **QUICK) for name in ("first", "second"))
        call = self.call(b"ask", half_close=False)
        two = (first.wait_calls(1), second.wait_calls(1))[1]
        first.stop()
        with socket.create_server(("127.0.0.1", first.port), reuse_port=True) as hole:
            with hole.accept()[0]:
                began = time.monotonic()
                call.send(b"last").half_close()
                eventually(lambda: two.closed and two.requests[-1] == b"last", "the half-close")
                self.assertLess(time.monotonic() - began, 5)
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_each_failure_is_counted(self):
        call, first, _, two = self.two()
        for number in range(5):
            first.wait_calls(number + 1).end(CODE.UNAVAILABLE, f"{number}")
        first.wait_calls(6).end()
        eventually(lambda: self.parts() == 1, "OK is an end")
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(call.of("tributary-failed-total"), ["5"])
        self.assertEqual(call.of("tributary-failed"), [f"first UNAVAILABLE {number}" for number in range(5)])

    def test_the_call_ends_when_all_others_have_ended(self):
        call, first, one, two = self.two()
        first.refuse = (CODE.UNAVAILABLE, "down")
        one.end(CODE.UNAVAILABLE, "down")
        first.wait_calls(3)
        self.assertFalse(call.ended.is_set())
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_the_call_ends_when_none_is_left_at_work(self):
        call, _, one, two = self.two(wait=duration(60))
        one.end(CODE.UNAVAILABLE, "a")
        eventually(lambda: self.daemon.producer("first").failure.message == "a", "it waits")
        self.assertFalse(call.ended.is_set())
        two.end(CODE.UNAVAILABLE, "b")
        self.assertEqual((call.wait_end(), call.details), (CODE.UNAVAILABLE, "a"))
        self.assertEqual(call.of("tributary-failed"), ["first UNAVAILABLE a", "second UNAVAILABLE b"])

    def test_one_endpoint_alone_is_not_called_again(self):
        upstream = self.serving("only", [REJOIN], **QUICK)
        call = self.call()
        upstream.wait_calls(1).end(CODE.UNAVAILABLE, "down")
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertEqual(len(upstream.calls), 1)

    def check_final(self, call, first, two):
        eventually(lambda: self.parts() == 1, "the part has ended")
        time.sleep(0.3)  # some times the backoff
        self.assertEqual(len(first.calls), 1)
        two.end()
        return call.wait_end()

    def test_without_rejoin_it_is_not_called_again(self):
        call, first, one, two = self.two(METHOD + ",end=partial-ok")
        one.end(CODE.UNAVAILABLE, "down")
        self.assertEqual(self.check_final(call, first, two), CODE.OK)

    def test_with_all_ok_it_is_not_called_again(self):
        call, first, one, two = self.two(metadata=[("tributary-end", "all-ok")])
        one.end(CODE.UNAVAILABLE, "down")
        self.assertEqual(self.check_final(call, first, two), CODE.UNAVAILABLE)

    def test_the_client_may_ask_for_partial_ok(self):
        call, first, one, two = self.two(METHOD + ",rejoin=yes", metadata=[("tributary-end", "partial-ok")])
        one.end(CODE.UNAVAILABLE, "down")
        first.wait_calls(2).end()
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_a_request_that_was_refused_is_not_made_again(self):
        call, first, one, two = self.two()
        one.end(CODE.INVALID_ARGUMENT, "no such filter")
        self.assertEqual(self.check_final(call, first, two), CODE.OK)

    def test_nor_where_a_message_was_refused(self):
        call, first, one, two = self.two()
        one.send(bytes(self.daemon.admin().GetInfo(v1.GetInfoRequest()).max_event_bytes + 1))
        self.assertEqual(self.check_final(call, first, two), CODE.OK)
        self.assertIn("first RESOURCE_EXHAUSTED", call.of("tributary-failed")[0])

    def test_restart_NEVER_is_never(self):
        call, first, one, two = self.two(restart=ENDPOINT.NEVER)
        one.end(CODE.UNAVAILABLE, "down")
        self.assertEqual(self.check_final(call, first, two), CODE.OK)

    def test_restart_ALWAYS_is_also_after_OK(self):
        call, first, one, two = self.two(restart=ENDPOINT.ALWAYS)
        one.send(b"1")
        one.end()
        first.wait_calls(2).send(b"2")
        self.assertEqual(call.wait(2), [b"1", b"2"])
        call.cancel()
        self.assertTrue(two.over.wait(5))

    def waiting(self):
        call, first, one, two = self.two()
        first.stop()
        self.assertTrue(one.over.wait(5))
        return call, two

    def test_a_client_that_leaves_meanwhile_ends_it(self):
        call, two = self.waiting()
        call.cancel()
        self.assertTrue(two.over.wait(5))
        eventually(lambda: not self.daemon.subscriptions(), "the subscription is gone")

    def test_a_kick_meanwhile_ends_it(self):
        call, two = self.waiting()
        self.daemon.admin().Disconnect(
            v1.DisconnectRequest(subscription_id=self.subscription().id, reason="maintenance")
        )
        self.assertEqual(call.wait_end(), CODE.CANCELLED)
        self.assertTrue(two.over.wait(5))

    def test_an_endpoint_that_is_removed_meanwhile_does_not_come_back(self):
        call, two = self.waiting()
        self.remove("first")
        two.send(b"on")
        call.wait(1)
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)


if __name__ == "__main__":
    main()
