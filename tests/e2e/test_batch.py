#!/usr/bin/python3
"""Keyed batches over gRPC: Run, RunStream and Process (docs/batch.md)."""
import itertools
import signal
import threading

import grpc

from harness.batches import EndOfCall, RunStream, Session, Store, Worker
from harness.case import Case, eventually, main
from harness.daemon import PATIENCE
from harness.protos import duration, fault_of, v1

Code = grpc.StatusCode


class Batches(Case):
    def worker(self, processor, **options):
        worker = Worker(self.daemon.address, processor, **options)
        self.addCleanup(worker.close)
        return worker

    def session(self, processor, **options):
        session = Session(self.daemon.address, processor, **options)
        self.addCleanup(session.close)
        return session

    def stream(self):
        stream = RunStream(self.daemon.address)
        self.addCleanup(stream.close)
        return stream

    def start(self, processor, key, data, timeout=PATIENCE, **fields):
        """A Run on its way: a future."""
        stub = v1.stub("Batch", self.channel())
        request = v1.RunRequest(processor=processor, key=key, data=data, **fields)
        return stub.Run.future(request, timeout=timeout)

    def run_one(self, processor, key, data, **options):
        return self.start(processor, key, data, **options).result()


class Basics(Batches):
    def test_an_operation_gets_its_result_after_the_save(self):
        """B2, B3"""
        worker = self.worker("sums", window=0.01, deadline=9)
        answer = self.run_one("sums", b"a", b"5")

        self.assertEqual(answer.data, b"5")
        self.assertGreater(answer.batch, 0)
        self.assertEqual((worker.loads, worker.saves), ([b"a"], [b"a"]))
        self.assertEqual(self.run_one("sums", b"a", b"2").data, b"7")

    def test_operations_of_all_callers_share_a_batch(self):
        """B10"""
        worker = self.worker("shared", window=20, max_operations=20)
        futures = [self.start("shared", b"k", b"1") for _ in range(20)]
        answers = [future.result() for future in futures]

        self.assertEqual(sorted(int(answer.data) for answer in answers), list(range(1, 21)))
        self.assertEqual(len({answer.batch for answer in answers}), 1)
        self.assertEqual((len(worker.loads), len(worker.saves)), (1, 1))

    def test_an_operation_that_fails_fails_alone(self):
        """B28"""
        self.worker("alone", window=0.1, deadline=9)
        good, bad = self.start("alone", b"k", b"1"), self.start("alone", b"k", b"fail")
        self.assertEqual(good.result().data, b"1")
        fault = fault_of(bad.result)
        self.assertEqual((fault.code, fault.reason), (Code.FAILED_PRECONDITION, "MY_REASON"))
        self.assertEqual(fault.message, "it fails")
        self.assertEqual(fault.parts["google.rpc.ErrorInfo"].metadata["may_have_run"], "false")

    def test_without_a_worker_nothing_runs(self):
        with self.assertFault(Code.UNAVAILABLE, "NO_WORKER", contains=["nobody"]):
            self.run_one("nobody", b"k", b"1")

    def test_bad_requests_are_refused_by_field(self):
        self.worker("checked", window=0.01, deadline=9)
        for fields, reason, field in [
            (dict(processor="", key=b"k"), "EMPTY", "processor"),
            (dict(processor="x" * 257, key=b"k"), "TOO_LONG", "processor"),
            (dict(processor="checked", key=b""), "EMPTY", "key"),
            (dict(processor="checked", key=b"k" * 257), "TOO_LONG", "key"),
            (dict(processor="checked", key=b"k", operation_id=b"i" * 65), "TOO_LONG", "operation_id"),
            (dict(processor="checked", key=b"k", data=b"d" * (2**20 + 1)), "TOO_LONG", "data"),
        ]:
            with self.subTest(field=field, reason=reason):
                with self.assertFault(Code.INVALID_ARGUMENT, reason, field):
                    v1.stub("Batch", self.daemon.channel).Run(v1.RunRequest(**fields), timeout=PATIENCE)

    def test_a_deadline_before_the_start_ends_an_operation_that_never_runs(self):
        """B11"""
        worker = self.worker("slowly", window=0.05, deadline=20, max_operations=1)
        slow = self.start("slowly", b"k", b"slow")
        eventually(lambda: worker.order == [b"slow"], "the slow operation runs")
        late = self.start("slowly", b"k", b"7", timeout=0.2)
        self.assertEqual(fault_of(late.result).code, Code.DEADLINE_EXCEEDED)
        cancelled = self.start("slowly", b"k", b"8")
        cancelled.cancel()
        worker.go.set()
        self.assertEqual(slow.result().data, b"slow")
        self.assertEqual(self.run_one("slowly", b"k", b"1").data, b"1")
        self.assertNotIn(b"7", worker.order)

    def test_a_load_that_fails_reaches_all_who_wait(self):
        """B7"""
        session = self.session("unloaded", window=0.1, deadline=9)
        futures = [self.start("unloaded", b"k", b"1") for _ in range(3)]
        begin = session.receive("begin")
        self.assertEqual(begin.key, b"k")
        self.assertGreater(begin.deadline.nanos, 0)
        eventually(lambda: self.daemon.live()["live.calls"] >= 4, "all wait")
        session.failed(begin.batch, code=5, message="no such row", reason="NO_ROW")
        for future in futures:
            fault = fault_of(future.result)
            if fault.reason != "NO_ROW":  # it came later, and its batch is another one
                self.fail(str(fault))
            self.assertEqual((fault.code, fault.message), (Code.NOT_FOUND, "no such row"))

    def test_a_save_that_fails_reaches_all_operations(self):
        """B24"""
        session = self.session("unsaved", window=0.05, deadline=9)
        future = self.start("unsaved", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch)
        operation = session.receive("operation")
        self.assertEqual((operation.batch, operation.id, operation.data), (batch, 1, b"1"))
        session.result(batch, 1, b"done")
        self.assertEqual(session.receive("finish").batch, batch)
        session.failed(batch, code=13, message="the disk", reason="DISK")
        fault = fault_of(future.result)
        self.assertEqual((fault.code, fault.reason), (Code.INTERNAL, "DISK"))
        self.assertEqual(fault.parts["google.rpc.ErrorInfo"].metadata["may_have_run"], "true")

    def test_a_conflict_loads_again_under_another_number(self):
        session = self.session("conflicts", window=0.02, deadline=20, max_reloads=3)
        future = self.start("conflicts", b"k", b"1")
        first = session.receive("begin").batch
        session.loaded(first)
        session.receive("operation")
        session.result(first, 1, b"old")
        session.receive("finish")
        session.failed(first, code=10, reason="CONFLICT")
        second = session.receive("begin").batch
        self.assertNotEqual(first, second)
        session.loaded(second)
        self.assertEqual(session.receive("operation").id, 1)
        session.result(second, 1, b"new")
        session.receive("finish")
        session.saved(second)
        answer = future.result()
        self.assertEqual((answer.data, answer.batch), (b"new", second))


