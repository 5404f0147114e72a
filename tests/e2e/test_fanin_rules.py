#!/usr/bin/python3
"""Transparent fan-in: metadata, policies, several request messages, and unary methods (the rules of
docs/fan-in.md)."""
import struct
import threading
import time

import grpc

from harness.case import main
from harness.daemon import eventually
from harness.fanin import METHOD, FanInCall, WithFanIn
from harness.protos import v1
from harness.rawh2 import Connection
from test_endpoint_failures import Raw, accepted

CODE = grpc.StatusCode
RICH = bytes(range(256))
MANY = METHOD + ",requests=many"
FIRST_OK = METHOD + ",answer=first-ok"


class Metadata(WithFanIn):
    def test_only_what_the_endpoint_lists_goes_on(self):
        upstream = self.serving("web-1", serve_request_metadata=["x-trace", "b3*", "any-bin"])
        self.call(
            metadata=[
                ("x-trace", "1"),
                ("x-trace", "2"),
                ("x-trace-2", "no"),
                ("b3", "yes"),
                ("b3-flags", "d"),
                ("any-bin", RICH),
                ("other", "no"),
                ("authorization", "Bearer secret"),
                ("tributary-end", "all-ok"),
            ]
        )
        got = upstream.wait_calls(1).context.invocation_metadata()
        ours = [(key, value) for key, value in got if key not in ("user-agent", "tributary-process")]
        self.assertEqual(
            ours,
            [("x-trace", "1"), ("x-trace", "2"), ("b3", "yes"), ("b3-flags", "d"), ("any-bin", RICH)],
        )
        agents = [value for key, value in got if key == "user-agent"]
        self.assertTrue(agents[0].startswith("tributary"), agents)

    def test_none_goes_on_where_nothing_is_listed(self):
        upstream = self.serving("web-1")
        self.call(metadata=[("x-trace", "1"), ("authorization", "secret")])
        got = {key for key, _ in upstream.wait_calls(1).context.invocation_metadata()}
        self.assertEqual(got - {"user-agent", "tributary-process"}, set())

    def test_the_endpoints_own_takes_the_place_of_the_clients(self):
        upstream = self.serving("web-1", serve_request_metadata=["x-*"], metadata={"x-key": "endpoint"})
        self.call(metadata=[("x-key", "client"), ("x-other", "client")])
        metadata = upstream.wait_calls(1).metadata
        self.assertEqual((metadata["x-key"], metadata["x-other"]), ("endpoint", "client"))

    def test_headers_and_trailers_that_are_listed_come_back_as_trailers(self):
        upstream = self.serving("web-1", serve_answer_metadata=["x-*", "any-bin"])
        call = self.call()
        there = upstream.wait_calls(1)
        there.context.send_initial_metadata((("x-head", "h"), ("secret", "no")))
        there.context.set_trailing_metadata((("x-tail", "t"), ("any-bin", RICH), ("other", "no")))
        there.send(b"x")
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(
            sorted((key, value) for key, value in call.trailers),
            [("any-bin", RICH), ("x-head", "h"), ("x-tail", "t")],
        )

    def test_trailers_that_have_no_space_are_counted(self):
        upstreams = [self.serving(f"web-{i}", serve_answer_metadata=["x-*"]) for i in range(8)]
        call = self.call()
        for upstream in upstreams:
            there = upstream.wait_calls(1)
            there.context.set_trailing_metadata(tuple((f"x-{i}", "v" * 150) for i in range(10)))
            there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        left_out = int(call.of("tributary-left-out")[0])
        self.assertEqual(left_out + len(call.trailers) - 1, 80)
        self.assertGreater(left_out, 30)

    def test_bad_values_are_refused_with_key_value_and_bound(self):
        self.serving("web-1")
        for key, value, words in (
            ("tributary-end", "some", "all-ok, partial-ok or fail-fast"),
            ("tributary-policy", "latest-per-key", "block, drop-oldest, drop-newest or disconnect"),
            ("tributary-buffer-events", "0", "1 to 1"),
            ("tributary-buffer-events", "-1", "1 to 1"),
            ("tributary-buffer-events", "9" * 40, "1 to 1"),
            ("tributary-buffer-bytes", "1x", "1 to 256M"),
            ("tributary-select", "", "NAME or LABEL=VALUE"),
            ("tributary-select", "a,", "NAME or LABEL=VALUE"),
            ("tributary-select", "a,b", "one NAME"),
            ("tributary-select", "=a", "NAME or LABEL=VALUE"),
            ("tributary-selct", "a", "tributary-select"),
            ("tributary-block-timeout", "1s", "tributary-select"),
        ):
            with self.subTest(key=key, value=value):
                call = self.call(metadata=[(key, value)])
                self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
                for word in (key, words):
                    self.assertIn(word, call.details)
        call = self.call(metadata=[("tributary-end", "all-ok")] * 2)
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
        call = self.call(metadata=[("tributary-select", "a")] * 17)
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
        call = self.call(metadata=[("tributary-select", ",".join(["a=b"] * 17))])
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)


