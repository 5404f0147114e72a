#!/usr/bin/python3
"""`tributary bench` on a stored topic: confirmed publishing, and catching up."""
import json
import subprocess

from harness.bad_disk import OnBadDisk
from harness.case import main
from harness.daemon import PATIENCE, binary, instrumented
from harness.topics import TopicsCase

EVENTS = 5_000 if instrumented() else 100_000
TOPIC = "bench"


class Stored(OnBadDisk, TopicsCase):
    def run_bench(self, *words, code=0):
        command = [binary("tributary"), "bench", words[0], "-s", self.daemon.address, "--json", "-q"]
        command += words[1:]
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=2 * PATIENCE, check=False
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def test_what_is_confirmed_as_stored_is_caught_up_with_after_a_kill(self):
        self.start()
        self.create(TOPIC)
        words = ("--topic", TOPIC, "--confirm", "stored", "--batch", 64, "--window", 4096)
        published = self.run_bench("pub", "-n", EVENTS, *words)
        self.assertEqual(published["confirmed"], EVENTS)
        self.assertGreater(published["confirmed_after_us"]["p50"], 0)
        self.assertGreaterEqual(published["server_cpu_seconds"], 0)
        self.kill_and_start()
        received = self.run_bench("sub", "--topic", TOPIC, "--from", "earliest", "--until-caught-up")
        self.assertEqual(received["events"], EVENTS)
        self.assertEqual((received["holes"], received["disorder"], received["lost"]), (0, 0, 0))

    def test_with_a_small_window_each_event_has_a_time_of_its_own(self):
        self.start_on_bad_disk()
        self.create(TOPIC)
        words = ("--topic", TOPIC, "--confirm", "stored", "--batch", 1, "--window", 1)
        with self.disk_that("slow"):
            published = self.run_bench("pub", "-n", 64, "--publishers", 1, *words)
        # each waits for the one before it, and then for itself: twice the mean time of an event
        mean = published["seconds"] * 1e6 / published["events"]
        self.assertLess(published["confirmed_after_us"]["p50"], 4 * mean)

    def test_a_place_to_begin_that_is_none_is_named(self):
        self.start()
        self.assertIn("--from 'nowhere'", self.run_bench("sub", "--from", "nowhere", code=2))


if __name__ == "__main__":
    main()
