#!/usr/bin/python3
"""`tributary producers watch`: what people and programs read of changes."""
import json
import re
import signal
import tempfile

from harness.case import main
from harness.client import event
from harness.daemon import PATIENCE, binary, eventually
from test_tool import Tool

CLOCK = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  ", re.M)


class Watch(Tool):
    forget = "200ms"

    def setUp(self):
        super().setUp()
        eventually(lambda: self.daemon.live()["live.producers"] == 0, "earlier ones are forgotten")

    def start(self, *words):
        """The tool, when its snapshot is complete; what it prints goes on from there."""
        process = self.tool("producers", "watch", *words)
        lines = [process.stdout.readline()]
        while lines[-1] and "complete" not in lines[-1]:
            lines.append(process.stdout.readline())
        return process, CLOCK.sub("", "".join(lines))

    def rest(self, process, code=0):
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, code, (out, err))
        return CLOCK.sub("", out), err

    def test_lines_for_people(self):
        stream = self.publishing("there")
        stream.send([event()])
        stream.wait_confirmed()
        process, shown = self.start("--subs", "-n", "7")
        self.assertEqual(shown, "present   there  ACTIVE  transient\ncomplete\n")
        stream.finish()
        lines = [process.stdout.readline() for _ in range(2)]
        self.assertEqual(CLOCK.sub("", "".join(lines)), "state     there  IDLE\nremoved   there  FORGOTTEN\n")
        consumer = self.consumer()
        line = CLOCK.sub("", process.stdout.readline())
        self.assertTrue(line.startswith(f"added     subscription {consumer.id}  127.0.0.1:"), line)
        consumer.cancel()
        eventually(lambda: not self.daemon.subscriptions(), "its consumer has left")
        line = CLOCK.sub("", process.stdout.readline())
        self.assertRegex(line, f"^removed   subscription {consumer.id} .*  CANCELLED$")
        self.publish("new", [event()])
        out, err = self.rest(process)
        self.assertEqual(out, "added     new  ACTIVE  transient\n")
        self.assertEqual(err, "")

    def test_an_object_for_each_change(self):
        process, _ = self.start("w*", "-o", "json", "-n", "3")
        self.publish("other", [event()])
        self.publish("web", [event()])
        out, _ = self.rest(process)
        added, state = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((added["change"], added["producer"]["name"], added["producer"]["kind"]),
                         ("added", "web", "transient"))
        self.assertEqual((state["change"], state["producer"]["state"]), ("state", "IDLE"))
        self.assertGreater(state["number"], added["number"])
        self.assertRegex(added["time"], r"^20\d\d-")

    def test_only_what_is_new(self):
        stream = self.publishing("there")
        stream.send([event()])
        stream.wait_confirmed()
        process, shown = self.start("--no-snapshot", "-n", "2")
        self.assertEqual(shown, "complete\n")
        self.publish("new", [event()])
        self.assertEqual(self.rest(process)[0], "added     new  ACTIVE  transient\n")
        stream.cancel()

    def test_a_signal_ends_it_well_and_max_time_does_not(self):
        process, _ = self.start()
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.rest(process), ("", ""))
        self.rest(self.start("--max-time", "0.5")[0], code=6)

    def test_an_output_that_nobody_reads_holds_nobody_up(self):
        process, _ = self.start()
        for _ in range(3):  # far more than a pipe holds
            for i in range(400):
                self.publish(f"{i:03d}" + "x" * 250, [event()])
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        self.assertEqual(process.returncode, 0)

    def test_errors(self):
        for words, text in (
            (("a" * 257,), 'pattern: a value is too long: at most 256 bytes'),
        ):
            process = self.tool("producers", "watch", *words)
            self.assertIn(text, self.rest(process, code=64 + 3)[1])
        out, err = self.run_tool("producers", "watch", "a", "b", code=2)
        self.assertEqual(out, "")


class Reconnecting(Tool):
    shared_daemon = False

    def test_it_comes_back_with_the_server(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-watch-")
        self.addCleanup(folder.cleanup)
        address = f"unix:{folder.name}/socket"
        daemon = self.start_daemon(listen=(address,))
        process = self.start_program(
            binary("tributary"), "producers", "watch", server=address, text=True
        )
        self.assertIn("complete", process.stdout.readline())
        daemon.stop()
        lost = process.stderr.readline()
        self.assertRegex(lost, r"^tributary: the stream was lost: .*; trying again in \d+ ms$")
        again = self.start_daemon(listen=(address,))
        eventually(lambda: again.counters()["live.watches"] == 1, "it is back")
        self.publish("x", [event()], channel=again.channel)
        lines = [CLOCK.sub("", process.stdout.readline()) for _ in range(3)]
        self.assertEqual(
            lines,
            [
                "resync    nobody can say what changed meanwhile\n",
                "complete\n",
                "added     x  ACTIVE  transient\n",
            ],
        )
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertTrue(err.endswith("tributary: connected again\n"), err)
        again.stop()


if __name__ == "__main__":
    main()
