#!/usr/bin/python3
"""What people see of the tool: notices, tables, errors."""
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unicodedata

import grpc

from harness.case import Case, main
from harness.client import event
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import v1
from harness.sessions import WithSessions


class Tool(Case):
    def tool(self, *words, **options):
        return self.start_program(
            binary("tributary"), *words, "-s", self.daemon.address, **{"text": True, **options}
        )

    def run_tool(self, *words, code=0):
        process = self.tool(*words)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, code, (words, out, err))
        return out, err

    def on_terminal(self, columns, rows, *words):
        """The tool on a terminal of this size: the process, and the descriptor to read from."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        process = self.tool(*words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        return process, ours

    def show(self, columns, rows, *words):
        """What the tool shows on a terminal until it ends."""
        process, terminal = self.on_terminal(columns, rows, *words)
        shown = b""
        try:
            while block := os.read(terminal, 65536):
                shown += block
        except OSError:  # the other end is closed
            pass
        self.assertEqual(process.wait(PATIENCE), 0, shown)
        return shown.decode().replace("\r\n", "\n")


class Reading(Tool):
    def test_K5_verbose_shows_topic_key_type_and_headers(self):
        sub = self.tool("sub", "-v", "-n", "1", "v")
        eventually(self.daemon.subscriptions, "it subscribed")
        publisher = v1.stub("Publisher", self.channel())
        sent = v1.Event(data=b"x", topic="orders", key="k 1", type="new", headers={"a": "b"})
        publisher.Publish(v1.PublishRequest(producer="v", events=[sent]))
        out, _ = sub.communicate(timeout=PATIENCE)
        self.assertTrue(out.endswith('  1  topic=orders  key="k 1"  type=new  header.a=b  x\n'), out)

    def test_K5_last_where_nothing_is_kept_is_a_notice(self):
        stream = self.publishing("last")  # while it is open, the producer is not forgotten
        stream.send([event()])
        eventually(lambda: self.daemon.producer("last"), "it published")
        notice = "the server kept no earlier events"
        self.assertIn(notice, self.run_tool("sub", "--last", "1", "--for", "1.5s", "last")[1])
        self.assertIn(notice, self.run_tool("sub", "--last", "1", "--for", "0.3s", "last")[1])
        self.assertNotIn(notice, self.run_tool("sub", "--last", "1", "-q", "--for", "0.3s", "last")[1])
        self.assertNotIn(notice, self.run_tool("sub", "--last", "1", "--for", "0.3s", "nobody")[1])
        stream.send([event()])  # it is kept from now on
        eventually(lambda: self.daemon.producer("last").last_sequence == 2, "it published")
        out, err = self.run_tool("sub", "--last", "1", "--for", "1.5s", "-o", "raw", "last")
        self.assertEqual(out.count("\n"), 1)
        self.assertNotIn(notice, err)
        stream.finish()


class Names(WithSessions, Tool):
    def test_K5_exact_names_are_no_patterns(self):
        names = ("a*", "ab", "?")
        streams = {name: self.publishing(name) for name in names}
        consumer = self.tool("sub", "--exact", "-n", "2", "-o", "jsonl", "a*", "?")
        every = self.tool("sub", "--exact", "--exclude-producer", "a*", "-n", "2", "-o", "jsonl")
        eventually(lambda: len(self.daemon.subscriptions()) == 2, "both have subscribed")
        for name in ("ab", "a*", "?"):
            streams[name].send([event()])
        for process, expected in ((consumer, ["?", "a*"]), (every, ["?", "ab"])):
            output, _ = process.communicate(timeout=PATIENCE)
            rows = [json.loads(line)["producer"] for line in output.splitlines()]
            self.assertEqual(sorted(rows), expected)

    def test_K5_a_name_and_a_pattern_do_not_go_together(self):
        selector = v1.Selector(producer="a", producer_name="a")
        field = "selectors[0].producer_name"
        with self.assertFault(grpc.StatusCode.INVALID_ARGUMENT, "OUT_OF_BOUNDS", field):
            next(v1.stub("Subscriber", self.channel()).Subscribe(v1.SubscribeRequest(selectors=[selector])))


class Completion(WithSessions, Tool):
    def complete(self, *words, line=None, server=None):
        """What bash offers for a command line, with the names of the server."""
        tool = binary("tributary")
        script = subprocess.check_output([tool, "completion", "bash"], text=True)
        words = [tool, words[0], "-s", server or self.daemon.address, *words[1:]]
        quoted = " ".join(f"'{word}'" for word in words)
        line = " ".join(words)
        script += (
            f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; "
            f"COMP_POINT={len(line)}; _tributary; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def expect_complete(self, expected, *words):
        """On a busy machine the names may come too late, so this asks again."""
        eventually(lambda: self.complete(*words) == expected, f"{words} gets {expected}")

    def test_K5_names_of_producers_and_subscriptions_come_from_the_server(self):
        # While its stream is open, a producer is not forgotten.
        streams = [self.publishing(name) for name in ("web-1", "web-2", "db", "has space", "a:b*")]
        for stream in streams:
            stream.send([event()])
        eventually(lambda: self.daemon.producer("a:b*"), "they published")
        consumer = self.consumer()
        self.expect_complete(["web-1", "web-2"], "sub", "web")
        self.expect_complete(["db"], "sub", "-p", "d")
        self.expect_complete(["has\\ space"], "sub", "has")
        self.expect_complete(["b\\*"], "sub", "a:")  # what stands before the colon is there
        self.expect_complete(["b\\*"], "sub", "a:b*")  # a wildcard is a letter of the name here
        self.assertEqual(self.complete("sub", "--exclude-producer", "nobody"), [""])
        self.assertIn("--last", self.complete("sub", "--la"))
        eventually(
            lambda: consumer.id in self.run_tool("completion", "names", "subscriptions")[0].splitlines(),
            "the subscription is named",
        )
        self.assertIn("names of what", self.run_tool("completion", "names", "nonsense", code=2)[1])
        for stream in streams:
            stream.finish()

    def test_K5_fish_asks_the_server_for_names(self):
        stream = self.publishing("web-1")
        stream.send([event()])
        eventually(lambda: self.daemon.producer("web-1"), "it published")
        tool = binary("tributary")
        script = subprocess.check_output([tool, "completion", "fish"], text=True)
        with tempfile.TemporaryDirectory(prefix="tributary-fish-") as home:
            environment = dict(os.environ, HOME=home, XDG_CONFIG_HOME=home, XDG_DATA_HOME=home)
            environment["PATH"] = f"{os.path.dirname(os.path.abspath(tool))}:{os.environ['PATH']}"

            def offered(words):
                asked = f"complete -C 'tributary sub -s {self.daemon.address} {words}'"
                command = ["fish", "--no-config", "-c", f"{script}{asked}"]
                return subprocess.check_output(command, text=True, env=environment, timeout=PATIENCE)

            for words in ("we", "-p we", "--producer=we"):
                eventually(lambda: "web-1" in offered(words), f"{words} gets web-1")
        stream.finish()

    def test_K5_topics_of_sessions_are_completed(self):
        self.session("s", topics=["orders", "orders.late", "other"]).wait_welcome()
        self.expect_complete(["orders", "orders.late"], "sub", "--topic", "ord")

    def test_K5_a_server_that_is_silent_or_absent_holds_nobody_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            for server in (address, "unix:/nonexistent/socket"):
                began = time.monotonic()
                self.assertEqual(self.complete("sub", "x", server=server), [""])
                self.assertLess(time.monotonic() - began, 2 + 0.5)


def width_of(text):
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


class Lists(Tool):
    names = (
        [f"web-{n:03d}" for n in range(10)]
        + [f"payment-service-production-eu-west-1-pod-{n}-7f9c{n}" for n in range(8)]
        + [f"日本語の長い名前のプロデューサー{n}番" for n in range(8)]
        + [f"e\u0301te\u0301-{n}" for n in range(4)]
    )

    def setUp(self):
        super().setUp()
        self.publisher = v1.stub("Publisher", self.channel())
        for count, name in enumerate(self.names, 1):
            self.publisher.Publish(v1.PublishRequest(producer=name, events=[event()] * count))

    def test_K5_a_list_of_30_producers_fits_80_columns(self):
        lines = self.show(80, 50, "producers", "ls").splitlines()
        self.assertEqual(len(lines), 31)
        self.assertLessEqual(max(map(width_of, lines)), 80)
        column = lines[0].index("kind")
        for line in lines[1:]:
            name = line[: line.index("transient")]
            self.assertEqual(width_of(name), column, "the columns are aligned")
        shortened = [line for line in lines if "…" in line]
        self.assertEqual(len(set(line.split("  ")[0] for line in shortened)), 16, "they stay distinct")

    def test_K5_nothing_is_shortened_where_there_is_no_terminal_or_wide_is_asked_for(self):
        for out in (self.run_tool("producers", "ls")[0], self.show(80, 50, "producers", "ls", "-o", "wide")):
            self.assertNotIn("…", out)
            for name in self.names:
                self.assertIn(name + "  ", out)

    def test_K5_lists_are_sorted(self):
        out, _ = self.run_tool("producers", "ls", "--sort", "sequence")
        self.assertEqual([line.split("  ")[0] for line in out.splitlines()[1:]], self.names[::-1])
        out, _ = self.run_tool("producers", "ls", "--sort", "published", "-o", "json", "web-*")
        self.assertEqual([json.loads(line)["name"] for line in out.splitlines()], self.names[9::-1])
        for name in "cab":
            self.tool("sub", "--name", name)
            eventually(
                lambda: name in [each.name for each in self.daemon.subscriptions()], "it subscribed"
            )
        for order, names in (("name", "abc"), ("started", "cab")):
            out, _ = self.run_tool("subs", "ls", "--sort", order)
            self.assertEqual([line.split()[1] for line in out.splitlines()[1:]], list(names))

    def test_K5_a_list_is_drawn_anew_on_a_terminal_until_a_signal(self):
        for words in (["producers", "ls"], ["status"], ["subs", "ls"]):
            process, terminal = self.on_terminal(60, 8, *words, "--watch", "50ms")
            shown = b""
            while shown.count(b"\033[H") < 4:
                shown += os.read(terminal, 65536)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)
            for screen in shown.decode().split("\033[H")[2:-1]:
                self.assertLess(screen.count("\n"), 8, "the first line stays on the screen")
            if words[0] == "producers":
                self.assertIn("(and 25 more lines)", shown.decode())

    def test_K5_lists_are_appended_elsewhere_and_counted(self):
        out, err = self.run_tool("status", "--watch", "10ms", "--count", "3")
        self.assertEqual(len(re.findall("^version ", out, re.M)), 3)
        self.assertNotIn("\033", out)
        out, _ = self.run_tool("status", "-o", "json", "--watch", "10ms", "-n", "2")
        self.assertEqual([json.loads(line)["health"] for line in out.splitlines()], ["serving"] * 2)
        self.assertIn("--watch", self.run_tool("subs", "ls", "-n", "2", code=2)[1])
        self.run_tool("subs", "ls", "--watch", "--max-time", "0.2", code=6)


class Losses(Tool):
    def lose(self, *words):
        """A `sub` whose reader reads nothing for 2 s of a flood. Returns its exit code, what it
        printed, and the subscription as the server saw it last."""
        sub = self.tool("sub", "--buffer-events", "10", "--fail-on-loss", "p", *words)
        seen = eventually(self.daemon.subscriptions, "it subscribed")[0]
        stream = self.publishing("p")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            stream.send([event(number, size=500) for number in range(100)])
            time.sleep(0.01)
        stream.finish()
        seen = self.daemon.subscription(seen.id)
        self.assertGreater(seen.dropped.events, 1000)
        sub.terminate()
        out, err = sub.communicate(timeout=PATIENCE)
        return sub.returncode, out, [line for line in err.splitlines() if " lost " in line], seen

    @staticmethod
    def count(line):
        return int(line.split(" lost ")[1].split()[0])

    def test_finding_36_a_flood_of_losses_is_summed_by_the_second_with_a_total(self):
        code, _, lines, seen = self.lose()
        self.assertEqual(code, 5)
        self.assertLess(len(lines), 12, lines)
        self.assertIn(" in all ", lines[-1])
        self.assertEqual(sum(map(self.count, lines[:-1])), self.count(lines[-1]))
        self.assertGreaterEqual(self.count(lines[-1]), seen.dropped.events)

    def test_finding_36_programs_get_each_loss(self):
        code, out, lines, seen = self.lose("-o", "jsonl")
        self.assertEqual(code, 5)
        self.assertFalse([line for line in lines if " in all " in line])
        self.assertGreaterEqual(sum(map(self.count, lines)), seen.dropped.events)
        self.assertEqual(out.count('"sequence"'), out.count("\n"), "events only")


if __name__ == "__main__":
    main()
