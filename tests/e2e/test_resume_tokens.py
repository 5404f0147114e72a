#!/usr/bin/python3
"""What a consumer knows of its place when its connection breaks, with more producers than a small
token has space for: it resumes with the latest token and the positions that followed (finding 17)."""
from harness.case import Case, main
from harness.client import EVERYTHING, Consumer, connect, event, publish, subscribe_request
from harness.protos import v1
from harness.sessions import WithSessions, of

PRODUCERS = [f"a producer with a long name, number {n}" for n in range(60)]


class Place:
    """The latest token, and the positions that followed it, as the C library keeps them. Its
    batch() is an `on_batch`."""

    def __init__(self):
        self.tokens, self.token, self.positions = 0, b"", {}

    def batch(self, batch):
        for each in batch.progress.positions:
            self.positions[each.source] = each
        for token in (batch.started.resume_token, batch.progress.resume_token):
            if token:
                self.tokens, self.token, self.positions = self.tokens + 1, token, {}

    def start(self):
        return v1.Start(positions={"resume_token": self.token, "positions": self.positions.values()})


class Resuming(WithSessions, Case):
    forget = "60s"

    def began(self, request, consume=True):
        """A stream, and the place where it stands."""
        place = Place()
        begin = self.consuming if consume else self.consumer
        consumer = begin(request, on_batch=place.batch)
        consumer.wait(lambda: place.tokens == 1, "the token of Started")
        return consumer, place

    def resume(self, place, selectors):
        """Resumes, and returns the consumer when it has all that it is told at the beginning."""
        consumer = self.consumer(subscribe_request(selectors, start=place.start()))
        self.publish(PRODUCERS[0], [event(99)])
        consumer.wait_events(1)
        return consumer

    def test_a_select_that_widens_brings_a_token_with_the_idle_sources(self):
        for each in PRODUCERS:
            self.publish(each, [event(1)])
        consumer, place = self.began(subscribe_request(of("nobody")))
        consumer.select(EVERYTHING)
        consumer.wait_revision(1)
        consumer.wait(lambda: place.tokens == 2, "a token comes with the settings", patience=1)
        consumer.cancel()
        self.assertEqual(self.resume(place, EVERYTHING).received.lost, [])

    def test_positions_of_filtered_events_are_reported(self):
        request = subscribe_request([v1.Selector(topic="b")], heartbeat_interval=0.1)
        for each in PRODUCERS:
            self.publish(each, [event(1, topic="a")])
        consumer, place = self.began(request)
        last = {each: self.publish(each, [event(2, topic="a")]).last_sequence for each in PRODUCERS}
        consumer.wait(
            lambda: {each.source: each.sequence for each in place.positions.values()} == last,
            "the positions of all",
        )
        consumer.cancel()
        resumed = self.consumer(subscribe_request([v1.Selector(topic="b")], start=place.start()))
        self.publish(PRODUCERS[0], [event(4, topic="b")])
        resumed.wait_events(1)
        self.assertEqual(resumed.received.lost, [])

    def test_a_heartbeat_is_empty_where_no_event_was_filtered(self):
        request = subscribe_request([v1.Selector(topic="b")], heartbeat_interval=0.1)
        self.publish(PRODUCERS[0], [event(1, topic="a")])
        consumer, place = self.began(request)
        consumer.wait(lambda: consumer.received.heartbeats > 60, "heartbeats of more than 5 s")
        self.assertEqual((place.tokens, place.positions), (1, {}))

    def test_a_source_that_ended_is_reported_once(self):
        for each in PRODUCERS:
            self.publish(each, [event(1)])
        ending = self.session("ending")
        consumer, place = self.began(subscribe_request())
        ending.send(0, [event(1)])
        ending.wait_confirmed()
        consumer.wait(lambda: "ending" in place.positions, "its position")
        self.remove("ending")
        self.state_of(consumer, "ending", v1.PRODUCER_STATE_REMOVED)
        consumer.wait(lambda: place.tokens == 2, "a token without it", patience=5)
        consumer.cancel()
        resumed = self.resume(place, EVERYTHING)
        self.assertEqual(resumed.received.lost, [])
        self.assertNotIn("ending", [each.source for each in resumed.received.states])


class AnotherServer(Case):
    shared_daemon = False

    def test_of_a_source_that_its_token_does_not_name_nobody_knows_what_was_missed(self):
        """The source published 3 events before the restart, and the token is older."""
        place, daemon = Place(), self.start_daemon()
        channel = connect(daemon.address)
        consumer = Consumer(channel, on_batch=place.batch)
        consumer.wait(lambda: place.tokens == 1, "the token of Started")
        consumer.cancel()
        publish(channel, "new", [event(n) for n in range(3)])
        channel.close()
        daemon.kill()
        daemon = self.start_daemon()
        channel = connect(daemon.address)
        publish(channel, "new", [event(3)])
        resumed = Consumer(channel, subscribe_request(start=v1.Start(resume=place.token)))
        publish(channel, "new", [event(4)])
        resumed.wait_events(1)
        gaps = [lost for lost in resumed.received.lost if lost.source == "new"]
        self.assertTrue(gaps and all(lost.count_unknown for lost in gaps))
        resumed.cancel()
        channel.close()
        daemon.stop()


if __name__ == "__main__":
    main()
