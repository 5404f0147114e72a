#!/usr/bin/python3
"""What an event says of itself to a stored topic: when it is due, and its id."""
import time

from harness.case import main
from harness.client import Consumer, connect
from harness.daemon import PATIENCE, eventually
from harness.protos import duration, v1
from harness.topics import TopicsCase


def event(text, event_id="", delay=None, topic="orders"):
    made = v1.Event(topic=topic, data=text.encode(), id=event_id)
    if delay is not None:
        made.deliver_after_unix_nano = time.time_ns() + int(delay * 1e9)
    return made


class MarksCase(TopicsCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.connected = []
        self.addCleanup(lambda: [channel.close() for channel in self.connected])

    def channel(self):
        self.connected.append(connect(self.daemon.address))
        return self.connected[-1]

    def publish(self, *events, **fields):
        request = v1.PublishRequest(events=events, producer="web", **fields)
        return v1.stub("Publisher", self.channel()).Publish(request, timeout=PATIENCE)

    def consumer(self):
        return Consumer(self.channel())

    def got(self, consumer):
        return [each.data.decode() for source, _, _, each in consumer.received.events if source == "@orders"]

    def sequences(self, consumer):
        return [seq for source, _, seq, _ in consumer.received.events if source == "@orders"]


class Delays(MarksCase):
    def test_a_delayed_event_reaches_consumers_when_it_is_due(self):
        self.create("orders")
        consumer = self.consumer()
        answer = self.publish(event("1"), event("late", delay=0.7), event("2"), event("far", delay=3600))
        self.assertEqual([(each.first_sequence, each.last_sequence) for each in answer.ranges], [(1, 2)])
        begun = time.monotonic()
        consumer.wait(lambda: consumer.received.delivered == 2, "those without a delay")
        self.assertEqual(self.topic("orders").delayed_events, 2)
        consumer.wait(lambda: consumer.received.delivered == 3, "the late one")
        self.assertGreater(time.monotonic() - begun, 0.3)
        self.publish(event("3"))
        consumer.wait(lambda: consumer.received.delivered == 4, "the next one")
        self.assertEqual(self.got(consumer), ["1", "2", "late", "3"])
        self.assertEqual(self.sequences(consumer), [1, 2, 3, 4])
        self.assertEqual(self.topic("orders").delayed_events, 1)
        self.daemon.stop()

    def test_a_kill_loses_none(self):
        self.create("orders")
        self.publish(*[event(f"{i}", delay=2) for i in range(500)])
        self.kill_and_start()
        self.assertEqual(self.topic("orders").delayed_events, 500)
        consumer = self.consumer()
        consumer.wait(lambda: consumer.received.delivered == 500, "all of them")
        self.assertEqual(self.got(consumer), [f"{i}" for i in range(500)])
        self.assertEqual(self.topic("orders").delayed_events, 0)
        self.assertEqual(self.topic("orders").next_sequence, 501)
        self.daemon.stop()

    def test_several_topics_in_one_batch(self):
        for name in ("a", "b"):
            self.create(name)
        consumer = self.consumer()
        answer = self.publish(event("1", topic="a"), event("2", topic="b"), event("3", topic="a", delay=0.3),
                              event("4", topic="live"), event("5", topic="a"))
        self.assertEqual({each.topic: each.last_sequence for each in answer.ranges}, {"a": 2, "b": 1})
        consumer.wait(lambda: consumer.received.delivered == 5, "all of them")
        found = {}
        for source, _, _, each in consumer.received.events:
            found.setdefault(source, []).append(each.data.decode())
        self.assertEqual(found, {"@a": ["1", "5", "3"], "@b": ["2"], "web": ["4"]})
        self.daemon.stop()


class Ids(MarksCase):
    def test_an_event_with_a_known_id_is_not_stored_again(self):
        self.create("orders", id_window=duration(3600))
        consumer = self.consumer()
        first = self.publish(event("1", "a"), event("2", "b"), event("none"))
        self.assertEqual((first.duplicates, first.ranges[0].last_sequence), (0, 3))
        second = self.publish(event("again", "a"), event("3", "c"), event("twin", "c"), event("none"))
        self.assertEqual(second.duplicates, 2)
        self.assertEqual([(each.first_sequence, each.last_sequence) for each in second.ranges], [(4, 5)])
        third = self.publish(event("again", "b"))
        self.assertEqual((third.duplicates, len(third.ranges)), (1, 0))
        self.publish(event("4", "d"))
        consumer.wait(lambda: consumer.received.delivered == 6, "all but the duplicates")
        self.assertEqual(self.got(consumer), ["1", "2", "none", "3", "none", "4"])
        self.kill_and_start()
        self.assertEqual(self.publish(event("again", "d")).duplicates, 1, "after a kill too")
        self.assertEqual(self.topic("orders").next_sequence, 7)
        self.daemon.stop()

    def test_ids_beyond_the_bound_are_counted(self):
        self.create("orders", id_window=duration(3600), max_ids=10)
        self.publish(*[event("x", f"{i}") for i in range(30)])
        eventually(lambda: self.topic("orders").ids_forgotten_early == 20, "the count")
        self.assertEqual(self.publish(event("x", "29"), event("x", "5")).duplicates, 1)
        self.daemon.stop()


if __name__ == "__main__":
    main()
