#!/usr/bin/python3
"""Transparent fan-in: the rules of docs/fan-in.md, one by one. Servers and clients are Python's gRPC,
and know no message type."""
import gzip
import threading
import time

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.fanin import METHOD, WithFanIn
from harness.h2frames import END_STREAM, literal, message
from harness.protos import v1
from harness.rawh2 import Connection, block_frames
from harness.sessions import of
from test_endpoint_failures import Raw

CODE = grpc.StatusCode
RICH = bytes(range(256))


class Listener(WithFanIn):
    def test_it_serves_none_of_our_services(self):
        for method in ("/tributary.v1.Admin/GetInfo", "/grpc.health.v1.Health/Check"):
            call = self.call(b"", method)
            self.assertEqual(call.wait_end(), CODE.UNIMPLEMENTED)
            self.assertIn("this method is not served here", call.details)

    def test_a_service_that_is_ours_too_can_be_fanned_in(self):
        upstream = self.serving("health", ["/grpc.health.v1.Health/*"])
        call = self.call(b"", "/grpc.health.v1.Health/Watch")
        upstream.wait_calls(1).send(b"\x08\x01")
        self.assertEqual(call.wait(1), [b"\x08\x01"])

    def test_other_listeners_serve_no_other_methods(self):
        self.serving("a")
        with self.assertRaises(grpc.RpcError) as caught:
            self.channel().unary_unary(METHOD)(b"", timeout=5)
        self.assertEqual(caught.exception.code(), CODE.UNIMPLEMENTED)

    def test_a_call_that_the_server_makes_itself_is_refused(self):
        self.add("circle", self.daemon.addresses[-1], method="", serve=[METHOD])
        call = self.call()
        self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
        self.assertIn("consumer of its own", call.details)


    def test_a_path_or_a_value_with_a_NUL_is_not_what_stands_before_it(self):
        upstream = self.serving("web-1", ["/demo.Feed/*"])
        for method, metadata, status in (
            (METHOD + "\0/evil", [], CODE.UNIMPLEMENTED),
            ("/demo.Feed/\0", [], CODE.UNIMPLEMENTED),
            (METHOD, [("tributary-buffer-events", "7\0 junk")], CODE.INVALID_ARGUMENT),
            (METHOD, [("tributary-sort-field", "1\0")], CODE.INVALID_ARGUMENT),
        ):
            with self.subTest(method=method, metadata=metadata):
                connection = Connection(self.daemon.addresses[-1])
                self.addCleanup(connection.close)
                stream = connection.call(method, b"ask", metadata)
                stream.wait_end()
                self.assertEqual(stream.status, status.value[0])
        self.assertEqual(upstream.calls, [])


