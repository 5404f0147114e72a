#!/usr/bin/python3
"""Admin.Explain: what limits a consumer now. Each situation is staged over the real wire (X4)."""
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import binary, eventually
from harness.protos import duration, message_class, v1
from harness.sessions import WithSessions, of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
EXPLANATION = message_class("tributary.v1.Explanation")
ENDPOINT = message_class("tributary.v1.Endpoint")
LIMIT = EXPLANATION.Limit
BLOCK, OLDEST, LATEST = v1.OVERFLOW_BLOCK, v1.OVERFLOW_DROP_OLDEST, v1.OVERFLOW_LATEST_PER_KEY
# An answer must be right so soon after the situation has changed.
PROMPT = 2.0


class Pump:
    """Calls `act` with 0, 1, 2 and so on, every so many seconds, on a thread of its own."""

    def __init__(self, act, every):
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(act, every), daemon=True)
        self._thread.start()

    def _run(self, act, every):
        number = 0
        while not self._stopping.wait(every):
            act(number)
            number += 1

    def stop(self):
        self._stopping.set()
        self._thread.join()


class Explaining(WithSessions, Case):
    def add(self, name, address, **fields):
        request = v1.AddProducerRequest(endpoint=endpoint(name, address, **fields))
        self.daemon.admin().AddProducer(request)
        self.addCleanup(self.forget_producer, name)

    def forget_producer(self, name):
        with contextlib.suppress(grpc.RpcError):
            self.remove(name, v1.RemoveProducerRequest.CANCEL)

    def closed_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def pump(self, act, every=0.02):
        pump = Pump(act, every)
        self.addCleanup(pump.stop)
        return pump

    def pump_events(self, producer, every=0.02, size=0, **fields):
        stream = self.publishing(producer)
        return self.pump(lambda number: stream.send([event(number, size=size, **fields)]), every)

    def trickle(self, consumer, events=1, every=0.05):
        return self.pump(lambda _: consumer.credit(events=events), every)

    def explain(self, subscription_id, window=0.2):
        request = v1.ExplainRequest(subscription_id=subscription_id, window=duration(window))
        return self.daemon.admin().Explain(request, timeout=30)

    def expect(self, subscription_id, limit, sentence=(), also=(), stats=()):
        """Waits until the limit is the one that was staged. Sentence, other conditions and figures
        must then be there too."""
        def right():
            answers.append(self.explain(subscription_id))
            return answers[-1].limit == LIMIT.Value(limit)

        answers = []
        try:
            eventually(right, f"{subscription_id} is limited by {limit}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer: {answers[-1]}") from None
        answer = answers[-1]
        for part in sentence:
            self.assertIn(part, answer.sentence)
        self.assertTrue(answer.sentence.endswith(".") and answer.sentence.count("\n") == 0, answer.sentence)
        for each in also:
            self.assertIn(LIMIT.Value(each), answer.also, answer.sentence)
        self.assertNotIn(answer.limit, answer.also)
        self.assertEqual(answer.subscription_id, subscription_id)
        seen = {each.name: each.value for each in answer.stats}
        for name in ("window", "waiting", "max_events", "producers", "memory_used", *stats):
            self.assertIn(name, seen)
        return answer, seen


