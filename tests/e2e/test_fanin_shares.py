#!/usr/bin/python3
"""The memory of upstream calls is charged to the peer of the consumer for which they are open
(docs/fan-in.md, rule 31; docs/operations.md, "Peers and shares"). One peer takes all that it may have,
and others are still served."""
import os
import tempfile

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.endpoints import ENDPOINT, UNAVAILABLE, WithUpstreams
from harness.fanin import METHOD, FanInCall
from harness.protos import duration, v1
from harness.sessions import of

CODE = grpc.StatusCode
CALL = (14 << 10) + 65535  # what an upstream call keeps
SHARE = (16 << 20) // 2 // 2  # of half of --memory-limit
MANY = 60  # calls; the share has space for 51 of them on one connection


class Shares(WithUpstreams):
    """The greedy peer is 127.0.0.1, as is whoever adds endpoints. The modest one is this user on a unix
    socket."""

    shared_daemon = False

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path, fan_in = (os.path.join(folder.name, name) for name in ("socket", "fan-in"))
        self.daemon = self.start_daemon(
            *("--memory-limit", "16M", "--local-peer-share", "50"),
            *("--fan-in", "127.0.0.1:0", "--fan-in", f"unix:{fan_in}"),
            listen=("127.0.0.1:0", f"unix:{path}"),
        )
        self.modest = self.channel(f"unix:{path}")
        self.greedy_fan_in = self.channel(next(each for each in self.daemon.addresses[1:] if "127" in each))
        self.modest_fan_in = self.channel(f"unix:{fan_in}")
        self.served = self.upstream(threads=3 * MANY)

    def called(self, channel, **options):
        call = FanInCall(channel, METHOD, **options).send(b"request")
        self.addCleanup(call.cancel)
        return call

    def flood(self, **options):
        """Calls of the greedy peer; those that were refused."""
        calls = [self.called(self.greedy_fan_in, **options) for _ in range(MANY)]
        eventually(lambda: len(self.served.calls) + sum(call.ended.is_set() for call in calls) >= MANY,
                   "each is open or refused")
        return calls, [call for call in calls if call.ended.is_set()]

    def check_released(self):
        eventually(lambda: self.daemon.counters()["live.upstream_bytes"] == 0, "all is given back")
        self.daemon.stop()

    def test_fan_in_calls_are_charged_to_their_peer(self):
        self.add("web", self.served.address, method="", serve=[METHOD])
        calls, refused = self.flood()
        self.assertLess(SHARE - 2 * CALL, self.daemon.counters()["live.upstream_bytes"])
        self.assertLessEqual(self.daemon.counters()["live.upstream_bytes"], SHARE)
        self.assertEqual({call.code for call in refused}, {CODE.RESOURCE_EXHAUSTED})
        for text in (f"upstream calls for 127.0.0.1 have ", f"at most {SHARE}", f"got {CALL}"):
            self.assertIn(text, refused[0].details)
        self.assertEqual(refused[0].of("tributary-endpoint"), ["web"])
        before = len(self.served.calls)
        others = [self.called(self.modest_fan_in) for _ in range(5)]
        self.served.wait_calls(before + 5)
        for upstream_call in self.served.calls[before:]:
            upstream_call.send(b"answer")
        for call in others:
            self.assertEqual(call.wait(1), [b"answer"])
        used = self.daemon.counters()["live.upstream_bytes"]
        next(call for call in calls if not call.ended.is_set()).cancel()
        eventually(lambda: self.daemon.counters()["live.upstream_bytes"] < used, "one has left")
        self.called(self.greedy_fan_in)
        self.served.wait_calls(before + 6)
        for call in (*calls, *others):
            call.cancel()
        self.remove("web")
        self.check_released()

    def test_with_partial_ok_the_trailers_name_the_endpoint_that_was_not_called(self):
        self.add("web", self.served.address, method="", serve=[METHOD])
        calls, _ = self.flood(metadata=[("tributary-end", "partial-ok")])
        open_calls = [call for call in calls if not call.ended.is_set()]
        late = self.upstream(threads=3 * MANY)
        self.add("late", late.address, method="", serve=[METHOD])
        # Each of them is called there, or is refused.
        eventually(lambda: self.refused("late") + len(late.calls) >= len(open_calls), "all have joined")
        self.assertLess(len(late.calls), len(open_calls) // 2)
        for each in (*self.served.calls, *late.calls):
            each.end()
        self.assertEqual({call.wait_end() for call in open_calls}, {CODE.OK})
        failed = [call.of("tributary-failed") for call in open_calls if call.of("tributary-failed")]
        self.assertEqual(len(failed), len(open_calls) - len(late.calls))
        self.assertIn("late RESOURCE_EXHAUSTED upstream call: the server's memory", failed[0][0])

    def refused(self, name):
        """How many of its activations have ended with RESOURCE_EXHAUSTED."""
        ended = self.daemon.log("activation.ended")
        return sum(line["producer"] == name and line["code"] == "RESOURCE_EXHAUSTED" for line in ended)

    def test_a_consumer_of_events_hears_it_and_is_served_when_others_have_left(self):
        self.add("each", self.served.address, backoff=duration(0.05), max_backoff=duration(0.1),
                 activation=ENDPOINT.PER_CONSUMER)
        greedy = self.channel()
        consumers = [self.consumer(subscribe_request(of("each")), greedy) for _ in range(MANY)]
        waiting = eventually(lambda: [each for each in consumers if UNAVAILABLE in self.states(each, "each")],
                             "some are told")
        error = [state.error for state in waiting[0].received.states if state.state == UNAVAILABLE][0]
        self.assertEqual(error.code, CODE.RESOURCE_EXHAUSTED.value[0])
        self.assertIn("upstream calls for 127.0.0.1 have ", error.message)
        eventually(lambda: len(self.served.calls) >= 45, "the others are served")
        before = len(self.served.calls)
        modest = self.consumer(subscribe_request(of("each")), self.modest)
        answered = set()

        def answers():
            """Others may still be called before it."""
            for call in self.served.calls[before:]:
                if id(call) not in answered:
                    answered.add(id(call))
                    call.send(b"answer")
            return self.datas(modest, "each") == [b"answer"]

        eventually(answers, "the modest one is served")
        for each in consumers:
            if each not in waiting:
                each.cancel()
        self.served.wait_calls(before + 1 + len(waiting))
        for each in (*consumers, modest):
            each.cancel()
        self.remove("each")
        self.check_released()

    def test_by_request_the_first_consumer_of_a_request_pays(self):
        self.add("shared", self.served.address, activation=ENDPOINT.BY_REQUEST)
        greedy = self.channel()
        consumers = [self.consumer(subscribe_request(of("shared"), request=b"%d" % number), greedy)
                     for number in range(MANY)]
        eventually(lambda: any(UNAVAILABLE in self.states(each, "shared") for each in consumers), "too many")
        modest = self.consumer(subscribe_request(of("shared"), request=b"modest"), self.modest)
        upstream_call = eventually(
            lambda: next((each for each in self.served.calls if each.requests == [b"modest"]), None),
            "it is called",
        )
        upstream_call.send(b"answer")
        self.wait_datas(modest, "shared", [b"answer"])
        for each in (*consumers, modest):
            each.cancel()
        self.remove("shared")
        self.check_released()

    def test_what_no_consumer_has_asked_for_is_charged_to_no_peer(self):
        self.add("web", self.served.address, method="", serve=[METHOD])
        calls, refused = self.flood()
        self.assertTrue(refused)
        before = len(self.served.calls)
        self.add("always", self.served.address, activation=ENDPOINT.SHARED)
        self.served.wait_calls(before + 1)


if __name__ == "__main__":
    main()