class Endpoints(WithFanIn):
    def test_the_messages_of_three_upstreams_arrive_raw_and_in_order(self):
        upstreams = [self.serving(f"web-{i}") for i in range(3)]
        call = self.call(b"ask" + RICH)
        sent = {}
        for i, upstream in enumerate(upstreams):
            sent[i] = [b"%d:" % i + RICH * n for n in range(20)] + [b"", b"x" * 300000]
            there = upstream.wait_calls(1)
            there.send(*sent[i])
            there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(len(call.messages), 66)
        for i in range(3):
            self.assertEqual([m for m in call.messages if m.startswith(b"%d:" % i)], sent[i][:20])
        self.assertEqual(call.messages.count(b""), 3)
        self.assertEqual(call.messages.count(b"x" * 300000), 3)
        for upstream in upstreams:
            first = upstream.calls[0]
            self.assertEqual((first.requests, first.method), ([b"ask" + RICH], METHOD))

    def test_a_method_that_nobody_serves_is_unimplemented(self):
        self.serving("web-1")
        call = self.call(method="/demo.Feed/Other")
        self.assertEqual(call.wait_end(), CODE.UNIMPLEMENTED)
        self.assertIn("/demo.Feed/Other", call.details)

    def test_a_star_serves_every_method_of_the_service_and_no_other(self):
        upstream = self.serving("web-1", ["/demo.Feed/*"])
        self.call(method="/demo.Feed/Other")
        self.assertEqual(upstream.wait_calls(1).method, "/demo.Feed/Other")
        for method in ("/demo.Feed2/Watch", "/demo.Fee/Watch", "/demo.Feed/"):
            self.assertEqual(self.call(method=method).wait_end(), CODE.UNIMPLEMENTED, method)

    def test_select_by_name_and_label(self):
        upstreams = {
            name: self.serving(name, labels={"zone": zone})
            for name, zone in (("web-1", "a"), ("web-2", "b"), ("db", "a"))
        }
        for select, names in (
            (["web-*"], ["web-1", "web-2"]),
            (["zone=a"], ["db", "web-1"]),
            (["web-*,zone=a"], ["web-1"]),
            (["db", "web-2"], ["db", "web-2"]),
        ):
            with self.subTest(select):
                before = {name: len(upstream.calls) for name, upstream in upstreams.items()}
                call = self.call(metadata=[("tributary-select", value) for value in select])
                for name in names:
                    upstreams[name].wait_calls(before[name] + 1).end()
                self.assertEqual(call.wait_end(), CODE.OK)
                called = [name for name in upstreams if len(upstreams[name].calls) > before[name]]
                self.assertEqual(sorted(called), names)

    def test_endpoints_that_serve_and_are_not_selected_are_unavailable(self):
        self.serving("web-1")
        call = self.call(metadata=[("tributary-select", "db-*")])
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertIn("selects none", call.details)

    def test_an_endpoint_without_a_method_publishes_nothing_to_consumers(self):
        upstream, witness = self.serving("web-1"), self.upstream()
        self.add("witness", witness.address)
        self.consumer(subscribe_request(of("*")))
        witness.wait_calls(1)
        self.assertEqual(len(upstream.calls), 0)
        self.assertEqual(self.daemon.producer("web-1").endpoint.serve, [METHOD])

    def test_one_with_a_method_serves_and_publishes(self):
        upstream = self.serving("both", method="/demo.Feed/Other")
        consumer = self.consumer(subscribe_request(of("both")))
        upstream.wait_calls(1).send(b"event")
        self.wait_datas(consumer, "both", [b"event"])
        call = self.call()
        self.assertEqual(upstream.wait_calls(2).method, METHOD)
        upstream.calls[1].send(b"answer")
        self.assertEqual(call.wait(1), [b"answer"])
        self.assertEqual(self.datas(consumer, "both"), [b"event"])

    def test_a_call_gets_no_events_of_other_producers(self):
        upstream = self.serving("web-1")
        self.publish("other", [v1.Event(data=b"event")])
        call = self.call()
        there = upstream.wait_calls(1)
        self.publish("other", [v1.Event(data=b"event")])
        there.send(b"answer")
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(call.messages, [b"answer"])

    def test_an_endpoint_that_is_added_joins(self):
        first = self.serving("web-1")
        call = self.call(b"ask")
        one = first.wait_calls(1)
        second = self.serving("web-2")
        two = second.wait_calls(1)
        eventually(lambda: two.requests == [b"ask"], "it gets the request")
        two.send(b"two")
        self.assertEqual(call.wait(1), [b"two"])
        one.end()
        two.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_one_that_is_removed_leaves_and_counts_as_failed(self):
        first, second = self.serving("web-1"), self.serving("web-2")
        call = self.call()
        one, two = first.wait_calls(1), second.wait_calls(1)
        self.remove("web-1")
        self.assertTrue(one.over.wait(5))
        two.send(b"on")
        call.wait(1)
        two.end()
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertEqual(call.of("tributary-failed"), ["web-1 UNAVAILABLE the endpoint was removed"])

    def test_an_upstream_call_is_not_opened_again(self):
        first, second = self.serving("web-1", backoff=None), self.serving("web-2")
        call = self.call()
        first.wait_calls(1).end(CODE.INTERNAL, "broken")
        two = second.wait_calls(1)
        eventually(lambda: self.subscription().producers_matched == 1, "the part has ended")
        two.end()
        self.assertEqual(call.wait_end(), CODE.INTERNAL)
        self.assertEqual(len(first.calls), 1)


