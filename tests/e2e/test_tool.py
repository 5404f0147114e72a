#!/usr/bin/python3
"""What people see of the tool: notices, tables, errors."""
import subprocess
import time

from harness.case import Case, main
from harness.client import event
from harness.daemon import PATIENCE, binary, eventually


class Tool(Case):
    def tool(self, *words, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        process = subprocess.Popen([binary("tributary"), *words, "-s", self.daemon.address], **options)
        self.addCleanup(self.gone, process)
        return process

    @staticmethod
    def gone(process):
        if process.poll() is None:
            process.kill()
        process.communicate()


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
