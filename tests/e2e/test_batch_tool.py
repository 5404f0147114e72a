#!/usr/bin/python3
"""Keyed batches with the tool: README's script, one effect for each operation id whatever is killed
(B30, B31), commands that fail, and what ls, watch and run print."""
import json
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

import grpc

import transfers
from harness.case import main
from harness.daemon import PATIENCE, Daemon, eventually, instrumented
from harness.protos import POOL, message_class, v1
from test_endpoints_tool import serve
from test_tool import Tool, width_of

# Adds the data to the resource; the answer is the sum. A file named like the data is a gate: the
# command waits for it. Each run leaves a line in runs.txt.
ADD = """
import json, os, sys, time
batch = json.load(sys.stdin)
total = int(batch["resource"] or 0)
results = []
for operation in batch["operations"]:
    data = operation["data"]
    with open("runs.txt", "a") as runs:
        runs.write(data + "\\n")
    while data.startswith("gate") and not os.path.exists(data):
        time.sleep(0.01)
    total += int(data.strip("gate-"))
    results.append({"data": str(total)})
json.dump({"resource": str(total), "results": results}, sys.stdout)
"""


class BatchTool(Tool):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="tributary-batch-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "add.py").write_text(ADD)

    def work(self, *words, name="sums", handler="exec /usr/bin/python3 -S add.py", store="sums.db"):
        """A worker that is welcome."""
        process = self.tool(
            *("batch", "work", name, "--store", store, "--exec", handler, "--window", "20ms", *words),
            cwd=self.folder,
        )
        line = process.stderr.readline()
        self.assertIn(f"working for {name} as ", line)
        return process

    def finish(self, worker, code=0):
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=PATIENCE)
        self.assertEqual(worker.returncode, code, err)
        return err

    def start_run(self, key, data, *words, name="sums"):
        return self.tool("batch", "run", name, key, data, *words)

    def outcome(self, process):
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def rows(self, sql, store="sums.db"):
        connection = sqlite3.connect(self.folder / store)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def runs(self):
        path = self.folder / "runs.txt"
        return path.read_text().split() if path.exists() else []

    def stored(self, key, store="sums.db"):
        """(generation, resource)"""
        where = f"key = x'{key.encode().hex()}'"
        (row,) = self.rows(f"SELECT generation, data FROM resource WHERE {where}", store)
        return row[0], bytes(row[1]).decode()


class Effects(BatchTool):
    def test_an_operation_that_comes_again_gets_its_first_result(self):
        worker = self.work()
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "5", "--id", "a")[0], "5\n")
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "7")[0], "12\n")
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "5", "--id", "a")[0], "5\n")
        self.assertEqual(self.run_tool("batch", "run", "sums", "other", "1", "--id", "a")[0], "1\n")
        self.finish(worker)
        self.assertEqual(self.runs(), ["5", "7", "1"], "the command does not see what comes again")
        self.assertEqual(self.stored("k"), (2, "12"))

    def test_twins_in_one_batch_share_a_result(self):
        worker = self.work("--window", "300ms")
        lines = "".join(json.dumps({"key": "k", "id": "a", "data": "5"}) + "\n" for _ in range(3))
        process = self.tool("batch", "run", "sums", "--jsonl", stdin=subprocess.PIPE)
        out, err = process.communicate(lines, timeout=PATIENCE)
        self.assertEqual([json.loads(line)["data"] for line in out.splitlines()], ["5", "5", "5"], err)
        self.finish(worker)
        self.assertEqual(self.runs(), ["5"])

    def test_B31_a_worker_is_killed_after_its_save_and_the_retry_gets_the_first_result(self):
        # The answer is held back: the daemon is stopped while the worker saves.
        worker = self.work()
        caller = self.start_run("k", "gate-5", "--id", "a", "--retry")
        eventually(self.runs, "the operation has begun")
        self.daemon.process.send_signal(signal.SIGSTOP)
        try:
            (self.folder / "gate-5").touch()
            eventually(lambda: self.rows("SELECT 1 FROM result"), "it is saved")
            worker.kill()
            worker.wait()
        finally:
            self.daemon.process.send_signal(signal.SIGCONT)
        self.work()
        self.assertEqual(self.outcome(caller)[:2], (0, "5\n"))
        self.assertEqual(self.runs(), ["gate-5"], "one effect")
        self.assertEqual(self.stored("k"), (1, "5"))

    def test_B31_a_worker_is_killed_before_its_save_and_the_retry_runs(self):
        worker = self.work()
        caller = self.start_run("k", "gate-5", "--id", "a", "--retry")
        eventually(self.runs, "the operation has begun")
        worker.kill()
        worker.wait()
        (self.folder / "gate-5").touch()
        self.work()
        self.assertEqual(self.outcome(caller)[:2], (0, "5\n"))
        self.assertEqual(self.stored("k"), (1, "5"), "the first attempt has left nothing")

    def test_a_lost_worker_without_an_id_says_that_nobody_knows(self):
        worker = self.work()
        caller = self.start_run("k", "gate-5")
        eventually(self.runs, "the operation has begun")
        worker.kill()
        worker.wait()
        (self.folder / "gate-5").touch()
        code, out, err = self.outcome(caller)
        self.assertEqual((code, out), (3, ""))
        self.assertIn("WORKER_LOST", err)
        self.assertIn("nobody knows whether it has run", err)