class Ends(WithFanIn):
    def ended(self, *ends, metadata=()):
        """A call whose upstreams end so, one after another."""
        upstreams = [self.serving(f"web-{i}") for i in range(len(ends))]
        call = self.call(metadata=metadata)
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        for i, end in enumerate(ends):
            calls[i].send(b"%d" % i)
            calls[i].end(*end)
            calls[i].over.wait(5)
        call.wait_end()
        return call

    def test_OK_when_all_have_ended_with_OK(self):
        call = self.ended((), (), ())
        self.assertEqual((call.code, call.details, call.trailers), (CODE.OK, "", ()))

    def test_else_the_first_failure_and_the_names_of_all(self):
        call = self.ended((), (CODE.NOT_FOUND, "no such fl\xf6w 100%"), (CODE.INTERNAL, "bad"))
        self.assertEqual((call.code, call.details), (CODE.NOT_FOUND, "no such fl\xf6w 100%"))
        self.assertEqual(call.of("tributary-endpoint"), ["web-1"])
        self.assertEqual(
            call.of("tributary-failed"),
            ["web-1 NOT_FOUND no such fl%C3%B6w 100%25", "web-2 INTERNAL bad"],
        )
        self.assertEqual(sorted(call.messages), [b"0", b"1", b"2"])

    def test_partial_ok_is_OK_when_one_has_ended_with_OK(self):
        call = self.ended((), (CODE.INTERNAL, "bad"), metadata=[("tributary-end", "partial-ok")])
        self.assertEqual((call.code, call.of("tributary-failed")), (CODE.OK, ["web-1 INTERNAL bad"]))
        self.assertEqual(call.of("tributary-endpoint"), [])

    def test_partial_ok_fails_when_none_has(self):
        call = self.ended((CODE.ABORTED, "a"), metadata=[("tributary-end", "partial-ok")])
        self.assertEqual((call.code, call.of("tributary-endpoint")), (CODE.ABORTED, ["web-0"]))

    def test_fail_fast_ends_at_the_first_failure_and_cancels_the_others(self):
        upstreams = [self.serving(f"web-{i}") for i in range(2)]
        call = self.call(metadata=[("tributary-end", "fail-fast")])
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        calls[0].send(b"last words")
        calls[0].end(CODE.DATA_LOSS, "disk")
        self.assertEqual((call.wait_end(), call.details), (CODE.DATA_LOSS, "disk"))
        self.assertEqual((call.messages, call.of("tributary-endpoint")), ([b"last words"], ["web-0"]))
        self.assertTrue(calls[1].over.wait(5), "the other call is cancelled")

    def test_the_details_of_the_failure_pass(self):
        upstream = self.serving("web-1")
        call = self.call()
        there = upstream.wait_calls(1)
        there.context.set_trailing_metadata((("grpc-status-details-bin", RICH), ("secret", "x")))
        there.end(CODE.INTERNAL, "bad")
        call.wait_end()
        self.assertEqual((call.of("grpc-status-details-bin"), call.of("secret")), ([RICH], []))

    def test_an_endpoint_that_cannot_be_reached_has_failed(self):
        upstream = self.serving("up")
        self.add("down", "127.0.0.1:1", method="", serve=[METHOD])
        call = self.call()
        there = upstream.wait_calls(1)
        there.send(b"x")
        there.end()
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertEqual(call.messages, [b"x"])
        self.assertTrue(call.of("tributary-failed")[0].startswith("down UNAVAILABLE "), call.trailers)

    def test_a_message_over_the_limit_ends_its_upstream_also_behind_an_OK(self):
        upstream = self.serving("web-1")
        for last in ((), (b"x",)):
            count = len(upstream.calls)
            call = self.call()
            there = upstream.wait_calls(count + 1)
            there.send(b"before", bytes(5 << 20), *last)
            there.end()
            self.assertEqual((call.wait_end(), call.messages), (CODE.RESOURCE_EXHAUSTED, [b"before"]))


