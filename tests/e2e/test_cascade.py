#!/usr/bin/python3
"""X9: a tributary behind a tributary behind a tributary. Inner sources, sequences, losses, states and
positions arrive at the outermost consumer, and the sums hold from end to end."""
import json
import subprocess
import time

import grpc

from harness.cascade import Chain, remove
from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import binary, eventually
from harness.protos import message_class, v1
from harness.sessions import of

ACTIVE, UNAVAILABLE, ENDED, REMOVED = (
    v1.PRODUCER_STATE_ACTIVE,
    v1.PRODUCER_STATE_UNAVAILABLE,
    v1.PRODUCER_STATE_ENDED,
    v1.PRODUCER_STATE_REMOVED,
)
START_POSITIONS = message_class("tributary.v1.Start.Positions")
PRODUCER = message_class("tributary.v1.Producer")
GAP, OLDEST = v1.LOSS_REASON_RESUME_GAP, v1.LOSS_REASON_OVERFLOW_OLDEST
DROP_OLDEST = v1.OVERFLOW_DROP_OLDEST


class WithChain(Case):
    shared_daemon = False

    def chain(self, **options):
        chain = Chain(**options)
        self.addCleanup(chain.close)
        self._started += [chain.a.daemon, chain.b.daemon, chain.c.daemon]
        chain.wait_relayed()
        return chain

    def states(self, consumer, source):
        return [state.state for state in consumer.received.states if state.source == source]

    def wait_state(self, consumer, source, state):
        consumer.wait(lambda: state in self.states(consumer, source), f"state {state} of {source}")

    def wait_last_state(self, consumer, source, state):
        consumer.wait(lambda: self.states(consumer, source)[-1:] == [state], f"{state} of {source}, at last")

    def stop_well(self, *nodes):
        for node in nodes:
            node.daemon.stop()


