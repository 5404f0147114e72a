#!/usr/bin/python3
"""What people and programs write for the daemon and the tool is read as it is meant, or refused by
name: nothing is lost or misread in silence (K4)."""
import os
import subprocess
import tempfile

from harness.case import Case, main
from harness.client import subscribe_request
from harness.daemon import PATIENCE, binary
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
        status, _, errors = run("tributary", "status", "-s", "[::1]", "--connect-timeout", "200ms")
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


if __name__ == "__main__":
    main()
