#!/usr/bin/python3
"""Whoever reads standard error, or does not: the daemon and the tool go on, and say what is missing
(finding 13)."""
import fcntl
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import termios
import time

from harness.case import Case, main
from harness.client import event
from harness.daemon import PATIENCE, binary, eventually, instrumented
from harness.protos import v1

LONG = "n" * 256


class Pipe:
    """A pipe for standard error. Nobody reads it until read() is called."""

    def __init__(self, case):
        self.reader, self.writer = os.pipe()
        self.text = b""
        case.addCleanup(os.close, self.reader)
        case.addCleanup(self.close_writer)

    def close_writer(self):
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None

    def fill(self):
        """Leaves no space."""
        flags = fcntl.fcntl(self.writer, fcntl.F_GETFL)
        fcntl.fcntl(self.writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        try:
            while True:
                os.write(self.writer, b"#" * 4095 + b"\n")
        except BlockingIOError:
            fcntl.fcntl(self.writer, fcntl.F_SETFL, flags)

    def read(self, quiet=0.3):
        """All lines so far: reads until nothing has come for `quiet` seconds."""
        while select.select([self.reader], [], [], quiet)[0]:
            part = os.read(self.reader, 1 << 20)
            if not part:
                break
            self.text += part
        lines = self.text.decode().split("\n")
        assert lines[-1] == "", f"the last line has no end: {lines[-1]!r}"
        return [line for line in lines[:-1] if not line.startswith("#")]


class Unread(Case):
    shared_daemon = False

    def start(self, pipe, level="debug"):
        daemon = self.start_daemon(level=level, stderr=pipe.writer)
        pipe.close_writer()
        return daemon

    def overflow(self, daemon):
        """Causes more lines than are kept."""
        publisher = v1.stub("Publisher", daemon.channel)
        admin = daemon.admin()
        number = 0

        def burst():
            nonlocal number
            calls = []
            for _ in range(100):
                number += 1
                producer = f"{number:08}{LONG}"[:256]
                calls += [
                    publisher.Publish.future(v1.PublishRequest(producer=producer, events=[event(number)])),
                    admin.GetProducer.future(v1.GetProducerRequest(name=producer)),
                ]
            for call in calls:
                call.exception(PATIENCE)
            return daemon.counters()["log.lost"] > 0

        eventually(burst, "the log has left lines out", 4 * PATIENCE)

    def check_service(self, daemon):
        """Publish, Subscribe and Admin answer."""
        consumer = self.consumer(channel=self.channel(daemon.address))
        self.publish("working", [event(1), event(2)], daemon.channel)
        consumer.wait_events(2)
        self.assertIsNotNone(daemon.producer("working"))
        consumer.cancel()

    def check_end(self, daemon, began):
        """It ends well, and soon."""
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 15 if instrumented() else 5)

    def check_lines(self, lines):
        """Every line is whole. Returns how many are missing, by the lines that say so."""
        found = [json.loads(line) for line in lines]
        reports = [line for line in found if line["event"] == "log.lost"]
        for report in reports:
            levels = [report[level] for level in ("debug", "info", "warn", "error")]
            self.assertEqual(report["lines"], sum(levels), report)
        return [report["lines"] for report in reports]

    def test_a_log_that_nobody_reads_stops_nothing_and_says_what_is_missing(self):
        pipe = Pipe(self)
        daemon = self.start(pipe)
        self.overflow(daemon)
        self.check_service(daemon)
        reports = self.check_lines(pipe.read())
        lost = daemon.counters()["log.lost"]
        self.assertEqual(reports, [lost], "one line, for all that is missing")
        self.check_service(daemon)
        daemon.close_channel()
        daemon.terminate()
        lines = pipe.read(quiet=PATIENCE)  # until it has ended
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(self.check_lines(lines), [lost], "nothing more is missing")
        self.assertIn("server.stopped", [json.loads(line)["event"] for line in lines])

    def test_sigterm_is_heard_and_the_last_line_says_what_is_missing(self):
        pipe = Pipe(self)
        daemon = self.start(pipe)
        self.overflow(daemon)
        began = time.monotonic()
        daemon.close_channel()
        daemon.terminate()
        self.check_end(daemon, began)
        lines = pipe.read()
        reports = self.check_lines(lines)
        self.assertEqual(len(reports), 1)
        self.assertEqual(json.loads(lines[-1])["event"], "log.lost")

    def test_a_terminal_that_is_stopped_stops_nothing(self):
        master, terminal = os.openpty()
        self.addCleanup(os.close, master)
        termios.tcflow(terminal, termios.TCOOFF)  # as Ctrl-S does
        daemon = self.start_daemon(level="debug", stderr=terminal)
        self.addCleanup(os.close, terminal)
        self.overflow(daemon)
        self.check_service(daemon)
        began = time.monotonic()
        daemon.close_channel()
        daemon.terminate()
        self.check_end(daemon, began)

    def test_a_second_sigterm_ends_it_at_once(self):
        pipe = Pipe(self)
        pipe.fill()
        daemon = self.start(pipe)
        self.stalled(daemon.address)
        self.check_service(daemon)
        began = time.monotonic()
        daemon.terminate()
        time.sleep(0.1)
        daemon.terminate()
        daemon.wait()
        self.assertLess(time.monotonic() - began, 15 if instrumented() else 5)

    def test_a_full_disk_and_a_reader_that_is_gone_cost_lines_only(self):
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        gone, writer = os.pipe()
        os.close(gone)
        self.addCleanup(os.close, writer)
        for stderr in (full, writer):
            daemon = self.start_daemon(level="debug", stderr=stderr)
            self.check_service(daemon)
            self.assertGreater(daemon.counters()["log.lost"], 0)
            daemon.close_channel()
            daemon.terminate()
            self.assertEqual(daemon.wait(), 0)


