#!/usr/bin/python3
"""What an operator ends: a producer, with a report of what became of its calls, and the server."""
import socket
import time

import grpc

from harness.case import main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import duration, v1
from harness.sessions import WithSessions, of
from harness.upstreams import Upstream, endpoint
from test_tool import Tool

CODE = grpc.StatusCode
CANCEL = v1.RemoveProducerRequest.CANCEL
UPSTREAM = "/tributary.v1.Upstream/Produce"


class Removing(WithSessions, Tool):
    def upstream(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        return upstream

    def add(self, name, address, **fields):
        return self.daemon.admin().AddProducer(
            v1.AddProducerRequest(endpoint=endpoint(name, address, **fields)), timeout=PATIENCE
        )

    def request(self, name, seconds=60.0, mode=0):
        return v1.RemoveProducerRequest(name=name, mode=mode, deadline=duration(seconds), wait=True)

    def waiting(self, name, seconds=60.0, mode=0):
        """A RemoveProducer that waits; its answer is a future."""
        return self.daemon.admin().RemoveProducer.future(self.request(name, seconds, mode), timeout=PATIENCE)

    def check(self, answer, ended, aborted, subscriptions=()):
        self.assertEqual(
            (answer.ended_calls, answer.aborted_calls, sorted(answer.aborted_subscriptions)),
            (ended, aborted, sorted(subscriptions)),
        )

    def test_who_ended_by_itself_and_who_was_aborted_at_the_deadline(self):
        session = self.per_consumer("s", ends_on_stop=False)
        one, two, three = (self.consumer(subscribe_request(of("s"))) for _ in range(3))
        starts = {each.id: session.start_of(each) for each in (one, two, three)}
        answer = self.waiting("s", 0.5)
        session.wait_stop(starts[one.id])
        session.end(starts[one.id])
        self.assertFalse(answer.done(), "two still run")
        self.check(answer.result(), 1, 2, [two.id, three.id])
        self.assertEqual(answer.result().name, "s")

    def test_the_answer_comes_when_the_last_one_has_ended(self):
        session = self.per_consumer("s", ends_on_stop=False)
        consumer = self.consumer(subscribe_request(of("s")))
        number = session.start_of(consumer)
        answer = self.waiting("s")
        session.wait_stop(number)
        self.assertFalse(answer.done())
        self.assertIsNone(self.daemon.producer("s"), "its name is free at once")
        session.end(number)
        self.check(answer.result(), 1, 0)

    def test_cancel_aborts_all_of_them(self):
        session = self.per_consumer("s")
        consumer = self.consumer(subscribe_request(of("s")))
        session.start_of(consumer)
        self.check(self.waiting("s", mode=CANCEL).result(), 0, 1, [consumer.id])

    def test_upstream_calls_that_heed_stop_and_that_do_not(self):
        upstream = self.upstream()
        self.add("up", upstream.address, method=UPSTREAM)
        consumers = [self.consumer(subscribe_request(of("up"))) for _ in range(3)]
        calls = [upstream.wait_calls(i + 1) for i in range(3)]
        eventually(lambda: self.daemon.producer("up").state == v1.PRODUCER_STATE_ACTIVE, "it is active")
        answer = self.waiting("up", 0.5)
        eventually(lambda: len(calls[0].requests) == 2, "it is told to stop")
        calls[0].end()
        self.assertEqual(answer.result().ended_calls, 1)
        self.assertEqual(answer.result().aborted_calls, 2)
        self.assertLess(set(answer.result().aborted_subscriptions), {each.id for each in consumers})

    def test_a_shared_upstream_call_and_none(self):
        upstream = self.upstream()
        for count, (end, expected) in enumerate(((True, (1, 0)), (False, (0, 1))), 1):
            self.add("all", upstream.address, method=UPSTREAM, activation=v1.Endpoint.SHARED)
            eventually(lambda: self.daemon.producer("all").state == v1.PRODUCER_STATE_ACTIVE, "active")
            call = upstream.wait_calls(count)
            answer = self.waiting("all", 0.5)
            eventually(lambda: len(call.requests) == 2, "it is told to stop")
            if end:
                call.end()
            self.check(answer.result(), *expected)
        self.add("dead", "127.0.0.1:1", activation=v1.Endpoint.SHARED)
        eventually(lambda: self.daemon.producer("dead").HasField("failure"), "it has failed")
        self.check(self.waiting("dead").result(), 0, 0)

    def test_a_method_without_stop_ends_at_once(self):
        upstream = self.upstream()
        self.add("feed", upstream.address)
        self.consumer(subscribe_request(of("feed")))
        upstream.wait_calls(1)
        self.check(self.waiting("feed").result(), 1, 0)

    def test_a_transient_producer_and_an_unknown_one(self):
        self.publish("t", [event(1)])
        self.check(self.waiting("t").result(), 0, 0)
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=["name"]):
            self.waiting("nobody").result()

    def test_at_most_100_ids(self):
        session = self.per_consumer("s")
        channel = self.channel()
        consumers = [self.consumer(subscribe_request(of("s")), channel=channel) for _ in range(120)]
        session.wait_starts(120)
        answer = self.waiting("s", mode=CANCEL).result()
        self.assertEqual((answer.aborted_calls, len(answer.aborted_subscriptions)), (120, 100))
        self.assertLess(set(answer.aborted_subscriptions), {each.id for each in consumers})

    def test_a_caller_that_leaves_does_not_stop_the_removal(self):
        session = self.per_consumer("s", ends_on_stop=False)
        consumer = self.consumer(subscribe_request(of("s")))
        number = session.start_of(consumer)
        answer = self.waiting("s")
        session.wait_stop(number)
        answer.cancel()
        self.assertIsNone(self.daemon.producer("s"))
        session.end(number)
        session.wait_end()

    def test_the_tool_says_it_in_plain_words(self):
        session = self.per_consumer("s", ends_on_stop=False)
        one, two = (self.consumer(subscribe_request(of("s"))) for _ in range(2))
        first, _ = session.start_of(one), session.start_of(two)
        process = self.tool("producers", "drain", "--drain", "0.5s", "s")
        session.wait_stop(first)
        session.end(first)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(
            out,
            "s is removed: 0 events published; 1 call ended, 1 did not end within 500 ms and was aborted, "
            f"of {two.id}\n",
        )
        self.publish("t", [event(1)])
        self.assertEqual(
            self.run_tool("producers", "drain", "t")[0], "t is removed: 1 event published\n"
        )