class Zombies(BatchTool):
    """B30: a worker that is behind cannot save over its successor."""

    def test_B30_two_daemons_with_one_store_cannot_both_save(self):
        other = Daemon()
        self.addCleanup(other.kill)
        worker = self.work()
        first = self.daemon
        held = self.start_run("k", "gate-5")
        eventually(self.runs, "the first one has loaded")
        self.daemon = other
        second = self.work()
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "7")[0], "7\n")
        (self.folder / "gate-5").touch()
        # The first one finds a conflict, loads again, and runs again.
        self.assertEqual(self.outcome(held)[:2], (0, "12\n"))
        self.assertEqual(self.runs(), ["gate-5", "7", "gate-5"])
        self.assertEqual(self.stored("k"), (2, "12"))
        self.finish(second)
        self.daemon = first
        self.finish(worker)
        other.stop()

    def test_B30_without_reloads_the_conflict_reaches_the_caller(self):
        other = Daemon()
        self.addCleanup(other.kill)
        worker = self.work("--max-reloads", "0")
        first = self.daemon
        held = self.start_run("k", "gate-5")
        eventually(self.runs, "the first one has loaded")
        self.daemon = other
        second = self.work()
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "7")[0], "7\n")
        (self.folder / "gate-5").touch()
        code, out, err = self.outcome(held)
        self.assertEqual((code, out), (64 + 10, ""))
        self.assertIn("somebody else has saved the key since it was loaded", err)
        self.assertEqual(self.stored("k"), (1, "7"))
        self.finish(second)
        self.daemon = first
        self.finish(worker)
        other.stop()

    def test_B30_a_worker_that_was_given_up_wakes_and_cannot_save(self):
        zombie = self.work("--worker", "a")
        caller = self.start_run("k", "gate-5", "--id", "x", "--retry")
        eventually(self.runs, "the zombie has loaded")
        # Its connection dies with the daemon, which a new one replaces.
        zombie.send_signal(signal.SIGSTOP)
        address = self.daemon.address
        self.daemon.kill()
        self.daemon = Daemon(listen=(address,))
        self.addCleanup(self.daemon.stop)
        (self.folder / "gate-5").touch()
        successor = self.work("--worker", "b")
        self.assertEqual(self.outcome(caller)[:2], (0, "5\n"))
        self.assertEqual(self.stored("k"), (1, "5"))
        zombie.send_signal(signal.SIGCONT)
        # It comes back, works on, and has changed nothing.
        while "working for sums as a" not in zombie.stderr.readline():
            pass
        self.assertEqual(self.stored("k"), (1, "5"))
        self.finish(zombie)
        self.finish(successor)
        self.assertEqual(len(self.rows("SELECT 1 FROM result")), 1)

    shared_daemon = False

    def setUp(self):
        super().setUp()
        self.daemon = self.start_daemon()