class Policies(WithFanIn):
    def flooded(self, *metadata):
        """A call whose client holds, while its upstream sends 2 000 messages; the upstream ends."""
        upstream = self.serving("web-1")
        call = self.call(metadata=metadata)
        call.held.clear()
        there = upstream.wait_calls(1)
        there.send(*(b"%06d" % i + bytes(10000) for i in range(2000)))
        there.end()
        return call, there

    def test_a_policy_that_loses_counts_it_in_the_trailers(self):
        for policy, reason in (("drop-oldest", "OVERFLOW_OLDEST"), ("drop-newest", "OVERFLOW_NEWEST")):
            with self.subTest(policy):
                call, there = self.flooded(
                    ("tributary-policy", policy), ("tributary-buffer-events", "10")
                )
                self.assertTrue(there.over.wait(20), "it is not held back")
                call.held.set()
                self.assertEqual(call.wait_end(), CODE.OK)
                lost = int(call.of("tributary-lost-total")[0])
                self.assertEqual(lost + len(call.messages), 2000)
                self.assertEqual(call.of("tributary-lost"), [f"web-1 {reason} {lost}"])
                numbers = [int(message[:6]) for message in call.messages]
                self.assertEqual(numbers, sorted(set(numbers)))
                self.remove("web-1")

    def test_empty_messages_are_dropped_and_counted_too(self):
        upstream = self.serving("web-1")
        call = self.call(metadata=[("tributary-policy", "drop-oldest"), ("tributary-buffer-events", "3")])
        call.held.clear()
        there = upstream.wait_calls(1)
        there.send(*[b""] * 3000)
        there.end()
        there.over.wait(20)
        call.held.set()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertEqual(int((call.of("tributary-lost-total") or [0])[0]) + len(call.messages), 3000)

    def test_disconnect_ends_the_call(self):
        call, there = self.flooded(("tributary-policy", "disconnect"), ("tributary-buffer-events", "10"))
        self.assertTrue(there.over.wait(20))
        call.held.set()
        self.assertEqual(call.wait_end(), CODE.RESOURCE_EXHAUSTED)
        self.assertIn("too slow", call.details)

    def test_block_with_messages_larger_than_the_buffer(self):
        upstream = self.serving("web-1")
        call = self.call(metadata=[("tributary-buffer-events", "2"), ("tributary-buffer-bytes", "1000")])
        call.held.clear()
        there = upstream.wait_calls(1)
        sent = [b"%02d" % i * 200000 for i in range(60)]
        there.send(*sent)
        there.end()
        eventually(lambda: self.daemon.producer("web-1").paused_activations == 1, "it is paused")
        call.held.set()
        self.assertEqual((call.wait_end(), call.messages == sent), (CODE.OK, True))

    def test_the_settings_are_shown(self):
        upstream = self.serving("web-1")
        self.call(metadata=[("tributary-buffer-events", "7"), ("tributary-policy", "drop-newest")])
        upstream.wait_calls(1)
        settings = self.subscription().settings
        self.assertEqual((settings.max_events, settings.overflow), (7, v1.OVERFLOW_DROP_NEWEST))

    def test_a_client_that_never_reads_is_ended_at_the_write_timeout(self):
        daemon = self.start_daemon("--fan-in", "127.0.0.1:0", "--write-timeout", "1s")
        upstream = self.upstream()
        daemon.admin().AddProducer(
            v1.AddProducerRequest(
                endpoint={"name": "web-1", "address": upstream.address, "serve": [METHOD]}
            )
        )
        stalled = Connection(daemon.addresses[-1], replenish=False)
        self.addCleanup(stalled.close)
        stalled.call(METHOD, b"ask")
        there = upstream.wait_calls(1)
        there.send(*[bytes(100000)] * 400)
        self.assertTrue(there.over.wait(30), "the upstream is cancelled")
        eventually(lambda: not daemon.subscriptions(), "the subscription is gone")


