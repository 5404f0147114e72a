#!/usr/bin/python3
"""Admin.Explain of a producer: what limits it now. Each situation is staged over the real wire (X4)."""
import contextlib
import json
import socket
import time

import grpc

from harness.case import main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import duration, v1
from harness.sessions import of
from harness.upstreams import Upstream
from test_explain import BLOCK, ENDPOINT, LIMIT, PROMPT, Explaining, Tool

CODE = grpc.StatusCode
SHARED, PER_CONSUMER, BY_REQUEST = ENDPOINT.SHARED, ENDPOINT.PER_CONSUMER, ENDPOINT.BY_REQUEST


class ExplainingProducers(Explaining):
    def explain_producer(self, name, window=0.2):
        request = v1.ExplainRequest(producer=name, window=duration(window))
        return self.daemon.admin().Explain(request, timeout=30)

    def expect_producer(self, name, limit, sentence=(), also=(), stats=()):
        """Waits until the limit is the one that was staged; the rest must then be there too."""
        def right():
            answers.append(self.explain_producer(name))
            return answers[-1].limit == LIMIT.Value(limit)

        answers = []
        try:
            eventually(right, f"{name} is limited by {limit}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer: {answers[-1]}") from None
        answer = answers[-1]
        for part in sentence:
            self.assertIn(part, answer.sentence)
        self.assertTrue(answer.sentence.endswith(".") and "\n" not in answer.sentence, answer.sentence)
        if also is not None:
            self.assertEqual([LIMIT.Name(each) for each in answer.also], list(also), answer.sentence)
        self.assertEqual((answer.producer, answer.subscription_id), (name, ""))
        seen = {each.name: each.value for each in answer.stats}
        for each in ("window", "published", "subscriptions", "memory_used", *stats):
            self.assertIn(each, seen)
        return answer, seen

    def blocking(self, **fields):
        return self.without_credit(
            subscribe_request(of("p"), overflow=BLOCK, max_events=1, block_timeout=60, **fields)
        )

    def upstream(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        return upstream


class Publishers(ExplainingProducers):
    def test_healthy_silent_and_wanted_by_nobody(self):
        pump = self.pump_events("p")
        _, seen = self.expect_producer("p", "NO_CONSUMER", ["reaches nobody"])
        self.assertEqual(seen["subscriptions"], 0)
        consumer = self.consumer(subscribe_request(of("p")))
        _, seen = self.expect_producer("p", "HEALTHY", ["it sent ", "and has 1 consumer."])
        self.assertGreater(seen["published"], 0)
        pump.stop()
        began = time.monotonic()
        _, seen = self.expect_producer("p", "SILENT", ["its last event came"], stats=["last_event"])
        self.assertLess(time.monotonic() - began, PROMPT)
        self.assertGreaterEqual(seen["last_event"], 1000)
        consumer.cancel()
        self.expect_producer("p", "NO_CONSUMER", also=["SILENT"])

    def test_a_consumer_blocks_it(self):
        self.publish("p", [event(0)])
        other = self.blocking()
        stream = self.publishing("p")
        for number in range(3):
            stream.send([event(number)])
        eventually(lambda: self.daemon.blocked("p"), "it is blocked")
        answer, _ = self.expect_producer("p", "PRODUCER_BLOCKED", [f"subscription {other.id}."],
                                         stats=["blocked_calls"], also=None)
        self.assertEqual(answer.blocking_subscription_id, other.id)
        other.credit(events=100)
        consumer = self.consumer(subscribe_request(of("p")))
        self.expect_producer("p", "SILENT")
        consumer.cancel()


class Sessions(ExplainingProducers):
    def test_consumers_ask_it_to_pause(self):
        session = self.per_consumer("p")
        consumer = self.without_credit(subscribe_request(of("p"), overflow=BLOCK, max_events=4))
        activation = session.start_of(consumer)

        def send(number):
            if activation not in session.paused:
                session.send(activation, [event(number)])

        self.pump(send, every=0.005)
        answer, seen = self.expect_producer(
            "p", "PAUSED", ["1 of 1 consumer has asked it to pause", consumer.id],
            also=None, stats=["paused_activations"],
        )
        self.assertEqual((answer.blocking_subscription_id, seen["paused_activations"]), (consumer.id, 1))
        other = self.consumer(subscribe_request(of("p")))
        second = session.start_of(other)
        self.pump(lambda number: session.send(second, [event(number)]), every=0.02)
        self.expect_producer("p", "HEALTHY", also=["PAUSED"])

    def test_what_it_did_for_a_consumer_failed(self):
        session = self.per_consumer(
            "p", on_start=lambda session, start: session.end(start.activation, 13, "broken")
        )
        self.expect_producer("p", "NO_CONSUMER", ["has nothing to do"], also=["SILENT"])
        self.consumer(subscribe_request(of("p")))
        _, seen = self.expect_producer(
            "p", "BACKOFF", ["What it did for 1 of 1 consumer ended with an error", "tried again in"],
            also=["SILENT"], stats=["retry_in", "waiting_activations"],
        )
        self.assertLessEqual(seen["retry_in"], 30000)
        session.cancel()

    def test_it_closes_for_a_newer_one(self):
        session = self.per_consumer("p", ends_on_stop=False)
        consumer = self.consumer(subscribe_request(of("p")))
        session.start_of(consumer)
        self.per_consumer("p", welcomed=False)
        self.expect_producer("p", "DRAINING", ["It is ending: 1 call of it is still there"], also=["SILENT"])


class Endpoints(ExplainingProducers):
    def test_it_cannot_be_dialled(self):
        for activation in (PER_CONSUMER, SHARED, BY_REQUEST):
            with self.subTest(activation=activation):
                name = f"p{activation}"
                self.add(name, f"127.0.0.1:{self.closed_port()}", activation=activation,
                         backoff=duration(30), max_backoff=duration(30))
                if activation != SHARED:
                    self.expect_producer(name, "NO_CONSUMER", ["so it is not called"], also=["SILENT"])
                self.consumer(subscribe_request(of(name)))
                _, seen = self.expect_producer(
                    name, "UNAVAILABLE", ["(DIAL) failed with UNAVAILABLE", "tried again in"],
                    also=["SILENT"], stats=["retry_in"],
                )
                self.assertGreater(seen["retry_in"], 1000)

    def test_its_stream_fails_and_comes_back(self):
        upstream = self.upstream()
        self.add("p", upstream.address, backoff=duration(2), max_backoff=duration(2))
        consumer = self.consumer(subscribe_request(of("p")))
        call = upstream.wait_calls(1)
        call.send(b"x")
        consumer.wait_events(1)
        call.end(CODE.RESOURCE_EXHAUSTED, "too many readers")
        answer, _ = self.expect_producer(
            "p", "UNAVAILABLE", ['(STREAM) failed with RESOURCE_EXHAUSTED "too many readers"'], also=None
        )
        self.assertEqual(answer.blocking_subscription_id, "")
        call = upstream.wait_calls(2)
        self.pump(lambda _: call.send(b"x"))
        self.expect_producer("p", "HEALTHY")

    def test_one_consumer_of_those_that_share_a_call_blocks_it(self):
        upstream = self.upstream()
        self.add("p", upstream.address, activation=BY_REQUEST)
        other = self.blocking(request=b"same")
        self.consumer(subscribe_request(of("p"), request=b"same"))
        upstream.wait_calls(1).send(*[b"x"] * 100)
        answer, _ = self.expect_producer("p", "PRODUCER_BLOCKED", also=None)
        self.assertEqual(answer.blocking_subscription_id, other.id)
        self.assertIn(other.id, answer.sentence)

    def test_it_has_not_answered_yet(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.add("p", "127.0.0.1:%d" % silent.getsockname()[1], activation=SHARED,
                     connect_timeout=duration(60))
            self.expect_producer("p", "CONNECTING", ["no answer yet"], also=["NO_CONSUMER", "SILENT"])
            self.forget_producer("p")

    def test_it_waits_for_its_turn_to_be_dialled(self):
        for number in range(200):
            self.add(f"p{number}", f"127.0.0.1:{self.closed_port()}", activation=SHARED,
                     backoff=duration(0.01), max_backoff=duration(0.01))
        self.expect_producer(
            "p7", "DIAL_TURN", [" turns a second, all of them together", "failed with UNAVAILABLE"],
            also=["UNAVAILABLE", "CONNECTING", "NO_CONSUMER", "SILENT"],
        )

    def test_it_has_ended(self):
        upstream = self.upstream()
        self.add("p", upstream.address, activation=SHARED, restart=ENDPOINT.NEVER)
        upstream.wait_calls(1).end(CODE.NOT_FOUND, "no such row")
        self.expect_producer("p", "ENDED", ["is not called again", 'NOT_FOUND "no such row"'],
                             also=["UNAVAILABLE", "NO_CONSUMER", "SILENT"])

    def test_a_set_of_endpoints(self):
        self.add("set", "localhost:%d" % self.closed_port(), each_address=True, activation=SHARED)
        self.expect_producer("set", "HEALTHY", ["a producer for each address"])
        self.add("none", "no.such.name.invalid:1", each_address=True, activation=SHARED)
        self.expect_producer("none", "UNAVAILABLE", ["Its addresses are not known"])


class Budget(ExplainingProducers):
    arguments = ("--memory-limit", "4M", "--write-timeout", "120s")

    def test_the_budget_refuses_what_it_sends(self):
        """The reserves of paused activations, which their producer uses up."""
        session = self.per_consumer("each")
        consumers = [self.without_credit(subscribe_request(of("each"), overflow=BLOCK)) for _ in range(24)]
        activations = [session.start_of(consumer) for consumer in consumers]
        self.publish("large", [event(0)])
        for number in range(10):
            for activation in activations:
                session.send(activation, [event(number, size=100 << 10)])
        eventually(lambda: session.ended, "the budget is used up")

        def publish(number):
            with contextlib.suppress(grpc.RpcError):
                self.publish("large", [event(number, size=100 << 10)])

        self.pump(publish)
        _, seen = self.expect_producer("large", "QUOTA", ["memory budget is short", "refused in the last"],
                                       also=None, stats=["batches_refused", "memory_limit"])
        self.assertEqual(seen["memory_limit"], 4 << 20)
        for consumer in consumers:
            consumer.credit(events=1000)


class Requests(ExplainingProducers):
    def test_bad_requests_are_refused_by_name(self):
        admin = self.daemon.admin()
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=["producer", "nosuch"]):
            self.explain_producer("nosuch")
        with self.assertFault(CODE.INVALID_ARGUMENT, "UNSUPPORTED", "producer"):
            admin.Explain(v1.ExplainRequest(producer="p", subscription_id="s"))
        for bad in ("x" * 300, "line\nbreak"):
            with self.assertFault(CODE.INVALID_ARGUMENT, field="producer"):
                self.explain_producer(bad)
        self.publish("p", [event(0)])
        for window in (0, 0.009, 5.001):
            with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "window"):
                self.explain_producer("p", window)
        self.assertTrue(admin.Explain(v1.ExplainRequest(producer="p")).sentence)

    def test_one_that_goes_in_the_window(self):
        self.per_consumer("p")
        pending = self.daemon.admin().Explain.future(
            v1.ExplainRequest(producer="p", window=duration(1)), timeout=30
        )
        time.sleep(0.1)  # the first look
        self.remove("p", v1.RemoveProducerRequest.CANCEL)
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=["p"]):
            pending.result()

    def test_callers_that_leave_and_callers_that_come_in_crowds(self):
        self.publish("p", [event(0)])
        admin = self.daemon.admin()
        request = v1.ExplainRequest(producer="p", window=duration(0.2))
        calls = [admin.Explain.future(request, timeout=30) for _ in range(100)]
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            self.assertEqual(call.result().producer, "p")

    def test_a_server_that_drains_does_not_wait_for_the_window(self):
        daemon = self.start_daemon("--drain-timeout", "10s")
        v1.stub("Publisher", daemon.channel).Publish(v1.PublishRequest(producer="p", events=[event(0)]))
        pending = daemon.admin().Explain.future(
            v1.ExplainRequest(producer="p", window=duration(5)), timeout=30
        )
        eventually(lambda: daemon.counters()["live.calls"] >= 2, "the call has come")
        began = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - began, 4)
        self.assertTrue(pending.done())


class ToolProducers(ExplainingProducers):
    why = Tool.why

    def test_the_tool_explains_producers(self):
        self.publish("sensor", [event(0)])
        shown = self.why("--producer", "sensor", "--window", "50ms")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertTrue(shown.stdout.startswith("NO_CONSUMER: No consumer wants it"), shown.stdout)
        self.assertIn("published", shown.stdout)
        shown = self.why("--producer", "sensor", "--json")
        answer = json.loads(shown.stdout)
        self.assertEqual((answer["limit"], answer["producer"]), ("NO_CONSUMER", "sensor"))
        self.assertNotIn("subscription", answer)
        shown = self.why("--producer", "sensr")
        self.assertEqual(shown.returncode, 4, shown)
        self.assertIn("Did you mean 'sensor'?", shown.stderr)
        shown = self.why()
        self.assertEqual(shown.returncode, 2, shown)


del Tool, Explaining  # unittest would run the tests of the other module here, too

if __name__ == "__main__":
    main()
