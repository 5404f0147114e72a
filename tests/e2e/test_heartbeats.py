#!/usr/bin/python3
"""Heartbeats on the calls of producers: Register and PublishStream; and what those of very many
consumers cost. Single ones of consumers are tested by test_subscribe.py."""
import os
import queue
import threading
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.crowd import Crowd
from harness.daemon import PATIENCE, eventually
from harness.protos import duration, v1

CODE = grpc.StatusCode
INTERVAL = 0.1


class Stream:
    """A call of a producer. Keeps each answer with its time."""

    def __init__(self, method, first):
        self.answers, self.error = [], None
        self._outbox = queue.SimpleQueue()
        self.send(first)
        self.call = method(iter(self._outbox.get, None), timeout=PATIENCE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for answer in self.call:
                self.answers.append((time.monotonic(), answer))
        except grpc.RpcError as error:
            self.error = error

    def send(self, request):
        self._outbox.put(request)

    def wait(self, count):
        eventually(lambda: len(self.answers) >= count or self.error, f"{count} answers")
        return [answer for _, answer in self.answers]


class Heartbeats(Case):
    def registered(self, name="idle", **hello):
        first = v1.RegisterRequest(hello=v1.Hello(name=name, **hello))
        stream = Stream(v1.stub("Publisher", self.daemon.channel).Register, first)
        self.addCleanup(stream.call.cancel)
        return stream

    def publishing(self, **first):
        method = v1.stub("Publisher", self.daemon.channel).PublishStream
        stream = Stream(method, v1.PublishStreamRequest(producer="idle", **first))
        self.addCleanup(stream.call.cancel)
        return stream

    def test_an_idle_session_gets_empty_messages(self):
        stream = self.registered(heartbeat_interval=duration(INTERVAL))
        answers = stream.wait(6)
        beats = [(at, answer) for at, answer in stream.answers if not answer.commands]
        self.assertGreaterEqual(len(beats), 4)
        self.assertTrue(any(answer.commands for answer in answers), "welcome and confirm are there too")
        for (before, _), (after, _) in zip(stream.answers, stream.answers[1:]):
            self.assertLess(after - before, PATIENCE)
        took = beats[-1][0] - beats[0][0]
        self.assertGreater(took, (len(beats) - 1) * INTERVAL * 0.5, "no more often than asked")

    def test_a_session_that_does_not_ask_gets_none(self):
        for hello in ({}, {"heartbeat_interval": duration(0)}):
            silent, beating = self.registered(**hello), self.publishing_other(INTERVAL)
            beating.wait(5)
            self.assertTrue(all(answer.commands for _, answer in silent.answers))
            silent.call.cancel()

    def publishing_other(self, interval):
        method = v1.stub("Publisher", self.daemon.channel).PublishStream
        stream = Stream(method, v1.PublishStreamRequest(producer="o", heartbeat_interval=duration(interval)))
        self.addCleanup(stream.call.cancel)
        return stream

    def test_an_idle_publisher_gets_its_last_answer_again(self):
        stream = self.publishing(events=[event(1), event(2)], heartbeat_interval=duration(INTERVAL))
        answers = stream.wait(4)
        self.assertEqual({answer.confirmed_batch for answer in answers}, {1})
        self.assertEqual({answer.last_sequence for answer in answers}, {2})
        stream.send(v1.PublishStreamRequest(events=[event(3)]))
        eventually(lambda: stream.answers[-1][1].confirmed_batch == 2, "the next batch is confirmed")
        self.assertEqual(stream.answers[-1][1].last_sequence, 3)

    def test_a_later_message_changes_the_interval(self):
        stream = self.publishing(events=[event(1)])
        stream.wait(1)
        stream.send(v1.PublishStreamRequest(heartbeat_interval=duration(INTERVAL)))
        stream.wait(5)
        stream.send(v1.PublishStreamRequest(heartbeat_interval=duration(0)))
        eventually(lambda: stream.answers[-1][1].confirmed_batch == 3, "the message is confirmed")
        count, other = len(stream.answers), self.publishing_other(INTERVAL)
        other.wait(5)
        self.assertEqual(len(stream.answers), count)

    def test_a_heartbeat_before_the_first_event(self):
        stream = self.publishing(heartbeat_interval=duration(INTERVAL))
        answers = stream.wait(3)
        self.assertEqual({(a.confirmed_batch, a.last_sequence, a.epoch) for a in answers}, {(1, 0, 0)})

    def test_bounds(self):
        for interval in (duration(0.099), duration(3601), duration(-1)):
            with self.subTest(interval=interval):
                stream = self.registered(heartbeat_interval=interval)
                eventually(lambda: stream.error, "refused")
                self.assertEqual(stream.error.code(), CODE.INVALID_ARGUMENT)
                self.assertIn("hello.heartbeat_interval", stream.error.details())
                stream = self.publishing(events=[event(1)], heartbeat_interval=interval)
                refused = stream.wait(1)[0].refused
                self.assertEqual([each.batch for each in refused], [1])
                self.assertIn("heartbeat_interval", refused[0].message)
                stream.send(v1.PublishStreamRequest(events=[event(2)]))
                eventually(lambda: stream.answers[-1][1].last_sequence, "the stream goes on")
                stream.call.cancel()

    def test_a_field_of_another_type_is_refused(self):
        raw = v1.stub("Publisher", self.daemon.channel, raw=True).PublishStream
        for bad in (b"\x20\x01", b"\x22\x02\x0a\x01", b"\x22\x02\x08\x80"):
            with self.subTest(bad=bad):
                (answer,) = raw(iter([b"\x12\x01p" + bad]), timeout=PATIENCE)
                (refused,) = v1.PublishStreamResponse.FromString(answer).refused
                self.assertEqual(refused.code, CODE.INVALID_ARGUMENT.value[0])
                self.assertIn("heartbeat_interval", refused.message)

    def test_many_calls_that_end_while_they_beat(self):
        for _ in range(5):
            streams = [
                self.registered(name=f"s{i}", heartbeat_interval=duration(INTERVAL)) for i in range(20)
            ]
            streams += [self.publishing_other(INTERVAL) for _ in range(20)]
            streams[-1].wait(3)
            for stream in streams:
                stream.call.cancel()
        request = v1.ListProducersRequest(pattern="s*")
        eventually(lambda: not self.daemon.admin().ListProducers(request).producers, "all have left")


class ManyConsumers(Case):
    arguments = ("--log-level", "warn")
    count, links, interval = 1000, 10, 2

    def waits(self):
        """How often the busiest thread of the daemon has waited."""
        found = []
        for task in os.listdir(f"/proc/{self.daemon.pid}/task"):
            text = open(f"/proc/{self.daemon.pid}/task/{task}/status", encoding="ascii").read()
            found.append(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]))
        return max(found)

    def test_the_thread_wakes_up_for_many_heartbeats_at_once(self):
        crowd = Crowd(self.daemon.address)
        self.addCleanup(crowd.close)
        request = subscribe_request(
            heartbeat_interval=duration(self.interval), notices=v1.NOTICES_NONE
        ).SerializeToString()
        links = [crowd.link() for _ in range(self.links)]
        for number in range(self.count):  # spread over an interval
            links[number % self.links].open("/tributary.v1.Subscriber/Subscribe", request, end=True)
            time.sleep(self.interval / self.count)
        crowd.wait_begun(self.count)
        began, frames, waits = time.monotonic(), sum(link.data_frames for link in links), self.waits()
        until = frames + 3 * self.count
        eventually(lambda: sum(link.data_frames for link in links) >= until, "three heartbeats each")
        self.assertGreater(time.monotonic() - began, 2 * self.interval, "none comes much too early")
        # Alone, each would wake the thread: 500 times a second. There are 62 moments in a second.
        self.assertLess(self.waits() - waits, 3 * self.count / 2)


if __name__ == "__main__":
    main()