class Streams(Batches):
    def test_a_stream_answers_each_operation_by_its_number(self):
        self.worker("streamed", window=0.02, deadline=9)
        stream = self.stream()
        for request in range(1, 51):
            stream.run(request, "streamed", b"key %d" % (request % 5), b"1")
        for request in range(1, 51):
            self.assertFalse(stream.answer(request).HasField("error"))
        stream.half_close()
        self.assertEqual(stream.wait_end(), "OK")
        self.assertEqual(len(stream.answers), 50)

    def test_requests_and_answers_may_come_together(self):
        worker = self.worker("packed", window=0.05, deadline=9, packed=True)
        stream = self.stream()
        more = [
            v1.RunStreamRequest(request=n, run=v1.RunRequest(processor="packed", key=b"k", data=b"1"))
            for n in range(1, 1001)
        ]
        stream.send(packed=True, more=more)
        self.assertEqual({int(stream.answer(n).response.data) for n in range(1, 1001)}, set(range(1, 1001)))
        self.assertLess(stream.messages, 100)
        self.assertEqual(worker.store.values[b"k"], 1000)

    def test_a_nested_more_is_refused(self):
        stream = self.stream()
        stream.send(more=[v1.RunStreamRequest(more=[v1.RunStreamRequest(request=1)])])
        self.assertEqual(stream.wait_end(), "INVALID_ARGUMENT")
        self.check_fault(stream.fault, Code.INVALID_ARGUMENT, "TOO_DEEP", "more.more")

    def test_a_refused_request_is_answered_and_the_stream_goes_on(self):
        self.worker("going", window=0.02, deadline=9)
        stream = self.stream()
        stream.run(1, "going", b"", b"1")
        stream.run(2, "nobody", b"k", b"1")
        stream.run(3, "going", b"k", b"1")
        self.assertEqual(stream.answer(1).error.reason, "EMPTY")
        self.assertIn("run.key", stream.answer(1).error.message)
        self.assertEqual(stream.answer(2).error.reason, "NO_WORKER")
        self.assertFalse(stream.answer(2).error.may_have_run)
        self.assertEqual(stream.answer(3).response.data, b"1")

    def test_a_number_in_use_ends_the_stream(self):
        self.worker("numbers", window=0.5, deadline=9)
        stream = self.stream()
        stream.run(1, "numbers", b"k", b"1")
        stream.run(1, "numbers", b"k", b"1")
        self.assertEqual(stream.wait_end(), "INVALID_ARGUMENT")
        self.check_fault(stream.fault, Code.INVALID_ARGUMENT, "REQUEST_IN_USE", "request")

    def test_cancel_and_timeout_reach_what_has_not_started(self):
        """B11"""
        worker = self.worker("queue", window=0.02, deadline=20, max_operations=1)
        stream = self.stream()
        stream.run(1, "queue", b"k", b"slow")
        eventually(lambda: worker.order == [b"slow"], "the first one runs")
        stream.run(2, "queue", b"k", b"2")
        stream.run(3, "queue", b"k", b"3", timeout=duration(0.05))
        stream.run(4, "queue", b"k", b"4")
        stream.send(request=2, cancel=True)
        stream.send(request=1, cancel=True)
        self.assertEqual(stream.answer(2).error.reason, "OPERATION_CANCELLED")
        self.assertEqual(stream.answer(2).error.code, Code.CANCELLED.value[0])
        self.assertEqual(stream.answer(3).error.code, Code.DEADLINE_EXCEEDED.value[0])
        self.assertNotIn(1, stream.answers)
        worker.go.set()
        self.assertEqual(stream.answer(1).response.data, b"slow")
        self.assertEqual(stream.answer(4).response.data, b"4")
        self.assertEqual(worker.order, [b"slow", b"4"])

    def test_a_stream_that_is_cancelled_takes_back_what_waits(self):
        worker = self.worker("left", window=0.02, deadline=20, max_operations=1)
        stream = self.stream()
        stream.run(1, "left", b"k", b"slow")
        for request in range(2, 3000):
            stream.run(request, "left", b"k", b"1")
        eventually(lambda: worker.order == [b"slow"], "the first one runs")
        stream.call.cancel()
        worker.go.set()
        self.assertEqual(stream.wait_end(), "CANCELLED")
        self.run_one("left", b"k", b"5")
        self.assertEqual(worker.order[-1], b"5")
        self.assertLess(len(worker.order), 2000)


