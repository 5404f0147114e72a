#!/usr/bin/python3
"""`tributary serve`, `pub --name` and `producers rm|drain|ls --watch` as a person runs them,
against the server itself.

Usage: serve_live.py TRIBUTARY TRIBUTARYD
"""

import json, os, re, signal, subprocess, sys, tempfile, time, unittest

TOOL, DAEMON = sys.argv[1:3]
DEADLINE = 20


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(what)


def content(path):
    with open(path) as file:
        return file.read()


def is_running(pid):
    try:
        os.kill(pid, 0)
        return content("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def end_session(leader):
    """Kills what a program that began a session has started and left behind."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == leader and int(pid) != leader:
                os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.processes = []
        self.start_daemon("127.0.0.1:0")

    def tearDown(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        # A command that goes on without its program has the pipes, too.
        for process in self.processes:
            end_session(process.pid)
            process.communicate(timeout=DEADLINE)
        self.folder.cleanup()

    def start_daemon(self, address):
        ready = self.path("ready")
        if os.path.exists(ready):
            os.unlink(ready)
        self.daemon = subprocess.Popen(
            [DAEMON, "--listen", address, "--ready-file", ready, "--log-level", "off"]
        )
        self.processes.append(self.daemon)
        self.address = until(
            lambda: os.path.exists(ready) and content(ready).strip(), "the server is not ready"
        )
        self.environment = dict(os.environ, TRIBUTARY_SERVER=self.address, TZ="UTC")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start(self, *words):
        process = subprocess.Popen(
            [TOOL, *words],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end(self, process, code=0, input=None):
        out, err = process.communicate(input, timeout=DEADLINE)
        self.assertEqual(process.returncode, code, (out[-2000:], err))
        return out.decode(), err.decode()

    def run_tool(self, *words, input=None, code=0):
        return self.end(self.start(*words), code, input)

    def producer(self, name):
        out, _ = self.start("producers", "get", name, "-o", "json").communicate(timeout=DEADLINE)
        return json.loads(out) if out else None

    def serve(self, command, *more, name="calc"):
        process = self.start("serve", "--name", name, "--exec", command, *more)
        until(lambda: self.producer(name), "%s is not registered" % name)
        return process

    def read(self, name):
        path = self.path(name)
        return content(path) if os.path.exists(path) else ""


class Serve(Case):
    def test_the_request_is_on_standard_input_and_every_line_is_an_event(self):
        self.serve("cat; echo; printf 'no newline'", "--label", "zone=eu", "-t", "answers")
        out, _ = self.run_tool(
            "sub",
            "-o",
            "jsonl",
            "--request",
            "what\nelse",
            "--until",
            "ended",
            "-l",
            "zone=eu",
            "-t",
            "answers",
        )
        self.assertEqual(
            [json.loads(line)["data"] for line in out.splitlines()], ["what", "else", "no newline"]
        )
        with open(self.path("big"), "wb") as file:
            file.write(b"x" * 65536)
        self.assertEqual(
            self.run_tool("sub", "-o", "raw", "-r", "@" + file.name, "--until", "ended")[0].splitlines()[0],
            "x" * 65536,
        )
        with open(file.name, "ab") as file:
            file.write(b"x")
        self.run_tool("sub", "-r", "@" + file.name, code=2)

    def test_each_consumer_gets_its_own_answer_and_no_request_is_an_empty_one(self):
        self.serve("echo \"[$(cat)]\"")
        subs = [self.start("sub", "-o", "raw", "--request", str(i), "--until", "ended") for i in range(20)]
        self.assertEqual([self.end(sub)[0] for sub in subs], ["[%d]\n" % i for i in range(20)])
        self.assertEqual(self.run_tool("sub", "-o", "raw", "--until", "ended")[0], "[]\n")

    def test_the_exit_status_reaches_the_consumer(self):
        serve = self.serve("echo begun; exit 3")
        sub = self.start("sub", "-o", "raw")
        line = until(
            lambda: next((l for l in iter(sub.stderr.readline, b"") if b"exit status" in l), None),
            "no word of it",
        ).decode()
        self.assertIn("UNKNOWN: exit status 3", line)
        sub.send_signal(signal.SIGTERM)
        self.assertIn("begun", self.end(sub)[0])
        serve.send_signal(signal.SIGINT)
        self.assertIn("exit status 3", self.end(serve)[1])

    def test_a_signal_that_ends_it_reaches_the_consumer(self):
        self.serve("kill -9 $$")
        sub = self.start("sub")
        line = until(
            lambda: next((l for l in iter(sub.stderr.readline, b"") if b"signal" in l), None), "no word of it"
        ).decode()
        self.assertIn("ended by signal 9", line)

    def test_a_consumer_that_leaves_ends_its_command_and_what_that_started(self):
        # A signal between the shell's fork and its exec would be lost: "up" comes when the child is
        # a sleep.
        self.serve(
            "echo $$ > %s; trap 'echo asked > %s; exit 0' TERM; sleep 60 & echo $! > %s; "
            "while [ \"$(cat /proc/$!/comm)\" != sleep ]; do :; done; echo up; wait"
            % (self.path("pid"), self.path("asked"), self.path("child"))
        )
        sub = self.start("sub", "-n", "1", "-o", "raw")
        self.assertEqual(self.end(sub)[0], "up\n")
        until(lambda: self.read("asked"), "SIGTERM did not come")
        for name in ("pid", "child"):
            until(lambda: not is_running(int(self.read(name))), name + " is still there")
        until(lambda: self.producer("calc")["session"]["activations"] == 0, "its activation is still there")

    def test_a_command_that_does_not_listen_is_killed(self):
        self.serve("trap '' TERM; echo $$ > %s; echo up; while :; do sleep 1; done" % self.path("pid"))
        self.run_tool("sub", "-n", "1")
        began = time.monotonic()
        until(lambda: not is_running(int(self.read("pid"))), "it is still there")
        self.assertGreater(time.monotonic() - began, 1)
        self.assertLess(time.monotonic() - began, 4)

    def test_a_gentle_end_delivers_what_the_command_still_says(self):
        self.serve("trap 'echo goodbye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
        sub = self.start("sub", "-o", "raw")
        self.assertEqual(sub.stdout.readline(), b"up\n")
        sub.send_signal(signal.SIGINT)
        self.assertEqual(self.end(sub)[0], "goodbye\n")

    def test_a_consumer_that_does_not_read_makes_the_command_wait_and_loses_nothing(self):
        self.serve(
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; echo done > %s" % self.path("done")
        )
        sub = self.start(
            "sub",
            "-o",
            "raw",
            "--consume",
            "--credit",
            "100",
            "--until",
            "ended",
            "--fail-on-loss",
            "--overflow",
            "block",
            "--block-timeout",
            "1h",
        )
        numbers = [int(sub.stdout.readline()) for _ in range(5)]
        sub.send_signal(signal.SIGSTOP)
        until(lambda: self.producer("calc")["session"]["paused_activations"] == 1, "it is not held back")
        settled = until(lambda: self.settled(), "it goes on and on")
        self.assertLess(settled, 20000)
        self.assertEqual(self.read("done"), "")
        sub.send_signal(signal.SIGCONT)
        out, _ = self.end(sub)
        numbers += [int(line) for line in out.splitlines()]
        self.assertEqual(numbers, list(range(1, 20001)))

    def settled(self):
        """How many events it published, where that is not changing any more."""
        before = self.producer("calc")["published"]["events"]
        time.sleep(0.3)
        return before if before == self.producer("calc")["published"]["events"] else None

    def test_no_more_commands_than_allowed_run_at_a_time(self):
        self.serve("echo up; sleep 60", "--max-activations", "1")
        first = self.start("sub", "-o", "raw")
        self.assertEqual(first.stdout.readline(), b"up\n")
        second = self.start("sub")
        until(
            lambda: next(
                (
                    l
                    for l in iter(second.stderr.readline, b"")
                    if b"RESOURCE_EXHAUSTED: too many activations" in l
                ),
                None,
            ),
            "no word of it",
        )

    # Finding 31.
    def test_K3_31_an_answer_that_is_not_complete_has_an_exit_code_of_its_own(self):
        serve = self.serve("echo part; exit 3")
        for quiet in ([], ["-q"]):
            self.assertEqual(
                self.run_tool("sub", "-o", "raw", "--until", "ended", *quiet, code=7)[0], "part\n"
            )
        self.assertEqual(self.run_tool("sub", "-o", "raw", "-n", "1")[0], "part\n")
        serve.kill()
        serve.wait()
        # The command must not outlive it: it holds its standard error open.
        serve = self.serve("echo up; while kill -0 $PPID; do sleep 0.1; done")
        sub = self.start("sub", "-o", "raw", "--until", "ended")
        self.assertEqual(sub.stdout.readline(), b"up\n")
        serve.kill()
        serve.wait()
        self.end(sub, 7)

    def test_it_ends_its_commands_when_it_is_told_to_end(self):
        serve = self.serve("echo $$ > %s; echo up; sleep 60" % self.path("pid"))
        sub = self.start("sub", "-o", "raw", "--until", "ended")
        self.assertEqual(sub.stdout.readline(), b"up\n")
        serve.send_signal(signal.SIGTERM)
        self.assertIn("served 1 activation with 1 event", self.end(serve)[1])
        self.assertFalse(is_running(int(self.read("pid"))))
        self.end(sub)
        self.assertIsNone(self.producer("calc"))

    # Finding 36: the tool says that it is connected again.
    def test_it_registers_again_with_a_server_that_comes_back(self):
        serve = self.serve("echo $$ >> %s; echo up; sleep 60" % self.path("pids"))
        self.assertEqual(self.run_tool("sub", "-o", "raw", "-n", "1")[0], "up\n")
        first = self.start("sub", "-o", "raw", "--no-reconnect")
        self.assertEqual(first.stdout.readline(), b"up\n")
        stays = self.start("sub", "-o", "raw")
        self.assertEqual(stays.stdout.readline(), b"up\n")
        self.daemon.kill()
        self.daemon.wait()
        for pid in self.read("pids").split():
            until(lambda: not is_running(int(pid)), "a command outlived its registration")
        self.start_daemon(self.address)
        until(lambda: b"connected again" in stays.stderr.readline(), "K3 36: no word of it")
        until(lambda: self.producer("calc"), "it did not come back")
        self.assertEqual(self.run_tool("sub", "-o", "raw", "-n", "1")[0], "up\n")
        self.assertIsNone(serve.poll())
        stays.kill()
        for pid in self.read("pids").split():
            until(lambda: not is_running(int(pid)), "a command outlived its consumer")

    def test_wrong_command_lines(self):
        self.run_tool("serve", "--name", "x", code=2)
        self.run_tool("serve", "--exec", "x", code=2)
        self.run_tool("serve", "--name", "x", "--exec", "y", "--max-activations", "0", code=2)
        self.run_tool("serve", "--name", "x", "--exec", "y", "--label", "z", code=2)
        self.run_tool("sub", "--until", "never", code=2)
        self.run_tool("pub", "--label", "a=b", code=2)
        self.run_tool("pub", "--name", "a", "--producer", "b", code=2)
        self.run_tool("producers", "rm", "--cancel", "--drain", "1s", "x", code=2)
        self.run_tool("producers", "rm", code=2)


class Sessions(Case):
    def publish(self, *words, name="web"):
        process = self.start("pub", "--name", name, "--exec", "while echo tick; do sleep 0.02; done", *words)
        until(
            lambda: (self.producer(name) or {}).get("published", {}).get("events"),
            "%s is not registered" % name,
        )
        return process

    def test_a_session_publishes_and_ends_with_its_lines(self):
        sub = self.start("sub", "-o", "raw", "-n", "3", "-l", "zone=e*")
        until(lambda: self.run_tool("subs", "ls")[0], "nobody subscribed")
        _, err = self.run_tool("pub", "--name", "web", "--label", "zone=eu", input=b"one\ntwo\nthree")
        self.assertIn("3 confirmed, 0 refused", err)
        self.assertEqual(self.end(sub)[0], "one\ntwo\nthree\n")
        self.assertIsNone(self.producer("web"))

    def test_who_is_replaced_ends_and_who_is_rejected_does_not_begin(self):
        first = self.publish()
        second = self.publish()
        self.assertIn("REPLACED", self.end(first, 64 + 10)[1])
        third = self.start("pub", "--name", "web", "--on-duplicate", "reject", "--exec", "sleep 60")
        self.assertIn("NAME_TAKEN", self.end(third, 64 + 6)[1])
        fourth = self.publish("--handover", "start-first")
        self.end(second, 64 + 10)
        self.assertIsNone(fourth.poll())

    def test_producers_are_removed_at_once_or_gently(self):
        web, other = self.publish("--label", "a=b", "-t", "x"), self.publish(name="other")
        self.run_tool("producers", "rm", "--cancel", "web")
        self.assertIn("REMOVED", self.end(web, 64 + 9)[1])
        out, _ = self.run_tool("producers", "drain", "--drain", "2s", "other")
        self.assertRegex(out, r"^other is removed: \d+ events? published; 1 call ended\n$")
        self.assertIn("REMOVED", self.end(other, 64 + 9)[1])
        self.run_tool("producers", "rm", "web", code=4)
        self.run_tool("producers", "drain", "web", code=4)

    def test_a_drained_producer_that_does_not_stop_is_cut(self):
        process = self.start(
            "serve", "--name", "deaf", "--exec", "trap '' TERM; echo up; while :; do sleep 0.1; done"
        )
        until(lambda: self.producer("deaf"), "deaf is not registered")
        sub = self.start("sub", "-o", "raw")
        self.assertEqual(sub.stdout.readline(), b"up\n")
        out, _ = self.run_tool("producers", "drain", "--drain", "300ms", "deaf")
        self.assertRegex(
            out,
            r"^deaf is removed: 1 event published; 0 calls ended, "
            r"1 did not end within 300 ms and was aborted, of s[0-9a-f]{16}\n$",
        )
        self.end(process, 64 + 9)

    def test_the_list_shows_sessions_and_is_shown_again(self):
        self.publish("--label", "zone=eu", "--label", "tier=1")
        self.start("serve", "--name", "calc", "--exec", "sleep 60")
        until(lambda: self.producer("calc"), "calc is not registered")
        self.start("sub", "calc")
        until(lambda: self.producer("calc")["session"]["activations"], "calc is not asked")
        watch = self.start("producers", "ls", "--watch", "50ms")
        lines = [watch.stdout.readline().decode() for _ in range(9)]
        watch.send_signal(signal.SIGINT)
        self.end(watch)
        text = "".join(lines)
        self.assertGreaterEqual(len(re.findall(r"^producer +kind +state ", text, re.M)), 2)
        self.assertRegex(text, r"(?m)^calc +per-consumer .* 1  never$")
        wide, _ = self.run_tool("producers", "ls", "-o", "wide")
        self.assertRegex(wide, r"(?m)^web +shared .*(zone=eu, tier=1|tier=1, zone=eu)$")
        self.assertNotIn("\033", text)

    def test_the_last_events_come_first(self):
        warm = self.start("sub", "--last", "1")  # from now on the server keeps them
        until(lambda: self.run_tool("subs", "ls")[0], "nobody subscribed")
        pub = self.start("pub", "--name", "web")
        pub.stdin.write(b"1\n2\n3\n")
        pub.stdin.flush()
        until(lambda: (self.producer("web") or {}).get("last_sequence") == 3, "nothing was published")
        self.assertEqual(self.run_tool("sub", "-o", "raw", "--last", "2", "--until", "2")[0], "2\n3\n")
        warm.send_signal(signal.SIGTERM)
        self.end(warm)


unittest.main(argv=sys.argv[:1] + sys.argv[3:])
