#!/usr/bin/python3
"""The memory budget: who loses when it is short, and who does not."""
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import v1
from harness.sessions import WithSessions, of

CODE = grpc.StatusCode
LARGE = dict(max_events=1 << 20, max_bytes=256 << 20)
KB_100 = 100_000


class Short(WithSessions, Case):
    arguments = ("--memory-limit", "16M", "--write-timeout", "120s")

    def used(self):
        info = self.daemon.admin().GetInfo(v1.GetInfoRequest())
        self.assertLessEqual(info.memory_used_bytes, info.memory_limit_bytes)
        return info.memory_used_bytes

    def test_a_consumer_gets_a_quarter_of_the_budget_as_its_buffer(self):
        consumer = self.consumer(subscribe_request(**LARGE))
        self.assertEqual(consumer.started.settings.max_bytes, (16 << 20) // 100 * 25)
        other = self.start_daemon("--memory-limit", "16M", "--channel-share", "50")
        consumer = self.consumer(subscribe_request(**LARGE), channel=self.channel(other.address))
        self.assertEqual(consumer.started.settings.max_bytes, (16 << 20) // 100 * 50)
        consumer.cancel()
        other.stop()

    # Finding 8.
    def test_consumers_without_credit_lose_and_no_publisher_is_refused(self):
        policies = (
            v1.OVERFLOW_UNSPECIFIED,
            v1.OVERFLOW_DROP_OLDEST,
            v1.OVERFLOW_DROP_NEWEST,
            v1.OVERFLOW_LATEST_PER_KEY,
            v1.OVERFLOW_BLOCK,
        )
        greedy = {
            f"greedy-{n}": self.without_credit(
                subscribe_request(of(f"greedy-{n}"), overflow=policy, block_timeout=0.1, **LARGE)
            )
            for n, policy in enumerate(policies)
        }
        modest = self.without_credit(subscribe_request(of("modest"), max_events=100))
        self.publish("modest", [event(number, size=1000) for number in range(100)])
        for number in range(100):
            for name in greedy:
                self.publish(name, [event(number, size=KB_100)])
        self.assertLess(self.used(), 16 << 20)
        modest.credit(events=100)
        modest.wait_events(100)
        self.assertEqual(modest.received.lost, [])
        losers = 0
        for name, consumer in greedy.items():
            consumer.credit(events=1000)
            consumer.wait(
                lambda: consumer.received.delivered + consumer.received.lost_count() >= 100,
                "every event is delivered or reported",
            )
            losers += any(lost.reason == v1.LOSS_REASON_BUDGET for lost in consumer.received.lost)
            self.check_totals(self.daemon.subscription(consumer.id, sources=True))
        self.assertGreater(losers, 2)

    def test_disconnect_ends_where_it_would_lose(self):
        greedy = [
            self.without_credit(subscribe_request(of(f"d{n}"), overflow=v1.OVERFLOW_DISCONNECT, **LARGE))
            for n in range(5)
        ]
        for _ in range(38):
            for n in range(5):
                self.publish(f"d{n}", [event(size=KB_100)])
        ended = eventually(lambda: [each for each in greedy if each.ended], "one of them is ended")
        self.check_fault(ended[0].fault, CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")

    def test_paused_activations_lose_nothing_and_keep_the_budget_for_others(self):
        session = self.per_consumer("each")
        consumers = [
            self.without_credit(subscribe_request(of("each"), overflow=v1.OVERFLOW_BLOCK, **LARGE))
            for _ in range(5)
        ]
        activations = [session.start_of(consumer) for consumer in consumers]
        sent = dict.fromkeys(activations, 0)
        until = time.monotonic() + 2
        while time.monotonic() < until and len(session.paused) < 5:
            for activation in activations:
                if activation not in session.paused:
                    session.send(activation, [event(sent[activation], size=KB_100)])
                    sent[activation] += 1
            session.wait_confirmed()
        self.publish("somebody else", [event(0, size=KB_100)])
        for consumer, activation in zip(consumers, activations):
            consumer.credit(events=10_000)
            consumer.wait_events(sent[activation])
            self.assertEqual(consumer.received.numbers("each"), list(range(sent[activation])))
            self.assertEqual(consumer.received.lost, [])


class History(WithSessions, Case):
    arguments = ("--memory-limit", "16M", "--history", "--channel-share", "100", "--write-timeout", "120s")

    # Finding 21.
    def test_history_of_idle_producers_gives_way(self):
        for number in range(120):
            self.publish(f"idle-{number}", [event(size=40_000), event(size=40_000)])
        before = self.daemon.counters()["live.chunk_bytes"]
        self.assertGreater(before, 6 << 20, "history keeps half of the budget")
        self.assertLess(before, 9 << 20)
        recent = self.consumer(subscribe_request(of("idle-119"), start=v1.Start(last=10)))
        recent.wait_events(2)
        busy = self.without_credit(
            subscribe_request(of("busy"), overflow=v1.OVERFLOW_DROP_NEWEST, **LARGE)
        )
        for number in range(11 * 1024 // 80):
            self.publish("busy", [event(size=40_000), event(size=40_000)])
        busy.credit(events=1000)
        busy.wait_events(2 * (11 * 1024 // 80))
        self.assertEqual(busy.received.lost, [], "11 MiB waited")


class UsedUp(WithSessions, Case):
    arguments = ("--memory-limit", "4M", "--write-timeout", "120s")

    def test_publishing_is_refused_while_nobody_may_lose(self):
        """The reserves of paused activations that their producer uses up."""
        session = self.per_consumer("each")
        consumers = [
            self.without_credit(subscribe_request(of("each"), overflow=v1.OVERFLOW_BLOCK))
            for _ in range(24)
        ]
        activations = [session.start_of(consumer) for consumer in consumers]
        for number in range(10):
            for activation in activations:
                session.send(activation, [event(number, size=KB_100)])
        self.check_fault(session.wait_end(), CODE.RESOURCE_EXHAUSTED, "MEMORY_BUDGET")
        with self.assertFault(CODE.RESOURCE_EXHAUSTED, "MEMORY_BUDGET"):
            for number in range(30):
                self.publish("large", [event(number, size=KB_100)])
        info = self.daemon.admin().GetInfo(v1.GetInfoRequest())
        self.assertLessEqual(info.memory_used_bytes, info.memory_limit_bytes)
        for consumer in consumers:
            consumer.credit(events=1000)
        eventually(
            lambda: all(each.queued.events == 0 for each in self.daemon.subscriptions()), "the queues empty"
        )
        self.publish("large", [event(100, size=KB_100)])


if __name__ == "__main__":
    main()