class Workers(Batches):
    def test_what_is_in_force_is_told(self):
        """B5"""
        session = self.session("defaults")
        welcome = session.welcome
        self.assertNotEqual(welcome.worker, "")
        self.assertEqual(welcome.max_batches, 64)
        self.assertEqual(welcome.policy.window, v1.BATCH_WINDOW_FIXED)
        self.assertEqual(welcome.policy.window_length.nanos, 100_000_000)
        self.assertEqual(welcome.policy.deadline.nanos, 200_000_000)
        self.assertEqual(welcome.policy.max_operations, 10000)

    def refused(self, code, reason, field, processor="refused", **options):
        with self.assertRaises(EndOfCall) as caught:
            self.session(processor, **options)
        self.check_fault(caught.exception.fault, code, reason, field)

    def test_a_bad_hello_is_refused_by_field(self):
        invalid = Code.INVALID_ARGUMENT
        self.refused(invalid, "EMPTY", "hello.processor", processor="")
        self.refused(invalid, "TOO_LONG", "hello.worker", name="w" * 257)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.max_batches", max_batches=10001)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.policy.window_length", window=3601)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.policy.deadline", window=1, deadline=0.5)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.policy.max_reloads", max_reloads=1001)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.policy.max_operations", max_operations=10001)
        self.refused(invalid, "OUT_OF_BOUNDS", "hello.policy.max_waiters", max_waiters=100001)
        session = self.session("early", hello=False)
        session.saved(1)
        self.assertEqual(session.wait_end(), "INVALID_ARGUMENT")
        self.check_fault(session.fault, invalid, "NO_HELLO", "hello")

    def test_a_peer_has_its_share_of_workers(self):
        daemon = self.start_daemon("--local-peer-share", "1")
        channel, sessions = self.channel(daemon.address), []

        def session(number):
            each = Session(daemon.address, "processor %d" % (number % 3), channel=channel)
            self.addCleanup(each.close)
            sessions.append(each)

        for number in range(100):
            session(number)
        with self.assertRaises(EndOfCall) as caught:
            session(100)
        fault = caught.exception.fault
        self.check_fault(fault, Code.RESOURCE_EXHAUSTED, "PEER_WORKERS")
        self.assertIn("127.0.0.1 has 100, at most 100 of 10000", str(fault))
        sessions[0].close()
        eventually(lambda: daemon.live()["live.batch_workers"] == 99, "one has left")
        session(100)

    def test_another_policy_or_a_name_in_use_is_refused(self):
        self.worker("mine", name="first", window=0.05, deadline=9)
        self.refused(
            Code.FAILED_PRECONDITION, "POLICY_DIFFERS", None, processor="mine", name="new", window=0.06
        )
        self.refused(
            Code.ALREADY_EXISTS, "WORKER_EXISTS", None,
            processor="mine", name="first", window=0.05, deadline=9,
        )
        self.worker("mine", name="second", window=0.05, deadline=9)

    def test_keys_are_shared_and_come_back_to_a_name(self):
        store = Store()
        options = dict(store=store, window=0.01, deadline=9)
        workers = {name: self.worker("spread", name=name, **options) for name in "abc"}
        keys = [b"key %d" % n for n in range(60)]
        for key in keys:
            self.run_one("spread", key, b"1")
        owners = {name: set(worker.loads) for name, worker in workers.items()}
        for name, owned in owners.items():
            self.assertGreater(len(owned), 5, f"{name} has a part of the keys")
        self.assertEqual(sum(map(len, owners.values())), len(keys), "each key has one owner")

        workers["b"].close()
        eventually(lambda: self.daemon.live()["live.batch_workers"] == 2, "b is gone")
        for key in owners["b"]:
            self.assertEqual(self.run_one("spread", key, b"1").data, b"2")
        back = self.worker("spread", store=store, name="b", window=0.01, deadline=9)
        for key in keys:
            self.run_one("spread", key, b"1")
        self.assertEqual(set(back.loads), owners["b"])

    def test_max_batches_makes_other_keys_wait_for_their_turn(self):
        """B25"""
        session = self.session("narrow", window=0.02, deadline=9, max_batches=1)
        first, second = self.start("narrow", b"1", b"x"), None
        batch = session.receive("begin").batch
        second = self.start("narrow", b"2", b"y")
        session.loaded(batch)
        self.assertEqual(session.receive("operation").data, b"x")
        session.result(batch, 1)
        session.receive("finish")
        self.assertTrue(session.inbox.empty())
        session.saved(batch)
        first.result()
        begin = session.receive("begin")
        self.assertEqual(begin.key, b"2")
        session.loaded(begin.batch)
        session.receive("operation")
        session.result(begin.batch, 1)
        session.receive("finish")
        session.saved(begin.batch)
        second.result()

    def broken(self, speak, field):
        """A worker with a batch of one operation says something wrong."""
        session = self.session("broken", window=0.02, deadline=9)
        future = self.start("broken", b"k", b"1")
        batch = session.receive("begin").batch
        speak(session, batch)
        self.assertEqual(session.wait_end(), "INVALID_ARGUMENT")
        self.check_fault(session.fault, Code.INVALID_ARGUMENT, "BAD_REPORT", field)
        fault = fault_of(future.result)
        self.assertIn(fault.reason, ("WORKER_LOST", "NO_WORKER"))
        session.close()

    def test_a_report_out_of_order_ends_the_worker(self):
        def operated(session, batch):
            session.loaded(batch)
            session.receive("operation")

        def twice(session, batch):
            operated(session, batch)
            session.result(batch, 1)
            session.result(batch, 1)

        def early(session, batch):
            operated(session, batch)
            session.result(batch, 1)
            session.saved(batch)
            session.receive("finish", timeout=PATIENCE)

        def missing(session, batch):
            operated(session, batch)
            session.receive("finish")
            session.saved(batch)

        self.broken(lambda session, batch: session.loaded(batch + 1000), "loaded.batch")
        self.broken(lambda session, batch: (session.loaded(batch), session.loaded(batch)), "loaded.batch")
        self.broken(lambda session, batch: session.result(batch, 1), "result.id")
        self.broken(lambda session, batch: (operated(session, batch), session.result(batch, 2)), "result.id")
        self.broken(lambda session, batch: (operated(session, batch), session.result(batch, 0)), "result.id")
        self.broken(twice, "result.id")
        self.broken(missing, "saved.batch")
        self.broken(lambda session, batch: session.saved(batch), "saved.batch")
        self.broken(lambda session, batch: session.aborted(batch), "aborted.batch")
        self.broken(lambda session, batch: session.aborted(batch + 1000), "aborted.batch")

    def test_what_was_sent_to_a_lost_worker_may_have_run(self):
        session = self.session("dying", window=5, deadline=9)
        future = self.start("dying", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch)
        session.receive("operation")
        session.close()
        fault = fault_of(future.result)
        self.assertEqual((fault.code, fault.reason), (Code.UNAVAILABLE, "WORKER_LOST"))
        self.assertEqual(fault.parts["google.rpc.ErrorInfo"].metadata["may_have_run"], "true")

    def test_what_was_not_sent_goes_on_with_another_worker(self):
        first = self.session("spare", name="a", window=5, deadline=9)
        future = self.start("spare", b"k", b"1")
        first.receive("begin")
        other = self.worker("spare", name="b", window=5, deadline=9)
        waiting = self.start("spare", b"k", b"2")
        first.close()
        eventually(lambda: other.loads == [b"k"], "the other worker has the key")
        self.assertEqual({future.result().data, waiting.result().data}, {b"1", b"3"})

    def test_what_was_not_sent_ends_without_another_worker(self):
        session = self.session("single", window=5, deadline=9)
        future = self.start("single", b"k", b"1")
        session.receive("begin")
        session.close()
        with self.assertFault(Code.UNAVAILABLE, "NO_WORKER"):
            future.result()

    def many_keys(self, processor, count):
        stream = self.stream()
        for request in range(1, count + 1):
            stream.run(request, processor, b"key %d" % request, b"1")
        eventually(lambda: self.listed(processor).keys == count, "all keys wait")
        return stream

    def listed(self, name):
        page = v1.stub("Batch", self.daemon.channel).ListProcessors(v1.ListProcessorsRequest())
        return next(processor for processor in page.processors if processor.name == name)

    def test_keys_that_wait_for_a_worker_go_to_others_when_it_leaves(self):
        """More keys than one slice has."""
        first = self.session("crowd", name="a", max_batches=1, window=0.05, deadline=60)
        stream = self.many_keys("crowd", 3000)
        other = self.worker("crowd", name="b", window=0.05, deadline=60)
        first.close()
        for request in range(1, 3001):
            self.assertEqual(stream.answer(request).response.data, b"1")
        self.assertEqual(len(other.loads), 3000)
        eventually(lambda: len(self.listed("crowd").workers) == 1, "the first one is gone")

    def test_keys_that_wait_for_a_worker_go_to_others_when_it_drains(self):
        first = self.session("drained", name="a", max_batches=1, window=0.05, deadline=60)
        stream = self.many_keys("drained", 1000)
        begun = first.receive("begin")
        self.worker("drained", name="b", window=0.05, deadline=60)
        first.send(draining=dict())
        mine = int(begun.key.split()[1])
        for request in set(range(1, 1001)) - {mine}:
            self.assertEqual(stream.answer(request).response.data, b"1")
        self.assertNotIn(mine, stream.answers)
        first.loaded(begun.batch)
        first.receive("operation")
        first.result(begun.batch, 1, b"last")
        first.receive("finish")
        first.saved(begun.batch)
        self.assertEqual(stream.answer(mine).response.data, b"last")
        self.assertEqual(first.wait_end(), "OK")

    def test_all_batches_of_a_worker_are_lost_with_it(self):
        """More than one slice has; nobody is left for those that wait."""
        session = self.session("lost", max_batches=700, window=60, deadline=70)
        stream = self.many_keys("lost", 2000)
        begun = [session.receive("begin").batch for _ in range(700)]
        for batch in begun:
            session.loaded(batch)
        for _ in begun:
            session.receive("operation")
        session.close()
        reasons = [stream.answer(request).error.reason for request in range(1, 2001)]
        self.assertEqual(reasons.count("WORKER_LOST"), 700)
        self.assertEqual(reasons.count("NO_WORKER"), 1300)

    def test_the_server_ends_while_a_worker_leaves(self):
        daemon = self.start_daemon()
        session = Session(daemon.address, "ends", max_batches=1, window=60, deadline=70)
        self.addCleanup(session.close)
        stream = RunStream(daemon.address)
        self.addCleanup(stream.close)
        for request in range(1, 5001):
            stream.run(request, "ends", b"key %d" % request, b"1")
        session.receive("begin")
        session.close()
        daemon.process.terminate()
        daemon.process.terminate()
        # the second signal may come when all calls have ended: then it ends the process at once
        self.assertIn(daemon.process.wait(PATIENCE), (0, 1, -signal.SIGTERM))

    def test_a_worker_that_drains_finishes_and_ends_with_ok(self):
        session = self.session("drains", window=0.05, deadline=9)
        future = self.start("drains", b"k", b"1")
        batch = session.receive("begin").batch
        session.send(draining=dict())
        session.loaded(batch)
        session.receive("operation")
        session.result(batch, 1, b"done")
        session.receive("finish")
        with self.assertFault(Code.UNAVAILABLE, "NO_WORKER"):
            self.run_one("drains", b"other", b"1")
        session.saved(batch)
        self.assertEqual(future.result().data, b"done")
        self.assertEqual(session.wait_end(), "OK")

    def test_a_half_close_without_batches_ends_with_ok(self):
        session = self.session("closes")
        session.half_close()
        self.assertEqual(session.wait_end(), "OK")

    def test_the_deadline_aborts_a_batch_and_saved_wins(self):
        session = self.session("late", window=0.02, deadline=0.1)
        future = self.start("late", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch)
        session.receive("operation")
        session.result(batch, 1, b"won")
        session.receive("finish")
        self.assertEqual(session.receive("abort").batch, batch)
        session.saved(batch)
        self.assertEqual(future.result().data, b"won")

        future = self.start("late", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch)
        session.receive("operation")
        self.assertEqual(session.receive("finish").batch, batch)
        self.assertEqual(session.receive("abort").reason, "BATCH_DEADLINE")
        session.aborted(batch)
        fault = fault_of(future.result)
        self.assertEqual((fault.code, fault.reason), (Code.DEADLINE_EXCEEDED, "BATCH_DEADLINE"))
        self.assertEqual(fault.parts["google.rpc.ErrorInfo"].metadata["may_have_run"], "false")

    def test_a_worker_that_does_not_answer_an_abort_is_ended(self):
        session = self.session("silent", window=0.02, deadline=0.1)
        future = self.start("silent", b"k", b"1")
        batch = session.receive("begin").batch
        self.assertEqual(session.receive("abort").batch, batch)
        self.assertEqual(session.wait_end(), "DEADLINE_EXCEEDED")
        self.assertEqual(session.fault.reason, "WORKER_SILENT")
        with self.assertFault(Code.UNAVAILABLE, "NO_WORKER"):
            future.result()