class Failures(BatchTool):
    def expect(self, handler, code, *parts, words=()):
        worker = self.work(*words, handler=handler, name="odd", store="odd.db")
        got, out, err = self.outcome(self.start_run("k", "1", name="odd"))
        notice = self.finish(worker)
        self.assertEqual((got, out), (code, ""), err)
        for part in parts:
            self.assertIn(part, err)
        self.assertIn("1 failed", notice)
        self.assertEqual(self.rows("SELECT * FROM resource", "odd.db"), [], "nothing is saved")

    def test_a_command_that_fails(self):
        self.expect("exit 3", 64 + 2, "exit code 3", "COMMAND_FAILED")

    def test_an_answer_that_is_odd(self):
        self.expect("echo '{\"results\":[]}'", 64 + 13, "it has 0 results for 1 operations", "BAD_ANSWER")

    def test_a_command_that_is_late(self):
        words = ["--timeout", "200ms"]
        self.expect("sleep 100", 6, "COMMAND_TOO_LATE", words=words)

    def test_an_operation_that_fails_fails_alone_and_so_again(self):
        handler = """exec /usr/bin/python3 -S -c '
import json, sys
batch = json.load(sys.stdin)
print(json.dumps({"resource": "x", "results": [
    {"error": {"code": "NOT_FOUND", "reason": "GONE", "message": "no " + each["data"]}}
    if each["data"] == "bad" else {"data": "fine"} for each in batch["operations"]]}))'"""
        worker = self.work("--window", "200ms", handler=handler)
        calls = [self.start_run("k", "bad", "--id", "a"), self.start_run("k", "good")]
        self.assertEqual(self.outcome(calls[1])[:2], (0, "fine\n"))
        code, out, err = self.outcome(calls[0])
        self.assertEqual(code, 4)
        self.assertIn("no bad", err)
        again = self.outcome(self.start_run("k", "other", "--id", "a"))
        self.assertEqual(again[0], 4, "its first result is a failure")
        self.assertIn("GONE", again[2])
        self.finish(worker)

    def test_bytes_of_any_value_go_through(self):
        handler = """exec /usr/bin/python3 -S -c '
import json, sys
batch = json.load(sys.stdin)
each = batch["operations"][0]
print(json.dumps({"resource_base64": each["data_base64"], "results": [{"data_base64": each["data_base64"]}]}))
'"""
        worker = self.work(handler=handler)
        process = self.tool(
            *("batch", "run", "sums", "k", "-", "-o", "raw"), stdin=subprocess.PIPE, text=False
        )
        out, _ = process.communicate(b"\xff\x00\x01", timeout=PATIENCE)
        self.assertEqual(out, b"\xff\x00\x01")
        self.finish(worker)
        self.assertEqual(bytes(self.rows("SELECT data FROM resource")[0][0]), b"\xff\x00\x01")

    def test_a_worker_finishes_its_batches_at_a_signal_and_a_second_one_ends_it(self):
        worker = self.work()
        caller = self.start_run("k", "gate-5")
        eventually(self.runs, "the operation has begun")
        worker.send_signal(signal.SIGTERM)
        eventually(
            lambda: "PROCESSOR_STOPPED" in (err := self.outcome(self.start_run("j", "1"))[2])
            or "NO_WORKER" in err,
            "no more batches begin",
        )
        (self.folder / "gate-5").touch()
        self.assertEqual(self.outcome(caller)[:2], (0, "5\n"))
        self.assertEqual(worker.wait(PATIENCE), 0)
        stuck = self.work()
        caller = self.start_run("k", "gate-6")
        eventually(lambda: "gate-6" in self.runs(), "the operation has begun")
        stuck.send_signal(signal.SIGTERM)
        stuck.send_signal(signal.SIGINT)
        self.assertEqual(stuck.wait(PATIENCE), 1)
        self.assertEqual(self.outcome(caller)[0], 3)
        self.assertEqual(self.stored("k"), (1, "5"))

    def test_batches_that_are_not_finished_within_the_drain_are_stopped(self):
        worker = self.work("--drain", "200ms")
        caller = self.start_run("k", "gate-5")
        eventually(self.runs, "the operation has begun")
        begin = time.monotonic()
        self.assertIn("batches were not finished within --drain", self.finish(worker, code=1))
        self.assertLess(time.monotonic() - begin, 20, "it has waited for the command's own end")
        self.assertNotEqual(self.outcome(caller)[0], 0)
        self.assertEqual(self.rows("SELECT * FROM resource"), [])

    def test_lines_that_are_odd_are_refused(self):
        for line, notice in (
            ({"key": "k", "di": "7"}, 'unknown member "di"'),
            ({"key": "k", "id": None}, '"id" is empty or null'),
            ({"key": "k", "id": ""}, '"id" is empty or null'),
            ({"key": "k", "id_base64": ""}, '"id" is empty or null'),
        ):
            process = self.tool("batch", "run", "p", "--jsonl", stdin=subprocess.PIPE)
            out, err = process.communicate(json.dumps(line) + "\n", timeout=PATIENCE)
            self.assertEqual((process.returncode, out), (1, ""), err)
            self.assertIn("line 1: ", err)
            self.assertIn(notice, err)

    def test_files_that_are_no_store_are_refused(self):
        (self.folder / "text").write_text("hello\n")
        for store, words in (("text", "it is no SQLite database"), (".", "Is a directory")):
            process = self.tool(
                "batch", "work", "p", "--store", store, "--exec", "true", cwd=self.folder
            )
            code, out, err = self.outcome(process)
            self.assertEqual(code, 1)
            self.assertIn(words, err)

    def test_what_is_missing_on_the_command_line(self):
        for words, notice in (
            (["work", "p"], "--store and --exec are needed"),
            (["work", "--store", "x", "--exec", "y"], "the processor's name is missing"),
            (["run", "p"], "the key is missing"),
            (["run", "p", "k", "--jsonl"], "with --jsonl"),
            (["run", "p", "k", "--id", ""], "--id is empty"),
            (["work", "p", "--store", "x", "--exec", "y", "--jobs", "0"], "--jobs"),
        ):
            self.assertIn(notice, self.run_tool("batch", *words, code=2)[1])