class Client(WithFanIn):
    def test_a_client_that_cancels_cancels_the_upstreams(self):
        upstreams = [self.serving(f"web-{i}") for i in range(2)]
        call = self.call()
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        call.cancel()
        for each in calls:
            self.assertTrue(each.over.wait(5))
        eventually(lambda: not self.daemon.subscriptions(), "the subscription is gone")

    def test_a_client_that_disconnects_cancels_the_upstreams(self):
        upstream = self.serving("web-1")
        channel = self.channel(self.daemon.addresses[-1])
        answers = channel.unary_stream(METHOD)(b"ask")
        there = upstream.wait_calls(1)
        channel.close()
        self.assertTrue(there.over.wait(5))
        del answers

    def test_its_deadline_passes_down(self):
        upstream = self.serving("web-1")
        call = self.call(timeout=2)
        there = upstream.wait_calls(1)
        left = there.context.time_remaining()
        self.assertTrue(1 < left <= 2.1, left)  # gRPC rounds a timeout up
        self.assertEqual(call.wait_end(), CODE.DEADLINE_EXCEEDED)
        self.assertTrue(there.over.wait(5))

    def test_without_one_there_is_none(self):
        upstream = self.serving("web-1")
        self.call()
        self.assertGreater(upstream.wait_calls(1).context.time_remaining() or 1e12, 1e6)

    def test_its_half_close_passes_down(self):
        upstream = self.serving("web-1")
        call = self.call(half_close=False)
        there = upstream.wait_calls(1)
        eventually(lambda: there.requests, "the request came")
        time.sleep(0.1)
        self.assertFalse(there.closed)
        call.half_close()
        eventually(lambda: there.closed, "the half-close came")

    def test_a_half_close_by_trailers_counts_too(self):
        """No gRPC client closes so; the core reports it only as something that may be a loss."""
        upstream = self.serving("web-1")
        for block in (literal("x-end", "1"), b""):
            with self.subTest(block):
                connection = Connection(self.daemon.addresses[-1])
                self.addCleanup(connection.close)
                count = len(upstream.calls)
                stream = connection.request(METHOD)
                stream.send(message(b"ask"))
                there = upstream.wait_calls(count + 1)
                eventually(lambda call=there: call.requests == [b"ask"], "the request came")
                connection.send(block_frames(stream.number, block, END_STREAM))
                eventually(lambda call=there: call.closed, "the half-close came")
                there.end()
                stream.wait_end()
                self.assertEqual(stream.status, 0)

    def test_without_a_message_it_is_refused(self):
        self.serving("web-1")
        call = self.call(request=None)
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)

    def test_one_that_does_not_read_loses_nothing_and_holds_its_upstream(self):
        upstream = self.serving("web-1")
        call = self.call()
        call.held.clear()
        there = upstream.wait_calls(1)
        sent = [b"%08d" % i + bytes(20000) for i in range(3000)]
        writer = threading.Thread(target=there.send, args=sent, daemon=True)
        writer.start()
        subscription = self.subscription().id
        eventually(lambda: self.daemon.producer("web-1").paused_activations == 1, "the upstream is paused")
        self.assertGreater(there.answers.qsize(), 1000)
        self.check_totals(self.daemon.subscription(subscription))
        call.held.set()
        call.wait(len(sent), 60)
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(call.messages, sent)

    def test_it_is_shown_as_a_subscription_and_can_be_kicked(self):
        upstream = self.serving("web-1")
        call = self.call()
        there = upstream.wait_calls(1)
        shown = self.subscription()
        self.assertEqual((shown.name, shown.producers_matched), (METHOD, 1))
        self.daemon.admin().Disconnect(
            v1.DisconnectRequest(subscription_id=shown.id, reason="maintenance")
        )
        self.assertEqual(call.wait_end(), CODE.CANCELLED)
        self.assertIn("maintenance", call.details)
        self.assertTrue(there.over.wait(5))

    def test_why_explains_it(self):
        upstream = self.serving("web-1")
        self.call()
        upstream.wait_calls(1)
        explained = self.daemon.admin().Explain(
            v1.ExplainRequest(subscription_id=self.subscription().id)
        )
        self.assertTrue(explained.ListFields())


if __name__ == "__main__":
    main()
