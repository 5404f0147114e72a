#!/usr/bin/python3
"""`tributary bench`: its counts are right, and it finds what it should find."""
import json
import pathlib
import signal
import struct
import tempfile
import time

from harness.case import Case, main
from harness.daemon import PATIENCE, binary, eventually, instrumented
from harness.protos import v1

EVENTS = 20_000 if instrumented() else 200_000


class Bench(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="tributary-bench-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, *words, server=None):
        return self.start_program(binary("tributary"), "bench", *words, server=server, text=True)

    def end(self, process, code=0):
        output, self.errors = process.communicate(timeout=2 * PATIENCE)
        self.assertEqual(process.returncode, code, output + self.errors)
        return output

    def run_bench(self, *words, code=0, server=None):
        return self.end(self.start(*words, server=server), code)

    def stats(self, process, code=0):
        return json.loads(self.end(process, code))

    def subscribe(self, *words):
        ready = self.folder / f"ready{len(list(self.folder.iterdir()))}"
        process = self.start("sub", "--json", "--ready-file", ready, *words)
        eventually(
            lambda: process.poll() is not None or (ready.exists() and ready.read_text().endswith("\n")),
            "the bench has subscribed",
        )
        self.assertIsNone(process.poll(), process.stderr)
        return process


class Whole(Bench):
    def test_every_event_of_every_publisher_reaches_every_subscriber(self):
        sub = self.subscribe("-n", EVENTS, "--subscribers", 2, "--max-time", PATIENCE)
        pub = json.loads(
            self.run_bench(
                "pub", "-n", EVENTS, "--publishers", 3, "--size", 100, "--topic", "t", "--key", "k", "--json"
            )
        )
        got = self.stats(sub)
        self.assertEqual(
            [pub[name] for name in ("events", "accepted", "confirmed", "refused", "not_confirmed")],
            [EVENTS, EVENTS, EVENTS, 0, 0],
        )
        self.assertEqual(pub["bytes"], EVENTS * 100)
        self.assertEqual(
            sorted(one["confirmed"] for one in pub["per_publisher"]),
            sorted(EVENTS // 3 + (i < EVENTS % 3) for i in range(3)),
        )
        self.assertEqual((got["events"], got["bytes"]), (2 * EVENTS, 200 * EVENTS))
        self.assertEqual([one["events"] for one in got["per_subscriber"]], [EVENTS, EVENTS])
        for one in [got] + got["per_subscriber"]:
            for name in (
                "unchecked",
                "before",
                "holes",
                "missing",
                "sequence_holes",
                "sequence_missing",
                "disorder",
                "duplicates",
                "lost",
                "reconnects",
            ):
                self.assertEqual(one[name], 0, name)
        self.assertEqual(got["producers"], 3)
        self.assertEqual(got["latency_us"]["count"], 2 * EVENTS)
        self.assertTrue(0 < got["latency_us"]["p50"] <= got["latency_us"]["p99"] <= got["latency_us"]["max"])
        for one in (pub, got):
            self.assertAlmostEqual(
                one["events_per_second"],
                one["events"] / one["seconds"],
                delta=one["events_per_second"] / 1000,
            )
            self.assertGreater(one["events_per_message"], 1)
            self.assertGreater(one["cpu_seconds"], 0)

    def test_confirmations_are_timed_within_the_window(self):
        words = ("-n", EVENTS, "--publishers", 2, "--confirm", "received", "--window", 1000, "--batch", 10)
        got = json.loads(self.run_bench("pub", *words, "--json"))
        self.assertEqual(got["confirmed"], EVENTS)
        self.assertGreaterEqual(got["messages"], EVENTS / 10)
        self.assertGreater(got["server_cpu_seconds"], 0)
        after = got["confirmed_after_us"]
        self.assertLessEqual(after["p50"], after["p99"])
        text = self.run_bench("pub", *words)
        self.assertRegex(text, "\nserver +[0-9.]+ s of processor time")
        self.assertRegex(text, "\nconfirmed +p50 ")

    def test_keeps_a_rate_and_ends_after_its_time(self):
        began = time.monotonic()
        got = json.loads(self.run_bench("pub", "--rate", "2k", "--max-time", 1, "--json"))
        self.assertLess(time.monotonic() - began, PATIENCE)
        self.assertLessEqual(got["accepted"], 2000)
        # The last one of each publisher may be due at the very end.
        self.assertGreaterEqual(got["accepted"], 2000 - 4)
        self.assertGreaterEqual(got["seconds"], 0.9)

    def test_latency_counts_from_the_moment_when_an_event_was_due(self):
        got = json.loads(
            self.run_bench("latency", "--rate", 500, "--max-time", 1, "--warmup", "200ms", "--json")
        )
        self.assertAlmostEqual(got["published"], 600, delta=1)
        self.assertEqual((got["events"], got["not_received"]), (got["published"], 0))
        latency = got["latency_us"]
        self.assertAlmostEqual(latency["count"], 500, delta=1)
        self.assertEqual(sum(slot["count"] for slot in latency["histogram"]), latency["count"])
        self.assertTrue(
            0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99_9"] <= latency["max"]
        )
        last = latency["histogram"][-1]
        self.assertTrue(last["from"] <= latency["max"] < last["to"], last)

    def test_text_and_progress_are_for_people(self):
        output = self.run_bench("latency", "--rate", 200, "--max-time", "1.5s", "--warmup", 0, "--progress")
        self.assertRegex(self.errors, r"(?m)^ +1\.\d s  received \d+ events  \d+/s")
        self.assertRegex(
            output,
            r"(?m)^latency +p50 [\d.]+ us, p90 [\d.]+ us, p99 [\d.]+ us, p99\.9 [\d.]+ us, max [\d.]+ us$",
        )
        self.assertIn("no hole, no disorder, nothing lost", output)
        output = self.run_bench("pub", "-n", 10)
        self.assertEqual(self.errors, "", "no terminal, no progress")
        self.assertIn("10 accepted, 10 confirmed, 0 refused, 0 not confirmed", output)


class Ends(Bench):
    def test_a_signal_ends_it_with_the_summary(self):
        sub = self.subscribe()
        pub = self.start("pub", "--rate", 1000, "--json", "--max-time", 2 * PATIENCE)
        eventually(
            lambda: (self.daemon.producer("bench-3") or v1.Producer()).last_sequence > 0, "it publishes"
        )
        pub.send_signal(signal.SIGINT)
        confirmed = self.stats(pub)["confirmed"]
        subscription = self.daemon.subscriptions()[0].id
        eventually(
            lambda: self.daemon.subscription(subscription).delivered.events == confirmed,
            "all of it is on its way",
        )
        sub.send_signal(signal.SIGTERM)
        self.assertLessEqual(self.stats(sub)["events"], confirmed)

    def test_events_that_do_not_arrive_in_time_are_exit_code_6(self):
        self.assertEqual(self.stats(self.subscribe("-n", 1000, "--max-time", "200ms"), code=6)["events"], 0)
        self.run_bench("pub", "-n", "1G", "--max-time", "200ms", code=6)
        self.run_bench("sub", "--max-time", "200ms")
        sub = self.subscribe("-n", 1000, "--idle", "300ms")
        self.run_bench("pub", "-n", 900)
        self.assertEqual(self.stats(sub, code=6)["events"], 900)

    def test_a_late_subscriber_reports_that_it_is_late_and_finds_no_hole(self):
        pub = self.start("pub", "--rate", "2k", "--publishers", 1, "--json", "--max-time", 2 * PATIENCE)
        eventually(
            lambda: (self.daemon.producer("bench-0") or v1.Producer()).last_sequence > 50, "it publishes"
        )
        got = self.stats(self.subscribe("-n", 100, "--max-time", PATIENCE))
        pub.send_signal(signal.SIGTERM)
        self.end(pub)
        self.assertGreater(got["before"], 0)
        self.assertEqual((got["events"], got["holes"], got["sequence_holes"]), (100, 0, 0))

    def test_the_end_of_the_server_ends_it(self):
        daemon = self.start_daemon()
        ready = self.folder / "ready"
        sub = self.start("sub", "--ready-file", ready, "--max-time", 4, server=daemon.address)
        eventually(ready.exists, "the bench has subscribed")
        pub = self.start("pub", "--json", "--max-time", 3, server=daemon.address)
        eventually(lambda: daemon.producer("bench-0"), "it publishes")
        daemon.kill()
        self.assertGreater(self.stats(pub, code=1)["not_confirmed"], 0)
        self.end(sub)
        self.assertIn("trying again", self.errors)
        self.run_bench("pub", code=3, server=daemon.address)

    def test_wrong_options_are_named_with_value_and_bound(self):
        for words, expected in [
            (["pub", "--publishers", "0"], "--publishers '0': must be 1 to 1k"),
            (["pub", "--size", "31"], "--size '31': must be 32 to 1000000"),
            (["pub", "--size", "1MiB"], "--size '1MiB': must be 32 to 1000000"),
            (["pub", "--rate", "2G"], "--rate '2G': must be at most 1G"),
            (["pub", "-n", "ten"], "--events 'ten': must be a number, with k, M or G"),
            (["pub", "--topic", "a\nb"], "--topic: not printable"),
            (["pub", "--producer-prefix", "x" * 201], "--producer-prefix: 201 bytes are over 200"),
            (["sub", "--subscribers", "1001"], "--subscribers '1001': must be 1 to 1k"),
            (["sub", "--buffer-events", "5G"], "--buffer-events '5G': must be 1 to 4294967295"),
            (["sub", "--buffer-bytes", "0"], "--buffer-bytes '0': must be at least 1"),
            (["sub", "-p", "a", "b"], "not both"),
            (["sub", "--overflow", "never"], "--overflow 'never': must be block|"),
            (["latency", "--rate", "0"], "--rate '0': must be 1 to 1M"),
            (["latency", "--max-time", "0"], "--max-time '0': must be 1ns to 24h"),
            (["latency", "--warmup", "25h"], "--warmup '25h': must be at most 24h"),
            (["nothing"], "there is no verb 'bench nothing'"),
        ]:
            # Nobody listens there: nothing was contacted.
            self.assertEqual(self.run_bench(*words, code=2, server="127.0.0.1:1"), "")
            self.assertIn(expected, self.errors)

    def test_a_ready_file_that_cannot_be_written_is_an_error(self):
        self.run_bench("sub", "--ready-file", self.folder / "no" / "file", code=1)
        self.assertIn("No such file", self.errors)


def mark(number, producer=0, run=None):
    """A payload as `bench pub` writes it on another machine."""
    return v1.Event(data=b"trbm" + struct.pack("<HHQQq", producer, 0, run or 1 << 62, number, 0))


class Faults(Bench):
    """Events that `bench pub` never publishes: every fault is found."""

    def check(self, numbers, code=5, *words):
        sub = self.subscribe("-n", len(numbers), "--max-time", PATIENCE, *words)
        self.publish("bench-faulty", [mark(number) for number in numbers])
        got = self.stats(sub, code)
        self.assertEqual((got["events"], got["latency_us"]["count"]), (len(numbers), 0))
        return got

    def test_a_hole_is_found(self):
        got = self.check([0, 1, 5])
        self.assertEqual((got["holes"], got["missing"], got["disorder"], got["duplicates"]), (1, 3, 0, 0))

    def test_a_hole_at_the_start_is_found(self):
        got = self.check([2, 3])
        self.assertEqual((got["holes"], got["missing"]), (1, 2))

    def test_disorder_is_found(self):
        got = self.check([0, 2, 1, 3])
        self.assertEqual((got["holes"], got["missing"], got["disorder"]), (1, 0, 1))

    def test_a_duplicate_is_counted_and_is_no_loss(self):
        self.assertEqual(self.check([0, 1, 1, 0, 2], 0)["duplicates"], 2)

    def test_losses_that_the_server_reports_are_found(self):
        sub = self.subscribe(
            "-n", EVENTS, "--overflow", "drop-oldest", "--buffer-events", 1, "--max-time", PATIENCE, "--quiet"
        )
        self.run_bench("pub", "-n", EVENTS)
        got = self.stats(sub, code=5)
        self.assertGreater(got["lost"], 0)
        self.assertEqual(got["events"] + got["lost"], EVENTS)
        self.assertLessEqual(got["missing"], got["lost"])
        self.assertEqual((got["disorder"], got["duplicates"]), (0, 0))

    def test_with_a_filter_a_hole_in_the_sequences_is_no_fault(self):
        events = [mark(0), v1.Event(topic="other"), mark(1), v1.Event(topic="other"), mark(2)]
        for one in events[::2]:
            one.topic = "bench"
        for words, code in ((["-t", "bench"], 0), ([], 0)):
            sub = self.subscribe("-n", 3 if words else 5, "--max-time", PATIENCE, *words)
            self.publish("bench-filtered", events)
            got = self.stats(sub, code)
            self.assertEqual((got["unchecked"], got["holes"]), (0 if words else 2, 0))


if __name__ == "__main__":
    main()