class Kept(BatchTool):
    def test_a_kept_command_handles_many_batches(self):
        handler = "exec /usr/bin/python3 -S -c '" + (
            "import json, sys, os\n"
            "for line in sys.stdin:\n"
            "    batch = json.loads(line)\n"
            "    results = [{\"data\": str(os.getpid())} for each in batch[\"operations\"]]\n"
            "    print(json.dumps({\"results\": results}), flush=True)\n"
        ) + "'"
        worker = self.work("--keep", "--jobs", "1", "--adaptive", handler=handler)
        answers = {self.run_tool("batch", "run", "sums", f"k{number}")[0] for number in range(5)}
        self.assertEqual(len(answers), 1, "it is the same process")
        self.finish(worker)
        self.assertEqual(self.rows("SELECT * FROM resource"), [], "nothing was changed, nothing is written")


class Live(BatchTool):
    """ls and watch, against the daemon."""

    def setUp(self):
        super().setUp()
        self.worker = self.work("--worker", "one")

    def test_ls_lists_processors_and_workers(self):
        self.assertEqual(self.run_tool("batch", "run", "sums", "k", "5")[0], "5\n")
        line = json.loads(self.run_tool("batch", "ls", "-o", "json")[0])
        self.assertEqual((line["name"], line["batches_saved"], line["operations"]), ("sums", 1, 1))
        self.assertEqual(line["policy"]["window_ns"], 20_000_000)
        self.assertEqual(line["workers"][0]["name"], "one")
        text = self.show(80, 24, "batch", "ls")
        self.assertTrue(text.startswith("processor "), text)
        for each in text.splitlines():
            self.assertLessEqual(width_of(each), 80)
        self.finish(self.worker)

    def test_ls_without_processors(self):
        self.finish(self.worker)
        eventually(lambda: self.run_tool("batch", "ls")[1] == "no processors\n", "the last one is gone")

    def test_watch_shows_each_batch(self):
        watch = self.tool("batch", "watch", "-o", "jsonl", "-n", "1")
        text = self.tool("batch", "watch", "su*", "-n", "1")
        other = self.tool("batch", "watch", "other", "-n", "1")
        while watch.poll() is None or text.poll() is None:
            self.run_tool("batch", "run", "sums", "k\x1b[1m", "5")
        record = json.loads(watch.communicate(timeout=PATIENCE)[0])
        self.assertEqual((record["processor"], record["key"]), ("sums", "k\x1b[1m"))
        self.assertEqual(record["outcome"], "saved")
        self.assertEqual((record["operations"], record["worker"]), (1, "one"))
        line = text.communicate(timeout=PATIENCE)[0]
        self.assertIn("  saved        sums  k\\x1b[1m  1 operation  ", line)
        self.assertIsNone(other.poll())
        other.send_signal(signal.SIGTERM)
        self.assertEqual(other.communicate(timeout=PATIENCE)[0], "")
        self.finish(self.worker)

    def test_watch_shows_why_a_batch_failed(self):
        watch = self.tool("batch", "watch", "-o", "jsonl", "--no-reconnect", "-n", "1")
        while watch.poll() is None:
            self.outcome(self.start_run("k", "no-number"))
        record = json.loads(watch.communicate(timeout=PATIENCE)[0])
        self.assertEqual((record["outcome"], record["error"]["reason"]), ("save-failed", "COMMAND_FAILED"))
        self.finish(self.worker)