class Views(Batches):
    arguments = ("--write-timeout", "300s")  # an observer that does not read stays

    def records(self, pattern=""):
        call = v1.stub("Batch", self.channel()).WatchBatches(v1.WatchBatchesRequest(processor=pattern))
        self.addCleanup(call.cancel)
        return call

    def observe(self, processor, pattern=""):
        """An observer that is known to be there: it has a record of `processor`."""
        call, first = self.records(pattern), []
        thread = threading.Thread(target=lambda: first.append(next(call)), daemon=True)
        thread.start()
        while thread.is_alive():
            self.run_one(processor, b"first", b"0")
            thread.join(0.01)
        self.run_one(processor, b"mark", b"0")
        for record in itertools.chain(first, call):
            if record.key == b"mark":
                return call

    def test_each_batch_that_ends_has_a_record(self):
        """B18"""
        self.worker("recorded", name="w", window=0.01, deadline=9)
        self.worker("other", window=0.01, deadline=9)
        mine, all_of_them = self.observe("recorded", "rec*"), self.observe("recorded")
        self.run_one("other", b"k", b"1")
        answer = self.run_one("recorded", b"k", b"1")
        record = next(mine)
        while record.key != b"k":
            record = next(mine)

        self.assertEqual((record.processor, record.key, record.worker), ("recorded", b"k", "w"))
        self.assertEqual((record.batch, record.operations), (answer.batch, 1))
        self.assertEqual((record.loads, record.saves), (1, 1))
        self.assertEqual((record.outcome, record.lost), (v1.BATCH_OUTCOME_SAVED, 0))
        self.assertFalse(record.HasField("error"))
        self.assertGreater(record.started, 1_600_000_000 * 10**9)
        self.assertGreaterEqual(record.total.nanos, record.load.nanos + record.save.nanos)
        seen = {record.processor for _, record in zip(range(2), all_of_them)}
        self.assertEqual(seen, {"other", "recorded"})

    def test_a_record_says_why_a_batch_failed(self):
        """B19"""
        self.worker("marks", window=0.01, deadline=9)
        observer = self.observe("marks")
        session = self.session("failing", window=0.01, deadline=9)
        future = self.start("failing", b"k", b"1")
        batch = session.receive("begin").batch
        session.failed(batch, code=5, message="gone", reason="GONE")
        fault_of(future.result)
        record = next(observer)
        self.assertEqual((record.outcome, record.error.code), (v1.BATCH_OUTCOME_LOAD_FAILED, 5))
        self.assertEqual((record.error.reason, record.error.message), ("GONE", "gone"))

        future = self.start("failing", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch, 77)
        session.receive("operation")
        session.close()
        fault_of(future.result)
        record = next(observer)
        self.assertEqual((record.batch, record.outcome), (batch, v1.BATCH_OUTCOME_WORKER_LOST))
        self.assertEqual((record.error.reason, record.error.may_have_run), ("WORKER_LOST", True))
        self.assertEqual(record.generation, 77)

    def test_an_observer_that_does_not_read_loses_records_that_are_counted(self):
        """B17"""
        self.worker("many", packed=True, window=0.001, deadline=60)
        observer = self.observe("many")
        stream = self.stream()
        total, received, lost = 20000, 0, 0
        keys = [b"%0200d" % n for n in range(total)]
        for at in range(0, total, 1000):
            stream.send(
                packed=True,
                more=[
                    v1.RunStreamRequest(
                        request=n + 1, run=v1.RunRequest(processor="many", key=keys[n], data=b"1")
                    )
                    for n in range(at, at + 1000)
                ],
            )
        for n in range(total):
            self.assertFalse(stream.answer(n + 1).HasField("error"))
        while received + lost < total:
            record = next(observer)
            lost += record.lost
            received += record.processor == "many"
        self.assertEqual(received + lost, total)

    def test_batches_and_operations_are_counted(self):
        before = self.daemon.counters()

        def grown(name):
            return self.daemon.counters()["keyed." + name] - before["keyed." + name]

        self.worker("counted", window=0.01, deadline=9)
        self.run_one("counted", b"k", b"1")
        session = self.session("uncounted", window=9, deadline=10)
        failing = self.start("uncounted", b"k", b"1")
        session.failed(session.receive("begin").batch)
        fault_of(failing.result)
        losing = self.start("uncounted", b"k", b"1")
        session.loaded(session.receive("begin").batch)
        session.receive("operation")
        session.close()
        fault_of(losing.result)
        names = ("operations", "batches_saved", "batches_failed", "batches_lost")
        self.assertEqual([grown(name) for name in names], [2, 1, 1, 1])

    def test_processors_are_listed_in_pages(self):
        stub = v1.stub("Batch", self.daemon.channel)
        for name in ("c", "a", "b"):
            self.worker("list " + name, name="w " + name, window=0.02, deadline=9, max_batches=7)
        self.run_one("list b", b"k", b"1")
        pages, token = [], ""
        while True:
            page = stub.ListProcessors(v1.ListProcessorsRequest(page_size=2, page_token=token))
            pages.append([processor.name for processor in page.processors])
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(pages, [["list a", "list b"], ["list c"]])
        whole = stub.ListProcessors(v1.ListProcessorsRequest())
        second = whole.processors[1]
        self.assertEqual((second.batches_saved, second.operations, second.keys), (1, 1, 0))
        self.assertEqual(second.policy.window_length.nanos, 20_000_000)
        self.assertEqual([(w.name, w.max_batches, w.operations) for w in second.workers], [("w b", 7, 1)])
        self.assertIn("127.0.0.1:", second.workers[0].peer)
        for fields, field in [(dict(page_size=1001), "page_size"), (dict(page_token="x"), "page_token")]:
            with self.assertFault(Code.INVALID_ARGUMENT, None, field):
                stub.ListProcessors(v1.ListProcessorsRequest(**fields))


