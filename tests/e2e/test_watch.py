#!/usr/bin/python3
"""Admin.Watch: what is there, and then each change of producers and subscriptions."""
import grpc

from harness.case import Case, main
from harness.changes import ADDED, PRESENT, REMOVED, RESYNC, STATE, Known, WithChanges
from harness.client import event, subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.protos import Fault, duration, v1
from harness.sessions import PER_CONSUMER, WithSessions, of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
IDLE, CONNECTING, ACTIVE, BLOCKED, UNAVAILABLE, DRAINING, ENDED, GONE = (
    v1.PRODUCER_STATE_IDLE,
    v1.PRODUCER_STATE_CONNECTING,
    v1.PRODUCER_STATE_ACTIVE,
    v1.PRODUCER_STATE_BLOCKED,
    v1.PRODUCER_STATE_UNAVAILABLE,
    v1.PRODUCER_STATE_DRAINING,
    v1.PRODUCER_STATE_ENDED,
    v1.PRODUCER_STATE_REMOVED,
)
DIAL, STREAM = 1, 2  # Producer.Failure.Where
UPSTREAM = "/tributary.v1.Upstream/Produce"


class WithUpstreams(WithChanges, WithSessions, Case):
    def upstream(self, **options):
        upstream = Upstream(**options)
        self.addCleanup(upstream.stop)
        return upstream

    def add(self, name, address, **fields):
        self.addCleanup(self.remove_quietly, name)
        return self.daemon.admin().AddProducer(
            v1.AddProducerRequest(endpoint=endpoint(name, address, **fields)), timeout=PATIENCE
        )

    def remove_quietly(self, name):
        try:
            self.remove(name, v1.RemoveProducerRequest.CANCEL)
        except grpc.RpcError:
            pass


class StatesOfEndpoints(WithUpstreams):
    def test_per_consumer_from_IDLE_to_REMOVED(self):
        upstream = self.upstream()
        changes = self.changes(pattern="one-*")
        self.add("one-feed", upstream.address, backoff=duration(0.01))
        changes.wait_of("one-feed", [(ADDED, IDLE)])
        consumer = self.consumer(subscribe_request(of("one-feed")))
        expected = [(ADDED, IDLE), (STATE, CONNECTING), (STATE, ACTIVE)]
        changes.wait_of("one-feed", expected)
        upstream.wait_calls(1).end(CODE.INTERNAL, "the disk is full")
        expected += [(STATE, UNAVAILABLE), (STATE, CONNECTING), (STATE, ACTIVE)]
        changes.wait_of("one-feed", expected)
        failed = [each for each in changes.all if each.producer.state == UNAVAILABLE][0]
        self.assertEqual(
            (failed.producer.failure.code, failed.producer.failure.message, failed.producer.failure.where),
            (13, "the disk is full", STREAM),
        )
        self.assertFalse(changes.last_of("one-feed").producer.HasField("failure"), "it was accepted again")
        consumer.cancel()
        expected += [(STATE, IDLE)]
        changes.wait_of("one-feed", expected)
        self.remove("one-feed", v1.RemoveProducerRequest.CANCEL)
        expected += [(REMOVED, GONE)]
        changes.wait_of("one-feed", expected)
        self.assertEqual(changes.last_of("one-feed").reason, "REMOVED")
        self.assertEqual(changes.known.producers, {})

    def test_shared_with_BLOCKED_and_ENDED(self):
        upstream = self.upstream()
        changes = self.changes()
        self.add("all", upstream.address, activation=v1.Endpoint.SHARED, restart=v1.Endpoint.NEVER)
        expected = [(ADDED, CONNECTING), (STATE, ACTIVE)]
        changes.wait_of("all", expected)
        self.stalled(selectors=of("all"), overflow=v1.OVERFLOW_BLOCK, max_events=1, block_timeout=60)
        upstream.calls[0].send(*[b"x" * 10_000] * 30)
        expected += [(STATE, BLOCKED)]
        changes.wait_of("all", expected)
        for each in self.daemon.subscriptions():
            self.daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=each.id), timeout=PATIENCE)
        expected += [(STATE, ACTIVE)]
        changes.wait_of("all", expected)
        upstream.calls[0].end(CODE.ABORTED, "no more")
        expected += [(STATE, ENDED)]
        changes.wait_of("all", expected)
        failure = changes.last_of("all").producer.failure
        self.assertEqual((failure.code, failure.message, failure.where), (10, "no more", STREAM))

    def test_nobody_listens(self):
        changes = self.changes()
        self.add("dead", "127.0.0.1:1", activation=v1.Endpoint.SHARED, backoff=duration(60),
                 max_backoff=duration(60))
        changes.wait_of("dead", [(ADDED, CONNECTING), (STATE, UNAVAILABLE)])
        failure = changes.last_of("dead").producer.failure
        self.assertEqual((failure.code, failure.where), (14, DIAL))
        self.assertIn("Connection refused", failure.message)
        self.assertEqual(self.daemon.producer("dead").failure, failure)

    def test_a_failure_beside_calls_that_are_accepted_is_reported(self):
        upstream = self.upstream()
        changes = self.changes()
        self.add("both", upstream.address, backoff=duration(60), max_backoff=duration(60))
        self.consumer(subscribe_request(of("both")))
        upstream.wait_calls(1)
        self.consumer(subscribe_request(of("both")))
        upstream.wait_calls(2)
        eventually(lambda: self.daemon.producer("both").state == ACTIVE, "it is active")
        upstream.calls[1].end(CODE.DATA_LOSS, "a bad block")
        changes.wait(
            lambda: changes.of("both")[-1:] == [(STATE, ACTIVE)]
            and changes.all[-1].producer.failure.message == "a bad block",
            "the failure, and the state as before",
        )

    def test_DRAINING_until_the_upstream_has_ended(self):
        upstream = self.upstream()
        changes = self.changes()
        self.add("gentle", upstream.address, method=UPSTREAM)
        consumer = self.consumer(subscribe_request(of("gentle")))
        call = upstream.wait_calls(1)
        changes.wait_of("gentle", [(ADDED, IDLE), (STATE, CONNECTING), (STATE, ACTIVE)])
        self.remove("gentle", seconds=60)
        changes.wait_of("gentle", [(ADDED, IDLE), (STATE, CONNECTING), (STATE, ACTIVE), (STATE, DRAINING)])
        eventually(lambda: len(call.requests) == 2, "it is told to stop")
        call.end()
        changes.wait(lambda: changes.last_of("gentle").kind == REMOVED, "it is gone")
        self.assertEqual(changes.last_of("gentle").reason, "REMOVED")
        consumer.cancel()

    def test_an_update_is_a_second_one_of_the_name(self):
        upstream = self.upstream()
        changes = self.changes()
        self.add("twice", upstream.address)
        self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint("twice", upstream.address)), timeout=PATIENCE
        )
        changes.wait(
            lambda: len([each for each in changes.all if each.kind == ADDED]) == 2
            and any(each.kind == REMOVED for each in changes.all),
            "the old one leaves, and a new one comes",
        )
        self.assertEqual(list(changes.known.states()), ["twice"])
        removed = next(each for each in changes.all if each.kind == REMOVED)
        self.assertEqual(removed.reason, "REPLACED")
        self.assertNotEqual(removed.producer.epoch, self.daemon.producer("twice").epoch)