class Consumers(Explaining):
    """What the consumer itself does, or its policy."""

    def test_healthy(self):
        consumer = self.consumer(subscribe_request(of("p")))
        self.pump_events("p")
        answer, seen = self.expect(consumer.id, "HEALTHY", ["Nothing limits it"], stats=["thread_delay"])
        self.assertEqual(list(answer.also), [])
        self.assertGreater(seen["delivered"], 0)

    def test_slow_network_where_the_window_is_closed(self):
        consumer = self.stalled(selectors=of("p"))
        self.pump_events("p", size=1000)
        answer, seen = self.expect(consumer.id, "SLOW_NETWORK", ["takes nothing", "wait"], stats=["waiting"])
        self.assertGreaterEqual(max(seen.get("write_in_flight", 0), seen.get("connection_full", 0)), 1000)
        self.assertGreater(seen["waiting"], 0)

    def test_slow_network_where_nobody_reads_the_socket(self):
        request = subscribe_request(of("p"), name="deaf", notices=v1.NOTICES_NONE)
        connection = self.raw(window=1 << 30, read=False)
        connection.call("/tributary.v1.Subscriber/Subscribe", request.SerializeToString())
        found = eventually(
            lambda: next((each for each in self.daemon.subscriptions() if each.name == "deaf"), None),
            "the subscription is there",
        )
        self.pump_events("p", size=1 << 18, every=0.005)
        _, seen = self.expect(found.id, "SLOW_NETWORK", ["takes nothing"])
        self.assertGreaterEqual(max(seen.get("write_in_flight", 0), seen.get("connection_full", 0)), 1000)

    def test_not_acking_means_no_credit(self):
        consumer = self.without_credit(subscribe_request(of("p")))
        self.pump_events("p")
        _, seen = self.expect(consumer.id, "NO_CREDIT", ["no credit"], stats=["credit_events"])
        self.assertGreaterEqual(seen["without_credit"], 1000)
        self.assertEqual(seen["credit_events"], 0)
        consumer.credit(events=1 << 20)
        began = time.monotonic()
        self.expect(consumer.id, "HEALTHY")
        self.assertLess(time.monotonic() - began, PROMPT)

    def test_a_policy_that_holds_shared_producers_back(self):
        consumer = self.without_credit(
            subscribe_request(of("p"), overflow=BLOCK, max_events=40, block_timeout=60)
        )
        self.pump_events("p", every=0.001)
        self.trickle(consumer, events=1, every=0.1)
        _, seen = self.expect(consumer.id, "BLOCKING", ["BLOCK", "of 40 events"], also=["CREDIT_TRICKLE"])
        self.assertEqual(seen["max_events"], 40)

    def test_what_stands_still_comes_before_what_follows_from_it(self):
        consumer = self.without_credit(
            subscribe_request(of("p"), overflow=BLOCK, max_events=4, block_timeout=60)
        )
        self.pump_events("p", every=0.01)
        self.expect(consumer.id, "NO_CREDIT", also=["BLOCKING"], stats=["parked", "blocking"])

    def test_paused_activations(self):
        session = self.per_consumer("p")
        consumer = self.without_credit(subscribe_request(of("p"), overflow=BLOCK, max_events=4))
        activation = session.start_of(consumer)

        def send(number):
            if activation not in session.paused:
                session.send(activation, [event(number)])

        self.pump(send, every=0.005)
        self.trickle(consumer, every=0.1)
        answer, _ = self.expect(consumer.id, "PAUSED", ['"p"', "pause"])
        self.assertEqual(answer.producer, "p")

    def test_losing_by_policy_says_the_reason_and_how_much(self):
        consumer = self.without_credit(subscribe_request(of("p"), overflow=OLDEST, max_events=10))
        self.pump_events("p", every=0.005)
        self.trickle(consumer)
        _, seen = self.expect(consumer.id, "LOSING", ["the oldest give way"], stats=["lost_overflow_oldest"])
        self.assertGreater(seen["lost_overflow_oldest"], 0)

    def test_losing_where_the_fallback_is_active(self):
        consumer = self.without_credit(
            subscribe_request(of("p"), overflow=BLOCK, max_events=10, block_timeout=0.01, fallback=OLDEST)
        )
        self.pump_events("p", every=0.005)
        self.trickle(consumer)
        self.expect(consumer.id, "LOSING", ["the fallback applies"], stats=["lost_block_timeout"])

    def test_losing_what_is_too_old(self):
        consumer = self.without_credit(subscribe_request(of("p"), max_age=0.05))
        self.pump_events("p", every=0.005)
        self.trickle(consumer, every=0.03)
        self.expect(consumer.id, "LOSING", ["older than it allows"], stats=["lost_expired"])

    def test_latest_per_key_coalesces(self):
        consumer = self.without_credit(subscribe_request(of("p"), overflow=LATEST))
        self.pump_events("p", every=0.005, key=b"k")
        self.trickle(consumer)
        _, seen = self.expect(consumer.id, "COALESCING", ["replaced"], stats=["lost_coalesced"])
        self.assertGreater(seen["lost_coalesced"], 0)

    def test_credit_that_comes_bit_by_bit(self):
        consumer = self.without_credit(subscribe_request(of("p"), max_events=100000))
        self.pump_events("p", every=0.005)
        self.trickle(consumer)
        _, seen = self.expect(consumer.id, "CREDIT_TRICKLE", ["bit by bit"])
        self.assertGreater(seen["waiting"], 0)

    def test_a_slow_reader(self):
        consumer = self.stalled(selectors=of("p"), max_events=100000)
        self.pump_events("p", size=1000, every=0.005)
        self.pump(lambda _: consumer.stream.grant(2000), every=0.1)
        _, seen = self.expect(consumer.id, "SLOW_READER", ["more slowly"], stats=["oldest_waiting"])
        self.assertGreaterEqual(seen["oldest_waiting"], 200)

    def test_draining(self):
        consumer = self.without_credit(subscribe_request(of("p")))
        self.publish("p", [event(0)])
        self.disconnect(consumer, drain=True, seconds=30)
        _, seen = self.expect(consumer.id, "DRAINING", ["ending", "1 event waits"], stats=["drain_left"])
        self.assertTrue(0 < seen["drain_left"] <= 30000, seen)

    def test_a_resume_gap_is_told_beside(self):
        consumer = self.consumer(subscribe_request(of("p")))
        self.publish("p", [event(0)])
        consumer.wait(lambda: consumer.received.progress, "a position")
        token = consumer.received.progress.resume_token
        consumer.cancel()
        self.publish("p", [event(1)])
        again = self.consumer(subscribe_request(of("p"), start=v1.Start(resume=token)))
        self.expect(again.id, "SILENT", also=["RESUME_GAP"], stats=["resume_gaps"])


