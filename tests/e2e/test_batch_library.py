#!/usr/bin/python3
"""Keyed batches through the C library: runners and workers against the daemon, when they die or the
daemon does."""
import json
import pathlib
import signal
import struct
import tempfile
import time

from harness.case import Case, main
from harness.daemon import PATIENCE, Daemon, binary, eventually, instrumented

OPERATIONS = 1000 if instrumented() else 4000
KEYS = 7


class Library(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="tributary-batch-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def worker(self, saves=0, server=None):
        return self.start_program(binary("batch_counter"), "work", self.folder, saves, server=server)

    def runner(self, operations=OPERATIONS, server=None):
        return self.start_program(
            binary("batch_counter"), "run", operations, KEYS, server=server, text=True
        )

    def end_worker(self, worker):
        worker.stdout.readline()  # its name: it is ready for signals
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=PATIENCE)
        self.assertEqual((worker.returncode, errors), (0, b"OK \n"))

    def saved(self):
        """How many saves of the first key there were so far."""
        file = self.folder / "key-0"
        return struct.unpack("<Q", file.read_bytes()[:8])[0] if file.exists() else 0

    def counts(self):
        """The sum of what the files have."""
        total = 0
        for i in range(KEYS):
            generation, count = struct.unpack("<QQ", (self.folder / f"key-{i}").read_bytes()[:16])
            self.assertGreater(generation, 0)
            total += count
        return total

    def expect_exact(self, runner, operations=OPERATIONS):
        output, errors = runner.communicate(timeout=2 * PATIENCE)
        result = json.loads(output)
        self.assertEqual((result["ok"], result["failed"], result["exact"]), (operations, 0, True), errors)
        self.assertEqual(self.counts(), operations)
        return result


class Live(Library):
    def test_each_operation_is_counted_once(self):
        worker = self.worker()
        result = self.expect_exact(self.runner())
        self.end_worker(worker)
        self.assertLessEqual(result["sent_again"], OPERATIONS)

    def test_a_worker_that_is_killed_between_save_and_answer_counts_nothing_twice(self):  # B31
        runner = self.runner()
        deaths = 0
        until = time.monotonic() + 2 * PATIENCE
        while runner.poll() is None and deaths < 20 and time.monotonic() < until:
            worker = self.worker(saves=5)
            eventually(
                lambda: worker.poll() is not None or runner.poll() is not None, "the worker has died"
            )
            deaths += worker.poll() == -signal.SIGKILL
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        worker = self.worker()
        result = self.expect_exact(runner)
        self.assertGreater(deaths, 3)
        self.assertGreater(result["sent_again"], 0)
        self.end_worker(worker)

    def test_two_workers_share_the_keys_and_one_may_leave(self):
        runner = self.runner()
        workers = [self.start_worker_named(name) for name in ("a", "b")]
        self.end_worker(workers[0])
        self.expect_exact(runner)
        self.end_worker(workers[1])

    def start_worker_named(self, name):
        return self.start_program(
            binary("batch_counter"), "work", self.folder, 0, env=[("BATCH_WORKER", name)]
        )

    def test_the_example_counts_visits(self):
        example = str(pathlib.Path(binary()).resolve().parent.parent / "client/lib/example_visits")
        worker = self.start_program(example, "work", self.daemon.address, cwd=self.folder, text=True)
        self.assertRegex(worker.stdout.readline(), "^working as ")
        for i in (1, 2):
            visit = self.start_program(example, "alice", self.daemon.address, text=True)
            self.assertEqual(visit.communicate(timeout=PATIENCE), (f"alice: visit {i}\n", ""))
        worker.send_signal(signal.SIGINT)
        self.assertEqual(worker.wait(PATIENCE), 0, worker.stderr.read())
        self.assertEqual((self.folder / "alice.visits").read_text(), "2\n")

    def test_the_bench_measures_runners_and_a_worker(self):
        for words in (
            ("--window", "20ms"),
            ("--adaptive", "--rate", 5000, "--save-delay", "1ms"),
        ):
            bench = self.start_program(
                binary("tributary"), "bench", "batch", "-n", 2000, "--runners", 2, "--keys", 10, "--json",
                "--in-flight", 500, *words, text=True,
            )  # fmt: skip
            output, errors = bench.communicate(timeout=2 * PATIENCE)
            self.assertEqual(bench.returncode, 0, output + errors)
            got = json.loads(output)
            self.assertEqual((got["ok"], got["failed"], got["not_ended"]), (2000, 0, 0))
            self.assertEqual(got["latency_us"]["count"], 2000)
            self.assertEqual("over_window_us" in got, "--window" in words)
            self.assertLess(got["batches_saved"], 2000)
            self.assertLessEqual(got["messages"], 2000)

    def test_a_bench_without_a_worker_names_the_cause(self):
        bench = self.start_program(
            binary("tributary"), "bench", "batch", "-n", 1, "--no-worker", "--runners", 0, text=True
        )
        self.assertIn("nothing to do", bench.communicate(timeout=PATIENCE)[1])
        self.assertEqual(bench.returncode, 2)


class Restart(Library):
    shared_daemon = False

    def test_the_daemon_is_killed_and_comes_back(self):
        address = f"unix:{self.folder}/socket"
        daemon = Daemon(listen=(address,))
        worker, runner = self.worker(server=address), self.runner(server=address)
        for _ in range(5):
            before = self.saved()
            eventually(lambda: self.saved() > before or runner.poll() is not None, "more is saved")
            daemon.kill()
            daemon = Daemon(listen=(address,))
        try:
            result = self.expect_exact(runner)
            self.assertGreater(result["sent_again"], 0)
            self.end_worker(worker)
        finally:
            daemon.stop()

    def test_a_drain_finishes_batches_and_the_worker_comes_back(self):
        address = f"unix:{self.folder}/socket"
        daemon = Daemon(listen=(address,))
        worker, runner = self.worker(server=address), self.runner(server=address)
        eventually(lambda: (self.folder / "key-0").exists(), "a batch is saved")
        daemon.stop()
        daemon = Daemon(listen=(address,))
        try:
            self.expect_exact(runner)
            self.end_worker(worker)
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
