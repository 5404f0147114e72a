#!/usr/bin/python3
"""Keyed batches over gRPC where somebody stands still: a worker and an observer that do not read, and
a load that fails and is tried again (docs/batch.md)."""
import queue

import grpc

from harness.batches import RunStream, Session, StalledObserver, StalledWorker, Worker, policy
from harness.case import Case, eventually, main
from harness.protos import v1

Code = grpc.StatusCode


class Stalled(Case):
    shared_daemon = False

    def opened(self, thing):
        self.addCleanup(thing.close)
        return thing

    def run_one(self, daemon, processor, key):
        request = v1.RunRequest(processor=processor, key=key, data=b"1")
        return v1.stub("Batch", self.channel(daemon.address)).Run(request)

    def test_a_worker_that_does_not_read_is_ended_and_its_operations_go_on(self):
        daemon = self.start_daemon("--write-timeout", "1s")
        rules = policy(window=2.5, deadline=40)
        stalled = self.opened(StalledWorker(daemon.address, "p", worker="a", policy=rules))
        stalled.wait("welcome")
        stream = self.opened(RunStream(daemon.address))
        for request in range(1, 21):
            stream.run(request, "p", b"k", b" " * 100_000 + b"1")
        batch = stalled.wait("begin").batch
        other = self.opened(Worker(daemon.address, "p", name="b", window=2.5, deadline=40))
        stalled.send(loaded=dict(batch=batch))

        answers = [stream.answer(request) for request in range(1, 21)]
        lost = [answer for answer in answers if answer.HasField("error")]
        self.assertEqual([answer.request for answer in lost], [1], "it was sent the first one")
        self.assertEqual((lost[0].error.reason, lost[0].error.may_have_run), ("WORKER_LOST", True))
        self.assertEqual([int(answer.response.data) for answer in answers[1:]], list(range(1, 20)))
        self.assertEqual(other.loads, [b"k"])
        self.assertEqual(daemon.counters()["live.batch_workers"], 1)

    def test_an_observer_that_does_not_read_loses_records_and_is_told_how_many(self):
        """B17"""
        daemon = self.start_daemon("--write-timeout", "120s")
        self.opened(Worker(daemon.address, "many", packed=True, window=0.001, deadline=60))
        observer = self.opened(StalledObserver(daemon.address))

        def is_there():
            self.run_one(daemon, "many", b"first")
            return observer.records()

        first = eventually(is_there, "the observer has a record")[0]
        stream = self.opened(RunStream(daemon.address))
        for request in range(1, 1001):
            stream.run(request, "many", b"%0200d" % request, b"1")
        last = max(stream.answer(request).response.batch for request in range(1, 1001))
        observer.read()

        def accounted():
            records = observer.records()
            return sum(record.lost + (record.batch > 0) for record in records) == last - first.batch + 1

        eventually(accounted, "each batch has a record, or is counted as lost")
        self.assertGreater(sum(record.lost for record in observer.records()), 100)

    def test_a_load_that_fails_is_tried_again_until_it_succeeds(self):
        """B7"""
        daemon = self.start_daemon()
        session = self.opened(
            Session(daemon.address, "again", window=0.05, deadline=30, retry_load=True)
        )
        stream = self.opened(RunStream(daemon.address))
        for request in (1, 2):
            stream.run(request, "again", b"k", b"1")
        batches = []
        for _ in range(3):
            begin = session.receive("begin")
            self.assertEqual(begin.key, b"k")
            batches.append(begin.batch)
            session.failed(begin.batch, code=14, reason="BUSY")
        batches.append(session.receive("begin").batch)
        self.assertEqual(len(set(batches)), 4, "each attempt has its number")
        session.loaded(batches[3])
        for number in (1, 2):
            self.assertEqual(session.receive("operation").id, number)
            session.result(batches[3], number, b"done")
        session.receive("finish")
        session.saved(batches[3])
        for request in (1, 2):
            answer = stream.answer(request).response
            self.assertEqual((answer.data, answer.batch), (b"done", batches[3]))

    def test_a_load_that_keeps_failing_is_over_at_the_deadline(self):
        """B7"""
        daemon = self.start_daemon()
        session = self.opened(
            Session(daemon.address, "never", window=0.05, deadline=0.5, retry_load=True)
        )
        stream = self.opened(RunStream(daemon.address))
        stream.run(1, "never", b"k", b"1")
        attempts = 0
        while 1 not in stream.answers:
            try:
                message = session.receive(timeout=0.1)
            except queue.Empty:
                continue
            if message.HasField("begin"):
                session.failed(message.begin.batch, code=14, reason="BUSY")
                attempts += 1
        error = stream.answer(1).error
        self.assertEqual((error.reason, error.code, error.may_have_run), ("BUSY", 14, False))
        self.assertGreater(attempts, 1)


if __name__ == "__main__":
    main()