class Service:
    """A Batch service that lists and shows what the test has put in."""

    def __init__(self):
        self.processors, self.records, self.patterns = [], [], []
        service = POOL.FindServiceByName("tributary.v1.Batch")
        types = {method.name: message_class(method.input_type.full_name) for method in service.methods}

        def unary(name, function):
            return grpc.unary_unary_rpc_method_handler(
                function, types[name].FromString, lambda answer: answer.SerializeToString()
            )

        methods = {
            "ListProcessors": unary("ListProcessors", self._list),
            "WatchBatches": grpc.unary_stream_rpc_method_handler(
                self._records, types["WatchBatches"].FromString, lambda answer: answer.SerializeToString()
            ),
            "Process": grpc.stream_stream_rpc_method_handler(
                self._process, types["Process"].FromString, lambda answer: answer.SerializeToString()
            ),
        }
        self.handler = grpc.method_handlers_generic_handler("tributary.v1.Batch", methods)

    def _list(self, request, context):
        """Two pages."""
        if not request.page_token:
            return v1.ListProcessorsResponse(processors=self.processors[:1], next_page_token="2")
        return v1.ListProcessorsResponse(processors=self.processors[1:])

    def _process(self, requests, context):
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "a proxy between has lost patience")

    def _records(self, request, context):
        self.patterns.append(request.processor)
        yield from self.records