class StatesOfOthers(WithUpstreams):
    forget = "200ms"

    def test_a_transient_producer(self):
        changes = self.changes()
        stream = self.publishing("t")
        stream.send([event(1)])
        stream.wait_confirmed()
        changes.wait_of("t", [(ADDED, ACTIVE)])
        stream.finish()
        changes.wait_of("t", [(ADDED, ACTIVE), (STATE, IDLE), (REMOVED, GONE)])
        self.assertEqual(changes.last_of("t").reason, "FORGOTTEN")

    def test_a_session_and_its_consumer(self):
        changes = self.changes(subscriptions=True)
        session = self.session("s", PER_CONSUMER)
        consumer = self.consumer(subscribe_request(of("s"), name="reader"))
        session.start_of(consumer)
        changes.wait_of("s", [(ADDED, IDLE), (STATE, ACTIVE)])
        added = [each for each in changes.all if each.HasField("subscription")]
        self.assertEqual([(each.kind, each.subscription.id, each.subscription.name) for each in added],
                         [(ADDED, consumer.id, "reader")])
        self.assertGreater(added[0].subscription.started_unix_nano, 0)
        self.disconnect(consumer)
        changes.wait_of("s", [(ADDED, IDLE), (STATE, ACTIVE), (STATE, IDLE)])
        changes.wait(lambda: not changes.known.subscriptions, "it has ended")
        ended = [each for each in changes.all if each.HasField("subscription")][-1]
        self.assertEqual((ended.kind, ended.reason), (REMOVED, "KICKED"))
        session.cancel()
        changes.wait(lambda: changes.last_of("s").kind == REMOVED, "the session is gone")
        self.assertEqual(changes.last_of("s").reason, "CANCELLED")
        self.assertEqual(changes.last_of("s").producer.kind, v1.Producer.SESSION)