class Events(WithChain):
    def test_events_keep_their_source_epoch_sequence_and_bytes(self):
        chain = self.chain()
        consumer = chain.consumer()
        sent = {}
        for name in ("web", "db", "a/b*c", "ü" * 20):
            fields = {"key": "k", "headers": {"h": "v"}}
            sent[name] = [event(i, size=10 + 97 * i, topic=f"t{i}", **fields) for i in range(40)]
            answer = chain.publish(name, sent[name])
            self.assertEqual((answer.first_sequence, answer.last_sequence), (1, 40))
            consumer.wait_events(40 * len(sent))
            got = [
                (epoch, sequence, each.SerializeToString(deterministic=True))
                for source, epoch, sequence, each in consumer.received.events
                if source == f"b/a/{name}"
            ]
            expected = [
                (answer.epoch, i + 1, each.SerializeToString(deterministic=True))
                for i, each in enumerate(sent[name])
            ]
            self.assertEqual(got, expected)
        self.assertEqual(consumer.received.lost, [])
        at_c = chain.c.daemon.producer("b/a/web")
        self.assertEqual((at_c.kind, at_c.last_sequence, at_c.published.events), (PRODUCER.RELAYED, 40, 40))
        self.assertEqual(chain.c.daemon.producer("b").inner_sources, 5)  # and "b/a", the endpoint

    def test_selectors_match_the_whole_name_and_filters_hold_at_the_outer_server(self):
        chain = self.chain()
        under = chain.consumer(selectors=of("b/*"))
        exact = chain.consumer(selectors=of("b/a/web"))
        only_endpoint = chain.consumer(selectors=of("b"))
        topic = chain.consumer(selectors=[v1.Selector(producer="b/a/*", topic="hot")])
        for name in ("web", "db"):
            chain.publish(name, [event(i, topic="hot" if i % 2 else "cold") for i in range(10)])
        under.wait_events(20)
        exact.wait_events(10)
        topic.wait_events(10)
        self.assertEqual({source for source, *_ in exact.received.events}, {"b/a/web"})
        of_db = [sequence for source, _, sequence, _ in topic.received.events if source == "b/a/db"]
        self.assertEqual(of_db, [2, 4, 6, 8, 10])
        self.assertEqual(only_endpoint.received.events, [])
        self.assertEqual({state.source for state in only_endpoint.received.states}, {"b"})

    def test_a_filter_in_the_request_leaves_holes_and_they_are_no_losses(self):
        chain = self.chain(request_b=subscribe_request([v1.Selector(producer="*", topic="hot")]))
        consumer = chain.consumer(selectors=of("b/a/web"))
        chain.publish("web", [event(i, topic="hot" if i % 3 == 0 else "cold") for i in range(30)])
        consumer.wait_events(10)
        self.assertEqual([s for _, _, s, _ in consumer.received.events], list(range(1, 31, 3)))
        self.assertEqual(consumer.received.lost, [])
        # A consumer that comes back cannot be told how many it missed.
        epoch = consumer.received.events[0][1]
        position = v1.Position(source="b/a/web", epoch=epoch, sequence=4)
        start = v1.Start(positions=START_POSITIONS(positions=[position]))
        again = chain.consumer(selectors=of("b/a/web"), start=start)
        again.wait(lambda: again.received.lost, "the gap")
        self.assertTrue(again.received.lost[0].count_unknown)

    def test_names_over_256_bytes_are_truncated_and_stay_apart(self):
        chain = self.chain()
        consumer = chain.consumer()
        names = ["n" * 254 + end for end in ("a", "b")] + ["é" * 127 + "x"]
        for name in names:
            chain.publish(name, [event(1)])
        consumer.wait_events(3)
        sources = {source for source, *_ in consumer.received.events}
        self.assertEqual(len(sources), 3)
        for source in sources:
            self.assertLessEqual(len(source.encode()), 256)
            self.assertIn("~", source)

    def test_the_end_of_an_inner_source_is_told_behind_its_last_event(self):
        chain = self.chain()
        consumer = chain.consumer()
        stream = v1.stub("Publisher", chain.channel(chain.a))
        stream.Publish(v1.PublishRequest(producer="web", events=[event(1)]))
        self.wait_state(consumer, "b/a/web", ACTIVE)
        consumer.wait_events(1)
        remove(chain.a.daemon, "web")
        self.wait_last_state(consumer, "b/a/web", REMOVED)
        eventually(lambda: chain.c.daemon.producer("b/a/web") is None, "it is gone at the outermost")
        stream.Publish(v1.PublishRequest(producer="web", events=[event(2)]))
        consumer.wait_events(2)
        first, second = consumer.received.events
        self.assertGreater(second[1], first[1], "a new epoch")

    def test_a_removed_endpoint_takes_its_sources_with_it(self):
        chain = self.chain()
        consumer = chain.consumer()
        for i in range(50):
            chain.publish(f"p{i}", [event(i)])
        consumer.wait_events(50)
        remove(chain.c.daemon, "b")
        for i in range(50):
            self.wait_last_state(consumer, f"b/a/p{i}", REMOVED)
        eventually(lambda: not chain.b.daemon.subscriptions(), "the upstream call is cancelled")
        consumer.cancel()
        eventually(lambda: chain.c.daemon.live()["live.relayed"] == 0, "no source is left")
        self.assertEqual(chain.c.daemon.live()["live.endpoints"], 0)
        self.stop_well(chain.c, chain.b, chain.a)