class Requests(WithFanIn):
    def test_a_further_message_is_refused_unless_the_endpoint_allows_it(self):
        upstream = self.serving("web-1")
        call = self.call(half_close=False)
        there = upstream.wait_calls(1)
        call.send(b"second")
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
        self.assertIn("requests=many", call.details)
        self.assertTrue(there.over.wait(5))

    def test_with_many_each_goes_to_every_upstream_in_order(self):
        upstreams = [self.serving(f"web-{i}", [MANY]) for i in range(3)]
        call = self.call(b"0", half_close=False)
        sent = [b"%d" % i for i in range(50)]
        call.send(*sent[1:])
        for upstream in upstreams:
            there = upstream.wait_calls(1)
            eventually(lambda t=there: t.requests == sent, "all messages came")
            self.assertFalse(there.closed)
        call.half_close()
        for upstream in upstreams:
            eventually(lambda u=upstream: u.calls[0].closed, "the half-close came")
            upstream.calls[0].end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_a_further_message_may_be_as_large_as_the_first(self):
        upstream = self.serving("web-1", [MANY])
        call = self.call(bytes(1 << 20), half_close=False)
        there = upstream.wait_calls(1)
        call.send(bytes(1 << 20))
        eventually(lambda: [len(each) for each in there.requests] == [1 << 20, 1 << 20], "both came")
        call.send(bytes(2 << 20))
        self.assertNotEqual(call.wait_end(), CODE.OK)
        self.assertIn("1048576", call.details)

    def test_messages_right_behind_the_first_reach_every_endpoint(self):
        upstreams = [self.serving(f"web-{i}", [MANY]) for i in range(20)]
        sent = [b"%d" % i for i in range(5)]
        for count in range(1, 4):
            call = self.call(None, half_close=False).send(*sent).half_close()
            calls = [upstream.wait_calls(count) for upstream in upstreams]
            for there in calls:
                eventually(lambda t=there: t.requests == sent and t.closed, f"{there.requests}")
                there.end()
            self.assertEqual(call.wait_end(), CODE.OK)

    def test_one_endpoint_that_allows_one_is_enough_to_refuse_it(self):
        self.serving("web-1", [MANY])
        upstream = self.serving("web-2")
        call = self.call(half_close=False)
        upstream.wait_calls(1)
        call.send(b"second")
        self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)

    def test_an_upstream_that_has_ended_holds_no_message_back(self):
        first, second = self.serving("web-1", [MANY]), self.serving("web-2", [MANY])
        call = self.call(b"0", half_close=False)
        first.wait_calls(1).end()
        there = second.wait_calls(1)
        call.send(b"1", b"2", b"3").half_close()
        eventually(lambda: there.requests == [b"0", b"1", b"2", b"3"] and there.closed, "all came")
        there.end()
        self.assertEqual(call.wait_end(), CODE.OK)

    def test_one_that_cannot_be_reached_holds_none_back_for_long(self):
        self.add("down", "127.0.0.1:1", method="", serve=[MANY])
        upstream = self.serving("up", [MANY])
        call = self.call(b"0", half_close=False)
        call.send(b"1").half_close()
        there = upstream.wait_calls(1)
        eventually(lambda: there.requests == [b"0", b"1"], "all came")
        there.end()
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)

    def test_an_endpoint_that_joins_gets_the_first_and_those_that_follow(self):
        first = self.serving("web-1", [MANY])
        call = self.call(b"0", half_close=False).send(b"1")
        one = first.wait_calls(1)
        eventually(lambda: one.requests == [b"0", b"1"], "both came")
        two = self.serving("web-2", [MANY]).wait_calls(1)
        eventually(lambda: two.requests == [b"0"], "the first came")
        call.send(b"2")
        eventually(lambda: two.requests == [b"0", b"2"], "the next came")
        eventually(lambda: one.requests == [b"0", b"1", b"2"], "the next came")

    def test_messages_that_wait_are_charged_to_the_client(self):
        """An upstream that never reads. Of 16 MiB an eighth may wait, half of it of one peer."""
        daemon = self.start_daemon(
            *("--listen", "127.0.0.1:0", "--fan-in", "127.0.0.1:0"),
            *("--memory-limit", "16M", "--local-peer-share", "50"),
        )
        upstream = Raw(accepted(lambda peer: self.over.wait()))
        self.over = threading.Event()
        self.addCleanup(upstream.stop)
        self.addCleanup(self.over.set)
        endpoint = v1.Endpoint(name="deaf", address=upstream.address, serve=[MANY])
        daemon.admin().AddProducer(v1.AddProducerRequest(endpoint=endpoint))
        large = bytes(600_000)

        def called():
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = grpc.insecure_channel(daemon.addresses[-1], options=options)
            self.addCleanup(channel.close)
            call = FanInCall(channel)
            self.addCleanup(call.cancel)
            return call.send(b"0", large, large, large)

        calls = [called() for _ in range(6)]
        ended = eventually(lambda: [call for call in calls if call.ended.is_set()], "some are refused")
        self.assertEqual({call.code for call in ended}, {CODE.RESOURCE_EXHAUSTED})
        self.assertIn("messages that wait from", ended[0].details)
        self.assertLess(daemon.counters()["live.fanin_bytes"], (2 << 20) // 2 + len(large))
        for call in calls:
            call.cancel()
        eventually(lambda: daemon.counters()["live.fanin_bytes"] == 0, "all is given back")

    def test_questions_and_answers_take_turns(self):
        upstream = self.serving("web-1", [MANY])
        call = self.call(b"0", half_close=False)
        there = upstream.wait_calls(1)
        for i in range(1, 30):
            there.send(b"answer %d" % i)
            call.wait(i)
            call.send(b"%d" % i)
            eventually(lambda n=i: len(there.requests) == n + 1, "the question came")


class Ends(WithFanIn):
    """The rule for the end, said by the endpoints."""

    def ended(self, ends, metadata=()):
        """How a call ends of which the first upstream fails, and the others end with OK."""
        upstreams = [self.serving(f"web-{i}", [METHOD + end]) for i, end in enumerate(ends)]
        call = self.call(metadata=metadata)
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        calls[0].end(CODE.NOT_FOUND, "no")
        calls[0].over.wait(5)
        if not call.ended.wait(0.2):
            for there in calls[1:]:
                there.end()
        code = call.wait_end()
        for i in range(len(upstreams)):
            self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=f"web-{i}"))
        return code, call

    def test_the_endpoints_say_which_rule_holds(self):
        for ends, code in (
            (["", ""], CODE.NOT_FOUND),
            ([",end=partial-ok", ",end=partial-ok"], CODE.OK),
            ([",end=partial-ok", ""], CODE.OK),
            ([",end=partial-ok", ",end=all-ok"], CODE.NOT_FOUND),
        ):
            with self.subTest(ends):
                self.assertEqual(self.ended(ends)[0], code)

    def test_the_client_comes_before_them(self):
        ends = [",end=partial-ok", ",end=partial-ok"]
        code, call = self.ended(ends, [("tributary-end", "all-ok")])
        self.assertEqual(code, CODE.NOT_FOUND)
        self.assertEqual(call.of("tributary-endpoint"), ["web-0"])

    def test_one_that_says_fail_fast_ends_the_call_at_once(self):
        first, second = self.serving("web-1", [METHOD + ",end=fail-fast"]), self.serving("web-2")
        call = self.call()
        there = second.wait_calls(1)
        first.wait_calls(1).end(CODE.NOT_FOUND, "no")
        self.assertEqual(call.wait_end(), CODE.NOT_FOUND)
        self.assertTrue(there.over.wait(5), "the other call is cancelled")


