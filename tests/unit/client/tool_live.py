#!/usr/bin/python3
"""The program `tributary` as a person runs it, against fake_server.py.

Usage: tool_live.py PROGRAM FAKE_SERVER PROTO_FOLDER
"""
import array, fcntl, json, os, signal, socket, subprocess, sys, tempfile, termios, threading, time, unittest

PROGRAM, FAKE, PROTOS = sys.argv[1:4]
DEADLINE = 20


class Tool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(["/usr/bin/python3", FAKE, PROTOS], stdout=subprocess.PIPE, text=True)
        port = cls.server.stdout.readline().strip()
        cls.environment = dict(os.environ, TRIBUTARY_SERVER="127.0.0.1:" + port, TZ="UTC")

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.communicate()

    def start(self, *words, **more):
        return subprocess.Popen([PROGRAM, *words], env=self.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def run_tool(self, *words, input=b"", code=0):
        process = self.start(*words)
        out, err = process.communicate(input, timeout=DEADLINE)
        self.assertEqual(process.returncode, code, (words, out, err))
        return out.decode(), err.decode()

    def await_subscriptions(self, count):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            if len(self.run_tool("subs", "ls", "-o", "json")[0].splitlines()) == count:
                return
        self.fail("%d subscriptions did not come about" % count)

    def subscribe(self, *words):
        process = self.start("sub", *words)
        self.addCleanup(self.gone, process)
        self.await_subscriptions(1)
        return process

    @staticmethod
    def gone(process):
        """Ends what a failed test has left running, so that it cannot disturb the next one."""
        if process.poll() is None:
            process.kill()
            process.communicate()

    def end(self, process, code=0):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, code, (out, err))
        return out.decode(), err.decode()

    def test_lines_of_standard_input_are_printed(self):
        sub = self.subscribe("-n", "3")
        _, err = self.run_tool("pub", "-p", "web", "-t", "x", input=b"one\ntwo\n\x1b[2Jthree")
        self.assertIn("3 confirmed, 0 refused", err)
        out, _ = self.end(sub)
        rows = [line.split(None, 3) for line in out.splitlines()]
        self.assertEqual([row[1] for row in rows], ["web"] * 3)
        self.assertEqual([row[3] for row in rows], ["one", "two", "\\x1b[2Jthree"])

    # Finding 36: the tool says that no producer matches yet.
    def test_K5_texts_of_the_command_line_are_events(self):
        sub = self.subscribe("-n", "2", "-o", "raw")
        self.run_tool("pub", "-p", "web", "hello", "two words", input=b"not this")
        out, err = self.end(sub)
        self.assertEqual(out, "hello\ntwo words\n")
        self.assertIn("no producer matches yet", err, "K3 36")
        self.run_tool("pub", "hello", "--exec", "true", code=2)

    def test_jsonl_copies_an_event_unchanged(self):
        event = {"id": "i", "topic": "t", "key": "k", "type": "y", "content_type": "text/plain",
                 "headers": {"a": "ä", "b": ""},
                 "time": "2026-01-31T12:00:00.000000001Z", "expires": "2030-01-01T00:00:00.000000000Z",
                 "deliver_after": "2027-01-01T00:00:00.999999999Z", "data_base64": "AP8="}
        copies = []
        line = json.dumps(event).encode()
        for name in ("first", "second"):
            sub = self.subscribe("-n", "1", "-o", "jsonl", "-q")
            self.run_tool("pub", "--jsonl", "-p", name, input=line)
            line = self.end(sub)[0].encode()
            by_server = ("producer", "sequence", "epoch", "observed")
            copies.append({k: v for k, v in json.loads(line).items() if k not in by_server})
        self.assertEqual(copies, [event, event])

    # Finding 38.
    def test_a_bad_line_is_named_and_the_others_are_published(self):
        lines = b'{"data":"x"}\n{"msg":1}\n{"topic":"\\n"}\n\n{}\n'
        _, err = self.run_tool("pub", "--jsonl", "-p", "b", input=lines, code=1)
        self.assertIn('line 2: "msg" is unknown', err)
        self.assertIn("line 3: topic: not printable UTF-8", err)
        self.assertIn("2 confirmed", err)
        self.assertIn("2 lines were not taken", err)

    # Finding 35: also by SIGHUP.
    def test_what_is_confirmed_as_stored_is_stored_once(self):
        lines = b"".join(b"%d\n" % i for i in range(1, 2001))
        lossy = ("pub", "-p", "store-lsu-tool", "-t", "t", "--confirm", "stored")
        _, err = self.run_tool(*lossy, input=lines)
        self.assertIn("2000 confirmed, 0 refused, 0 not confirmed", err)
        again = ("pub", "-p", "store--tool", "-t", "t", "--publisher", "import", "--life", "7")
        self.assertNotIn("stored before", self.run_tool(*again, input=lines[:1000])[1])
        _, err = self.run_tool(*again, input=lines)
        self.assertRegex(err, "2000 confirmed, 0 refused, 0 not confirmed; 27[0-9] had been stored before")
        _, err = self.run_tool("pub", "-p", "store--tool", "-t", "t", "--publisher", "import", "--life", "6",
                               input=lines, code=1)
        self.assertRegex(err, "refused: ABORTED")

    def test_numbers_that_make_no_sense_are_refused(self):
        for words, message in (
            (("--publisher", "p"), "--publisher needs --life"),
            (("--life", "1"), "belong to --publisher"),
            (("--publisher", "p", "--life", "1", "--confirm", "received"), "need --confirm stored"),
            (("--name", "n", "--confirm", "stored"), "--name excludes --confirm"),
            (("--publisher", "p" * 65, "--life", "1"), "over 64 bytes"),
            (("--confirm", "perhaps"), "received"),
        ):
            self.assertIn(message, self.run_tool("pub", *words, code=2)[1])

    def test_lines_of_a_command_are_published_and_it_ends_with_the_tool(self):
        _, err = self.run_tool("pub", "-p", "cmd", "--exec", "echo one; echo two; exit 3", code=1)
        self.assertIn("2 confirmed", err)
        self.assertIn("exit code 3", err)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pid")
            command = "echo $$ > %s; while :; do echo x; sleep 0.01; done" % path
            pub = self.start("pub", "-p", "cmd", "--exec", command)
            until = time.monotonic() + DEADLINE
            while not (os.path.exists(path) and os.path.getsize(path)) and time.monotonic() < until:
                time.sleep(0.01)
            pid = int(open(path).read())
            pub.send_signal(signal.SIGHUP)  # K3 35: it ends what it has started
            self.end(pub)
            with self.assertRaises(ProcessLookupError):
                os.kill(pid, 0)

    def test_a_file_is_followed_over_a_rotation(self):
        sub = self.subscribe("-n", "5", "-o", "raw")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            open(path, "w").write("".join("%d\n" % i for i in range(20)))
            pub = self.start("pub", "-p", "log", "--follow", path, "--lines", "2")
            self.await_event("log", 2)
            os.rename(path, path + ".1")
            open(path, "w").write("new\n")
            self.await_event("log", 3)
            open(path, "a").write("more\nlast\n")
            out, _ = self.end(sub)
            self.assertEqual(out, "18\n19\nnew\nmore\nlast\n")
            pub.send_signal(signal.SIGINT)
            self.end(pub)

    def await_event(self, producer, sequence):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            answer = self.start("producers", "get", producer, "-o", "json").communicate(timeout=DEADLINE)[0]
            if answer and json.loads(answer)["last_sequence"] >= sequence:
                return
        self.fail("%s did not publish event %d" % (producer, sequence))

    def test_a_signal_ends_a_subscription_gently(self):
        sub = self.subscribe("--totals")
        self.run_tool("pub", "-p", "gentle", input=b"a\nb\n")
        sub.send_signal(signal.SIGINT)
        out, err = self.end(sub)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("the stream is closing: FINISHED", err)
        self.assertRegex(err, r"gentle +2 +2 +0\n")

    def test_a_reader_that_goes_away_is_no_error(self):
        sub = self.subscribe("-o", "raw")
        sub.stdout.close()
        self.run_tool("pub", "-p", "pipe", input=b"x\n")
        self.assertEqual(sub.wait(DEADLINE), 0)
        self.assertEqual(sub.stderr.read(), b"tributary: no producer matches yet\n")
        sub.stderr.close()
        sub.stdin.close()

    def test_for_and_max_time_end_a_verb(self):
        self.run_tool("sub", "--for", "0.2s")
        self.run_tool("sub", "--max-time", "0.2", code=6)
        self.run_tool("pub", "--for", "0.2s", "--exec", "sleep 60")

    def test_max_time_bounds_the_wait_for_confirmations(self):
        began = time.monotonic()
        _, err = self.run_tool("pub", "-p", "hold-x", "--max-time", "0.5", input=b"a\nb\n", code=6)
        self.assertIn("0 confirmed, 0 refused, 2 not confirmed", err)
        self.assertLess(time.monotonic() - began, DEADLINE / 2)

    def test_K5_it_waits_for_a_server_that_is_not_up_yet(self):
        with tempfile.TemporaryDirectory() as folder:
            path = "unix:" + os.path.join(folder, "socket")
            self.run_tool("status", "-s", path, "--wait", "--max-time", "0.5", code=6)
            waits = self.start("status", "-s", path, "--wait")
            self.assertIn(b"waiting for", waits.stderr.readline())
            waits.send_signal(signal.SIGTERM)
            waits.communicate(timeout=DEADLINE)
            self.assertNotEqual(waits.returncode, 0)
            waits = self.start("status", "-s", path, "--wait")
            self.addCleanup(self.gone, waits)
            self.assertIn(b"waiting for", waits.stderr.readline())
            server = subprocess.Popen(["/usr/bin/python3", FAKE, PROTOS, path], stdout=subprocess.PIPE)
            self.addCleanup(server.communicate)
            self.addCleanup(server.kill)
            self.end(waits)

    def test_max_time_bounds_the_connect(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            for words in (["pub"], ["sub"], ["status"], ["producers", "ls"],
                          ["serve", "--name", "x", "--exec", "true"]):
                began = time.monotonic()
                _, err = self.run_tool(*words, "-s", address, "--max-time", "0.3", code=6)
                self.assertIn("--max-time is over", err)
                self.assertLess(time.monotonic() - began, DEADLINE / 4, words)
            times = ("--connect-timeout", "0.3", "--max-time", "1m")
            _, err = self.run_tool("sub", "-s", address, *times, code=3)
            self.assertIn("cannot reach", err)

    def stuck(self, *words):
        """A subscription whose output has filled a pipe that nobody reads."""
        sub = self.subscribe("-o", "raw", *words)
        self.run_tool("pub", "-p", "flood", input=b"".join(b"%0100d\n" % i for i in range(5000)))
        # A pipe fills by pages, not by bytes. It is full when no more comes.
        waits, before, still = array.array("i", [0]), 0, 0
        until = time.monotonic() + DEADLINE
        while still < 50 and time.monotonic() < until:
            time.sleep(0.01)
            fcntl.ioctl(sub.stdout, termios.FIONREAD, waits)
            still = still + 1 if waits[0] == before and before > 30000 else 0
            before = waits[0]
        self.assertGreater(waits[0], 30000)
        return sub

    def stops(self, sub, code, timeout):
        """The subscription ends before its output is read."""
        self.assertEqual(sub.wait(timeout), code)
        out, err = self.end(sub, code)
        lines = out.split("\n")
        numbers = [int(line) for line in lines[:-1]]
        self.assertEqual(numbers, list(range(len(lines) - 1)), "what is printed is whole")
        return err

    def test_a_reader_that_reads_nothing_cannot_keep_a_subscription_open(self):
        sub = self.stuck("--totals")
        sub.send_signal(signal.SIGTERM)
        err = self.stops(sub, 1, DEADLINE)
        self.assertIn("standard output was not read", err)
        self.assertRegex(err, r"flood +5000 ")

    def test_a_second_signal_does_not_wait_for_a_reader(self):
        sub = self.stuck()
        sub.send_signal(signal.SIGINT)
        time.sleep(0.3)  # two signals that are pending together count as one
        sub.send_signal(signal.SIGINT)
        began = time.monotonic()
        self.stops(sub, 1, DEADLINE)
        self.assertLess(time.monotonic() - began, 4, "less than what the first one grants")

    def test_max_time_does_not_wait_for_a_reader(self):
        sub = self.stuck("--max-time", "6")
        self.stops(sub, 6, DEADLINE)

    def test_a_reader_that_reads_late_gets_every_event(self):
        sub = self.stuck("-n", "5000")
        out, _ = self.end(sub)
        self.assertEqual(out.count("\n"), 5000)

    def test_exit_codes_and_messages(self):
        self.assertIn("cannot reach", self.run_tool("status", "-s", "127.0.0.1:1", code=3)[1])
        self.assertIn("cannot reach", self.run_tool("-s", "127.0.0.1:1", "status", code=3)[1])
        self.assertIn("no such producer", self.run_tool("producers", "get", "nobody", code=4)[1])
        self.assertIn("no option", self.run_tool("sub", "--nonsense", code=2)[1])
        self.assertIn("no verb", self.run_tool("nonsense", code=2)[1])
        self.assertIn("Did you mean '--count'?", self.run_tool("sub", "--cuont", "1", code=2)[1])
        self.assertIn("Did you mean '--count'?", self.run_tool("sub", "-cuont", "1", code=2)[1])
        self.assertNotIn("Did you", self.run_tool("sub", "-x", code=2)[1])
        self.assertIn("Did you mean 'producers ls'?", self.run_tool("prodcers", "ls", code=2)[1])
        self.assertIn("does not know this call", self.run_tool("subs", "kick", "x", code=64 + 12)[1])
        self.assertIn("refused", self.run_tool("pub", "-p", "refuse-x", input=b"x\n", code=1)[1])
        self.run_tool("pub", "--follow", "a", "--exec", "b", code=2)
        self.run_tool(code=2)

    @staticmethod
    def answering(answer):
        """The address of a socket that accepts one connection, sends `answer` and closes it."""
        server = socket.create_server(("127.0.0.1", 0))

        def serve():
            with server, server.accept()[0] as client:
                client.recv(1000)
                client.sendall(answer)
        threading.Thread(target=serve, daemon=True).start()
        return "127.0.0.1:%d" % server.getsockname()[1]

    def test_K5_errors_say_the_cause_and_verbose_what_grpc_says(self):
        refused = "cannot reach the server: nothing listens at 127.0.0.1:1"
        self.assertIn(refused + "\n", self.run_tool("status", "-s", "127.0.0.1:1", code=3)[1])
        err = self.run_tool("status", "-v", "-s", "127.0.0.1:1", code=3)[1]
        self.assertIn(refused + " [gRPC: UNAVAILABLE: ", err)
        self.assertIn("Connection refused", err)
        with tempfile.TemporaryDirectory() as folder:
            nowhere = "unix:" + os.path.join(folder, "nothing")
            self.assertIn("there is no socket at " + nowhere, self.run_tool("sub", "-s", nowhere, code=3)[1])
        for answer, cause in ((b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP/1, and no gRPC"),
                              (b"SSH-2.0-OpenSSH_9.2p1\r\n", "does not speak gRPC"),
                              (b"", "closed the connection at once")):
            self.assertIn(cause, self.run_tool("status", "-s", self.answering(answer), code=3)[1])

    def test_K5_groups_of_verbs_and_aliases(self):
        for words in (("help", "producers"), ("producers", "--help"), ("help", "producer")):
            self.assertRegex(self.run_tool(*words)[0], r"(?s)^Usage: .*producers drain .*Try ", words)
        out, err = self.run_tool("producers", code=2)
        self.assertEqual(out, "")
        self.assertIn("producers drain", err)
        self.assertEqual(self.run_tool("help", "producer", "list"), self.run_tool("help", "producers", "ls"))
        self.assertIn("remove (rm)", self.run_tool("help")[0])

    def test_help_version_and_status(self):
        self.assertIn("Exit codes", self.run_tool("help")[0])
        self.assertIn("Examples", self.run_tool("help", "producers", "ls")[0])
        self.assertEqual(self.run_tool("sub", "--help")[0], self.run_tool("help", "sub")[0])
        self.assertRegex(self.run_tool("version")[0], r"^tributary \d+\.\d+\.\d+\n$")
        self.assertIn("serving", self.run_tool("status", "-plaintext", "-connect-timeout", "5")[0])
        self.assertEqual(json.loads(self.run_tool("status", "-o", "json")[0])["version"], "fake")


unittest.main(argv=sys.argv[:1])