class Losses(WithChain):
    def test_a_loss_at_the_innermost_is_told_at_the_outermost(self):
        """b's subscription at a holds 16 events: it drops the oldest, and c's consumer hears of it."""
        small = subscribe_request(overflow=DROP_OLDEST, max_events=16)
        chain = self.chain(request_b=small)
        consumer = chain.consumer(selectors=of("b/a/*"), max_events=1 << 20, overflow=DROP_OLDEST)
        total = 0
        with_losses = 0
        until = time.monotonic() + 60
        while with_losses == 0 and time.monotonic() < until:
            chain.publish("web", [event(total + i, size=200) for i in range(1000)])
            total += 1000
            consumer.wait_accounted(total)
            with_losses = consumer.received.lost_count(source="b/a/web")
        self.assertGreater(with_losses, 0)
        self.assertEqual(consumer.received.delivered + with_losses, total)
        self.assertEqual({lost.reason for lost in consumer.received.lost}, {OLDEST})
        self.assertTrue(all(lost.upstream for lost in consumer.received.lost))
        at_a = chain.a.daemon.subscriptions()[0]
        self.assertEqual(at_a.dropped.events, with_losses)
        at_c = chain.c.daemon.producer("b/a/web")
        self.assertEqual((at_c.lost_upstream.events, at_c.last_sequence), (with_losses, total))
        mine = chain.c.daemon.subscription(consumer.id, sources=True)
        self.check_totals(mine)
        self.assertEqual((mine.dropped.events, mine.accepted.events), (0, total - with_losses))
        self.assertEqual(chain.c.daemon.counters()["events.lost_upstream"], with_losses)
        self.check_tool(chain.c.address, with_losses)

    def check_tool(self, server, lost):
        """What `producers get` says of the inner source, and of the endpoint."""
        def get(*arguments):
            command = [binary("tributary"), "producers", "get", "-s", server, *arguments]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

        self.assertEqual(json.loads(get("b/a/web", "-o", "json"))["lost_upstream"]["events"], lost)
        self.assertIn(f"lost upstream  {lost} events, ", get("b/a/web"))
        inner = json.loads(get("b", "-o", "json"))["inner_sources"]
        self.assertGreater(inner, 0)
        self.assertIn(f"inner sources  {inner}\n", get("b"))

    def test_an_outer_call_that_blips_loses_what_was_published_meanwhile_and_says_how_much(self):
        chain = self.chain()
        consumer = chain.consumer(selectors=of("b/a/*"))
        chain.publish("web", [event(i) for i in range(10)])
        consumer.wait_events(10)
        before = chain.b.daemon.subscriptions()[0].id
        chain.b.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=before))
        self.wait_state(consumer, "b/a/web", UNAVAILABLE)
        down = [each for each in consumer.received.states if each.state == UNAVAILABLE]
        self.assertEqual(down[-1].error.code, grpc.StatusCode.CANCELLED.value[0])
        sent = 10
        while not chain.b.daemon.subscriptions():
            chain.publish("web", [event(sent)])
            sent += 1
        chain.publish("web", [event(sent)])
        sent += 1
        consumer.wait(
            lambda: consumer.received.delivered + consumer.received.lost_count() >= sent,
            "all are accounted for",
        )
        self.assertEqual(consumer.received.delivered + consumer.received.lost_count(), sent)
        self.assertFalse([lost for lost in consumer.received.lost if lost.count_unknown])
        self.assertTrue(all(lost.reason == GAP and lost.upstream for lost in consumer.received.lost))
        self.wait_last_state(consumer, "b/a/web", ACTIVE)

    def test_the_middle_one_ends_and_comes_back(self):
        for end in ("terminate", "kill"):
            with self.subTest(end=end):
                chain = self.chain()
                consumer = chain.consumer(selectors=of("b/a/*"))
                first = chain.publish("web", [event(i) for i in range(10)])
                consumer.wait_events(10)
                code = getattr(chain.b, end)()
                self.assertIn(code, (0, None))
                self.wait_state(consumer, "b/a/web", UNAVAILABLE)
                chain.publish("web", [event(i) for i in range(10, 20)])
                chain.b.start()
                self._started.append(chain.b.daemon)
                chain.relay_at_b()
                chain.wait_relayed()
                chain.publish("web", [event(i) for i in range(20, 30)])
                consumer.wait(lambda: consumer.received.numbers("b/a/web")[-1:] == [29], "the last event")
                self.assertEqual({epoch for _, epoch, _, _ in consumer.received.events}, {first.epoch})
                numbers = [s for _, _, s, _ in consumer.received.events]
                self.assertEqual(numbers[:10] + numbers[-10:], list(range(1, 11)) + list(range(21, 31)))
                gaps = [lost for lost in consumer.received.lost if lost.reason == GAP]
                self.assertTrue(gaps, "what was missed is told")
                if not any(lost.count_unknown for lost in gaps):
                    self.assertEqual(consumer.received.delivered + consumer.received.lost_count(), 30)


if __name__ == "__main__":
    main()