class Budget(Explaining):
    arguments = ("--memory-limit", "16M", "--channel-share", "100")

    def test_a_quota_stands_in_the_way(self):
        consumer = self.without_credit(subscribe_request(of("p"), max_events=1 << 20, max_bytes=256 << 20))
        self.pump_events("p", every=0.005, size=100_000)
        self.trickle(consumer, every=0.1)
        _, seen = self.expect(consumer.id, "QUOTA", ["memory budget is short"], stats=["memory_limit"])
        self.assertEqual(seen["memory_limit"], 16 << 20)
        self.assertGreater(seen["memory_used"], 8 << 20)


class Producers(Explaining):
    """What its producers do, or do not."""

    def test_silent_producers_and_that_it_ends(self):
        consumer = self.consumer(subscribe_request(of("p")))
        self.publish("p", [event(0)])
        answer, seen = self.expect(consumer.id, "SILENT", ["It has everything", '"p"'], stats=["last_event"])
        self.assertEqual(answer.producer, "p")
        self.assertGreaterEqual(seen["last_event"], 1000)
        pump = self.pump_events("p")
        began = time.monotonic()
        self.expect(consumer.id, "HEALTHY")
        self.assertLess(time.monotonic() - began, PROMPT)
        pump.stop()
        began = time.monotonic()
        self.expect(consumer.id, "SILENT")
        self.assertLess(time.monotonic() - began, PROMPT)

    def test_no_producer_matches(self):
        consumer = self.consumer(subscribe_request(of("nobody")))
        _, seen = self.expect(consumer.id, "NO_PRODUCER", ["No producer matches"])
        self.assertEqual(seen["producers"], 0)

    def test_filtered(self):
        self.publish("p", [event(0, topic="other")])
        consumer = self.consumer(subscribe_request([v1.Selector(producer="p", topic="wanted")]))
        self.pump_events("p", topic="other")
        answer, _ = self.expect(consumer.id, "FILTERED", ["matches its selectors", '"p"'],
                                stats=["producers_filtered"])
        self.assertEqual(answer.producer, "p")

    def test_a_producer_that_another_consumer_blocks(self):
        self.publish("p", [event(0)])
        other = self.without_credit(
            subscribe_request(of("p"), overflow=BLOCK, max_events=1, block_timeout=60)
        )
        for request in (subscribe_request(of("p")), subscribe_request()):
            consumer = self.consumer(request)
            stream = self.publishing("p")
            for number in range(3):
                stream.send([event(number)])
            eventually(lambda: self.daemon.blocked("p"), "the producer is blocked")
            answer, _ = self.expect(consumer.id, "PRODUCER_BLOCKED", ['"p"', other.id],
                                    stats=["producers_blocked"])
            self.assertEqual((answer.producer, answer.blocking_subscription_id), ("p", other.id))
            consumer.cancel()

    def test_backoff(self):
        session = self.per_consumer(
            "p", on_start=lambda session, start: session.end(start.activation, 13, "broken")
        )
        consumer = self.consumer(subscribe_request(of("p")))
        answer, _ = self.expect(consumer.id, "BACKOFF", ['"p"', "tried again in"], stats=["retry_in"])
        self.assertEqual(answer.producer, "p")
        session.cancel()


