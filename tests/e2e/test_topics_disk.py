#!/usr/bin/python3
"""Stored topics on a disk that stalls, and on one that fails: row_16 and row_4, over the wire."""
import threading
import time

import grpc

from harness.bad_disk import OnBadDisk
from harness.case import main
from harness.client import Consumer, connect, subscribe_request
from harness.daemon import PATIENCE, eventually, instrumented
from harness.protos import fault_of, v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode
TOPIC = "kept"
STREAMS = 4
EVENTS = 100  # of a batch
PADDING = bytes(1000)
MIB = 1 << 20
SILENT_FOR = 3  # seconds
# What may wait: 16 MiB for their commit, and what each stream and its connection may hold.
MAX_WAITING_BYTES = 64 * MIB
MAX_GROWTH_BYTES = 4 * MIB


class Publishing(threading.Thread):
    """One PublishStream that sends as fast as it is read, until stop(). Batch n of it holds events
    with the numbers (n - 1) * EVENTS + 1 to n * EVENTS."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.channel, self.name = connect(address), name
        self.sent, self.confirmed, self.refused, self.fault = 0, 0, {}, None
        self._stopping = threading.Event()
        self.start()

    def _requests(self):
        while not self._stopping.is_set():
            first = self.sent * EVENTS + 1
            events = [
                v1.Event(topic=TOPIC, data=f"{number} ".encode() + PADDING)
                for number in range(first, first + EVENTS)
            ]
            self.sent += 1
            yield v1.PublishStreamRequest(producer=self.name, events=events, confirm=v1.CONFIRM_STORED)

    def run(self):
        try:
            for answer in v1.stub("Publisher", self.channel).PublishStream(self._requests()):
                self.refused.update({each.batch: each.reason for each in answer.refused})
                self.confirmed = answer.confirmed_batch
        except grpc.RpcError as error:
            self.fault = error

    def stop(self):
        self._stopping.set()

    def end(self):
        self.stop()
        self.join(PATIENCE)
        self.channel.close()
        return not self.is_alive()


class Disk(OnBadDisk, TopicsCase):
    def setUp(self):
        super().setUp()
        self.channels = []
        self.addCleanup(lambda: [channel.close() for channel in self.channels])
        self.start_on_bad_disk()
        self.create(TOPIC)

    def channel(self):
        self.channels.append(connect(self.daemon.address))
        return self.channels[-1]

    def publish_from_all(self):
        streams = [Publishing(self.daemon.address, f"p{i}") for i in range(STREAMS)]
        self.addCleanup(lambda: [stream.end() for stream in streams])
        eventually(lambda: all(stream.confirmed >= 5 for stream in streams), "every stream is confirmed")
        return streams

    def until_they_wait(self, streams):
        """Nothing was sent or confirmed for half a second."""
        seen = []

        def is_quiet():
            state = [(stream.sent, stream.confirmed) for stream in streams]
            if not seen or state != seen[0]:
                seen[:] = [state, time.monotonic()]
            return time.monotonic() - seen[1] > 0.5

        eventually(is_quiet, "all streams wait")
        self.assertGreater(self.daemon.counters()["live.append_bytes"], 0)

    def end_all(self, streams):
        for stream in streams:
            stream.stop()
        for stream in streams:
            self.assertTrue(stream.end(), "it ends")
            self.assertIsNone(stream.fault)
            self.assertEqual(stream.confirmed, stream.sent, "each batch is answered")

    def publish_live(self, count=20):
        """Events of no stored topic: none of them waits for the disk."""
        publisher, began = v1.stub("Publisher", self.channel()), time.monotonic()
        for _ in range(count):
            request = v1.PublishRequest(producer="live", events=[v1.Event(data=b"x")])
            publisher.Publish(request, timeout=PATIENCE)
        self.assertLess(time.monotonic() - began, PATIENCE / 2)

    def stored(self):
        """The numbers that the topic holds, read anew, by publisher. No sequence is left out."""
        request = subscribe_request([v1.Selector(topic=TOPIC)])
        request.start.earliest.SetInParent()
        request.end_when = v1.END_WHEN_CAUGHT_UP
        found, last = {f"p{i}": [] for i in range(STREAMS)}, 0
        for batch in v1.stub("Subscriber", self.channel()).Subscribe(request, timeout=2 * PATIENCE):
            self.assertFalse(batch.lost)
            for run in batch.runs:
                self.assertEqual(run.first_sequence, last + 1)
                last += len(run.events)
                found[run.origin] += [int(event.data.split(b" ", 1)[0]) for event in run.events]
        return found

    def test_a_disk_that_stalls_makes_publishers_wait(self):
        streams = self.publish_from_all()
        quick = self.daemon.memory_bytes()
        with self.disk_that("wait"):
            self.until_they_wait(streams)
            confirmed = [stream.confirmed for stream in streams]
            self.daemon.forget_memory_peak()
            self.publish_live()
            self.assertGreater(sum(map(len, self.stored().values())), 0, "what is stored can be read")
            sent = [stream.sent for stream in streams]
            peak = self.daemon.memory_peak_bytes()
            time.sleep(SILENT_FOR)  # nothing may happen
            self.assertEqual([stream.confirmed for stream in streams], confirmed)
            self.assertEqual([stream.sent for stream in streams], sent, "they wait")
            if not instrumented():
                self.assertLess(self.daemon.memory_bytes(), quick + MAX_WAITING_BYTES)
                self.assertLess(self.daemon.memory_peak_bytes(), peak + MAX_GROWTH_BYTES)
        eventually(lambda: all(stream.confirmed > had for stream, had in zip(streams, sent)), "all go on")
        self.end_all(streams)
        self.assertEqual([stream.refused for stream in streams], [{}] * STREAMS)
        found = self.stored()
        for stream in streams:
            self.assertEqual(found[stream.name], list(range(1, stream.sent * EVENTS + 1)))
        self.daemon.stop()

    def test_nothing_is_confirmed_after_the_first_sync_that_fails(self):
        consumer = Consumer(self.channel(), subscribe_request([v1.Selector(producer="live")]))
        streams = self.publish_from_all()
        with self.disk_that("fail"):
            eventually(lambda: all(stream.refused for stream in streams), "every stream is refused")
        # the disk is well again: it stays failed
        refused = [len(stream.refused) for stream in streams]
        eventually(
            lambda: all(len(stream.refused) > had for stream, had in zip(streams, refused)), "all go on"
        )
        request = v1.PublishRequest(producer="p", events=[v1.Event(topic=TOPIC)])
        fault = fault_of(lambda: v1.stub("Publisher", self.channel()).Publish(request, timeout=PATIENCE))
        self.assertEqual((fault.code, fault.reason), (CODE.FAILED_PRECONDITION, "STORE_FAILED"))
        self.end_all(streams)
        for stream in streams:
            first = min(stream.refused)
            self.assertEqual(sorted(stream.refused), list(range(first, stream.sent + 1)))
            # a checkpoint that fails leaves no commit of unknown outcome
            self.assertLessEqual(set(stream.refused.values()), {"STORE_UNKNOWN", "STORE_FAILED"})
        self.publish_live()
        consumer.wait(lambda: consumer.received.delivered == 20, "live events still flow")
        self.expect_confirmed(streams)
        self.assertEqual(len(self.daemon.log("store.failed")), 1)
        self.kill_and_start()
        self.expect_confirmed(streams)
        self.daemon.stop()

    def test_a_commit_that_fails_is_neither_confirmed_nor_denied(self):
        publisher = v1.stub("Publisher", self.channel())
        request = v1.PublishRequest(producer="p", events=[v1.Event(topic=TOPIC)], confirm=v1.CONFIRM_STORED)
        publisher.Publish(request, timeout=PATIENCE)
        for code, reason in ((CODE.INTERNAL, "STORE_UNKNOWN"), (CODE.FAILED_PRECONDITION, "STORE_FAILED")):
            with self.disk_that("fail"):
                fault = fault_of(lambda: publisher.Publish(request, timeout=PATIENCE))
            self.assertEqual((fault.code, fault.reason), (code, reason), str(fault))
        self.kill_and_start()
        self.assertIn(self.topic(TOPIC).next_sequence, (2, 3))
        self.daemon.stop()

    def expect_confirmed(self, streams):
        """In the topic: what was confirmed, and what nobody knows of may be."""
        found = self.stored()
        for stream in streams:
            confirmed = (min(stream.refused) - 1) * EVENTS
            unknown = sum(reason == "STORE_UNKNOWN" for reason in stream.refused.values()) * EVENTS
            numbers = found[stream.name]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
            self.assertGreaterEqual(len(numbers), confirmed)
            self.assertLessEqual(len(numbers), confirmed + unknown)


if __name__ == "__main__":
    main()
