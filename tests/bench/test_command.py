#!/usr/bin/python3
"""The command of the bench from end to end, with stand-ins for the programs: which programs are
started, with what and in which order, and that no run leaves anything behind, however it ends. The
stand-ins write down how they were called. The generator's answers are in a file, one a line.

    tests/bench/test_command.py -v [Class.test_name]"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 30

SERVER = """#!/usr/bin/python3
import pathlib, signal, sys
def ended(*ignored):
    sys.exit(STATUS)
signal.signal(signal.SIGTERM, ended)
with open(pathlib.Path(__file__).parent.parent / "calls", "a") as calls:
    print(f"server {PID} {pathlib.Path(__file__).name} {' '.join(sys.argv[1:])}", file=calls)
port = 8 if pathlib.Path(__file__).name == "delay" else 7
more = "127.0.0.1:9\\n" if "--fan-in" in sys.argv else ""
pathlib.Path(sys.argv[sys.argv.index("--ready-file") + 1]).write_text(f"127.0.0.1:{port}\\n{more}")
while True:
    signal.pause()
""".replace("{PID}", "{__import__('os').getpid()}")

GENERATOR = """#!/usr/bin/python3
import os, pathlib, sys, time
place = pathlib.Path(__file__).parent.parent
with open(place / "calls", "a") as calls:
    print("load", os.getpid(), *sys.argv[1:], file=calls)
answers = (place / "answers").read_text().splitlines()
(place / "answers").write_text("\\n".join(answers[1:]))
if not answers:
    sys.exit("no answer is left")
if answers[0] == "hang":
    if os.fork() == 0:
        with open(place / "calls", "a") as calls:
            print("child", os.getpid(), file=calls)
    time.sleep(1000)
if answers[0].startswith("fail "):
    sys.exit(answers[0][5:])
print(answers[0])
"""

# `tributary bench pub` and `bench sub`: what they print is in a file of that name.
TOOL = """#!/usr/bin/python3
import os, pathlib, sys
place = pathlib.Path(__file__).parent.parent
with open(place / "calls", "a") as calls:
    print(sys.argv[2], os.getpid(), *sys.argv[1:], file=calls)
if "--ready-file" in sys.argv:
    pathlib.Path(sys.argv[sys.argv.index("--ready-file") + 1]).write_text("subscribed")
