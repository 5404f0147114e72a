#!/usr/bin/python3
"""The acceptance cases of aggregation (letter A) with endpoints as producers: how calls begin and end,
order, names, removing and replacing. test_endpoints_flow.py has the others."""
import socket
import threading
import time

import grpc

from harness.case import main
from harness.client import event, number_of, subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.endpoints import (
    ACTIVE,
    ADD,
    ENDED,
    ENDPOINT,
    IDLE,
    REMOVED,
    UNAVAILABLE,
    Endpoints,
    batch,
    numbered,
)
from harness.protos import duration, v1
from harness.sessions import of
from harness.upstreams import endpoint

CODE = grpc.StatusCode
BLOCK = v1.OVERFLOW_BLOCK
CANCEL, DRAIN = v1.RemoveProducerRequest.CANCEL, v1.RemoveProducerRequest.DRAIN
SHARED, PER_CONSUMER, BY_REQUEST = ENDPOINT.SHARED, ENDPOINT.PER_CONSUMER, ENDPOINT.BY_REQUEST


class Beginning(Endpoints):
    def test_A2_dialled_once_with_the_request_and_not_before(self):
        upstream, request = self.served("p"), bytes(range(256)) * 200
        self.assertEqual((self.daemon.producer("p").state, upstream.calls), (IDLE, []))
        consumer = self.consumer(subscribe_request(of("p"), request=request))
        call = upstream.wait_calls(1)
        eventually(lambda: call.closed, "its request has come")
        call.send(b"x")
        self.wait_datas(consumer, "p", [b"x"])
        self.assertEqual((call.requests, len(upstream.calls)), ([request], 1))

    def test_A5_a_consumer_that_has_cancelled_is_not_dialled_for(self):
        for activation in (PER_CONSUMER, BY_REQUEST):
            gone = self.consumer(subscribe_request(of("p"), request=b"gone"))
            stays = self.consumer(subscribe_request(of("p"), request=b"stays"))
            gone.cancel()
            eventually(lambda: self.daemon.subscription(gone.id) is None, "it is gone")
            upstream = self.served("p", activation=activation)
            call = upstream.wait_calls(1)
            call.send(b"x")
            self.wait_datas(stays, "p", [b"x"])
            eventually(lambda: call.closed, "its request has come")
            self.assertEqual((call.requests, len(upstream.calls)), ([b"stays"], 1))
            stays.cancel()
            self.remove("p")

    def test_A9_one_that_never_answers_holds_up_no_other(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.add("silent", "127.0.0.1:%d" % silent.getsockname()[1], connect_timeout=duration(60))
            mute, free = self.served("mute"), self.served("free")
            self.served("mute-shared", activation=SHARED).wait_calls(1)
            consumer = self.consumer()
            mute.wait_calls(1)
            free.wait_calls(1).send(*numbered(range(500)))
            consumer.wait_events(500)
            self.assertEqual(consumer.received.numbers("free"), list(range(500)))
            self.assertNotIn(UNAVAILABLE, self.states(consumer, "silent"))
            consumer.cancel()
            self.remove("silent")

    def test_A17_fifo_from_64_producers_to_16_consumers(self):
        """Each number n has the sequence n + 1 of its endpoint."""
        upstream, each = self.upstream(threads=80), 48 // (2 if instrumented() else 1)
        channels = [self.channel() for _ in range(4)]
        request = subscribe_request(of("fifo-*"), max_events=1 << 20, max_bytes=64 << 20)
        consumers = [self.consumer(request, channels[n % 4]) for n in range(16)]
        for n in range(64):
            self.add(f"fifo-{n}", upstream.address, activation=SHARED)
        upstream.wait_calls(64)
        for call in upstream.calls:
            call.send(*numbered(range(each)))
        for consumer in consumers:
            consumer.wait_events(64 * each, 2 * PATIENCE)
            consumer.complete({f"fifo-{n}": each for n in range(64)})
            for _, _, sequence, found in consumer.received.events:
                self.assertEqual(number_of(found.data) + 1, sequence)

    def test_A17_fifo_of_calls_for_each_consumer(self):
        upstream = self.upstream(threads=140)
        for n in range(32):
            self.add(f"own-{n}", upstream.address)
        consumers = [self.consumer(subscribe_request(of("own-*"), overflow=BLOCK)) for _ in range(4)]
        upstream.wait_calls(128)
        for call in upstream.calls:
            call.send(*numbered(range(50)))
        for consumer in consumers:
            consumer.wait_events(32 * 50, 2 * PATIENCE)
            for n in range(32):
                self.assertEqual(consumer.received.numbers(f"own-{n}"), list(range(50)))

    def test_A18_bad_names_are_refused_and_no_name_is_a_wildcard(self):
        add = lambda name: self.daemon.admin().AddProducer(ADD(endpoint=endpoint(name, "127.0.0.1:1")))
        refused = [("", "EMPTY"), ("x" * 4096, "TOO_LONG"), ("ä" * 129, "TOO_LONG")]
        for name in ("a\x01b", "line\nbreak", "del\x7f", "c1\x9f", "sep\u2028", "esc\x1b[0m"):
            refused.append((name, "BAD_NAME"))
        for name, reason in refused:
            with self.subTest(name=name[:8]):
                with self.assertFault(CODE.INVALID_ARGUMENT, reason, "endpoint.name"):
                    add(name)
        self.assertEqual(list(self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers), [])
        names = ["*", "pl*", "plain", "[a-z]*", "caf\u00e9", "cafe\u0301", "a", "aa", "a\u00a0", "x" * 256]
        names += [f"n{n}" for n in range(200)]
        upstreams = {name: self.served(name) for name in names[:10]}
        for name in names[10:]:
            self.add(name, "127.0.0.1:1")
        consumer = self.consumer(subscribe_request([v1.Selector(producer="plain")]))
        upstreams["plain"].wait_calls(1).send(b"x")
        self.wait_datas(consumer, "plain", [b"x"])
        self.assertEqual([name for name in upstreams if upstreams[name].calls], ["plain"])
        for unknown in ("pla*", "n?", "n*"):
            with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND"):
                self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=unknown))
        self.assertEqual(self.remove("*").name, "*")
        page = self.daemon.admin().ListProducers(v1.ListProducersRequest(page_size=1000))
        self.assertEqual(sorted(each.name for each in page.producers), sorted(names[1:]))


