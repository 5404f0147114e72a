#!/usr/bin/python3
"""What people and programs write for the daemon and the tool is read as it is meant, or refused by
name: nothing is lost or misread in silence (K4)."""
import json
import os
import signal as signals
import subprocess
import tempfile

import grpc

from harness.case import Case, main
from harness.client import Consumer, connect, publish, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import v1


def run(program, *words, input=b"", server=None):
    """Runs a program to its end. Returns (status, stdout, stderr)."""
    environment = dict(os.environ, TRIBUTARY_SERVER=server) if server else None
    done = subprocess.run(
        [binary(program), *words], input=input, capture_output=True, timeout=PATIENCE, env=environment
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Addresses(Case):
    """Finding 42: one grammar in both programs, whose form is checked first."""

    shared_daemon = False

    def test_both_programs_refuse_what_is_no_address_with_the_same_words(self):
        for address, expected in (
            ("127.0.0.1:70000", "port 1 to 65535"),
            ("host:99999", "port 1 to 65535"),
            (":7448", "the host is missing"),
            ("::1:7448", "write [::1]:7448"),
            ("unix:/" + 119 * "x", "1 to 107 bytes, and this one has 120"),
            ("7227", "write 127.0.0.1:7227"),
            ("http://127.0.0.1:7227", "no URL"),
        ):
            for program, words in (("tributaryd", ("--listen",)), ("tributary", ("status", "-s"))):
                with self.subTest(program=program, address=address):
                    status, _, errors = run(program, *words, address)
                    self.assertEqual(status, 2, errors)
                    self.assertIn(expected, errors)
                    self.assertNotIn("insecure", errors)

    def test_a_host_without_a_port_has_the_default_port(self):
        status, _, errors = run("tributary", "status", "--verbose", "-s", "[::1]", "--connect-timeout", "1s")
        if status == 3:  # nobody listens there; the message says where
            self.assertIn(":7227", errors)
        status, _, errors = run("tributaryd", "--listen", "192.0.2.1", "--insecure-listen")
        self.assertEqual(status, 1, "the form is right, the address is not of this machine")
        self.assertIn("192.0.2.1", errors)

    def test_the_tool_reaches_every_kind_of_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"unix:{folder}/a b%20c?d#e"
            abstract = f"unix-abstract:tributary e2e {os.getpid()}"
            daemon = self.start_daemon(listen=("127.0.0.1:0", path, abstract, "[::1]:0"))
            for address in (daemon.address, path, abstract, daemon.addresses[-1]):
                with self.subTest(address=address):
                    status, out, errors = run("tributary", "pub", "-p", "x", "hello", server=address)
                    self.assertEqual(status, 0, errors)
                    self.assertIn("1 confirmed", errors)
            daemon.stop()


class Quantities(Case):
    """Finding 42: durations and sizes are written alike for both programs."""

    shared_daemon = False

    def test_both_programs_refuse_what_is_no_quantity_with_the_same_words(self):
        for of_daemon, of_tool, expected in (
            (("--drain-timeout", "1x"), ("--for", "1x"), "a number with ns, us, ms, s, m or h"),
            (("--drain-timeout", "1.5ns"), ("--for", "1.5ns"), "whole number of nanoseconds"),
            (("--max-event-bytes", "12Q"), ("--buffer-bytes", "12Q"), "with K, M, G or T"),
            (("--drain-timeout", "1h1s"), ("--connect-timeout", "24h1s"), "must be 1"),
            (("--wire-threads", "0"), ("--count", "0"), "must be "),
        ):
            for program, words in (("tributaryd", of_daemon), ("tributary", ("sub", *of_tool))):
                with self.subTest(program=program, words=words):
                    status, _, errors = run(program, *words)
                    self.assertEqual(status, 2, errors)
                    self.assertIn(expected, errors)
                    self.assertIn(words[-2], errors)
                    self.assertIn(f"'{words[-1]}'", errors)


class LongLines(Case):
    """Finding 41: a line over the bound comes in marked parts that end at characters."""

    BOUND = 1000 << 10

    def consume(self):
        request = subscribe_request(overflow=v1.OVERFLOW_BLOCK, max_bytes=64 << 20, block_timeout=60)
        return self.consumer(request)

    def check_parts(self, consumer, line):
        """The events of the consumer are the parts of one line."""
        events = [each for _, _, _, each in consumer.received.events]
        self.assertEqual(b"".join(each.data for each in events), line)
        self.assertEqual(
            [each.headers["line.part"] for each in events], [str(i + 1) for i in range(len(events))]
        )
        last = [each.headers.get("line.last") for each in events]
        self.assertEqual(last, [None] * (len(events) - 1) + ["true"])
        self.assertLessEqual(max(len(each.data) for each in events), self.BOUND)
        return events

    def publish_line(self, line, parts):
        consumer = self.consume()
        server = self.daemon.address
        status, _, errors = run("tributary", "pub", "-p", "long", "-H", "a=b", input=line, server=server)
        self.assertEqual(status, 0, errors)
        self.assertIn("line 1 has more than 1024000 bytes: it comes as several events", errors)
        self.assertIn("1 line came in parts", errors)
        consumer.wait_events(parts)
        events = self.check_parts(consumer, line.rstrip(b"\n"))
        consumer.cancel()
        self.assertEqual({each.headers["a"] for each in events}, {"b"})
        return events

    def test_400_000_euro_signs_are_cut_between_two_of_them(self):
        for each in self.publish_line(400_000 * "€".encode() + b"\n", 2):
            each.data.decode()

    def test_a_line_of_10_megabytes_and_what_is_no_text(self):
        self.publish_line(10_000_000 * b"x", 10)
        self.publish_line(2_000_000 * b"\xe2", 2)
        self.publish_line(2_000_000 * b"\x80", 2)

    def test_a_line_at_the_bound_is_one_event_without_marks(self):
        consumer = self.consume()
        line = self.BOUND * b"x"
        status, _, errors = run("tributary", "pub", "-p", "x", input=line + b"\n", server=self.daemon.address)
        self.assertEqual(status, 0, errors)
        self.assertNotIn("parts", errors)
        consumer.wait_events(1)
        only = consumer.received.events[0][3]
        self.assertEqual((only.data, dict(only.headers)), (line, {}))
        consumer.cancel()

    def test_an_event_in_json_that_is_too_long_is_refused_whole(self):
        line = b'{"data":"' + (9 << 20) * b"x" + b'"}\n{"data":"y"}\n'
        status, _, errors = run("tributary", "pub", "--jsonl", input=line, server=self.daemon.address)
        self.assertEqual(status, 1, errors)
        self.assertIn("line 1: more than 8388608 bytes", errors)
        self.assertIn("1 confirmed", errors)
        self.assertIn("1 line was not taken", errors)

    def test_the_command_of_serve_is_cut_alike(self):
        script = "head -c 1500000 /dev/zero | tr '\\0' '\\303'; echo; echo short"
        serve = self.start_program(binary("tributary"), "serve", "--name", "long", "--exec", script)
        consumer = self.consume()
        consumer.wait_events(3)
        short = consumer.received.events.pop()[3]
        self.assertEqual((short.data, dict(short.headers)), (b"short", {}))
        self.check_parts(consumer, 1_500_000 * b"\xc3")
        consumer.cancel()
        serve.terminate()
        _, errors = serve.communicate(timeout=PATIENCE)
        self.assertIn(b"a line has more than 1024000 bytes", errors)


class Following(Case):
    """Finding 40: what is lost of a followed file is reported, and nothing else is lost."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "log")
        self.state = os.path.join(self.folder, "state")
        request = subscribe_request(overflow=v1.OVERFLOW_BLOCK, max_events=1 << 20, block_timeout=60)
        self.reader = self.consumer(request)

    def write(self, *lines, path=None):
        with open(path or self.path, "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def follow(self, *words, server=None):
        return self.start_program(binary("tributary"), "pub", "-p", "log", *words, server=server, text=True)

    def lines(self):
        return [each.data.decode() for _, _, _, each in self.reader.received.events]

    def expect(self, *lines):
        self.reader.wait(lambda: len(self.lines()) >= len(lines), f"{len(lines)} lines")
        self.assertEqual(self.lines(), list(lines))

    def end(self, follow, signal="SIGTERM"):
        follow.send_signal(getattr(signals, signal))
        _, errors = follow.communicate(timeout=PATIENCE)
        self.assertEqual(follow.returncode, 0 if signal == "SIGTERM" else -signals.SIGKILL, errors)
        return errors

    def test_a_writer_that_keeps_the_old_file_loses_no_line_and_none_is_torn(self):
        self.write("first")
        follow = self.follow("--follow", self.path)
        self.expect("first")
        with open(self.path, "a") as old:  # finding 40: mv f f.1; : > f
            os.rename(self.path, self.path + ".1")
            open(self.path, "w").close()
            old.write("one\nto")
            old.flush()
            self.expect("first", "one")
            old.write("rn\ntwo\n")
            old.flush()
            self.write("new")
            self.expect("first", "one", "torn", "two", "new")
            old.write("late\n")
            old.flush()
            self.expect("first", "one", "torn", "two", "new", "late")
        errors = self.end(follow)
        self.assertIn("6 confirmed", errors)

    def test_truncation_is_noticed_and_reported_also_when_the_file_grew_again(self):
        self.write("a", "b")
        follow = self.follow("--follow", self.path)
        self.expect("a", "b")
        with open(self.path, "r+b") as file:  # in one moment, as far as the follower can see
            os.kill(follow.pid, signals.SIGSTOP)
            file.truncate(0)
            file.write(b"c\nd\ne\n")
            file.flush()
            os.kill(follow.pid, signals.SIGCONT)
        self.expect("a", "b", "c", "d", "e")
        self.assertIn("it was truncated: it is read from its beginning", self.end(follow))

    def test_a_restart_goes_on_where_the_server_has_confirmed(self):
        self.write(*(f"a{i}" for i in range(100)))
        words = ("--follow", self.path, "--from-start", "--state", self.state)
        self.end_after(self.follow(*words), 100)
        self.write(*(f"b{i}" for i in range(50)))
        os.rename(self.path, self.path + ".1")
        self.write(*(f"c{i}" for i in range(50)))
        self.end_after(self.follow(*words), 200)
        expected = [f"a{i}" for i in range(100)] + [f"{x}{i}" for x in "bc" for i in range(50)]
        self.assertEqual(self.lines(), expected, "each line once, and in order")
        self.assertEqual(os.stat(self.state).st_mode & 0o777, 0o600)

    def end_after(self, follow, count):
        self.reader.wait(lambda: len(self.lines()) >= count, f"{count} lines")
        return self.end(follow)

    def test_a_reader_that_was_killed_sends_lines_again_and_loses_none(self):
        words = ("--follow", self.path, "--from-start", "--state", self.state)
        expected = []
        for round in range(5):
            batch = [f"{round}.{i}" for i in range(2000)]
            expected += batch
            self.write(*batch)
            follow = self.follow(*words)
            seen = len(self.lines())
            self.reader.wait(lambda: len(self.lines()) > seen + 100, "some lines")
            self.end(follow, "SIGKILL")
        self.write("the end")
        expected.append("the end")
        follow = self.follow(*words)
        self.reader.wait(lambda: set(self.lines()) >= set(expected), "every line")
        self.end(follow)
        self.assertEqual(set(self.lines()), set(expected), "no line is torn or invented")

    def kept(self):
        if not os.path.exists(self.state):
            return ""
        with open(self.state) as file:
            return file.read()

    def test_the_state_stays_where_it_is_without_a_server(self):
        self.write("a")
        words = ("--follow", self.path, "--from-start", "--state", self.state)
        daemon = self.start_daemon()
        follow = self.follow(*words, server=daemon.address)
        eventually(lambda: '"offset": 2' in self.kept(), "it is kept")
        daemon.kill()
        self.write("b")
        eventually(lambda: "not connected" in follow.stderr.readline(), "it notices")
        follow.send_signal(signals.SIGTERM)
        follow.wait(PATIENCE)
        self.assertIn('"offset": 2', self.kept())
        self.end_after(self.follow(*words), 1)
        self.assertEqual(self.lines(), ["b"])

    def test_what_is_no_state_is_refused(self):
        os.mkdir(self.state)
        for words, code, expected in (
            (("--follow", self.path, "--state", self.state), 1, "no regular file"),
            (("--follow", self.path, "--state", "/dev/full"), 1, "no regular file"),
            (("--state", self.state), 2, "--state and --from-start belong to --follow"),
            (("--from-start",), 2, "--state and --from-start belong to --follow"),
            (("--ignore-unknown",), 2, "--ignore-unknown belongs to --jsonl"),
        ):
            status, _, errors = run("tributary", "pub", *words, server=self.daemon.address)
            self.assertEqual(status, code, errors)
            self.assertIn(expected, errors)

    def test_a_state_that_cannot_be_written_is_an_error(self):
        path = self.path + os.fsdecode(b"\xff")  # JSON cannot hold this name
        self.write("a", path=path)
        follow = self.follow("--follow", path, "--state", self.state)
        self.expect("a")
        follow.terminate()
        _, errors = follow.communicate(timeout=PATIENCE)
        self.assertEqual(follow.returncode, 1, errors)
        self.assertIn("cannot be written: out of memory, or the name of a followed file is not", errors)

    def test_files_that_a_pattern_matches_are_marked(self):
        for name in "ab":
            self.write(name, path=f"{self.folder}/{name}.log")
        follow = self.follow("--follow", f"{self.folder}/*.log", "--follow", self.path, "--from-start")
        self.reader.wait(lambda: len(self.lines()) == 2, "both")
        self.write("c", path=f"{self.folder}/c.log")
        self.write("d")
        self.reader.wait(lambda: len(self.lines()) == 4, "all")
        files = {each.data: each.headers["file"] for _, _, _, each in self.reader.received.events}
        self.assertEqual(files, {b"a": f"{self.folder}/a.log", b"b": f"{self.folder}/b.log",
                                 b"c": f"{self.folder}/c.log", b"d": self.path})
        self.assertIn("log: it is no file that can be read: waiting for it", self.end(follow))

    def test_a_line_without_an_end_is_reported_at_the_end(self):
        with open(self.path, "w") as file:
            file.write("a\nhalf")
        follow = self.follow("--follow", self.path)
        self.expect("a")
        self.assertIn("within a line, of which 4 bytes were not published", self.end(follow))


class Bridge(Case):
    """Finding 39: `sub -o jsonl | pub --jsonl` keeps producer, topic, key, type, headers and time."""

    shared_daemon = False

    def setUp(self):
        super().setUp()
        self.origin, self.copy = self.start_daemon(), self.start_daemon()
        request = subscribe_request(overflow=v1.OVERFLOW_BLOCK, max_events=1 << 20, block_timeout=60)
        self.channel = connect(self.copy.address)
        self.addCleanup(self.channel.close)
        self.reader = Consumer(self.channel, request)

    def bridge(self, *words):
        sub = self.start_program(
            binary("tributary"), "sub", "-o", "jsonl", "--fail-on-loss", "--overflow", "block",
            "--block-timeout", "60s", "--buffer-events", "65536", server=self.origin.address,
        )
        pub = self.start_program(
            binary("tributary"), "pub", "--jsonl", *words, server=self.copy.address, stdin=sub.stdout
        )
        eventually(lambda: self.origin.subscriptions(), "the bridge listens")
        return sub, pub

    def end(self, sub, pub):
        sub.terminate()
        _, errors = sub.communicate(timeout=PATIENCE)
        self.assertEqual(sub.returncode, 0, errors)
        _, errors = pub.communicate(timeout=PATIENCE)
        self.assertEqual(pub.returncode, 0, errors)
        return errors.decode()

    def events(self, producers, count):
        """What each producer publishes: every member of an event, and every kind of data."""
        data = [b"", b"text", b"\x00\xff", "€\n\"\\".encode(), b'{"a":1}', b"\xef\xbb\xbf", b"\r\n"]
        data.append(9000 * b"\x01")
        return {
            producer: [
                v1.Event(
                    id=f"{producer}/{number}",
                    topic=f"t{number % 3}",
                    key="k" * (number % 2),
                    type="type.of" if number % 5 else "",
                    content_type="text/plain" if number % 7 else "",
                    headers={"h": str(number), "ü": "" if number % 2 else "\n"} if number % 4 else {},
                    time_unix_nano=1_764_000_000_000_000_000 + number if number % 3 else 0,
                    data=data[number % len(data)],
                )
                for number in range(count)
            ]
            for producer in producers
        }

    def publish_all(self, events):
        with grpc.insecure_channel(self.origin.address) as channel:
            for start in range(0, max(map(len, events.values())), 20):
                for producer, each in events.items():
                    publish(channel, producer, each[start : start + 20])

    def received(self):
        arrived = {}
        for source, _, _, each in self.reader.received.events:
            arrived.setdefault(source, []).append(each)
        return arrived

    def test_every_event_of_every_producer_is_the_same_at_the_other_daemon(self):
        events = self.events(["web-1", "db", "ü λ", "a b"], 300)
        sub, pub = self.bridge()
        self.publish_all(events)
        self.reader.wait_events(4 * 300)
        errors = self.end(sub, pub)
        self.assertEqual(self.received(), events)
        self.assertIn("1200 confirmed", errors)
        self.assertIn("as 4 producers", errors)
        self.assertEqual(self.reader.received.lost, [])

    def test_more_producers_than_are_open_at_a_time(self):
        events = self.events([f"p{i}" for i in range(300)], 3)
        for each in events.values():
            del each[1:]
        sub, pub = self.bridge()
        for _ in range(3):  # each publisher is closed and opened again
            self.publish_all(events)
        self.reader.wait_events(900)
        self.end(sub, pub)
        self.assertEqual(self.received(), {name: 3 * each for name, each in events.items()})

    def test_a_name_that_is_given_holds_for_all(self):
        sub, pub = self.bridge("--producer", "copy")
        self.publish_all(self.events(["a", "b"], 5))
        self.reader.wait_events(10)
        self.assertIn("as copy", self.end(sub, pub))
        self.assertEqual(set(self.received()), {"copy"})

    def test_a_line_without_a_producer_and_one_with_a_bad_one(self):
        lines = b'{"data":"x"}\n{"producer":"","data":"y"}\n{"producer":null,"data":"z"}\n'
        for name in (b'"a\\u0000b"', b'"a\\nb"', b"5", b'"%s"' % (257 * b"x")):
            lines += b'{"producer":%s}\n' % name
        status, _, errors = run("tributary", "pub", "--jsonl", input=lines, server=self.copy.address)
        self.assertEqual(status, 1)
        self.reader.wait_events(3)
        self.assertEqual(set(self.received()), {"anonymous"})
        for number in (4, 5, 7):
            self.assertIn(f'line {number}: "producer" is no name', errors)
        self.assertIn('line 6: "producer" is not a string', errors)


class Events(Case):
    """Findings 38 and 43: what a line says is what arrives, or it is refused by name."""

    MAX = 1 << 20

    def pub(self, *words, input=b"", code=0):
        status, _, errors = run("tributary", "pub", *words, input=input, server=self.daemon.address)
        self.assertEqual(status, code, errors)
        return errors

    def test_an_event_of_exactly_the_maximum_is_taken_and_one_byte_more_is_refused(self):
        largest = json.dumps({"data": (self.MAX - 4) * "x"}).encode()
        larger = json.dumps({"data": (self.MAX - 3) * "x"}).encode()
        request = subscribe_request(max_bytes=64 << 20)
        consumer = self.consumer(request)
        for words in (("-p", "n"), ("-p", 256 * "n"), ("--name", 255 * "s")):
            with self.subTest(words=words):
                self.assertIn("3 confirmed", self.pub("--jsonl", *words, input=b"{}\n" + largest + b"\n{}"))
                errors = self.pub("--jsonl", *words, input=larger, code=1)
                self.assertIn("line 1: the event is over 1 MiB", errors)
        consumer.wait_events(9)
        sizes = sorted(each.ByteSize() for _, _, _, each in consumer.received.events)
        self.assertEqual(sizes, 6 * [0] + 3 * [self.MAX])
        consumer.cancel()

    def test_lines_of_json_with_a_mark_carriage_returns_and_nothing(self):
        consumer = self.consumer()
        lines = b'\xef\xbb\xbf{"data":"a"}\r\n\r\n\n \t\n{"data":"b"}\r\n{"data":"c"}'
        self.assertIn("3 confirmed, 0 refused, 0 not confirmed\n", self.pub("--jsonl", input=lines))
        consumer.wait_events(3)
        self.assertEqual([each.data for _, _, _, each in consumer.received.events], [b"a", b"b", b"c"])
        consumer.cancel()

    def test_lines_of_text_are_taken_byte_by_byte(self):
        consumer = self.consumer()
        lines = [b"\xef\xbb\xbfmark", b"return\r", b"", b"a\0b", b"\xff\xfe", b"last"]
        self.pub(input=b"\n".join(lines))
        consumer.wait_events(len(lines))
        self.assertEqual([each.data for _, _, _, each in consumer.received.events], lines)
        consumer.cancel()

    def test_what_a_line_does_not_mean_is_refused_with_its_number(self):
        lines = [b'{"data":"ok"}', b'{"lvl":1}', b'{"time":1764324000}', b'{"data":1,"data":2}']
        lines.append(b'{"topic":"\xff"}')
        errors = self.pub("--jsonl", input=b"\n".join(lines), code=1)
        for number, expected in (
            (2, '"lvl" is unknown'), (3, '"time": 1764324000 is neither'), (4, "duplicate"), (5, "0xff"),
        ):
            self.assertRegex(errors, f"line {number}: .*{expected}")
        self.assertIn("1 confirmed", errors)
        self.assertIn("4 lines were not taken", errors)

    def test_times_are_the_ones_that_were_written(self):
        consumer = self.consumer()
        written = {
            "2016-12-31T23:59:60Z": 1483228800_000000000,
            "2026-11-28t10:00:00z": 1795860000_000000000,
            "2026-11-28T10:00:00.123456789123+05:30": 1795840200_123456789,
        }
        lines = [json.dumps({"time": text, "expires": text}).encode() for text in written]
        self.pub("--jsonl", input=b"\n".join(lines))
        consumer.wait_events(len(lines))
        events = [each for _, _, _, each in consumer.received.events]
        self.assertEqual([each.time_unix_nano for each in events], list(written.values()))
        self.assertEqual([each.expires_unix_nano for each in events], list(written.values()))
        consumer.cancel()


if __name__ == "__main__":
    main()