class Shown(Tool):
    shared_daemon = False

    def setUp(self):
        super().setUp()
        self.service = Service()
        address, stop = serve(self.service.handler)
        self.addCleanup(stop)
        self.daemon = type("Address", (), {"address": address})()
        worker = message_class("tributary.v1.Processor.Worker")
        policy = v1.BatchPolicy(window=2)
        policy.window_length.FromMilliseconds(20)
        self.service.processors = [
            v1.Processor(
                name="accounts",
                policy=policy,
                keys=3,
                batches=2,
                waiters=40,
                batches_saved=1000,
                batches_failed=1,
                operations=12345678,
                workers=[
                    worker(name="one", peer="ipv4:10.0.0.1:4711", batches=2, max_batches=64, batches_saved=9),
                    worker(name="two\x1b[1m" + "x" * 60, draining=True),
                ],
            ),
            v1.Processor(name="visits"),
        ]

    def test_a_worker_that_is_ended_by_another_deadline_says_so(self):
        with tempfile.TemporaryDirectory(prefix="tributary-batch-") as folder:
            words = ("--store", folder + "/store.db", "--exec", "true", "--no-reconnect")
            out, err = self.run_tool("batch", "work", "sums", *words, code=6)
        self.assertIn("working: there is no answer from ", err)
        self.assertNotIn("--drain", err)

    def test_ls_fits_a_terminal_and_escapes(self):
        lines = self.show(80, 24, "batch", "ls").splitlines()
        self.assertEqual([line.split()[0] for line in lines[:2]], ["processor", "accounts"])
        self.assertEqual(lines[1].split(), ["accounts", "2", "3", "40", "2", "1000", "1", "12345678"])
        self.assertEqual(lines[2].split(), ["one", "2", "9", "0", "0"])
        self.assertIn("(drains)", lines[3])
        self.assertEqual(lines[4].split()[0], "visits")
        for line in lines:
            self.assertLessEqual(width_of(line), 80)
        self.assertNotIn("\x1b[1m", "".join(lines))
        wide = self.run_tool("batch", "ls", "-o", "wide")[0]
        self.assertIn("20 ms, adaptive", wide)
        self.assertIn("ipv4:10.0.0.1:4711", wide)

    def test_ls_as_json(self):
        lines = [json.loads(line) for line in self.run_tool("batch", "ls", "-o", "json")[0].splitlines()]
        self.assertEqual([line["name"] for line in lines], ["accounts", "visits"])
        self.assertEqual((lines[0]["waiters"], lines[0]["policy"]["window_ns"]), (40, 20_000_000))
        self.assertEqual(lines[0]["policy"]["window"], "adaptive")
        self.assertEqual([each["name"] for each in lines[0]["workers"]][0], "one")
        self.assertEqual([each["draining"] for each in lines[0]["workers"]], [False, True])

    def test_ls_without_processors(self):
        self.service.processors = []
        self.assertEqual(self.run_tool("batch", "ls"), ("", "no processors\n"))

    def record(self, **fields):
        record = v1.BatchRecord(
            **{"processor": "accounts", "key": b"k\x1b", "batch": 7, "worker": "one", "started": 1 << 60}
            | {"operations": 2, "outcome": 1, "generation": 5, "loads": 1, "saves": 1}
            | fields
        )
        record.total.FromMicroseconds(1500)
        return record

    def test_watch_as_text_escapes_and_counts_what_is_lost(self):
        error = v1.RunError(code=2, message="exit\ncode 3", reason="COMMAND_FAILED", may_have_run=True)
        lost = v1.BatchRecord(lost=3)
        failed = self.record(outcome=3, error=error, lost=1, operations=1)
        self.service.records = [self.record(), lost, failed]
        out, _ = self.run_tool("batch", "watch", "acc*", "-n", "2")
        lines = out.splitlines()
        self.assertEqual(len(lines), 4, out)
        self.assertIn("  saved        accounts  k\\x1b  2 operations  1.5 ms  one", lines[0])
        self.assertEqual(lines[1], "3 records are missing here: they were not read in time")
        self.assertEqual(lines[2], "1 record is missing here: they were not read in time")
        self.assertIn("  save-failed  accounts  k\\x1b  1 operation  1.5 ms  one", lines[3])
        self.assertIn("  one  UNKNOWN: exit\\ncode 3", lines[3])
        self.assertEqual(self.service.patterns, ["acc*"])

    def test_watch_as_json(self):
        error = v1.RunError(code=14, message="gone", reason="WORKER_LOST", may_have_run=True)
        lost = self.record(outcome=4, error=error)
        self.service.records = [self.record(key=b"\xff"), lost, self.record(outcome=99)]
        out, _ = self.run_tool("batch", "watch", "-o", "jsonl", "-n", "3")
        saved, lost, unknown = map(json.loads, out.splitlines())
        self.assertEqual((saved["key_base64"], saved["generation"]), ("/w==", 5))
        self.assertEqual(saved["total_ns"], 1_500_000)
        self.assertNotIn("error", saved)
        self.assertEqual((lost["outcome"], lost["error"]["code"]), ("worker-lost", "UNAVAILABLE"))
        self.assertTrue(lost["error"]["may_have_run"])
        self.assertEqual(unknown["outcome"], "unknown")

    def test_watch_ends_after_as_many_batches_as_are_wanted(self):
        self.service.records = [self.record()]
        out, err = self.run_tool("batch", "watch", "-n", "1", "-q")
        self.assertEqual((len(out.splitlines()), err), (1, ""))


class Transfers(unittest.TestCase):
    def test_money_stays_balanced_while_workers_and_the_daemon_are_killed(self):
        wrong, summary = transfers.campaign(10 if instrumented() else 25, seed=1)
        self.assertEqual(wrong, [], summary)


if __name__ == "__main__":
    main()
