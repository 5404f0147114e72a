#!/usr/bin/python3
"""`tributary top`: rates as text and JSON without a terminal, and the screen by what it draws."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import tempfile
import termios
import threading
import time

from harness.case import main
from harness.client import event
from harness.daemon import PATIENCE, binary
from test_tool import Tool

SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\([AB]|[=>78M])")
CLEAR = "\x1b[2J"
SLOW = 3  # a sanitizer, or a machine that is busy, may make the rate differ by this factor


class Screen:
    """The tool on a terminal, whose output is read until it shows something."""

    def __init__(self, case, columns, rows, *words, server=None):
        self.case = case
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(self.ours)
        self.resize(columns, rows)
        self.process = case.start_program(
            binary("tributary"), "top", "--interval", "200ms", *words, server=server or case.daemon.address,
            stdin=theirs, stdout=theirs, stderr=theirs, env={"LC_ALL": "C.UTF-8", "TERM": "xterm"},
        )
        self.theirs = theirs
        case.addCleanup(os.close, self.ours)
        case.addCleanup(os.close, theirs)
        self.shown = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def keys(self, text):
        """What is drawn from here on counts."""
        self.shown = ""
        os.write(self.ours, text.encode())

    def read(self, seconds):
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        self.shown += os.read(self.ours, 65536).decode(errors="replace")
        return True

    def plain(self):
        return SEQUENCE.sub(" ", self.shown)

    def until(self, *patterns):
        end = time.monotonic() + PATIENCE
        while not all(re.search(pattern, self.plain()) for pattern in patterns):
            self.case.assertIsNone(self.process.poll(), self.plain())
            self.case.assertLess(time.monotonic(), end, (patterns, self.plain()[-3000:]))
            self.read(0.1)

    def redrawn(self, *patterns, last="q quit"):
        """All of it is drawn anew (Ctrl-L), and then shows these. What was drawn before does not
        count. `last` is drawn last."""
        self.keys("\f")
        end = time.monotonic() + PATIENCE
        while CLEAR not in self.shown:
            self.case.assertLess(time.monotonic(), end, self.shown)
            self.read(0.1)
        self.shown = self.shown.split(CLEAR, 1)[1]
        self.until(*patterns, last)

    def ended(self, code=0):
        """The program ended, and the terminal is as it was."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.case.assertEqual(self.process.wait(PATIENCE), code)
        while self.read(0.05):
            pass
        self.case.assertIn("\x1b[?1049l", self.shown)
        self.case.assertEqual(termios.tcgetattr(self.ours), self.before)


class Once(Tool):
    def test_rates_of_a_live_publisher(self):
        rate, size = 200, 100
        consumer = self.consumer()
        stream = self.publishing("steady")
        stop = threading.Event()

        def publish():
            begin = time.monotonic()
            sent = 0
            while not stop.wait(0.01):
                due = int((time.monotonic() - begin) * rate) - sent
                if due > 0:
                    stream.send([event(size=size)] * due)
                    sent += due

        thread = threading.Thread(target=publish)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        out, err = self.run_tool("top", "--once", "-o", "json", "--interval", "2s")
        self.assertEqual(err, "")
        answer = json.loads(out)
        [producer] = [each for each in answer["producers"] if each["name"] == "steady"]
        self.assertTrue(rate / SLOW < producer["events_per_s"] < rate * SLOW, producer)
        self.assertGreaterEqual(producer["bytes_per_s"], size * producer["events_per_s"] * 0.99)
        self.assertEqual((producer["kind"], producer["consumers"]), ("transient", 1))
        [subscription] = answer["consumers"]
        self.assertEqual(subscription["id"], consumer.id)
        self.assertTrue(rate / SLOW < subscription["events_per_s"] < rate * SLOW, subscription)
        self.assertEqual((subscription["lost_events"], subscription["lost_per_s"]), (0, 0))
        self.assertEqual((answer["producers_not_shown"], answer["consumers_not_shown"]), (0, 0))
        out, _ = self.run_tool("top", "--once", "--interval", "100ms", "--sort", "lost-rate")
        producers, consumers = out.split("\n\n")
        self.assertRegex(producers, "^producer +kind +state +events/s +bytes/s +consumers +blocked +paused\n")
        self.assertRegex(producers, r"(?m)^steady +transient +ACTIVE +[0-9.]+ +[0-9.]+ [KM]?i?B +1 +0 +0$")
        self.assertRegex(consumers, r"^subscription +name +peer +events/s +queued +queue size +lost +lost/s")
        self.assertRegex(consumers, rf"(?m)^{consumer.id} +.* flowing$")

    def test_a_wide_name_is_shown(self):
        self.publish("wide 日本", [event()])
        out, _ = self.run_tool("top", "--once", "--interval", "100ms")
        self.assertIn("wide 日本", out)

    def test_errors(self):
        for words, text in (
            ((), "must be a terminal"),
            (("-o", "json"), "--output: only together with --once"),
            (("--once", "--interval", "99ms"), "interval"),
            (("--once", "--interval", "3601s"), "interval"),
            (("--once", "--sort", "colour"), "sort"),
            (("--once", "more"), "more"),
        ):
            out, err = self.run_tool("top", *words, code=2)
            self.assertEqual(out, "")
            self.assertIn(text, err)
        self.run_tool("top", "--once", "--max-time", "0.2", code=6)


