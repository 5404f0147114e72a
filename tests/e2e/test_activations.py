#!/usr/bin/python3
"""Activations: each consumer's request reaches each producer, and so does every ending of the
consumer's call."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.protos import v1
from harness.sessions import WithSessions, drain_step, of

CODE = grpc.StatusCode
ENDED, ACTIVE = v1.PRODUCER_STATE_ENDED, v1.PRODUCER_STATE_ACTIVE


class Beginning(WithSessions, Case):
    def test_A1_without_a_consumer_nothing_is_started(self):
        session, witness = self.per_consumer("p"), self.session("witness")
        consumer = self.consumer(subscribe_request(of("witness")))
        witness.send(0, [event(1)])
        consumer.wait_events(1)
        self.assertEqual((session.starts, self.daemon.producer("p").activations), ({}, 0))
        self.assertEqual(self.daemon.producer("p").state, v1.PRODUCER_STATE_IDLE)

    def test_A2_producer_then_consumer_started_once_with_its_request(self):
        session = self.per_consumer("p")
        request = bytes(range(256)) * 4
        consumer = self.consumer(subscribe_request(request=request))
        activation = session.start_of(consumer)
        self.assertEqual(
            (session.starts[activation].request, session.starts[activation].deadline_unix_nano), (request, 0)
        )
        session.send(activation, [event(1)])
        consumer.wait_events(1)
        self.assertEqual(len(session.starts), 1)
        self.assertEqual((consumer.started.producers_matched, self.daemon.producer("p").activations), (1, 1))
        self.state_of(consumer, "p", ACTIVE)

    def test_A2_a_request_of_64_KiB_and_none_at_all_pass_unchanged(self):
        session = self.per_consumer("p")
        for request in (b"", b"r" * 65536):
            consumer = self.consumer(subscribe_request(request=request))
            self.assertEqual(session.starts[session.start_of(consumer)].request, request)

    def test_A3_both_answers_arrive_in_the_one_stream(self):
        sessions = [self.per_consumer(name) for name in ("one", "two")]
        consumer = self.consumer()
        for number, session in enumerate(sessions):
            session.send(session.start_of(consumer), [event(number)])
        consumer.wait_events(2)
        self.assertEqual((consumer.received.numbers("one"), consumer.received.numbers("two")), ([0], [1]))

    def test_A4_consumer_first_then_producer(self):
        consumer = self.consumer(subscribe_request(request=b"question"))
        session = self.per_consumer("p")
        activation = session.start_of(consumer)
        self.assertEqual((session.starts[activation].request, len(session.starts)), (b"question", 1))
        session.send(activation, [event(1)])
        consumer.wait_events(1)

    def test_A5_cancelled_consumer_then_producer(self):
        gone, stays = self.consumer(), self.consumer()
        gone.cancel()
        eventually(lambda: self.daemon.subscription(gone.id) is None, "it is gone")
        session = self.per_consumer("p")
        session.start_of(stays)
        self.assertEqual([start.subscription_id for start in session.starts.values()], [stays.id])

    def test_only_matching_producers_get_an_activation(self):
        eu, us = self.per_consumer("eu", labels={"zone": "eu"}), self.per_consumer(
            "us", labels={"zone": "us"}
        )
        consumer = self.consumer(subscribe_request(of("*"), exclude=of("u?")))
        eu.start_of(consumer)
        self.consumer(subscribe_request(of("nobody")))
        both = self.consumer()
        us.start_of(both), eu.start_of(both)
        self.assertEqual((len(eu.starts), len(us.starts)), (2, 1))

    def test_an_activation_has_its_own_epoch_and_its_own_sequence(self):
        session = self.per_consumer("p")
        consumers = [self.consumer() for _ in range(3)]
        for number, consumer in enumerate(consumers):
            activation = session.start_of(consumer)
            session.send(activation, [event(n) for n in range(number + 1)])
            session.send(activation, [event(number + 1)])
        for number, consumer in enumerate(consumers):
            consumer.wait_events(number + 2)
            self.assertEqual([each[2] for each in consumer.received.events], list(range(1, number + 3)))
        self.assertEqual(len({consumer.received.events[0][1] for consumer in consumers}), 3)
        self.assertEqual(self.daemon.producer("p").published.events, 2 + 3 + 4)

    def test_events_of_an_activation_reach_only_its_consumer_and_are_filtered(self):
        session = self.per_consumer("p")
        mine = self.consumer(subscribe_request([v1.Selector(producer="p", topic="mine")]))
        other = self.consumer()
        session.send(
            session.start_of(mine), [event(1, topic="mine"), event(2, topic="not"), event(3, topic="mine")]
        )
        session.send(session.start_of(other), [event(4)])
        mine.wait_events(2)
        other.wait_events(1)
        self.assertEqual((mine.received.numbers("p"), other.received.numbers("p")), ([1, 3], [4]))

    # Finding 27.
    def test_a_deadline_passes_to_the_start_and_its_end_to_the_stop(self):
        session = self.per_consumer("p")
        consumer = self.consumer(timeout=PATIENCE)
        start = session.starts[session.start_of(consumer)]
        self.assertLess(abs(start.deadline_unix_nano / 1e9 - time.time() - PATIENCE), PATIENCE / 2)
        # Long enough to be started before it passes, on a busy machine too.
        short = self.consumer(timeout=2)
        activation = session.start_of(short)
        self.assertEqual(short.wait_end().code, CODE.DEADLINE_EXCEEDED)
        stop = session.wait_stop(activation)
        self.assertEqual((stop.reason, stop.deadline_unix_nano), ("DEADLINE", 0))

    def test_X5_100_consumers_are_100_activations_or_one_shared_stream(self):
        session, shared = self.per_consumer("per-consumer"), self.session("shared")
        channels = [self.channel() for _ in range(4)]
        consumers = [
            self.consumer(subscribe_request(request=b"q%d" % n), channel=channels[n % 4]) for n in range(100)
        ]
        session.wait_starts(100)
        self.assertEqual({start.subscription_id: start.request for start in session.starts.values()},
                         {consumer.id: b"q%d" % n for n, consumer in enumerate(consumers)})
        self.assertEqual((self.daemon.producer("per-consumer").activations, len(session.starts)), (100, 100))
        shared.send(0, [event(7)])
        for activation in session.starts:
            session.send(activation, [event(activation)])
        for consumer in consumers:
            consumer.wait_events(2)
            self.assertEqual(consumer.received.numbers("per-consumer"), [session.start_of(consumer)])
        seen = self.daemon.producer("shared")
        self.assertEqual(
            (shared.starts, seen.activations, seen.subscriptions, seen.published.events), ({}, 0, 100, 1)
        )


class Ending(WithSessions, Case):
    def pair(self, consumer):
        one, two = self.per_consumer("one", ends_on_stop=False), self.per_consumer("two", ends_on_stop=False)
        activations = one.start_of(consumer), two.start_of(consumer)
        for session, activation in zip((one, two), activations):
            session.send(activation, [event(0), event(1)])
        consumer.wait_events(4)
        return one, two, activations

    def ends_gently(self, how, reason, closing, seconds):
        """A6, A14: both are told to stop, what they still send is delivered, and the stream ends
        with OK after both have ended."""
        consumer = self.consuming()
        one, two, (first, second) = self.pair(consumer)
        how(consumer)
        for session, activation in ((one, first), (two, second)):
            stop = session.wait_stop(activation)
            self.assertEqual(stop.reason, reason)
            left = stop.deadline_unix_nano / 1e9 - time.time()
            self.assertTrue(seconds - PATIENCE < left <= seconds + 0.5, f"{left} s are left of {seconds}")
        consumer.wait(lambda: consumer.received.closing, "closing is sent")
        self.assertEqual(consumer.received.closing.reason, closing)
        one.end(first, events=[event(2)])
        one.wait_confirmed()
        seen = self.daemon.subscription(consumer.id)
        self.assertTrue(seen.draining and not consumer.ended, "the second one has not ended")
        two.send(second, [event(2)])
        two.end(second, events=[event(3)])
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(
            (consumer.received.numbers("one"), consumer.received.numbers("two")), ([0, 1, 2], [0, 1, 2, 3])
        )
        self.assertEqual(consumer.received.lost, [])
        two.send(second, [event(4)])
        two.wait_confirmed()

    def test_A6_half_close(self):
        self.ends_gently(lambda consumer: consumer.half_close(), "FINISHED", v1.CLOSING_REASON_FINISHED, 5)

    def test_A6_drain_step(self):
        self.ends_gently(lambda consumer: consumer.drain(40), "FINISHED", v1.CLOSING_REASON_FINISHED, 40)

    def test_A6_finish(self):
        def finish(consumer):
            v1.stub("Subscriber", self.daemon.channel).Finish(
                v1.FinishRequest(subscription_id=consumer.id), timeout=PATIENCE
            )

        self.ends_gently(finish, "FINISHED", v1.CLOSING_REASON_FINISHED, 5)

    def test_A6_disconnect_with_drain(self):
        self.ends_gently(
            lambda consumer: self.disconnect(consumer, drain=True, seconds=30),
            "KICKED",
            v1.CLOSING_REASON_DISCONNECTED,
            30,
        )

    def test_A6_a_cancel_stops_both_at_once_and_the_rest_is_CONSUMER_GONE(self):
        consumer = self.without_credit()
        one, two = self.per_consumer("one"), self.per_consumer("two")
        activations = one.start_of(consumer), two.start_of(consumer)
        for session, activation in zip((one, two), activations):
            session.send(activation, [event(n) for n in range(10)])
            session.wait_confirmed()
        consumer.credit(events=3)
        consumer.wait_events(3)
        unwanted = self.daemon.counters()["events.unwanted"]
        consumer.cancel()
        for session, activation in zip((one, two), activations):
            stop = session.wait_stop(activation)
            self.assertEqual((stop.reason, stop.deadline_unix_nano), ("CANCELLED", 0))
            session.send(activation, [event(99)], end=None)
            session.end(activation)
            session.wait_confirmed()
        self.assertEqual(
            self.daemon.counters()["events.unwanted"], unwanted + 2, "dropped, counted, and no error"
        )
        ended = eventually(
            lambda: [
                line for line in self.daemon.log("subscription.ended") if line["subscription"] == consumer.id
            ],
            "it is logged",
        )
        self.assertEqual(
            [(line["reason"], line["accepted"], line["queued"]) for line in ended], [("CANCELLED", 20, 0)]
        )
        self.assertEqual((ended[0]["delivered"], ended[0]["dropped"]), (3, 17))

    def test_a_disconnect_stops_activations_with_its_reason(self):
        session, consumer = self.per_consumer("p"), self.consumer()
        activation = session.start_of(consumer)
        self.disconnect(consumer)
        self.check_fault(consumer.wait_end(), CODE.CANCELLED, "KICKED")
        stop = session.wait_stop(activation)
        self.assertEqual((stop.reason, stop.deadline_unix_nano), ("KICKED", 0))

    def test_a_lost_connection_of_a_consumer_stops_its_activations(self):
        session, stays = self.per_consumer("p"), self.consumer()
        raw = self.raw()
        stream = raw.call(
            "/tributary.v1.Subscriber/Subscribe", subscribe_request(request=b"raw").SerializeToString()
        )
        activations = session.wait_starts(2)
        self.assertIsNone(stream.status)
        raw.close(abort=True)
        self.assertEqual(session.wait_stop(activations[1]).reason, "CANCELLED")
        session.send(session.start_of(stays), [event(1)])
        stays.wait_events(1)

    def test_A14_nothing_of_a_shared_producer_comes_after_the_drain_began(self):
        session, shared = self.per_consumer("per-consumer", ends_on_stop=False), self.session("shared")
        consumer = self.without_credit(subscribe_request(max_events=10000))
        activation = session.start_of(consumer)
        for number in range(30):
            shared.send(0, [event(number)])
            session.send(activation, [event(number)])
        shared.wait_confirmed()
        session.wait_confirmed()
        consumer.drain(60)
        session.wait_stop(activation)
        shared.send(0, [event(1000)])
        shared.wait_confirmed()
        session.end(activation, events=[event(30)])
        consumer.credit(events=1000)
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(
            (consumer.received.numbers("shared"), consumer.received.numbers("per-consumer")),
            (list(range(30)), list(range(31))),
        )

    def test_A20_an_activation_that_ignores_stop_expires_at_the_deadline_and_is_named(self):
        for how in ("drain", "finish"):
            with self.subTest(how=how):
                stubborn, good = self.per_consumer("stubborn", ends_on_stop=False), self.per_consumer("good")
                consumer = self.consuming()
                activation = stubborn.start_of(consumer)
                good.start_of(consumer)
                before = len(self.daemon.log("activation.expired"))
                began = time.monotonic()
                if how == "drain":
                    consumer.drain(0.5)
                else:
                    request = v1.FinishRequest(
                        subscription_id=consumer.id, drain=drain_step(0.5).drain.deadline
                    )
                    v1.stub("Subscriber", self.daemon.channel).Finish(request, timeout=PATIENCE)
                stubborn.wait_stop(activation)
                stubborn.send(activation, [event(1)])
                consumer.wait_events(1)
                self.assertIsNone(consumer.wait_end())
                self.assertGreaterEqual(time.monotonic() - began, 0.48)
                expired = [
                    each for each in consumer.received.states if each.source == "stubborn" and each.error.code
                ]
                self.assertEqual(
                    [(each.state, each.error.code) for each in expired],
                    [(ENDED, CODE.DEADLINE_EXCEEDED.value[0])],
                )
                self.assertIn("did not stop in time", expired[0].error.message)
                self.assertEqual(
                    [each.error.code for each in consumer.received.states if each.source == "good"][-1], 0
                )
                lines = self.daemon.log("activation.expired")[before:]
                self.assertEqual(
                    [
                        tuple(line[name] for name in ("producer", "subscription", "activation"))
                        for line in lines
                    ],
                    [("stubborn", consumer.id, activation)],
                )
                self.assertEqual(self.daemon.producer("stubborn").expired_activations, 1)
                stubborn.send(activation, [event(2)])
                again = self.consumer()
                stubborn.send(stubborn.start_of(again), [event(3)])
                again.wait_events(1)
                again.cancel()
                stubborn.finish()
                good.finish()

    def test_a_drain_of_zero_ends_activations_at_once(self):
        session, consumer = self.per_consumer("p", ends_on_stop=False), self.consuming()
        session.start_of(consumer)
        consumer.drain(0)
        self.assertIsNone(consumer.wait_end())
        eventually(lambda: self.daemon.producer("p").activations == 0, "nothing is left of it")

    def test_a_second_drain_can_bring_the_deadline_nearer(self):
        session, consumer = self.per_consumer("p", ends_on_stop=False), self.consuming()
        activation = session.start_of(consumer)
        consumer.drain(3000)
        session.wait_stop(activation)
        consumer.drain(0.3)
        self.assertIsNone(consumer.wait_end())

    def test_A13_an_activation_that_ends_with_OK_is_not_started_again_and_the_stream_stays(self):
        """The one that failed comes back twice, after at least 0.75 s and 1.5 s. The one that ended
        does not."""
        done, fails = self.per_consumer("done"), self.per_consumer("fails")
        consumer = self.consumer()
        done.end(done.start_of(consumer), events=[event(1)])
        began = time.monotonic()
        fails.end(fails.start_of(consumer), code=14, message="not now", events=[event(1)])
        failed = self.state_of(consumer, "fails", ENDED)
        self.assertEqual((failed.error.code, failed.error.message), (14, "not now"))
        fails.wait_starts(2)
        self.state_of(consumer, "fails", ACTIVE)
        first = time.monotonic() - began
        second_activation = max(fails.starts)
        self.assertEqual(fails.starts[second_activation].subscription_id, consumer.id)
        fails.end(second_activation, code=13)
        began = time.monotonic()
        fails.wait_starts(3)
        second = time.monotonic() - began
        self.assertGreaterEqual(first, 0.7)
        self.assertGreaterEqual(second, 1.4, "it waits longer each time")
        fails.send(max(fails.starts), [event(2)])
        consumer.wait_events(3)
        self.assertEqual(len(done.starts), 1)
        ended = self.state_of(consumer, "done", ENDED)
        self.assertEqual(ended.error.code, 0)
        self.assertEqual(consumer.received.numbers("fails"), [1, 2])
        self.assertEqual(
            len({each[1] for each in consumer.received.events if each[0] == "fails"}),
            2,
            "each attempt is an epoch of its own",
        )

    def test_A13_a_retry_ends_with_its_consumer_or_its_session(self):
        session, consumer, other = self.per_consumer("p"), self.consumer(), self.consumer()
        session.end(session.start_of(consumer), code=14)
        session.end(session.start_of(other), code=14)
        session.wait_confirmed()
        consumer.cancel()
        session.wait_starts(3)
        self.assertEqual([start.subscription_id for start in session.starts.values()][2:], [other.id])
        session.end(3, code=14)
        session.wait_confirmed()
        session.finish()
        eventually(lambda: self.daemon.live()["live.activations"] == 0, "no activation is left")

    def test_events_after_the_end_of_an_activation_are_dropped(self):
        """They are dropped and counted, and the session goes on."""
        session, consumer = self.per_consumer("p"), self.consumer()
        activation = session.start_of(consumer)
        unwanted = self.daemon.counters()["events.unwanted"]
        session.end(activation, events=[event(1)])
        session.send(activation, [event(2), event(3)])
        session.end(activation, code=14)
        session.wait_confirmed()
        self.state_of(consumer, "p", ENDED)
        self.assertEqual(consumer.received.numbers("p"), [1])
        self.assertEqual(self.daemon.counters()["events.unwanted"], unwanted + 2)
        self.assertEqual((session.fault, session.ended), (None, False))

    def test_the_longest_message_of_an_end_reaches_the_consumer_truncated(self):
        session, consumer = self.per_consumer("p"), self.consumer(
            subscribe_request(end_when=v1.END_WHEN_ALL_ENDED)
        )
        session.end(session.start_of(consumer), code=16, message="m" * 1024)
        self.assertIsNone(consumer.wait_end())
        error = [each.error for each in consumer.received.states if each.error.code][0]
        self.assertEqual((error.code, error.message), (16, "m" * 256))

    def test_a_lost_session_fails_its_activations_and_its_return_starts_them(self):
        consumer = self.consumer(subscribe_request(request=b"again"))
        session = self.per_consumer("p")
        session.send(session.start_of(consumer), [event(1)])
        consumer.wait_events(1)
        session.cancel()
        self.assertEqual(self.state_of(consumer, "p", ENDED).error.code, CODE.UNAVAILABLE.value[0])
        back = self.per_consumer("p")
        activation = back.start_of(consumer)
        self.assertEqual(back.starts[activation].request, b"again")
        back.send(activation, [event(2)])
        consumer.wait_events(2)

    def test_A24_ALL_ENDED_closes_with_OK_after_the_last(self):
        sessions = [self.per_consumer(f"p{n}") for n in range(3)]
        self.session("shared")  # shared producers do not count
        consumer = self.consumer(subscribe_request(end_when=v1.END_WHEN_ALL_ENDED))
        for number, session in enumerate(sessions):
            self.assertFalse(consumer.ended)
            session.send(session.start_of(consumer), [event(0)])
            session.end(
                session.start_of(consumer),
                code=5 if number == 1 else 0,
                message="no such row" if number == 1 else "",
                events=[event(1)],
            )
            session.wait_confirmed()
        self.assertIsNone(consumer.wait_end())
        for number in range(3):
            self.assertEqual(consumer.received.numbers(f"p{number}"), [0, 1])
        errors = {
            each.source: (each.error.code, each.error.message)
            for each in consumer.received.states
            if each.state == ENDED
        }
        self.assertEqual(errors, {"p0": (0, ""), "p1": (5, "no such row"), "p2": (0, "")})
        self.assertEqual(len(sessions[1].starts), 1, "a failure is an end too")

    def test_A24_ALL_ENDED_waits_for_the_first_producer(self):
        consumer = self.consumer(subscribe_request(end_when=v1.END_WHEN_ALL_ENDED))
        session = self.per_consumer("p")
        session.end(session.start_of(consumer), events=[event(1)])
        self.assertIsNone(consumer.wait_end())
        self.assertEqual(consumer.received.numbers("p"), [1])

    def test_A24_a_removed_or_lost_producer_has_ended_too(self):
        for how in ("removed", "lost"):
            with self.subTest(how=how):
                session = self.per_consumer("p")
                consumer = self.consumer(subscribe_request(end_when=v1.END_WHEN_ALL_ENDED))
                session.send(session.start_of(consumer), [event(1)])
                session.wait_confirmed()
                if how == "removed":
                    self.remove("p")
                else:
                    session.cancel()
                self.assertIsNone(consumer.wait_end())
                self.assertEqual(consumer.received.numbers("p"), [1])
                session.cancel()
                eventually(lambda: self.daemon.producer("p") is None, "its name is free")

    def test_A24_limit_events_closes_after_exactly_so_many(self):
        session = self.per_consumer("p", ends_on_stop=False)
        for limit in (1, 7):
            consumer = self.consumer(subscribe_request(limit_events=limit))
            activation = session.start_of(consumer)
            for number in range(20):
                session.send(activation, [event(number)])
            self.assertIsNone(consumer.wait_end())
            self.assertEqual(consumer.received.numbers("p"), list(range(limit)))
            self.assertEqual(session.wait_stop(activation).reason, "FINISHED")


if __name__ == "__main__":
    main()