class Ending(Endpoints):
    def ends_gently(self, how, reason):
        """A6, A14: both hear of it, what they still send is delivered, and then the stream ends."""
        upstreams = [self.native("one"), self.native("two")]
        shared = self.served("shared", activation=SHARED)
        consumer = self.consuming()
        calls = [each.wait_calls(1) for each in upstreams]
        for call in calls:
            self.control(call, 0, "start")
            call.send(batch(0, 1))
        other = shared.wait_calls(1)
        other.send(*numbered([0, 1]))
        consumer.wait_events(6)
        how(consumer)
        for call in calls:
            stop = self.control(call, 1, "stop")
            self.assertEqual(stop.reason, reason)
            self.assertTrue(0 < stop.deadline.seconds <= 40, stop)
        other.send(*numbered([2]))
        self.published("shared", 3)
        calls[0].send(batch(2))
        calls[0].end()
        consumer.wait_events(7)
        self.assertFalse(consumer.ended, "the second one has not ended")
        calls[1].send(batch(2), batch(3))
        calls[1].end()
        self.assertIsNone(consumer.wait_end())
        found = [consumer.received.numbers(name) for name in ("one", "two", "shared")]
        self.assertEqual(found, [[0, 1, 2], [0, 1, 2, 3], [0, 1]], "nothing comes after the drain began")
        self.assertEqual(consumer.received.lost, [])
        for name in ("one", "two", "shared"):
            self.remove(name)

    def test_A6_A14_every_drain(self):
        finish = lambda consumer: v1.stub("Subscriber", self.daemon.channel).Finish(
            v1.FinishRequest(subscription_id=consumer.id), timeout=PATIENCE
        )
        self.ends_gently(lambda consumer: consumer.half_close(), "FINISHED")
        self.ends_gently(lambda consumer: consumer.drain(40), "FINISHED")
        self.ends_gently(finish, "FINISHED")
        self.ends_gently(lambda consumer: self.disconnect(consumer, True, 30), "KICKED")

    def test_A6_a_method_that_knows_no_stop_is_cancelled_and_what_came_is_delivered(self):
        upstream = self.served("raw")
        consumer = self.without_credit(subscribe_request(of("raw")))
        call = upstream.wait_calls(1)
        call.send(*numbered(range(30)))
        self.published("raw", 30)
        consumer.drain(30)
        self.assertTrue(call.over.wait(5), "it is cancelled at once")
        consumer.credit(events=100)
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("raw"), list(range(30)))

    def test_A6_a_cancel_ends_both_calls_at_once_and_the_rest_is_CONSUMER_GONE(self):
        upstreams = [self.served("one"), self.native("two")]
        consumer = self.without_credit()
        calls = [each.wait_calls(1) for each in upstreams]
        calls[0].send(*numbered(range(10)))
        calls[1].send(batch(*range(10)))
        self.published("one", 10)
        self.published("two", 10)
        consumer.credit(events=3)
        consumer.wait_events(3)
        consumer.cancel()
        for call in calls:
            self.assertTrue(call.over.wait(5))
        lines = lambda: [
            each for each in self.daemon.log("subscription.ended") if each["subscription"] == consumer.id
        ]
        ended = eventually(lines, "it is logged")
        names = ("accepted", "delivered", "dropped", "queued")
        self.assertEqual([tuple(each[name] for name in names) for each in ended], [(20, 3, 17, 0)])

    def test_A20_one_that_ignores_stop_is_cut_at_the_deadline_and_named(self):
        stubborn, good = self.native("stubborn"), self.native("good")
        consumer = self.consuming()
        calls = stubborn.wait_calls(1), good.wait_calls(1)
        for call in calls:
            self.control(call, 0, "start")
        began = time.monotonic()
        consumer.drain(0.5)
        for call in calls:
            self.control(call, 1, "stop")
        calls[1].end()
        calls[0].send(batch(1))
        consumer.wait_events(1)
        self.assertIsNone(consumer.wait_end())
        self.assertGreaterEqual(time.monotonic() - began, 0.48)
        self.assertTrue(calls[0].over.wait(5), "it is cut")
        late = [each for each in consumer.received.states if each.error.code]
        self.assertEqual(
            [(each.source, each.state, each.error.code) for each in late],
            [("stubborn", ENDED, CODE.DEADLINE_EXCEEDED.value[0])],
        )
        lines = [each["producer"] for each in self.daemon.log("activation.expired")]
        self.assertEqual(lines, ["stubborn"])
        self.assertEqual(self.daemon.producer("stubborn").expired_activations, 1)

    def test_A13_an_end_with_OK_is_final_and_a_failure_is_retried_later_each_time(self):
        done, fails, on = self.served("done"), self.served("fails", backoff=duration(0.2)), self.served("on")
        consumer = self.consumer()
        done.wait_calls(1).send(b"1 ")
        done.calls[0].end()
        self.state_at_last(consumer, "done", ENDED)
        for number, wait in enumerate((0.15, 0.3, 0.6)):
            call = fails.wait_calls(number + 1)
            call.end(CODE.UNAVAILABLE, "not now")
            again = fails.wait_calls(number + 2)
            self.assertGreaterEqual(again.began - call.over_at, wait - 0.01, f"restart {number + 1}")
        again.send(b"2 ")
        on.wait_calls(1).send(b"3 ")
        consumer.wait_events(3)
        self.assertFalse(consumer.ended)
        self.assertEqual((len(done.calls), len(on.calls)), (1, 1))

    def test_A24_finite_answers_end_the_stream(self):
        upstreams = [self.served(f"p{n}", restart=ENDPOINT.NEVER) for n in range(3)]
        self.served("shared", activation=SHARED)  # it does not count
        consumer = self.consumer(subscribe_request(end_when=v1.END_WHEN_ALL_ENDED))
        for number, upstream in enumerate(upstreams):
            self.assertFalse(consumer.ended)
            call = upstream.wait_calls(1)
            call.send(*numbered([0, 1]))
            call.end(*((CODE.NOT_FOUND, "no such row") if number == 1 else ()))
            self.state_at_last(consumer, f"p{number}", ENDED)
        self.assertIsNone(consumer.wait_end())
        for number in range(3):
            self.assertEqual(consumer.received.numbers(f"p{number}"), [0, 1])
        errors = {
            each.source: (each.error.code, each.error.message)
            for each in consumer.received.states
            if each.state == ENDED
        }
        self.assertEqual(errors, {"p0": (0, ""), "p1": (5, "no such row"), "p2": (0, "")})

    def test_A24_limit_events_closes_after_exactly_so_many(self):
        upstream = self.served("p")
        for turn, limit in enumerate((1, 7)):
            consumer = self.consumer(subscribe_request(limit_events=limit))
            call = upstream.wait_calls(turn + 1)
            call.send(*numbered(range(20)))
            self.assertIsNone(consumer.wait_end())
            self.assertEqual(consumer.received.numbers("p"), list(range(limit)))
            self.assertTrue(call.over.wait(5), "its call is over, too")


