#!/usr/bin/python3
"""Shared sessions beside stored topics: a session that is blocked is not read, nor one that does not
read what is answered."""
import unittest

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.protos import v1
from harness.rawh2 import message
from harness.sessions import WithSessions, of
from harness.topics import TopicsCase

MESSAGES = 40


class Blocked(WithSessions, TopicsCase):
    """A consumer with BLOCK and little space; one stored topic, which nobody has to use."""

    def setUp(self):
        super().setUp()
        self.start()
        self.create("stored")

    def full_consumer(self):
        request = subscribe_request(
            of("session", topic="live"), overflow=v1.OVERFLOW_BLOCK, max_events=4, block_timeout=60
        )
        return self.without_credit(request)

    def check_blocked(self, session, handled):
        """The session waits. What is behind the message that waits is not read."""
        eventually(lambda: self.daemon.blocked("session"), "the session is blocked")
        session.wait(lambda: session.confirmed == handled, "what was let in is confirmed")
        # A message that were read all the same would be counted before the second answer.
        for _ in range(20):
            self.admin().ListTopics(v1.ListTopicsRequest())
        self.assertEqual(session.confirmed, handled)
        # The hello is no message of events.
        self.assertEqual(self.daemon.counters()["messages.in"], handled)

    def test_live_events_block_a_session_where_a_topic_is_stored(self):
        consumer, session = self.full_consumer(), self.session("session")
        for number in range(MESSAGES):
            session.send(0, [v1.Event(topic="live", data=b"%d " % number)])
        self.check_blocked(session, 5)
        consumer.credit(10 * MESSAGES)
        session.finish()
        consumer.wait(lambda: consumer.received.delivered == MESSAGES, "all events")

    def test_live_events_behind_stored_ones_block_too(self):
        consumer, session = self.full_consumer(), self.session("session")
        for number in range(MESSAGES):
            session.send(0, [v1.Event(topic="stored", data=b"%d " % number)])
            session.send(0, [v1.Event(topic="live", data=b"%d " % number)])
        self.check_blocked(session, 10)  # the hello, five stored ones and four live ones
        consumer.credit(10 * MESSAGES)
        session.finish()
        consumer.wait(lambda: consumer.received.delivered == MESSAGES, "all events")
        self.assertEqual(self.topic("stored").next_sequence, MESSAGES + 1)

    def test_a_half_close_behind_a_blocked_message_gives_nothing_up(self):
        consumer, session = self.full_consumer(), self.session("session")
        for number in range(5):
            session.send(0, [v1.Event(topic="live", data=b"%d " % number)])
        session.half_close()
        self.check_blocked(session, 5)
        self.assertFalse(session.ended)
        consumer.credit(MESSAGES)
        self.assertIsNone(session.wait_end())
        self.assertEqual(session.confirmed, session.sent)
        consumer.wait(lambda: consumer.received.delivered == 5, "all events")

    def test_a_blocked_session_does_not_hold_up_a_drain(self):
        consumer, session = self.full_consumer(), self.session("session")
        for number in range(MESSAGES):
            session.send(0, [v1.Event(topic="live", data=b"%d " % number)])
        self.check_blocked(session, 5)
        consumer.credit(10 * MESSAGES)
        self.daemon.stop()


REFUSED = 1200  # messages; they fit into the window of a new stream, their answers are much more
GRANTED = 1 << 20


class Refusals(WithSessions, TopicsCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.create("stored")

    def test_a_session_that_does_not_read_refusals_is_not_read(self):
        connection = self.raw(window=0)
        stream = connection.request("/tributary.v1.Publisher/Register")
        hello = v1.RegisterRequest(hello=v1.Hello(name="session", mode=v1.Hello.SHARED))
        refused = v1.RegisterRequest(
            events=[v1.Event(topic="stored")], publisher=v1.PublisherNumbers(first_number=1)
        )
        live = v1.RegisterRequest(events=[v1.Event(topic="live")])
        stream.send(message(hello.SerializeToString()))
        eventually(lambda: self.daemon.producer("session"), "the session is there")
        data = message(refused.SerializeToString()) * REFUSED + message(live.SerializeToString())
        self.assertLess(len(data), 1 << 15)
        stream.send(data)
        # If all were read, the last one would be counted before so many answers.
        for _ in range(100):
            self.admin().ListTopics(v1.ListTopicsRequest())
        self.assertEqual(self.daemon.counters()["messages.in"], 0)

        stream.grant(GRANTED)
        numbers = []

        def all_handled():
            answers = [v1.RegisterResponse.FromString(each) for each in stream.messages]
            commands = [each for answer in answers for each in answer.commands]
            numbers[:] = [each.refused.message for each in commands if each.HasField("refused")]
            return any(each.confirm.message == REFUSED + 2 for each in commands)

        connection.wait(all_handled, "all is handled")
        self.assertEqual(numbers, list(range(2, REFUSED + 2)))
        self.assertEqual(self.daemon.counters()["messages.in"], 1)


if __name__ == "__main__":
    main()