class OnTerminal(Tool):
    forget = "60s"

    def setUp(self):
        super().setUp()
        for name in ("alpha", "beta", "gamma"):
            self.publish(name, [event()])

    def test_lists_order_filter_size_and_the_end(self):
        consumer = self.consumer()
        screen = Screen(self, 120, 24)
        screen.until("alpha", "beta", "gamma")
        screen.redrawn("producers: 3", r"events/s\*")
        screen.keys("<<<")
        screen.redrawn(r"producer\*", r"(?s)alpha.*beta.*gamma")
        screen.keys("r")
        screen.redrawn("reversed", r"(?s)gamma.*beta.*alpha")
        screen.keys("E")
        screen.redrawn(r"events/s\*", "E events/s  B bytes/s")
        self.assertNotIn("reversed", screen.plain())
        screen.keys("N")
        screen.redrawn(r"producer\*", r"(?s)alpha.*beta.*gamma")
        screen.keys("NX")  # again; and a letter of no column
        screen.redrawn("reversed", r"(?s)gamma.*beta.*alpha")
        screen.keys("/BETA\x7f")
        screen.redrawn("filter: BET_", "producers: 1 of 3", "beta")
        self.assertNotIn("alpha", screen.plain())
        screen.keys("\r")
        screen.redrawn("filter: BET[^_]", "producers: 1 of 3")
        screen.keys("\x1b")
        screen.until("alpha")
        screen.keys("c")
        screen.redrawn("consumers: 1", consumer.id, "I subscription")
        screen.keys("L")
        screen.redrawn(r"lost\*")
        screen.keys("\t")
        screen.redrawn("producers: 3", "gamma")
        screen.keys("")
        screen.resize(60, 5)  # one row
        screen.until("gamma")
        screen.redrawn("gamma", "q quit")
        self.assertNotIn("alpha", screen.plain())
        screen.keys("\x1bOB" * 3)
        screen.redrawn("alpha")
        self.assertNotIn("gamma", screen.plain())
        screen.keys("")
        screen.resize(3, 2)  # nothing fits
        screen.redrawn(last="tr")
        screen.resize(100, 30)
        screen.redrawn("alpha", "beta", "gamma")
        screen.keys("q")
        screen.ended()

    def test_signals_and_max_time_give_the_terminal_back(self):
        for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            screen = Screen(self, 80, 24)
            screen.until("alpha")
            screen.process.send_signal(end)
            screen.ended()
        screen = Screen(self, 80, 24)
        screen.until("alpha")
        screen.keys("\x03")  # no session of its own: only a byte
        screen.redrawn("alpha")
        screen.keys("q")
        screen.ended()
        Screen(self, 80, 24, "--max-time", "1").ended(code=6)

    def test_a_terminal_that_is_not_known(self):
        for type, text in (("", "TERM is not set"), ("no-such-terminal", "is not known")):
            ours, theirs = pty.openpty()
            self.addCleanup(os.close, ours)
            self.addCleanup(os.close, theirs)
            process = self.tool("top", stdin=theirs, stdout=theirs, env={"TERM": type})
            _, err = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 2)
            self.assertIn(text, err)


class Reconnecting(Tool):
    shared_daemon = False

    def test_the_server_goes_away_and_comes_back(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-top-")
        self.addCleanup(folder.cleanup)
        address = f"unix:{folder.name}/socket"
        daemon = self.start_daemon(listen=(address,))
        self.publish_to(daemon, "early")
        screen = Screen(self, 120, 24, server=address)
        screen.until("early")
        daemon.stop()
        screen.until("trying again")
        screen.redrawn("early", "trying again")
        again = self.start_daemon(listen=(address,))
        self.publish_to(again, "later")
        screen.until("later")
        screen.redrawn("producers: 1 ", "later")
        self.assertNotIn("trying again", screen.plain())
        screen.keys("q")
        screen.ended()
        again.stop()

    def publish_to(self, daemon, name):
        self.publish(name, [event()], channel=daemon.channel)


if __name__ == "__main__":
    main()