print((place / sys.argv[2]).read_text())
"""


def published(events=1000, **more):
    return json.dumps(
        {
            "bench": "pub",
            "size": 128,
            "events_per_second": 500.0,
            "cpu_seconds": 0.5,
            "confirmed": events,
            "refused": 0,
            "not_confirmed": 0,
            "reconnects": 0,
            **more,
        }
    )


def received(*counts, **more):
    clean = {
        "holes": 0,
        "sequence_holes": 0,
        "disorder": 0,
        "duplicates": 0,
        "lost": 0,
        "lost_unknown": False,
    }
    return json.dumps(
        {
            "bench": "sub",
            "seconds": 2.0,
            "events": sum(counts),
            "events_per_second": sum(counts) / 2,
            "cpu_seconds": 0.25,
            "latency_us": {"p50": 60, "p90": 70, "p99": 100, "max": 200},
            **clean,
            "per_subscriber": [{"events": count, **clean} for count in counts],
            **more,
        }
    )


def answer(rate=1000, foreign=0.0):
    return json.dumps(
        {
            "seconds": 0.5,
            "published": rate,
            "delivered": rate,
            "consumers": 1,
            "events_per_s": rate,
            "published_per_s": rate,
            "server_cpu_s_per_M": 0.1,
            "producer_cpu_s_per_M": 0.02,
            "consumer_cpu_s_per_M": 0.03,
            "rss_bytes": 30 << 20,
            "rss_before_bytes": 10 << 20,
            "foreign_cpu_share": foreign,
            "steal_share": 0.0,
            "latency_us": {"p50": 60, "p99": 100},
        }
    )


def runs(pid):
    """Whether the process exists and is no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-bench-test-")
        self.addCleanup(folder.cleanup)
        self.place = pathlib.Path(folder.name)
        (self.place / "bin").mkdir()
        (self.place / "tmp").mkdir()
        self.programs(status=0)
        self.addCleanup(self.nothing_is_left)

    def programs(self, status):
        server = SERVER.replace("STATUS", str(status))
        for name, text in (
            ("tributaryd", server),
            ("relay", server),
            ("delay", server),
            ("stream", f"#!/usr/bin/python3\nimport sys\nSINK = {GENERATOR!r}\nSERVER = {server!r}\n"
                       "exec(SINK if sys.argv[1] == 'sink' else SERVER)\n"),
            ("load", GENERATOR),
            ("jetstream", GENERATOR),
            ("tributary", TOOL),
        ):
            path = self.place / "bin" / name
            path.write_text(text)
            path.chmod(0o755)

    def nothing_is_left(self):
        """Checks that no process and no file of any run is left. Nobody collects the status of a
        grandchild that was killed, so the kernel may need a moment to end it."""
        until = time.monotonic() + PATIENCE_S
        for line in self.calls():
            while runs(line.split()[1]) and time.monotonic() < until:
                time.sleep(0.01)
            self.assertFalse(runs(line.split()[1]), line)
        self.assertEqual(list((self.place / "tmp").iterdir()), [])

    def calls(self, word=""):
        path = self.place / "calls"
        return [
            line for line in (path.read_text().splitlines() if path.exists() else []) if line.startswith(word)
        ]

    def start(self, *arguments, answers=()):
        (self.place / "answers").write_text("\n".join(answers))
        command = [sys.executable, "-B", HERE / "run", *arguments, "--no-build", "--build", self.place]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.place / "tmp")},
            start_new_session=True,
        )
        self.addCleanup(process.kill)
        return process

    def run_it(self, *arguments, answers=()):
        process = self.start(*arguments, answers=answers)
        output, errors = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output, errors

    def test_each_run_has_a_fresh_server_in_turn(self):
        path = self.place / "out.json"
        status, output, errors = self.run_it(
            "W1",
            "--only",
            "4x1",
            "--peers",
            "raw",
            "--runs",
            "2",
            "--json",
            str(path),
            "--seconds",
            "0.5",
            "--server-options=--wire-threads 2",
            answers=[answer(50), answer(100), answer(60), answer(100)],
        )
        self.assertEqual(status, 0, errors)
        servers = [line.split()[2] for line in self.calls("server")]
        self.assertEqual(servers, ["tributaryd", "relay"] * 2)
        self.assertEqual(len({line.split()[1] for line in self.calls("server")}), 4)
        self.assertIn("--wire-threads 2", self.calls("server")[0])
        self.assertNotIn("--wire-threads", self.calls("server")[1])
        load = self.calls("load")[0].split(maxsplit=2)[2]
        self.assertRegex(
            load,
            r"^--server 127.0.0.1:7 --pid \d+ --protocol tributary --producers 4 --consumers 1 "
            r"--per-message 64 --payload 128 --seconds 0.5$",
        )
        self.assertRegex(output, r"4x1 +tributary +55 \(50-60\) +0\.550 \(0\.500-0\.600\)")
        self.assertRegex(output, r"W1 4x1 +of raw +0\.550 \(0\.500-0\.600\) +>= 0\.350 +met +>= 0\.500 +met")
        document = json.loads(path.read_text())
        self.assertEqual(
            [one["run"]["events_per_s"] for one in document["rows"][0]["runs"]], [50, 100, 60, 100]
        )
        self.assertEqual(
            (document["failed"], document["options"]["server_options"]), ("", ["--wire-threads", "2"])
        )
        self.assertTrue(document["machine"]["cpu"] and document["machine"]["cores"] and document["date"])

    def test_w12_runs_with_the_guard_and_without_it_and_then_in_reverse_order(self):
        status, output, errors = self.run_it(
            *("W12", "--only", "16x16", "--runs", "1", "--peers", "none"),
            answers=[answer(50), answer(100), answer(80), answer(60), *[answer(70)] * 4],
        )
        self.assertEqual(status, 0, errors)
        guarded = ["--guard off" not in line for line in self.calls("server")]
        self.assertEqual(guarded, [True, False, False, True] * 2, "packed, then single")
        self.assertRegex(output, r"16x16 +tributary +55 +0\.625 ")
        self.assertRegex(output, r"W12 packed 16x16 +over guard off +0\.625 +>= 0\.950 +MISSED")

    def test_w11_runs_dialled_producers_beside_those_that_dial_in(self):
        status, output, errors = self.run_it(
            *("W11", "--only", "packed", "--runs", "1", "--peers", "none"),
            answers=[answer(rate) for rate in (90, 80, 100, 100, 70, 110)],
        )
        self.assertEqual(status, 0, errors)
        kinds = [
            (line.split("--protocol ")[1].split()[0], "per-consumer" in line) for line in self.calls("load")
        ]
        order = [("dialled", False), ("dialled", True), ("tributary", False)]
        self.assertEqual(kinds, order + order[::-1])
        self.assertRegex(output, r"W11 packed 200x1 dialled +over dialling in +1\.00 +>= 0\.800 +met")
        self.assertRegex(output, r"per consumer +over dialling in +0\.750 +>= 0\.800 +MISSED")

    def test_a_run_that_fails_fails_the_command_with_the_reason(self):
        path = self.place / "out.json"
        status, output, errors = self.run_it(
            "W1",
            "--only",
            "4x1",
            "--peers",
            "raw",
            "--json",
            str(path),
            answers=[answer(50), "fail consumer 0: producer 2: number 18 instead of 17"],
        )
        self.assertEqual(status, 1)
        self.assertIn("W1 4x1 raw: consumer 0: producer 2: number 18 instead of 17", errors)
        self.assertRegex(output, r"4x1 +tributary +50", "what was measured is shown")
        document = json.loads(path.read_text())
        self.assertIn("number 18", document["failed"])
        self.assertEqual(len(document["rows"][0]["runs"]), 1)

    def test_a_malformed_answer_of_the_generator_fails_the_command(self):
        for text, expected in (("nonsense", "no JSON"), ("{}", "has no seconds"), ("[]", "has no seconds")):
            status, _, errors = self.run_it("W1", "--only", "4x1", "--peers", "none", answers=[text])
            self.assertEqual(status, 1)
            self.assertIn(expected, errors)

    def test_a_server_that_ends_with_an_error_fails_the_command(self):
        self.programs(status=7)
        status, _, errors = self.run_it("W1", "--only", "4x1", "--peers", "none", answers=[answer()])
        self.assertEqual(status, 1)
        self.assertIn("tributaryd, asked to end, ended with 7", errors)

    def test_runs_on_a_busy_machine_are_not_trusted(self):
        busy = ["W1", "--only", "4x1", "--peers", "none", "--runs", "1"]
        status, output, errors = self.run_it(*busy, answers=[answer(10, foreign=0.9), answer(20)])
        self.assertEqual(status, 0, errors)
        self.assertRegex(output, r"4x1 +tributary +20 .*1 dropped")
        status, output, _ = self.run_it(*busy, answers=[answer(10, foreign=0.9)] * 3)
        self.assertEqual(status, 3)
        self.assertIn("W1 4x1 tributary: not trustworthy", output)
        status, output, _ = self.run_it(*busy, "--quick", answers=[answer(10, foreign=0.9)])
        self.assertEqual(status, 0, "a smoke run is no measurement")
        self.assertIn("DISTURBED", output)

    def test_a_signal_ends_all_started_processes(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("W1", "--only", "4x1", "--peers", "none", answers=["hang"])
            until = time.monotonic() + PATIENCE_S
            while not self.calls("child") and time.monotonic() < until:
                time.sleep(0.01)
            self.assertTrue(self.calls("child"), "the generator's own child runs")
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, 128 + number)
            self.assertIn(f"interrupted by {signal.Signals(number).name}", errors)
            self.nothing_is_left()
            (self.place / "calls").unlink()

    def through_the_client(self, pub, sub):
        (self.place / "pub").write_text(pub)
        (self.place / "sub").write_text(sub)
        return self.run_it("W8", "--only", "1x8", "--runs", "1", "--foreign-limit", "1000")

    def test_w8_measures_through_the_client_library(self):
        status, output, errors = self.through_the_client(published(), received(*[1000] * 8))
        self.assertEqual(status, 0, errors)
        self.assertRegex(output, r"1x8 +tributary +4000 ")
        self.assertEqual(
            [line.split()[0] for line in self.calls()],
            ["server", "sub", "pub"],
            "nobody publishes before all have subscribed",
        )
        self.assertIn("--subscribers 8", self.calls("sub")[0])
        self.assertIn("--publishers 1 ", self.calls("pub")[0])

    def test_w13_puts_the_proxy_in_front_of_the_sides_that_are_far(self):
        (self.place / "pub").write_text(published(size=1024))
        (self.place / "sub").write_text(received(1000))
        status, output, errors = self.run_it("W13", "--only", "1KiB", "--runs", "1", answers=[answer(10**6)])
        self.assertEqual(status, 0, errors)
        self.assertRegex(output, r"1KiB 1x1 +raw relay +1024\.0 ")
        proxies = [line for line in self.calls("server") if " delay " in line]
        self.assertEqual(len(proxies), 4, "a fresh one for each contestant")
        self.assertTrue(all("--to 127.0.0.1:7 --round-trip-us 10000" in line for line in proxies))
        ports = [
            tuple(line.split("--server 127.0.0.1:")[1][0] for line in pair)
            for pair in zip(self.calls("pub"), self.calls("sub"))
        ]
        self.assertEqual(ports, [("8", "7"), ("7", "8"), ("8", "8")])
        self.assertIn("--server 127.0.0.1:8 ", self.calls("load")[0])

    def test_w15_gives_the_fan_in_its_upstreams_and_the_proxy_its_own(self):
        (self.place / "add").write_text("")
        answers = [answer(cpu) for cpu in (120, 100, 100, 120)]
        status, output, errors = self.run_it("W15", "--only", "150B", "--runs", "1", answers=answers)
        self.assertEqual(status, 0, errors)
        self.assertRegex(output, r"150B +one upstream +120 ")
        self.assertRegex(output, r"W15 150B one upstream +CPU over proxy +1.00 +<= 1.25 +met")
        sinks = self.calls("load")
        self.assertEqual([line.split("--server ")[1] for line in sinks],
                         ["127.0.0.1:9", "127.0.0.1:7 --via 127.0.0.1:7"] +
                         ["127.0.0.1:7 --via 127.0.0.1:7", "127.0.0.1:9"])
        added = self.calls("add")
        self.assertEqual(len(added), 2)
        self.assertIn("upstream-0 127.0.0.1:7 --serve /bench.Stream/Read", added[0])
        servers = [line.split()[2:4] for line in self.calls("server")]
        self.assertEqual(servers.count(["stream", "source"]), 4)
        self.assertEqual(servers.count(["stream", "proxy"]), 2)

    def test_w9_publishes_into_a_stored_topic_and_at_half_of_its_rate(self):
        numbers = {"p50": 60.0, "p90": 70.0, "p99": 100.0, "max": 200.0}
        (self.place / "pub").write_text(
            published(1000, seconds=2.0, server_cpu_seconds=0.001, confirmed_after_us=numbers)
        )
        status, output, errors = self.run_it("W9", "--only", "half", "--runs", "1", "--peers", "none")
        self.assertEqual(status, 0, errors)
        self.assertRegex(output, r"half +tributary +500 +- +1.00 +- +60 +100 ")
        self.assertRegex(output, r"W9 half +p99 us +100 +<= 20000 +met")
        self.assertEqual(len(self.calls("pub")), 2)
        self.assertIn("--rate 0", self.calls("pub")[0])
        self.assertIn("--rate 250", self.calls("pub")[1])
        self.assertIn("--state-dir", self.calls("server")[0])
        self.assertEqual([path.name for path in self.place.glob("tributary-bench-*")], [])

    def test_w8_fails_if_one_event_is_missing_or_out_of_order(self):
        for pub, sub, expected in (
            (published(), received(*[1000] * 7, 999), "1000 events were confirmed"),
            (published(), received(*[1000] * 8, disorder=1), "disorder 1"),
            (published(refused=3), received(*[1000] * 8), "3 refused"),
            ("", received(*[1000] * 8), "bench pub printed no JSON"),
        ):
            status, _, errors = self.through_the_client(pub, sub)
            self.assertEqual(status, 1)
            self.assertIn(expected, errors)

    def test_a_missing_program_is_named(self):
        (self.place / "bin" / "relay").unlink()
        status, _, errors = self.run_it("W1", "--quick")
        self.assertEqual(status, 1)
        self.assertIn("lacks relay", errors)

    def test_the_command_line_is_checked(self):
        for arguments, expected in (
            (["W99"], "W99"),
            (["--only", "7x7"], "7x7"),
            (["--runs", "0"], "from 1 to 1000"),
            (["--peers", "kafka"], "kafka"),
            (["--seconds", "x"], "from 0.1 to 3600"),
        ):
            status, _, errors = self.run_it(*arguments)
            self.assertEqual(status, 2, arguments)
            self.assertIn(expected, errors)

    def test_the_list_starts_nothing(self):
        status, output, _ = self.run_it("--list", "W5", "--peers", "none")
        self.assertEqual(status, 0)
        self.assertIn("tributaryd --max-connections 10100", output)
        self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main()