class Drain(Batches):
    shared_daemon = False

    def test_a_drain_saves_what_has_begun_and_admits_nothing(self):
        """B14, B15, B16"""
        self.daemon = self.start_daemon()
        session = Session(self.daemon.address, "ending", window=30, deadline=40)
        self.addCleanup(session.close)
        started = self.start("ending", b"k", b"1")
        batch = session.receive("begin").batch
        session.loaded(batch)
        session.receive("operation")
        session.result(batch, 1, b"saved")
        waiting = self.start("ending", b"k2", b"1")
        second = session.receive("begin").batch
        self.daemon.process.terminate()
        kinds = {}
        for _ in range(3):
            message = session.receive()
            kinds[message.WhichOneof("command")] = message
        self.assertEqual(set(kinds), {"closing", "finish", "abort"}, kinds)
        self.assertEqual(kinds["closing"].closing.reason, "DRAINING")
        self.assertEqual(kinds["finish"].finish.batch, batch)
        with self.assertFault(Code.UNAVAILABLE, "PROCESSOR_STOPPED"):
            waiting.result()
        session.saved(batch)
        self.assertEqual(started.result().data, b"saved")
        self.assertEqual(kinds["abort"].abort.batch, second)
        self.assertEqual(kinds["abort"].abort.reason, "NOTHING_TO_SAVE")
        session.loaded(second)
        session.aborted(second)
        self.assertEqual(session.wait_end(), "UNAVAILABLE")
        self.assertEqual(session.fault.reason, "DRAINING")
        self.assertEqual(self.daemon.process.wait(PATIENCE), 0)


if __name__ == "__main__":
    main()