def close_standard_descriptors():
    for number in range(3):
        os.close(number)


class Closed(Case):
    """Whoever starts the programs has closed their standard descriptors."""

    shared_daemon = False

    def test_no_other_file_of_the_daemon_gets_their_numbers(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        ready = pathlib.Path(folder.name) / "ready"
        process = subprocess.Popen(
            [binary("tributaryd"), "--listen", "127.0.0.1:0", "--ready-file", ready, "--log-level", "debug"],
            preexec_fn=close_standard_descriptors)
        self.addCleanup(process.kill)
        eventually(ready.exists, "the daemon is ready")
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_the_tool_says_by_its_exit_code_that_its_output_is_lost(self):
        process = subprocess.Popen(
            [binary("tributary"), "--version"], preexec_fn=close_standard_descriptors)
        self.assertNotEqual(process.wait(PATIENCE), 0)


class Tool(Case):
    def start(self, *words, stderr, **options):
        return self.start_program(binary("tributary"), *words, stderr=stderr, **options)

    def subscribed(self):
        eventually(self.daemon.subscriptions, "the tool has subscribed")

    def read_event(self, process):
        """Reads a line of standard output."""
        self.assertTrue(select.select([process.stdout], [], [], PATIENCE)[0], "no event in time")
        self.assertTrue(process.stdout.readline(), "no event, but the end")

    def test_sub_prints_events_while_nobody_reads_its_notices(self):
        pipe = Pipe(self)
        pipe.fill()
        process = self.start("sub", "-o", "raw", stderr=pipe.writer, bufsize=0)
        pipe.close_writer()
        self.subscribed()
        for number in range(50):
            # each producer is one notice more
            self.publish(f"producer-{number}", [event(number)])
            self.read_event(process)
        process.send_signal(signal.SIGINT)
        lines = pipe.read(quiet=3)
        self.assertEqual(process.wait(PATIENCE), 0)
        for number in range(50):
            self.assertTrue(any(f"producer-{number} is" in line for line in lines), lines)

    def test_sub_ends_while_nobody_reads_its_notices(self):
        pipe = Pipe(self)
        pipe.fill()
        process = self.start("sub", "-o", "raw", stderr=pipe.writer, bufsize=0)
        pipe.close_writer()
        self.subscribed()
        self.publish("producer", [event(1)])
        self.read_event(process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertLess(time.monotonic() - began, 10 if instrumented() else 7)
        lines = pipe.read()
        self.assertRegex(lines[-1], r"^tributary: \d+ lines? (is|are) missing here: standard error")

    def test_pub_goes_on_while_nobody_reads_its_notices(self):
        pipe = Pipe(self)
        pipe.fill()
        consumer = self.consumer()
        process = self.start("pub", "-p", "lines", "--jsonl", stdin=subprocess.PIPE, stderr=pipe.writer)
        pipe.close_writer()
        process.stdin.write(b'no JSON\n{"data":"good"}\n')
        process.stdin.flush()
        consumer.wait_events(1)
        process.communicate(timeout=PATIENCE)
        lines = pipe.read()
        self.assertIn("missing here", lines[-1])

    def test_lines_of_grpc_core_delay_no_answer(self):
        pipe = Pipe(self)
        pipe.fill()
        process = self.start("status", stderr=pipe.writer, env={"GRPC_VERBOSITY": "debug"})
        pipe.close_writer()
        output, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"listening", output)
        self.assertIn("missing here", pipe.read()[-1], "the core wrote lines, and nobody read them")


if __name__ == "__main__":
    main()
