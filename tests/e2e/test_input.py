#!/usr/bin/python3
"""What people and programs write for the daemon and the tool is read as it is meant, or refused by
name: nothing is lost or misread in silence (K4)."""
import os
import subprocess
import tempfile

from harness.case import Case, main
from harness.daemon import PATIENCE, binary


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


if __name__ == "__main__":
    main()