class Removing(Endpoints):
    def test_A7_A8_a_removed_one_is_cancelled_and_dialled_for_nobody(self):
        for mode in (CANCEL, DRAIN):
            goes, stays = self.served("goes"), self.served("stays")
            consumer = self.consumer()
            first, second = goes.wait_calls(1), stays.wait_calls(1)
            first.send(b"1")
            self.wait_datas(consumer, "goes", [b"1"])
            self.assertEqual(self.remove("goes", mode).name, "goes")
            self.assertTrue(first.over.wait(5))
            late = self.consumer()
            stays.wait_calls(2).send(b"late")
            self.wait_datas(late, "stays", [b"late"])
            second.send(b"on")
            self.wait_datas(consumer, "stays", [b"on"])
            self.assertEqual((len(goes.calls), consumer.ended), (1, False))
            late.cancel()
            consumer.cancel()
            self.remove("stays")

    def test_A11_an_unknown_one_is_not_found_and_nothing_changes(self):
        upstream = self.served("here")
        consumer = self.consumer()
        call = upstream.wait_calls(1)
        shown = lambda: [
            (each.name, each.epoch, each.state, each.upstream_calls)
            for each in self.daemon.admin().ListProducers(v1.ListProducersRequest()).producers
        ]
        self.wait_state(consumer, "here", ACTIVE)
        before = shown()
        for name in ("her?", "her", "here "):
            for mode in (DRAIN, CANCEL):
                with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=[f'"{name}"']):
                    self.daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=name, mode=mode))
        self.assertEqual(shown(), before)
        call.send(b"x")
        self.wait_datas(consumer, "here", [b"x"])

    def test_A15_only_the_removed_one_stops_and_what_is_queued_arrives(self):
        for activation in (SHARED, PER_CONSUMER):
            names = ("drained", "cancelled", "stays")
            upstreams = {name: self.served(name, activation=activation) for name in names}
            consumer = self.without_credit(subscribe_request(max_events=10000))
            calls = {name: upstreams[name].wait_calls(1) for name in names}
            for name in names:
                if activation == SHARED:
                    eventually(lambda: self.daemon.producer(name).subscriptions == 1, "it is bound")
                calls[name].send(*numbered(range(50)))
                self.published(name, 50)
            self.remove("drained", DRAIN, 30)
            self.remove("cancelled", CANCEL)
            for name in names[:2]:
                self.assertTrue(calls[name].over.wait(5))
            calls["stays"].send(*numbered([50]))
            consumer.credit(events=1000)
            consumer.wait_events(151)
            for name, count in zip(names, (50, 50, 51)):
                self.assertEqual(consumer.received.numbers(name), list(range(count)))
            for name in names[:2]:
                consumer.wait(lambda: self.states(consumer, name)[-1] in (ENDED, REMOVED), f"{name} ended")
            self.assertFalse(calls["stays"].over.is_set())
            consumer.cancel()
            self.remove("stays")

    def replace(self, name, upstream, **fields):
        return self.daemon.admin().AddProducer(
            ADD(endpoint=endpoint(name, upstream.address, **fields), on_duplicate=ADD.REPLACE)
        )

    def test_A10_a_replaced_one_ends_before_the_new_one_begins(self):
        old, new = self.native("p"), self.upstream()
        consumer = self.consumer()
        first = old.wait_calls(1)
        self.control(first, 0, "start")
        first.send(batch(1))
        consumer.wait_events(1)
        with self.assertFault(CODE.ALREADY_EXISTS, "NAME_TAKEN"):
            self.daemon.admin().AddProducer(ADD(endpoint=endpoint("p", new.address)))
        replacing = threading.Thread(target=self.replace, args=("p", new), kwargs={"method": ""})
        replacing.start()
        stop = self.control(first, 1, "stop")
        self.assertEqual(stop.reason, "REPLACED")
        self.assertLessEqual(stop.deadline.seconds * 10**9 + stop.deadline.nanos, 10**9)
        self.assertEqual(new.calls, [])
        first.send(batch(2))
        first.end()
        replacing.join(PATIENCE)
        second = new.wait_calls(1)
        self.assertGreaterEqual(second.began, first.over_at)
        second.send(batch(3))
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("p"), [1, 2, 3])
        late = self.consumer()
        new.wait_calls(2).send(batch(4))
        late.wait_events(1)
        self.assertEqual(len(old.calls), 1, "a new consumer gets only the new one")

    def test_A10_one_that_does_not_go_is_ended_after_a_second(self):
        old, new = self.native("p"), self.upstream()
        consumer = self.consumer()
        first = old.wait_calls(1)
        self.control(first, 0, "start")
        began = time.monotonic()
        self.replace("p", new)
        self.assertTrue(first.over.wait(5))
        self.assertGreater(first.over_at - began, 0.95, "it had its second")
        new.wait_calls(1).send(b"1 ")
        consumer.wait_events(1)

    def test_A10_sessions_and_endpoints_replace_each_other(self):
        consumer, upstream = self.consumer(), self.upstream()
        session = self.session("p")
        session.send(0, [event(1)])
        session.wait_confirmed()
        self.replace("p", upstream)
        self.addCleanup(self.remove, "p")
        self.check_fault(session.wait_end(), CODE.ABORTED, "REPLACED")
        call = upstream.wait_calls(1)
        call.send(*numbered([2]))
        consumer.wait_events(2)
        back = self.session("p")
        self.assertTrue(call.over.wait(5))
        back.send(0, [event(3)])
        consumer.wait_events(3)
        self.assertEqual(consumer.received.numbers("p"), [1, 2, 3])


if __name__ == "__main__":
    main()
