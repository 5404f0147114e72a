#!/usr/bin/python3
"""BY_REQUEST: consumers whose requests are equal share one upstream call."""
import time

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.endpoints import ACTIVE, CONNECTING, ENDED, ENDPOINT, IDLE, REMOVED, UNAVAILABLE, WithUpstreams
from harness.protos import duration, message_class, v1
from harness.sessions import of

CODE = grpc.StatusCode
CONTROL = message_class("tributary.v1.ProduceControl")


class ByRequest(WithUpstreams):
    def share(self, name, upstream, **fields):
        return self.add(name, upstream.address, activation=ENDPOINT.BY_REQUEST, **fields)

    def asks(self, name, request, **fields):
        return self.consumer(subscribe_request(of(name), request=request, **fields))

    def upstream_calls(self, name):
        return self.daemon.producer(name).upstream_calls

    def test_X5_equal_requests_are_one_call_and_different_ones_as_many(self):
        upstream = self.upstream(threads=110)
        added = self.share("x5", upstream)
        self.assertEqual((added.state, added.endpoint.activation), (IDLE, ENDPOINT.BY_REQUEST))
        same = [self.asks("x5", b"same") for _ in range(100)]
        call = upstream.wait_calls(1)
        for consumer in same:
            self.wait_state(consumer, "x5", ACTIVE)
        self.assertEqual((len(upstream.calls), self.upstream_calls("x5")), (1, 1))
        eventually(lambda: call.requests == [b"same"], "its request")
        call.send(b"to all")
        for consumer in same:
            self.wait_datas(consumer, "x5", [b"to all"])
        for consumer in same:
            consumer.cancel()
        self.assertTrue(call.over.wait(5), "the last one that leaves ends it")
        eventually(lambda: self.daemon.producer("x5").state == IDLE, "nobody asks any more")
        different = [self.asks("x5", b"%d" % i) for i in range(100)]
        upstream.wait_calls(101)
        eventually(lambda: self.upstream_calls("x5") == 100, "100 calls")
        eventually(lambda: all(each.requests for each in upstream.calls), "their requests came")
        self.assertEqual({each.requests[0] for each in upstream.calls[1:]}, {b"%d" % i for i in range(100)})
        for each in upstream.calls[1:]:
            each.send(b"only " + each.requests[0])
        for i, consumer in enumerate(different):
            self.wait_datas(consumer, "x5", [b"only %d" % i])

    def test_who_comes_late_joins_live_and_hears_the_present_state(self):
        upstream = self.upstream()
        self.share("late", upstream)
        first = self.asks("late", b"r")
        call = upstream.wait_calls(1)
        call.send(b"1")
        self.wait_datas(first, "late", [b"1"])
        second = self.asks("late", b"r")
        self.wait_state(second, "late", ACTIVE)
        self.assertNotIn(CONNECTING, self.states(second, "late"))
        call.send(b"2")
        self.wait_datas(first, "late", [b"1", b"2"])
        self.wait_datas(second, "late", [b"2"])
        epochs = {epoch for each in (first, second) for _, epoch in each.received.positions}
        self.assertEqual(len(epochs), 1, "one stream")
        first.cancel()
        call.send(b"3")
        self.wait_datas(second, "late", [b"2", b"3"])
        self.assertFalse(call.over.is_set())
        second.cancel()
        self.assertTrue(call.over.wait(5))

    def test_a_failure_reaches_all_and_the_call_is_opened_once_more(self):
        upstream = self.upstream()
        self.share("fails", upstream, backoff=duration(0.05))
        consumers = [self.asks("fails", b"r") for _ in range(3)]
        call = upstream.wait_calls(1)
        call.send(b"1")
        for consumer in consumers:
            self.wait_datas(consumer, "fails", [b"1"])
        call.end(CODE.INTERNAL, "disk on fire")
        again = upstream.wait_calls(2)
        again.send(b"2")
        for consumer in consumers:
            self.wait_state(consumer, "fails", UNAVAILABLE)
            error = [each.error for each in consumer.received.states if each.state == UNAVAILABLE][0]
            self.assertEqual((error.code, error.message), (13, "disk on fire"))
            self.wait_datas(consumer, "fails", [b"1", b"2"])
            self.assertEqual(len(consumer.received.positions), 1, "its sequences go on")
        eventually(lambda: again.requests == [b"r"], "the same request")
        self.assertEqual(len(upstream.calls), 2)

    def test_an_end_is_that_of_all_and_a_new_consumer_begins_anew(self):
        upstream = self.upstream()
        self.share("done", upstream, backoff=duration(0.01))
        consumers = [self.asks("done", b"r") for _ in range(3)]
        upstream.wait_calls(1).end()
        for consumer in consumers:
            self.wait_state(consumer, "done", ENDED)
        self.asks("done", b"r")
        upstream.wait_calls(2)

    def test_with_fixed_requests_it_is_one_call_on_demand(self):
        upstream = self.upstream()
        self.share("fixed", upstream, requests=[b"one", b"two"])
        time.sleep(0.1)
        self.assertEqual(len(upstream.calls), 0, "nobody listens")
        consumers = [self.asks("fixed", b"%d" % i) for i in range(3)]
        call = upstream.wait_calls(1)
        eventually(lambda: call.requests == [b"one", b"two"], "the endpoint's requests")
        call.send(b"x")
        for consumer in consumers:
            self.wait_datas(consumer, "fixed", [b"x"])
            consumer.cancel()
        self.assertTrue(call.over.wait(5))
        self.assertEqual(len(upstream.calls), 1)

    def test_a_slow_consumer_holds_the_others_for_the_block_timeout_only(self):
        upstream = self.upstream()
        self.share("slow", upstream)
        self.stalled(selectors=of("slow"), request=b"r", overflow=v1.OVERFLOW_BLOCK, max_events=1)
        fast = self.asks("slow", b"r")
        call = upstream.wait_calls(1)
        messages = [bytes([65 + i % 26]) * 60000 for i in range(100)]
        call.send(*messages)
        self.wait_datas(fast, "slow", messages)

    def test_removing_it_ends_all_calls(self):
        upstream = self.upstream()
        self.share("gone", upstream)
        consumers = [self.asks("gone", b"%d" % (i % 2)) for i in range(4)]
        upstream.wait_calls(2)
        self.remove("gone")
        for call in upstream.calls:
            self.assertTrue(call.over.wait(5))
        for consumer in consumers:
            consumer.wait(lambda c=consumer: self.states(c, "gone")[-1] in (ENDED, REMOVED), "its end")

    def test_a_native_upstream_hears_one_start_and_is_cancelled_with_the_last(self):
        upstream = self.upstream()
        self.share("native", upstream, method="")
        consumers = [self.asks("native", b"r") for _ in range(2)]
        call = upstream.wait_calls(1)
        eventually(lambda: call.requests, "start came")
        control = CONTROL.FromString(call.requests[0])
        self.assertEqual((control.start.request, control.start.subscription_id), (b"r", ""))
        for consumer in consumers:
            consumer.cancel()
        self.assertTrue(call.over.wait(5))


if __name__ == "__main__":
    main()