class Order(WithFanIn):
    """A message is a fixed64 in field 1: its time, in nanoseconds since 1970."""

    def setUp(self):
        super().setUp()
        self.now = time.time_ns()

    def stamped(self, ms, tail=b""):
        return b"\x09" + struct.pack("<Q", self.now + ms * 10**6) + tail

    def times(self, messages):
        return [(struct.unpack("<Q", each[1:9])[0] - self.now) // 10**6 for each in messages]

    def sorted_call(self, window, *more):
        return self.call(
            metadata=[("tributary-sort-field", "1"), ("tributary-sort-window", window), *more]
        )

    def test_messages_of_three_upstreams_are_sorted_by_a_field(self):
        upstreams = [self.serving(f"web-{i}") for i in range(3)]
        call = self.sorted_call("10s")
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        for i, there in reversed(list(enumerate(calls))):
            there.send(*[self.stamped(n * 3 + i - 1000) for n in range(50)])
        eventually(lambda: self.subscription().queued.events == 150, "all are held")
        self.assertEqual(call.messages, [])
        began = time.monotonic()
        for there in calls:
            there.end()
        self.assertEqual(call.wait_end(), CODE.OK)
        self.assertLess(time.monotonic() - began, 5, "the end lets everything go")
        self.assertEqual(self.times(call.messages), [n - 1000 for n in range(150)])

    def test_they_go_when_the_window_is_over_and_late_ones_at_once(self):
        first, second = self.serving("web-1"), self.serving("web-2")
        call = self.sorted_call("2s")
        one, two = first.wait_calls(1), second.wait_calls(1)
        one.send(self.stamped(-10), self.stamped(-8))
        two.send(self.stamped(-9))
        self.assertEqual(self.times(call.wait(3)), [-10, -9, -8])
        two.send(self.stamped(-20))
        self.assertEqual(self.times(call.wait(4)), [-10, -9, -8, -20])
        eventually(lambda: self.subscription().sorted_late == 1, "it is counted")

    def test_a_full_window_lets_the_earliest_go(self):
        first, second = self.serving("web-1"), self.serving("web-2")
        call = self.sorted_call("60s", ("tributary-sort-events", "2"))
        one, two = first.wait_calls(1), second.wait_calls(1)
        one.send(self.stamped(-1))
        two.send(self.stamped(-3))
        eventually(lambda: self.subscription().queued.events == 2, "both are held")
        one.send(self.stamped(0))
        self.assertEqual(self.times(call.wait(1)), [-3])

    def test_without_the_keys_nothing_is_held(self):
        upstream = self.serving("web-1")
        call = self.call()
        upstream.wait_calls(1).send(self.stamped(5), self.stamped(-5))
        self.assertEqual(self.times(call.wait(2)), [5, -5])

    def test_bad_values_are_refused_with_key_value_and_bound(self):
        self.serving("web-1")
        field = ("tributary-sort-field", "1")
        for pairs, words in (
            ([("tributary-sort-window", "1s")], ["tributary-sort-field"]),
            ([("tributary-sort-field", "0")], ["tributary-sort-field", "such as 3"]),
            ([("tributary-sort-field", "1." * 20 + "1")], ["tributary-sort-field", "31 bytes"]),
            ([field, ("tributary-sort-window", "61s")], ["tributary-sort-window", "61s", "1ms to 60s"]),
            ([field, ("tributary-sort-window", "x")], ["tributary-sort-window", "1ms to 60s"]),
            ([field, ("tributary-sort-events", "0")], ["tributary-sort-events", "1 to"]),
            (
                [field, ("tributary-sort-events", "6"), ("tributary-buffer-events", "10")],
                ["tributary-sort-events", "at most 5", "half"],
            ),
            ([field, ("tributary-buffer-events", "1")], ["tributary-sort-events", "half"]),
            ([field, ("tributary-sort", "1")], ["tributary-sort"]),
        ):
            with self.subTest(pairs):
                call = self.call(metadata=pairs)
                self.assertEqual(call.wait_end(), CODE.INVALID_ARGUMENT)
                for word in words:
                    self.assertIn(word, call.details)


class Unary(WithFanIn):
    def test_first_ok_answers_with_the_first_that_ends_with_OK(self):
        upstreams = [self.serving(f"web-{i}", [FIRST_OK]) for i in range(3)]
        call = self.call()
        calls = [upstream.wait_calls(1) for upstream in upstreams]
        calls[0].end(CODE.NOT_FOUND, "no")
        calls[0].over.wait(5)
        calls[1].send(b"not yet")
        time.sleep(0.05)
        self.assertEqual(call.messages, [])
        calls[2].send(b"answer")
        calls[2].end()
        self.assertEqual((call.wait_end(), call.messages), (CODE.OK, [b"answer"]))
        self.assertTrue(calls[1].over.wait(5), "the other call is cancelled")

    def test_first_ok_gives_one_answer_where_several_end_with_OK(self):
        for _ in range(10):
            upstreams = [
                self.serving(f"web-{i}", [FIRST_OK], serve_answer_metadata=["x-from"]) for i in range(5)
            ]
            call = self.call()
            calls = [upstream.wait_calls(1) for upstream in upstreams]
            for i, there in enumerate(calls):
                there.send(b"%d" % i)
            for i, there in enumerate(calls):
                there.context.set_trailing_metadata((("x-from", str(i)),))
                there.end()
            self.assertEqual(call.wait_end(), CODE.OK)
            self.assertEqual(len(call.messages), 1)
            self.assertIn(call.messages[0].decode(), call.of("x-from"))
            for i in range(5):
                self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=f"web-{i}"))

    def test_first_ok_with_an_empty_answer(self):
        upstream = self.serving("web-1", [FIRST_OK])
        call = self.call()
        there = upstream.wait_calls(1)
        there.send(b"")
        there.end()
        self.assertEqual((call.wait_end(), call.messages), (CODE.OK, [b""]))

    def test_first_ok_fails_where_all_fail(self):
        upstreams = [self.serving(f"web-{i}", [FIRST_OK]) for i in range(2)]
        call = self.call()
        for i, upstream in enumerate(upstreams):
            there = upstream.wait_calls(1)
            there.send(b"half")
            there.end(CODE.ABORTED if i else CODE.NOT_FOUND, "no %d" % i)
            there.over.wait(5)
            eventually(lambda n=i: self.daemon.producer(f"web-{n}").activations == 0, "its part has ended")
        self.assertEqual((call.wait_end(), call.details, call.messages), (CODE.NOT_FOUND, "no 0", []))

    def test_first_ok_wants_exactly_one_message(self):
        for messages in ([], [b"1", b"2"]):
            with self.subTest(messages):
                upstream = self.serving("web-1", [FIRST_OK])
                call = self.call()
                there = upstream.wait_calls(1)
                there.send(*messages)
                there.end()
                self.assertEqual((call.wait_end(), call.messages), (CODE.INTERNAL, []))
                self.remove("web-1")

    def test_refuse_calls_none_where_several_match(self):
        upstreams = [self.serving(f"web-{i}", [METHOD + ",answer=refuse"]) for i in range(2)]
        call = self.call()
        self.assertEqual(call.wait_end(), CODE.FAILED_PRECONDITION)
        self.assertIn("more than one endpoint", call.details)
        call = self.call(metadata=[("tributary-select", "web-1")])
        there = upstreams[1].wait_calls(1)
        there.send(b"answer")
        there.end()
        self.assertEqual((call.wait_end(), call.messages), (CODE.OK, [b"answer"]))
        self.assertEqual(len(upstreams[0].calls), 0)

    def test_refuse_lets_no_other_join(self):
        first = self.serving("web-1", [METHOD + ",answer=refuse"])
        call = self.call()
        there = first.wait_calls(1)
        second = self.serving("web-2", [METHOD + ",answer=refuse"])
        there.send(b"answer")
        there.end()
        self.assertEqual((call.wait_end(), len(second.calls)), (CODE.OK, 0))

    def test_a_unary_client_gets_a_unary_answer(self):
        upstream = self.serving("web-1", [FIRST_OK])
        answer = self.fan_in.unary_unary(METHOD).future(b"ask")
        there = upstream.wait_calls(1)
        there.send(b"answer")
        there.end()
        self.assertEqual(answer.result(5), b"answer")


class Drain(WithFanIn):
    shared_daemon = False

    def setUp(self):
        self.daemon = self.start_daemon("--fan-in", "127.0.0.1:0")
        self.fan_in = self.channel(self.daemon.addresses[-1])

    def test_at_SIGTERM_the_upstreams_are_cancelled_and_the_call_ends(self):
        upstream = self.upstream()
        self.daemon.admin().AddProducer(
            v1.AddProducerRequest(endpoint={"name": "a", "address": upstream.address, "serve": [METHOD]})
        )
        call = self.call()
        there = upstream.wait_calls(1)
        there.send(b"x")
        call.wait(1)
        self.daemon.terminate()
        self.assertEqual(call.wait_end(), CODE.UNAVAILABLE)
        self.assertIn("draining", call.details)
        self.assertTrue(there.over.wait(5))
        self.assertEqual(self.daemon.wait(), 0)


if __name__ == "__main__":
    main()