class Snapshot(WithUpstreams):
    forget = "5m"

    def test_it_has_what_is_there_and_then_the_changes(self):
        upstream = self.upstream()
        self.add("a", upstream.address, labels={"site": "north"})
        consumer = self.consumer(subscribe_request(of("zzz"), name="n"))
        changes = self.changes(pattern="a", subscriptions=True)
        first, second, marker = changes.all
        self.assertEqual((first.kind, first.producer), (PRESENT, self.daemon.producer("a")))
        self.assertEqual(second.kind, PRESENT)
        self.assertEqual(second.subscription.id, consumer.id)
        self.assertEqual(second.subscription.settings.max_events, 1024)
        self.assertEqual((marker.number, marker.missed), (0, 0))
        consumer.cancel()
        changes.wait(lambda: not changes.known.subscriptions, "the consumer leaves")

    def test_a_pattern_and_no_snapshot(self):
        self.publish("web-1", [event(1)])
        silent = self.changes(pattern="web-*", skip_snapshot=True)
        changes = self.changes(pattern="web-*")
        self.assertEqual(list(changes.known.states()), ["web-1"])
        self.publish("db-1", [event(1)])
        self.publish("web-2", [event(1)])
        for each in (changes, silent):
            each.wait(lambda: ("web-2" in each.known.states()), "web-2 is added")
        self.assertNotIn("db-1", [each.producer.name for each in changes.all + silent.all])
        self.assertNotIn(PRESENT, [each.kind for each in silent.all])

    def test_many_producers_that_come_and_go_while_it_is_walked(self):
        names = [f"p-{i:04d}" for i in range(2000)]
        for name in names:
            self.publish(name, [event(1, size=10)])
        changes = self.changes(complete=False)
        for i in range(200):
            self.publish(f"p-{i * 10:04d}y", [event(1)])
        changes.wait_complete()
        expected = set(names) | {f"p-{i * 10:04d}y" for i in range(200)}
        changes.wait(lambda: set(changes.known.states()) >= expected, "everything is known")

    def test_bad_requests(self):
        for pattern, reason in (("x" * 257, "TOO_LONG"),):
            with self.assertFault(CODE.INVALID_ARGUMENT, reason, "pattern", contains=["at most 256 bytes"]):
                list(self.daemon.admin().Watch(v1.WatchRequest(pattern=pattern), timeout=PATIENCE))


class Stalled(WithUpstreams):
    """A reader that stands still beside 10 000 changes."""

    forget = "5m"

    def test_it_gets_RESYNC_and_then_the_right_snapshot(self):
        connection = self.raw(window=1000, replenish=False)
        request = v1.WatchRequest(subscriptions=True)
        stalled = connection.call("/tributary.v1.Admin/Watch", request.SerializeToString())
        connection.wait(lambda: stalled.messages, "the end of the empty snapshot")
        reader = self.changes(pattern="nobody")
        before = self.daemon.memory_bytes()
        channel = self.channel()
        publisher = v1.stub("Publisher", channel)
        for i in range(2500 if instrumented() else 10_000):
            request = v1.PublishRequest(producer=f"flood-{i:05d}", events=[event(1)])
            publisher.Publish(request, timeout=PATIENCE)
        self.assertLess(self.daemon.counters()["live.change_bytes"], (1 << 20) + (64 << 10))
        if not instrumented():
            # 10 000 producers cost some 2 KB each; the changes beside them cost nothing more
            self.assertLess(self.daemon.memory_bytes() - before, 60 << 20)
        self.assertEqual(reader.known.missed, 0, "others do not miss anything")
        known = Known()
        stalled.grant(64 << 20)
        read = 0

        def complete():
            nonlocal read
            for message in stalled.messages[read:]:
                read += 1
                for change in v1.WatchResponse.FromString(message).changes:
                    known.apply(change)
            return known.complete and known.resyncs

        if not instrumented():
            connection.wait(complete, "the snapshot after RESYNC")
            self.assertGreater(known.missed, 0)
        present = set()
        token = ""
        while True:
            page = self.daemon.admin().ListProducers(
                v1.ListProducersRequest(page_size=1000, page_token=token), timeout=PATIENCE
            )
            present |= {each.name for each in page.producers}
            token = page.next_page_token
            if not token:
                break
        connection.wait(lambda: complete() is not None and set(known.states()) == present, "it knows all")


class Bounds(WithUpstreams):
    def test_100_at_a_time_hear_the_same(self):
        channel = self.channel()
        streams = [self.changes(channel=channel) for _ in range(100)]
        self.assertEqual(self.daemon.counters()["live.watches"], 100)
        for i in range(50):
            self.publish(f"x-{i}", [event(1)])
        wanted = {f"x-{i}" for i in range(50)}
        for each in streams:
            each.wait(lambda: wanted <= set(each.known.states()), "all producers")

    def test_a_peer_has_its_share_of_them(self):
        daemon = self.start_daemon("--local-peer-share", "1")
        streams = [self.changes(channel=self.channel(daemon.address)) for _ in range(10)]
        with self.assertFault(
            CODE.RESOURCE_EXHAUSTED, "PEER_WATCHES", contains=["127.0.0.1 has 10, at most 10 of 1000"]
        ):
            next(daemon.admin().Watch(v1.WatchRequest(), timeout=PATIENCE))
        streams[0].cancel()
        eventually(lambda: daemon.counters()["live.watches"] == 9, "one has left")
        self.changes(channel=self.channel(daemon.address))

    def test_they_end_when_the_server_drains(self):
        daemon = self.start_daemon()
        changes = self.changes(channel=self.channel(daemon.address))
        stalled = self.raw(daemon.address, window=10, replenish=False)
        stalled.call("/tributary.v1.Admin/Watch", v1.WatchRequest().SerializeToString())
        eventually(lambda: daemon.counters()["live.watches"] == 2, "both are there")
        daemon.close_channel()
        daemon.terminate()
        self.check_fault(changes.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