class Endpoints(Explaining):
    def test_an_endpoint_that_cannot_be_dialled(self):
        for activation in (ENDPOINT.PER_CONSUMER, ENDPOINT.SHARED, ENDPOINT.BY_REQUEST):
            with self.subTest(activation=activation):
                name = f"p{activation}"
                self.add(name, f"127.0.0.1:{self.closed_port()}", activation=activation)
                consumer = self.consumer(subscribe_request(of(name)))
                answer, _ = self.expect(
                    consumer.id, "UNAVAILABLE", [f'"{name}"', "(DIAL)", "UNAVAILABLE"],
                    stats=["producers_unavailable"],
                )
                self.assertEqual(answer.producer, name)

    def test_an_endpoint_whose_stream_fails(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.add("p", upstream.address, backoff=duration(30), max_backoff=duration(30))
        consumer = self.consumer(subscribe_request(of("p")))
        call = upstream.wait_calls(1)
        call.send(b"x")
        consumer.wait_events(1)
        call.end(CODE.RESOURCE_EXHAUSTED, "too many readers")
        self.expect(
            consumer.id, "UNAVAILABLE",
            ["(STREAM)", 'RESOURCE_EXHAUSTED "too many readers"', "tried again in"], stats=["retry_in"],
        )

    def test_consumers_that_share_a_call(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.add("p", upstream.address, activation=ENDPOINT.BY_REQUEST, backoff=duration(30),
                 max_backoff=duration(30))
        other = self.without_credit(
            subscribe_request(of("p"), request=b"same", overflow=BLOCK, max_events=1, block_timeout=60)
        )
        consumer = self.consumer(subscribe_request(of("p"), request=b"same"))
        call = upstream.wait_calls(1)
        call.send(*[b"x"] * 100)
        answer, _ = self.expect(consumer.id, "PRODUCER_BLOCKED", ['"p"', other.id])
        self.assertEqual((answer.producer, answer.blocking_subscription_id), ("p", other.id))
        self.expect(other.id, "NO_CREDIT", also=["BLOCKING"])
        other.cancel()
        consumer.wait_events(100)
        call.end(CODE.INTERNAL, "broken")
        _, seen = self.expect(
            consumer.id, "UNAVAILABLE", ['(STREAM) failed with INTERNAL "broken"', "tried again in"]
        )
        self.assertGreater(seen["retry_in"], 1000)

    def test_one_of_two_that_cannot_be_reached_is_told_beside(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.add("bad", f"127.0.0.1:{self.closed_port()}")
        self.add("good", upstream.address)
        consumer = self.consumer(subscribe_request())
        call = upstream.wait_calls(1)
        self.pump(lambda _: call.send(b"x"))
        self.expect(consumer.id, "HEALTHY", also=["UNAVAILABLE"])

    def test_connecting(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            self.add("p", f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout=duration(60))
            consumer = self.consumer(subscribe_request(of("p")))
            answer, _ = self.expect(consumer.id, "CONNECTING", ['"p"', "no answer yet"],
                                    stats=["producers_connecting"])
            self.assertEqual(answer.producer, "p")
            self.forget_producer("p")


class Behind(Explaining):
    """The server gets hardly any processor time."""

    shared_daemon = False

    def test_the_server_is_behind(self):
        self.daemon = self.start_daemon()
        consumer = self.consumer(subscribe_request(of("p")))
        processor = min(os.sched_getaffinity(0))
        for thread in os.listdir(f"/proc/{self.daemon.pid}/task"):
            os.sched_setaffinity(int(thread), {processor})
            os.setpriority(os.PRIO_PROCESS, int(thread), 19)
        code = f"import os\nos.sched_setaffinity(0, {{{processor}}})\nprint(flush=True)\nwhile True: pass"
        for _ in range(4):
            spinner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            self.addCleanup(spinner.communicate)
            self.addCleanup(spinner.kill)
            spinner.stdout.readline()
        self.pump_events("p", every=0.001)
        self.expect(consumer.id, "SERVER_BEHIND", ["The server"], stats=["thread_delay"])


class Requests(Explaining):
    def test_bad_requests_are_refused_by_name(self):
        consumer = self.consumer()
        admin = self.daemon.admin()
        with self.assertFault(CODE.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", contains=["nosuch"]):
            self.explain("nosuch")
        with self.assertFault(CODE.INVALID_ARGUMENT, field="subscription_id"):
            self.explain("")
        with self.assertFault(CODE.INVALID_ARGUMENT, field="subscription_id"):
            self.explain("x" * 300)
        for window in (0, 0.009, 5.001):
            with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "window"):
                self.explain(consumer.id, window)
        self.assertTrue(admin.Explain(v1.ExplainRequest(subscription_id=consumer.id)).sentence)

    def test_a_consumer_that_leaves_in_the_window(self):
        consumer = self.consumer()
        pending = self.daemon.admin().Explain.future(
            v1.ExplainRequest(subscription_id=consumer.id, window=duration(1)), timeout=30
        )
        consumer.cancel()
        eventually(lambda: not self.daemon.subscription(consumer.id), "it is gone")
        with self.assertFault(CODE.NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", contains=["subscription_id"]):
            pending.result()

    def test_callers_that_leave_and_callers_that_come_in_crowds(self):
        consumer = self.consumer(subscribe_request(of("p")))
        admin = self.daemon.admin()
        request = v1.ExplainRequest(subscription_id=consumer.id, window=duration(0.2))
        calls = [admin.Explain.future(request, timeout=30) for _ in range(100)]
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            self.assertEqual(call.result().subscription_id, consumer.id)

    def test_a_server_that_drains_does_not_wait_for_the_window(self):
        daemon = self.start_daemon("--drain-timeout", "10s")
        consumer = self.consumer(channel=self.channel(daemon.address))
        pending = daemon.admin().Explain.future(
            v1.ExplainRequest(subscription_id=consumer.id, window=duration(5)), timeout=30
        )
        eventually(lambda: daemon.counters()["live.calls"] >= 3, "the call has come")
        began = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - began, 4)
        with contextlib.suppress(grpc.RpcError):
            self.assertEqual(pending.result().subscription_id, consumer.id)


class Tool(Explaining):
    def why(self, *arguments):
        command = [binary("tributary"), "why", "-s", self.daemon.address, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_the_tool_takes_ids_and_names(self):
        consumer = self.without_credit(subscribe_request(of("p"), name="dashboard"))
        self.pump_events("p")
        self.expect(consumer.id, "NO_CREDIT")
        for argument in (consumer.id, "dashboard"):
            shown = self.why(argument)
            self.assertEqual((shown.returncode, shown.stderr), (0, ""))
            first, *lines = shown.stdout.splitlines()
            self.assertTrue(first.startswith("NO_CREDIT: The consumer gives no credit"), first)
            table = [line.split() for line in lines if line and not line.startswith("also")]
            self.assertEqual(table[0], ["figure", "value", "unit"])
            stats = {row[0]: int(row[1]) for row in table[1:]}
            self.assertEqual(stats["credit_events"], 0)
            self.assertGreaterEqual(stats["without_credit"], 1000)
            ends = {re.match(r"\S+ +\d+", line).end() for line in lines[-len(stats):]}
            self.assertEqual(len(ends), 1, "the values are aligned")

    def test_json(self):
        consumer = self.consumer(subscribe_request(of("nobody"), name="twin"))
        other = self.consumer(subscribe_request(of("nobody"), name="twin"))
        shown = self.why("--json", "--window", "20ms", "twin")
        answers = [json.loads(line) for line in shown.stdout.splitlines()]
        self.assertEqual({each["subscription"] for each in answers}, {consumer.id, other.id})
        for each in answers:
            self.assertEqual((each["limit"], each["also"]), ("NO_PRODUCER", ["SILENT"]))
            self.assertTrue(20 <= each["stats"][0]["value"] < 5000, each["stats"][0])

    def test_what_is_not_there_has_near_names(self):
        self.consumer(subscribe_request(name="dashboard"))
        shown = self.why("dashbaord")
        self.assertEqual((shown.returncode, shown.stdout), (4, ""))
        self.assertIn("SUBSCRIPTION_NOT_FOUND", shown.stderr)
        self.assertIn("Did you mean 'dashboard'?", shown.stderr)
        self.assertNotIn("Did you mean", self.why("xyz").stderr)
        self.assertEqual(self.why().returncode, 2)
        self.assertEqual(self.why("--window", "9ms", "dashboard").returncode, 2)


if __name__ == "__main__":
    main()