class Draining(WithSessions, Tool):
    shared_daemon = False

    def drain(self, daemon, **fields):
        return v1.stub("Admin", self.channel(daemon.address)).Drain(
            v1.DrainRequest(**fields), timeout=PATIENCE
        )

    def test_it_answers_and_the_server_ends(self):
        daemon = self.start_daemon()
        answer = self.drain(daemon, deadline=duration(60))
        self.assertAlmostEqual(answer.deadline_unix_nano / 1e9, time.time() + 60, delta=15)
        self.assertEqual((answer.producers, answer.subscriptions), (0, 0))
        self.assertEqual(daemon.wait(), 0)
        requested = daemon.log("server.drain_requested")
        self.assertEqual([each["timeout_ms"] for each in requested], [60_000])
        self.assertEqual(len(daemon.log("server.draining")), 1)

    def test_consumers_hear_of_it_and_get_what_waits(self):
        daemon = self.start_daemon()
        consumer = self.consumer(channel=self.channel(daemon.address))
        self.publish("p", [event(i) for i in range(10)], channel=self.channel(daemon.address))
        answer = self.drain(daemon, deadline=duration(30))
        self.assertEqual(answer.subscriptions, 1)
        consumer.wait(lambda: consumer.ended, "its stream ends")
        self.assertEqual(consumer.received.delivered, 10)
        self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_SERVER_DRAINING)
        self.assertEqual(daemon.wait(), 0)

    def test_a_signal_after_it_is_a_second_one(self):
        daemon = self.start_daemon()
        channel = self.channel(daemon.address)
        consumer = self.without_credit(channel=channel)
        self.publish("p", [event(0)], channel=channel)  # it waits for credit until the deadline
        self.drain(daemon, deadline=duration(30))
        eventually(lambda: daemon.log("server.draining"), "it drains")
        daemon.terminate()
        self.assertEqual(daemon.wait(), 1)
        consumer.cancel()

    def test_callers_on_other_machines_need_an_option(self):
        """This machine by an address that is none of loopback is another machine to the server."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("198.51.100.1", 9))  # sends nothing: says from which address it would
            except OSError:
                self.skipTest("this machine has no address but those of loopback")
            here = probe.getsockname()[0]
        for option in ((), ("--remote-drain",)):
            daemon = self.start_daemon(
                "--insecure-listen", *option, listen=("127.0.0.1:0", f"{here}:0")
            )
            drain = v1.stub("Admin", self.channel(daemon.addresses[1])).Drain
            if not option:
                with self.assertFault(CODE.PERMISSION_DENIED, "NOT_LOCAL", contains=["--remote-drain"]):
                    drain(v1.DrainRequest(deadline=duration(20)), timeout=PATIENCE)
                self.assertEqual(daemon.log("server.drain_requested"), [])
                daemon.stop()
                continue
            drain(v1.DrainRequest(deadline=duration(20)), timeout=PATIENCE)
            self.assertEqual(daemon.wait(), 0)

    def test_bad_deadlines(self):
        daemon = self.start_daemon()
        for seconds in (0, 0.0001, 3601):
            with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "deadline"):
                self.drain(daemon, deadline=duration(seconds))
        daemon.stop()

    def test_the_tool(self):
        daemon = self.start_daemon()
        process = self.start_program(
            binary("tributary"), "drain", "--deadline", "20s", server=daemon.address, text=True
        )
        out, err = process.communicate(timeout=PATIENCE)
        self.assertRegex(
            out, rf"^{daemon.address} drains: 0 producers, 0 subscriptions; it ends within (20|19.*) s\n$"
        )
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
